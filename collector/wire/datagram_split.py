"""Datagrams that were saved one after another in one file: where each begins."""

from collections.abc import Callable
from struct import unpack_from

from collector.wire.flow_messages import (
    IPFIX,
    IPFIX_HEADER_BYTES,
    LAYOUTS,
    NETFLOW9,
    NETFLOW9_HEADER_BYTES,
    netflow5_length,
)

# Set ids of v9 between options template (1) and data (256) are reserved (RFC 3954 section 5.2): a version
# word in the place of a set id can only be the next header.
_VERSIONS = (*LAYOUTS, NETFLOW9, IPFIX)


def starts_message(data: bytes, position: int = 0) -> bool:
    """An export header of NetFlow v5, v7, v9 or IPFIX may begin here."""
    return len(data) - position >= 2 and unpack_from(">H", data, position)[0] in _VERSIONS


def split_datagrams(data: bytes) -> list[bytes]:
    """The datagrams of NetFlow and IPFIX in a raw payload file, as `split_at_headers` says."""
    return split_at_headers(data, lambda start: start + _announced_length(data, start), _is_header)


def split_at_headers(data: bytes, end_of: Callable[[int], int], is_header: Callable[[bytes, int], bool]) -> list[bytes]:
    """The datagrams of a raw payload file, at least one. `end_of` says where the one that begins at a position ends;
    what does not begin with a header stays with the one before.
    """
    datagrams: list[bytes] = []
    start = 0
    while True:
        end = end_of(start)
        if end <= start or end >= len(data) or not is_header(data, end):
            datagrams.append(bytes(data[start:]))
            return datagrams
        datagrams.append(bytes(data[start:end]))
        start = end


def _is_header(data: bytes, position: int) -> bool:
    if not starts_message(data, position):
        return False
    (version,) = unpack_from(">H", data, position)
    if version in LAYOUTS:
        return netflow5_length(data, position, len(data)) > 0
    return len(data) - position >= (IPFIX_HEADER_BYTES if version == IPFIX else NETFLOW9_HEADER_BYTES)


def _announced_length(data: bytes, start: int) -> int:
    """Bytes up to the end of the message that begins at `start`; 0 when that cannot be told."""
    if not starts_message(data, start):
        return 0
    (version,) = unpack_from(">H", data, start)
    if version in LAYOUTS:
        return netflow5_length(data, start, len(data))
    if version == IPFIX:
        length = unpack_from(">H", data, start + 2)[0] if len(data) - start >= 4 else 0
        return length if length >= IPFIX_HEADER_BYTES else 0
    position = start + NETFLOW9_HEADER_BYTES
    while len(data) - position >= 4:
        set_id, length = unpack_from(">HH", data, position)
        if set_id in _VERSIONS:
            return position - start
        if length < 4:
            return 0
        position += length
    return 0
