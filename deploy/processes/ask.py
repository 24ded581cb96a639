"""The index process."""

import threading
from importlib.metadata import version

from archive.ask.service import AskSettings, run_ask
from archive.index.settings import DecodingSettings
from deploy.anchor_trust import trust_of
from deploy.decoders import make_chunk_decoder
from deploy.layout import Appliance
from deploy.listeners import listener_realms, realm_networks


def run_ask_process(appliance: Appliance, stop: threading.Event) -> None:
    """Index and answer."""
    config = appliance.config
    run_ask(
        AskSettings(
            paths=appliance.paths,
            dsn=appliance.index_dsn,
            zone=config.site.zone,
            retention_days=config.archive.retention_days,
            reserve_bytes=config.storage.reserve_bytes,
            demo=appliance.demo,
            site_name=config.site.name,
            software=f"phayan {version('phayan')}",
            close_after_seconds=config.archive.spool_close_seconds,
            decoder_factory=make_chunk_decoder,
            decoding=DecodingSettings(config.site.zone, realm_networks(appliance), listener_realms(appliance)),
            one_person=config.cases.one_person,
            trust=trust_of(appliance),
        ),
        stop,
    )
