"""sFlow v5 datagrams that were saved one after another in one file: where each begins."""

from functools import partial
from struct import unpack_from

from collector.wire.datagram_split import split_at_headers
from collector.wire.sflow_samples import SFLOW5
from collector.wire.sflow_words import IPV4_TYPE, IPV6_TYPE

SFLOW_PORT = 6343
"""IANA's port for sFlow."""
_LEAST_BYTES = 28
_ADDRESS_BYTES = {IPV4_TYPE: 4, IPV6_TYPE: 16}


def starts_sflow(data: bytes, position: int = 0) -> bool:
    """A header of sFlow v5 may begin here: the version in 32 bits, and an agent address of a known type."""
    if len(data) - position < _LEAST_BYTES:
        return False
    version, address_type = unpack_from(">II", data, position)
    return version == SFLOW5 and address_type in _ADDRESS_BYTES


def split_sflow_datagrams(data: bytes) -> list[bytes]:
    """The datagrams of sFlow in a raw payload file, as `split_at_headers` says."""
    return split_at_headers(data, partial(_end_of, data), starts_sflow)


def _end_of(data: bytes, start: int) -> int:
    """Where the samples of the datagram end; `start` when that cannot be told."""
    if not starts_sflow(data, start):
        return start
    position = start + 8 + _ADDRESS_BYTES[unpack_from(">I", data, start + 4)[0]] + 16
    if position > len(data):
        return start
    (samples,) = unpack_from(">I", data, position - 4)
    for _ in range(samples):
        if len(data) - position < 8:
            return start
        position += 8 + (unpack_from(">I", data, position + 4)[0] + 3) // 4 * 4
    return position
