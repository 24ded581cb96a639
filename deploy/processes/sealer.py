"""The sealer process."""

import threading

from archive.sealer_service import SealerSettings, run_sealer
from archive.succession import finish_change
from deploy.anchor_trust import trust_of
from deploy.config_keys import key_source
from deploy.layout import Appliance
from deploy.state_files import wrap_package_key


def run_sealer_process(appliance: Appliance, stop: threading.Event) -> None:
    """Seal."""
    config = appliance.config
    finish_change(appliance.paths)
    keys = key_source(config.keys, appliance.paths)
    wrap_package_key(appliance, keys.load(appliance.paths.origin()))
    settings = SealerSettings(
        config.archive.head_interval_seconds,
        keys,
        trust_of(appliance),
        has_outside_heads=bool(config.anchors.witness or config.anchors.copies),
        retention_days=config.archive.retention_days,
        second_directory=appliance.configured_file(config.storage.second_directory),
        reserve_bytes=config.storage.reserve_bytes,
    )
    run_sealer(appliance.paths, settings, stop)
