"""Sequence numbers of exporters and syslog senders: what is missing between two sealed datagrams becomes a row of
`losses`. Derived again at each decode, never a record of the journal. Pure.
"""

import json
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from archive.schema import SCHEMAS

SEQUENCE_GAP = "sequence_gap"
SEQUENCE_UNUSABLE = "sequence_unusable"
MAX_STREAMS = 65_536
"""Sequences followed at once, about 15 MiB; the one heard longest ago goes first."""
MAX_LATE_IN_A_ROW = 8
"""So many behind the expected number are no reordering: the sender has begun anew."""
UNUSABLE_AFTER_GAPS = 16
"""So many gaps one after another without a single pair in order mean that the sender counts something else."""
UPTIME_BACK_MS = 10_000
"""An uptime that goes back further than reordering explains: a restart (or the wrap after 49.7 days)."""
FIRST_NUMBERS = 2
"""A sender that restarts begins at 0, some at 1."""


class Arrival(NamedTuple):
    """Where and when a datagram or line came in, as its rows show it."""

    row: int
    realm: str
    received_unix_ns: int
    sender_address: bytes
    listener: str


Units = tuple[int, int]
"""Units a datagram holds, counted in the standard's way and in one some senders use instead."""
ALL_CONVENTIONS = 0b1111
"""How a number may follow the last one: by that one's units (the standard's way) or by its own, each counted in two
ways. One bit each, the standard's lowest; those a sender has kept to so far."""


class Stream(NamedTuple):
    """One sequence between two calls. `units` is None where the last datagram could not be counted."""

    sequence: int
    units: Units | None
    received_unix_ns: int
    uptime_ms: int | None = None
    conventions: int = ALL_CONVENTIONS
    late: int = 0
    gaps: int = 0


@dataclass(slots=True)
class Gap:
    """`missing` units between the numbers `after` and `after + span`; None where that cannot be counted."""

    key: Hashable
    how: str
    after: int
    span: int
    missing: int | None
    from_unix_ns: int
    arrival: Arrival
    details: dict[str, Any]


class GapFinder:
    """Follows sequences through one chunk, in order. `streams` is changed in place and lives in a decoder's state."""

    def __init__(self, streams: dict[Hashable, Stream], modulus: int = 2**32) -> None:
        self._streams = streams
        self._modulus = modulus
        self._gaps: dict[Hashable, list[Gap]] = {}

    def follow(
        self,
        key: Hashable,
        sequence: int,
        units: Units | None,
        arrival: Arrival,
        details: dict[str, Any],
        uptime_ms: int | None = None,
    ) -> None:
        """A datagram numbered `sequence` that holds `units` of what is counted (None: cannot be told)."""
        now = Stream(sequence, units, arrival.received_unix_ns, uptime_ms)
        before = self._streams.pop(key, None)
        if before is None or before.units is None or units is None or _has_restarted(before, uptime_ms):
            self._put(key, now)
            return
        step = (sequence - before.sequence) % self._modulus
        steps = (*before.units, *units)
        kept = before.conventions & sum(1 << place for place, one in enumerate(steps) if one == step)
        if kept or sequence < FIRST_NUMBERS:
            self._put(key, now._replace(conventions=kept or ALL_CONVENTIONS))
            return
        expected = next(one for place, one in enumerate(steps) if before.conventions >> place & 1)
        missing = (step - expected) % self._modulus
        if missing < self._modulus // 2:
            gaps = min(before.gaps + 1, UNUSABLE_AFTER_GAPS + 1)
            conventions = before.conventions if gaps < UNUSABLE_AFTER_GAPS else ALL_CONVENTIONS
            self._put(key, now._replace(gaps=gaps, conventions=conventions))
            since = before.received_unix_ns
            self._note(Gap(key, SEQUENCE_GAP, before.sequence, step, missing, since, arrival, details), before.gaps)
        else:
            self._take_late(key, sequence, units[0])
            late = before.late + 1
            self._put(key, now if late > MAX_LATE_IN_A_ROW else before._replace(late=late))

    def table(self, leaf_index: int) -> pa.Table | None:
        """Rows of `losses` of what is still missing, in order; None if nothing is."""
        rows = [
            {
                "leaf_index": leaf_index,
                "row": gap.arrival.row,
                "realm": gap.arrival.realm,
                "received": gap.arrival.received_unix_ns,
                "start": min(gap.from_unix_ns, gap.arrival.received_unix_ns),
                "end": gap.arrival.received_unix_ns,
                "sender_address": gap.arrival.sender_address,
                "listener": gap.arrival.listener,
                "count": gap.missing,
                "how": gap.how,
                "details": json.dumps({**gap.details, "after": gap.after}, ensure_ascii=False, sort_keys=True),
            }
            for gaps in self._gaps.values()
            for gap in gaps
            if gap.missing != 0
        ]
        rows.sort(key=lambda one: one["row"])
        return pa.Table.from_pylist(rows, schema=SCHEMAS["losses"]) if rows else None

    def _put(self, key: Hashable, stream: Stream) -> None:
        if len(self._streams) >= MAX_STREAMS:
            del self._streams[next(iter(self._streams))]
        self._streams[key] = stream

    def _note(self, gap: Gap, gaps_before: int) -> None:
        if gaps_before < UNUSABLE_AFTER_GAPS:
            self._gaps.setdefault(gap.key, []).append(gap)
        elif gaps_before == UNUSABLE_AFTER_GAPS:
            gap.how, gap.missing = SEQUENCE_UNUSABLE, None
            kept = self._gaps.get(gap.key, [])[:-UNUSABLE_AFTER_GAPS]
            self._gaps[gap.key] = [*kept, gap]

    def _take_late(self, key: Hashable, sequence: int, units: int) -> None:
        """A datagram that came after a later one fills the gap it had left, within this chunk."""
        for gap in reversed(self._gaps.get(key, ())):
            if gap.missing and 0 < (sequence - gap.after) % self._modulus < gap.span:
                gap.missing -= min(units, gap.missing)
                return


def _has_restarted(before: Stream, uptime_ms: int | None) -> bool:
    return uptime_ms is not None and before.uptime_ms is not None and uptime_ms < before.uptime_ms - UPTIME_BACK_MS
