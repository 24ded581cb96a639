"""Which decoders the index uses. The archive knows only their protocol; here they are plugged in."""

from functools import cache

from archive.cases.decoder import CasesDecoder
from archive.index.carry_events import CarryEventsDecoder
from archive.index.decoding import ChunkDecoder
from archive.index.settings import DecodingSettings
from archive.own_events import OwnEventsDecoder
from authgw.decoder import SessionDecoder
from collector.wire.flows import FlowDecoder
from collector.wire.sflow import SFlowDecoder
from collector.wire.syslog import SyslogDecoder
from deploy.decoder_fingerprint import source_fingerprint


def make_chunk_decoder(
    zone: str, realms: tuple[tuple[str, str], ...], listener_realms: tuple[tuple[str, str], ...] = ()
) -> ChunkDecoder:
    """Called in the decode worker; arguments are plain so that they cross the process boundary.

    `realms`: (network of sources, realm); `listener_realms`: (listener name, realm).
    """
    decoders = [
        SyslogDecoder(zone), FlowDecoder(units=True), SFlowDecoder(units=True), SessionDecoder(), OwnEventsDecoder(),
        CarryEventsDecoder(), CasesDecoder(),
    ]  # fmt: skip
    return ChunkDecoder(decoders, DecodingSettings(zone, realms, listener_realms), decoder_fingerprint())


@cache
def decoder_fingerprint() -> str:
    """Of this module, which says what is plugged in, and of all it needs. Read once in the life of a process."""
    return source_fingerprint(__name__)
