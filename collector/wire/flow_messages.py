"""Headers and sets of NetFlow v5, v7 (Catalyst switches), v9 (RFC 3954 section 5.1) and IPFIX (RFC 7011 section 3.1).
No templates here.
"""

from collections import Counter
from struct import unpack_from
from typing import NamedTuple

from collector.wire.flow_templates import Field, Layout

NETFLOW5, NETFLOW7, NETFLOW9, IPFIX = 5, 7, 9, 10
NETFLOW5_HEADER_BYTES = 24
"""Of v7 too."""
NETFLOW5_RECORD_BYTES = 48
NETFLOW7_RECORD_BYTES = 52
MAX_NETFLOW5_RECORDS = 30
"""The format's own limit; a header that claims more is not a NetFlow v5 header."""
MAX_NETFLOW7_RECORDS = 28
"""What fits an Ethernet frame is 27; exporters are known to claim one more."""
NETFLOW9_HEADER_BYTES = 20
IPFIX_HEADER_BYTES = 16
NS_PER_SECOND = 1_000_000_000

# A v5 record in the terms of templates, so that it decodes on the same path. Element 210 is padding.
NETFLOW5_LAYOUT = Layout(
    tuple(
        Field(0, number, length)
        for number, length in (
            (8, 4), (12, 4), (15, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2), (11, 2),
            (210, 1), (6, 1), (4, 1), (5, 1), (16, 2), (17, 2), (9, 1), (13, 1), (210, 2),
        )
    ),
    0,
    False,
    True,
)  # fmt: skip
# v7 adds the router whose shortcut the switch took. The words at 210 are flags: which fields the switch could not know.
NETFLOW7_LAYOUT = Layout((*NETFLOW5_LAYOUT.fields, Field(0, 43, 4)), 0, False, True)
LAYOUTS = {NETFLOW5: NETFLOW5_LAYOUT, NETFLOW7: NETFLOW7_LAYOUT}
"""Records of the versions without templates."""
_RECORDS = {
    NETFLOW5: (NETFLOW5_RECORD_BYTES, MAX_NETFLOW5_RECORDS),
    NETFLOW7: (NETFLOW7_RECORD_BYTES, MAX_NETFLOW7_RECORDS),
}


class Message(NamedTuple):
    """Header of one export message. `sets` are (set id, first byte of the body, end); for v5 and v7 one with id 0.

    `uptime_ms` is None for IPFIX. `sampling` is the v5 word: two bits of mode, fourteen of interval.
    """

    version: int
    observation_domain: int
    sequence: int
    export_unix_ns: int
    uptime_ms: int | None
    sampling: int
    sets: list[tuple[int, int, int]]


def read_message(data: bytes, start: int, end: int, counters: Counter[str]) -> Message | None:
    """Header and set bounds of the datagram `data[start:end]`, or None (counted) if it is no export message."""
    size = end - start
    version = unpack_from(">H", data, start)[0] if size >= 2 else 0
    if version in LAYOUTS:
        return _read_netflow5(data, start, end, counters)
    if version == NETFLOW9 and size >= NETFLOW9_HEADER_BYTES:
        _, _, uptime_ms, seconds, sequence, domain = unpack_from(">HHIIII", data, start)
        sets = _read_sets(data, start + NETFLOW9_HEADER_BYTES, end, counters)
        return Message(version, domain, sequence, seconds * NS_PER_SECOND, uptime_ms, 0, sets)
    if version == IPFIX and size >= IPFIX_HEADER_BYTES:
        _, length, seconds, sequence, domain = unpack_from(">HHIII", data, start)
        if length < IPFIX_HEADER_BYTES:
            counters["malformed_datagrams"] += 1
            return None
        if length > size:
            counters["cut_datagrams"] += 1
        elif length < size:
            counters["trailing_bytes"] += size - length
            end = start + length
        sets = _read_sets(data, start + IPFIX_HEADER_BYTES, end, counters)
        return Message(version, domain, sequence, seconds * NS_PER_SECOND, None, 0, sets)
    counters["malformed_datagrams"] += 1
    return None


def netflow5_length(data: bytes, start: int, end: int) -> int:
    """Bytes of the v5 or v7 datagram that its header announces, or 0 if that is no such header."""
    if end - start < NETFLOW5_HEADER_BYTES:
        return 0
    version, count = unpack_from(">HH", data, start)
    record_bytes, most = _RECORDS.get(version, (0, 0))
    if not 0 < count <= most:
        return 0
    return NETFLOW5_HEADER_BYTES + count * record_bytes


def _read_netflow5(data: bytes, start: int, end: int, counters: Counter[str]) -> Message | None:
    length = netflow5_length(data, start, end)
    if length == 0:
        counters["malformed_datagrams"] += 1
        return None
    version, _, uptime_ms, seconds, nanoseconds, sequence, engine, sampling = unpack_from(">HHIIIIHH", data, start)
    if length > end - start:
        counters["cut_datagrams"] += 1
    else:
        counters["trailing_bytes"] += end - start - length
        end = start + length
    export_unix_ns = seconds * NS_PER_SECOND + min(nanoseconds, NS_PER_SECOND - 1)
    sets = [(0, start + NETFLOW5_HEADER_BYTES, end)]
    if version == NETFLOW7:  # that word is reserved
        engine = sampling = 0
    return Message(version, engine, sequence, export_unix_ns, uptime_ms, sampling, sets)


def _read_sets(data: bytes, position: int, end: int, counters: Counter[str]) -> list[tuple[int, int, int]]:
    """Bounds of the sets. The record count of the header is not used: exporters count templates, sets or
    nothing.
    """
    sets: list[tuple[int, int, int]] = []
    while end - position >= 4:
        set_id, length = unpack_from(">HH", data, position)
        if length < 4:
            if set_id or length:  # zero filler up to the end is usual (PAN-OS, Cisco ACI)
                counters["malformed_sets"] += 1
            return sets
        if length > end - position:
            counters["cut_sets"] += 1
            length = end - position
        sets.append((set_id, position + 4, position + length))
        position += length
    if end > position:
        counters["trailing_bytes"] += end - position
    return sets
