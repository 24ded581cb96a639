# pyright: reportAttributeAccessIssue=false
"""Carry records: the decoders' state at a day's start, in the journal (docs/FORMAT.md, "Carry"). Pure.

A carry is a `carry_begin`, one `carry` record per item and a `carry_end` of one run, in this order and with nothing
between them, over as many chunks as it takes. It counts only when all of them are sealed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from archive.errors import ArchiveFormatError
from archive.event_record import decode_event, encode_event

CARRY_STREAM = "carry"
CARRY_LISTENER = "carry"
SETTINGS_LISTENER = "settings"
BEGIN, ITEM, END = "carry_begin", "carry", "carry_end"
_OWN_FIELDS = ("v", "event", "time_unix_ns", "run")


@dataclass(frozen=True)
class Carry:
    """State as of all leaves before `before_leaf`, the first flow leaf of `day` (UTC, `YYYYMMDD`). `decoder` is the
    fingerprint of the decoders whose state it is."""

    day: str
    before_leaf: int
    items: list[dict[str, Any]]
    decoder: str = ""


@dataclass(frozen=True)
class CarryMark:
    """A complete carry in the journal: where its records are. `leaves` hold them, first to last. `decoder` is
    empty where the carry does not say."""

    day: str
    before_leaf: int
    run: str
    items: int
    leaves: tuple[int, ...]
    decoder: str = ""


def encode_carry(carry: Carry, run: str, time_unix_ns: int) -> Iterator[bytes]:
    """The records of a carry in order. `run` is its own random name."""
    boundary = {"run": run, "day": carry.day, "before_leaf": carry.before_leaf}
    yield encode_event(BEGIN, time_unix_ns, {**boundary, "decoder": carry.decoder})
    for item in carry.items:
        yield encode_event(ITEM, time_unix_ns, {**item, "run": run})
    yield encode_event(END, time_unix_ns, {**boundary, "items": len(carry.items)})


def payloads_of(chunk: pa.Table, listener: str) -> pa.ChunkedArray:
    """Payloads of the records of one listener, in order."""
    return chunk.column("payload").filter(pc.equal(chunk.column("listener").cast(pa.string()), listener))


def carry_payloads(chunk: pa.Table) -> pa.ChunkedArray:
    """Payloads of the carry records of a chunk, in order."""
    return payloads_of(chunk, CARRY_LISTENER)


def marked(payloads: pa.ChunkedArray, event: str) -> list[int]:
    """Places of the records of an event. Inside a JSON string every quote is escaped, so no value looks like this."""
    return np.flatnonzero(pc.match_substring(payloads, f'"event":"{event}"').to_numpy()).tolist()


def read_items(payloads: pa.ChunkedArray, run: str) -> list[dict[str, Any]]:
    """The items of one run among carry records. Raises ArchiveFormatError for a record that is none."""
    items = []
    for payload in payloads.to_pylist():
        record = decode_event(payload)
        if record["event"] == ITEM and record.get("run") == run:
            items.append({name: value for name, value in record.items() if name not in _OWN_FIELDS})
    return items


@dataclass
class _Begun:
    run: str
    day: str
    before_leaf: int
    items: int = 0
    leaves: list[int] = field(default_factory=list)
    decoder: str = ""


class CarryFinder:
    """Finds the complete carries in the leaves of the carry stream, given in order."""

    def __init__(self) -> None:
        self._begun: _Begun | None = None

    def add(self, leaf_index: int, payloads: pa.ChunkedArray) -> list[CarryMark]:
        """Carries that end in this leaf."""
        found: list[CarryMark] = []
        ends = set(marked(payloads, END))
        position = 0
        if self._begun is not None:
            self._begun.leaves.append(leaf_index)
        for place in sorted({*marked(payloads, BEGIN), *ends}):
            if self._begun is not None:
                self._begun.items += place - position
            position = place + 1
            record = _object(payloads[place].as_py())
            if place in ends:
                found += self._end(record)
            else:
                self._begun = _begin(record, leaf_index)
        if self._begun is not None:
            self._begun.items += len(payloads) - position
        return found

    def break_off(self) -> None:
        """A leaf cannot be read: what was begun stays incomplete."""
        self._begun = None

    def _end(self, record: dict[str, Any]) -> list[CarryMark]:
        begun, self._begun = self._begun, None
        if begun is None or (record.get("run"), record.get("items")) != (begun.run, begun.items):
            return []
        return [CarryMark(begun.day, begun.before_leaf, begun.run, begun.items, tuple(begun.leaves), begun.decoder)]


def _object(payload: bytes) -> dict[str, Any]:
    """A record of the journal; an empty object for what is none."""
    try:
        return decode_event(payload)
    except ArchiveFormatError:
        return {}


def _begin(record: dict[str, Any], leaf_index: int) -> _Begun | None:
    run, day, before_leaf = (record.get(name) for name in ("run", "day", "before_leaf"))
    if not (isinstance(run, str) and isinstance(day, str) and type(before_leaf) is int):
        return None
    decoder = record.get("decoder")
    return _Begun(run, day, before_leaf, leaves=[leaf_index], decoder=decoder if isinstance(decoder, str) else "")
