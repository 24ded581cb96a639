"""Structure of export datagrams (NetFlow v5, v7, v9, IPFIX, sFlow) as far as a package needs it: where templates stand,
and which units are needed to read others. Pure."""

import struct
from collections.abc import Iterable, Iterator, Sequence

NETFLOW9, IPFIX = 9, 10
TEMPLATED = (NETFLOW9, IPFIX)
SET_HEADER_BYTES = 4
FIRST_TEMPLATE = 256
_HEADER_BYTES = {NETFLOW9: 20, IPFIX: 16}
_DOMAIN_OFFSET = {NETFLOW9: 16, IPFIX: 12}
_TEMPLATE_SETS = {NETFLOW9: {0: False, 1: True}, IPFIX: {2: False, 3: True}}
"""Set ids of templates, and whether they are of options."""

Unit = tuple[int, bytes]
"""Offset in the payload, bytes."""


def version_of(header: bytes) -> int:
    """The first two bytes; 0 for sFlow."""
    return int.from_bytes(header[:2], "big")


def observation_domain(header: bytes) -> int:
    """Of v9 (source id) and IPFIX; 0 for other versions."""
    at = _DOMAIN_OFFSET.get(version_of(header))
    return 0 if at is None else int.from_bytes(header[at : at + 4], "big")


def find_template(payload: bytes, starts: Iterable[int], template_id: int) -> tuple[int, bool] | None:
    """Offset of the unit that teaches a template, the last one where there are several, and whether it is of options.
    `starts` are the offsets of the datagram's units."""
    kinds = _TEMPLATE_SETS.get(version_of(payload), {})
    found = None
    for number, begin, end in _walk_sets(payload):
        if number not in kinds:
            continue
        for start in starts:
            inside = begin + SET_HEADER_BYTES <= start and start + 4 <= end
            if inside and int.from_bytes(payload[start : start + 2], "big") == template_id:
                found = start, kinds[number]
    return found


def template_sets(payload: bytes, *, data: bool = False) -> Iterator[tuple[int, int, int]]:
    """Set id, offset and end of the sets that hold templates; with `data`, of those that hold records, whose set id is
    the number of their template."""
    kinds = _TEMPLATE_SETS.get(version_of(payload), {})
    for number, begin, end in _walk_sets(payload):
        if (number >= FIRST_TEMPLATE) if data else (number in kinds):
            yield number, begin, end


def _walk_sets(payload: bytes) -> Iterator[tuple[int, int, int]]:
    """Set id, offset of the set's header, end of the set."""
    position = _HEADER_BYTES.get(version_of(payload), len(payload))
    while len(payload) - position >= SET_HEADER_BYTES:
        number, length = struct.unpack_from(">HH", payload, position)
        if length < SET_HEADER_BYTES:
            return
        yield number, position, min(position + length, len(payload))
        position += length


def set_headers(units: Sequence[Unit]) -> dict[int, Unit | None]:
    """Of each record among the units of a datagram, by its offset, the header of its set; None for versions that have
    no sets. `units` begin with the message header and hold the set header of every record in them."""
    if not units or version_of(units[0][1]) not in TEMPLATED:
        return dict.fromkeys(offset for offset, _ in units[1:])
    found: dict[int, Unit | None] = {}
    header, end = units[0], 0
    for unit in units[1:]:
        if unit[0] < end:
            found[unit[0]] = header
        else:
            header, end = unit, unit[0] + int.from_bytes(unit[1][2:4], "big")
    return found


def template_units(units: Sequence[Unit]) -> dict[int, tuple[int, bool]]:
    """Of units of a datagram that teach templates, by offset: number of the template, and whether it is of options."""
    kinds = _TEMPLATE_SETS.get(version_of(units[0][1]), {})
    found = {}
    for offset, header in set_headers(units).items():
        data = next(one for at, one in units if at == offset)
        if header is not None and version_of(header[1]) in kinds and len(data) >= 4:
            found[offset] = int.from_bytes(data[:2], "big"), kinds[version_of(header[1])]
    return found


def needed_units(units: Sequence[Unit], offsets: Iterable[int]) -> list[Unit]:
    """Those of `units` without which the ones at `offsets` cannot be read, and these."""
    headers = set_headers(units)
    wanted = {0, *offsets}
    wanted |= {header[0] for offset in wanted if (header := headers.get(offset)) is not None}
    return [unit for unit in units if unit[0] in wanted]
