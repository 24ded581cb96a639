"""What a held flow record is read with: the record that taught its template, in the same day or in that day's carry. It
speaks of no person, and without it nobody could read the bytes that a hold keeps when the exporter is long gone."""

import json
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from archive.addresses import parse_address
from archive.index.carry import CARRY_STREAM
from archive.package.datagram_units import (
    IPFIX,
    SET_HEADER_BYTES,
    TEMPLATED,
    observation_domain,
    template_sets,
    version_of,
)
from archive.package.source_log import SourceLog

MAX_FORWARD_LEAVES = 512
"""Leaves after a datagram's in which a template that came late is looked for: exporters send them within minutes."""
_ENTERPRISE = 0x8000
Place = tuple[int, int, int]
"""Leaf, row and offset of a unit."""


class HeldTemplates:
    """Of one log, whose day is still there."""

    def __init__(self, log: SourceLog) -> None:
        self._log = log
        self._known: dict[tuple[object, ...], list[Place]] = {}

    def find(self, leaf_index: int, row: int, template_id: int) -> Place | None:
        """The unit that taught a template to the datagram: the last one before it, else the day's carry, else the first
        one after it. None where the day says nothing of it."""
        record = self._log.record(leaf_index, row)
        source = record["source_address"], record["source_port"]
        key = *source, version_of(record["payload"]), observation_domain(record["payload"]), template_id
        for place in self._known.get(key, ()):
            if place[:2] <= (leaf_index, row):
                return place
        leaf = self._log.leaves.leaf(leaf_index)
        found = (
            next(self._back(leaf_index, row, leaf["stream"], key), None)
            or self._in_carry(Path(leaf["segment"]).parent.name, key)
            or next(self._forward(leaf_index, leaf["stream"], key), None)
        )
        if found is not None and found[:2] <= (leaf_index, row):
            self._known.setdefault(key, []).insert(0, found)
        return found

    def _back(self, leaf_index: int, row: int, stream: str, key: tuple[object, ...]) -> Iterator[Place]:
        day = Path(self._log.leaves.leaf(leaf_index)["segment"]).parent.name
        for index, leaf in self._log.data_leaves_before(leaf_index, stream):
            if Path(leaf["segment"]).parent.name != day:
                return
            for place in reversed(self._taught(index, key)):
                if place[:2] <= (leaf_index, row):
                    yield place

    def _forward(self, leaf_index: int, stream: str, key: tuple[object, ...]) -> Iterator[Place]:
        day = Path(self._log.leaves.leaf(leaf_index)["segment"]).parent.name
        later = range(leaf_index, self._log.leaves.newest_size())
        for index in islice(later, MAX_FORWARD_LEAVES):
            leaf = self._log.leaves.leaf(index)
            is_of_day = "segment" in leaf and Path(leaf["segment"]).parent.name == day
            if leaf.get("stream") == stream and is_of_day and self._log.has_chunk(index):
                yield from self._taught(index, key)

    def _taught(self, index: int, key: tuple[object, ...]) -> list[Place]:
        """Units of a leaf that teach the template, in order."""
        address, port, version, domain, template_id = key
        chunk = self._log.chunk(index)
        ports = chunk.column("source_port").to_numpy()
        found: list[Place] = []
        for row in np.flatnonzero(ports == port).tolist():
            if chunk.column("source_address")[row].as_py() != address:
                continue
            payload = chunk.column("payload")[row].as_py()
            if version_of(payload) == version and observation_domain(payload) == domain:
                found += [(index, row, at) for at, number in template_starts(payload) if number == template_id]
        return found

    def _in_carry(self, day: str, key: tuple[object, ...]) -> Place | None:
        rows = self._log.engine.query(
            "SELECT leaf_index FROM {db}.leaves WHERE stream = {stream:String} AND records > 0 "
            "AND toString(toYYYYMMDD(fromUnixTimestamp64Nano(first_unix_ns, 'UTC'))) = {day:String} "
            "ORDER BY leaf_index",
            {"stream": CARRY_STREAM, "day": day},
        )
        for one in rows:
            index = int(one["leaf_index"])
            if not self._log.has_chunk(index):
                continue
            for row, payload in enumerate(self._log.chunk(index).column("payload").to_pylist()):
                if b'"template"' in payload and carried_key(payload) == key:
                    return index, row, 0
        return None


def carried_key(payload: bytes) -> tuple[object, ...] | None:
    """Exporter, version, domain and number of the template that a record of a carry says, as `find` compares them."""
    try:
        item = json.loads(payload)
        if item.get("what") != "template":
            return None
        return (
            parse_address(item["exporter_address"]), item["source_port"], item["version"], item["observation_domain"],
            item["template_id"],
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def wanted_templates(payload: bytes, places: set[int]) -> set[int]:
    """Numbers of the templates that the records at `places` of a datagram were read with."""
    if version_of(payload) not in TEMPLATED:
        return set()
    found = set()
    for number, begin, end in template_sets(payload, data=True):
        if any(begin < place < end for place in places):
            found.add(number)
    return found


def template_starts(payload: bytes) -> Iterator[tuple[int, int]]:
    """Offset and number of each template in a datagram, of flows and of options (RFC 3954 section 5 and 6.1, RFC 7011
    section 3.4)."""
    for number, begin, end in template_sets(payload):
        position = begin + SET_HEADER_BYTES
        while position + 4 <= end:
            template_id, count = struct.unpack_from(">HH", payload, position)
            if template_id < 256:
                return
            yield position, template_id
            position = _template_end(payload, position, end, count, number)


def _template_end(payload: bytes, position: int, end: int, count: int, set_id: int) -> int:
    if set_id == 1:
        if position + 6 > end:
            return end
        (options,) = struct.unpack_from(">H", payload, position + 4)
        return position + 6 + count + options
    position += 6 if set_id == 3 else 4
    for _ in range(count):
        if position + 4 > end:
            return end
        is_own = version_of(payload) == IPFIX and struct.unpack_from(">H", payload, position)[0] & _ENTERPRISE
        position += 8 if is_own else 4
    return position
