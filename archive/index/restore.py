"""The state of a new decode worker, from carries and the leaves after them; and over segments that are gone."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from archive.errors import ArchiveIntegrityError
from archive.index.blocks import SEGMENT_MISSING
from archive.index.carry import SETTINGS_LISTENER, CarryMark
from archive.index.carry_reader import CarryReader
from archive.index.engine import Engine
from archive.index.leaf_reader import LeafReader
from archive.index.worker import DecodeWorker, wait_result
from archive.origin import ArchivePaths

NS = 1_000_000_000
LOOK_BACK_NS = 86_400 * NS
"""Data that waits for its template is looked for so far back. Exporters send templates again within minutes; a day
bounds the walk."""
SYSLOG_LOOK_BACK_NS = 600 * NS
"""Numbers of syslog senders and what RELP senders may repeat are looked for so far back: lines are many and dear to
decode, and a sender that was quiet for longer is rarely one that sends again. Its numbers are followed anew."""
NEWEST_LEAVES = 100
"""What is now is told by the newest time of so many leaves: streams are sealed a little out of the order of arrival,
and one leaf of a clock that was years ahead must not count for ever."""
STATEFUL_KINDS = ("netflow", "sflow")
"""Listener kinds whose decoding depends on records of days."""
SYSLOG_KIND = "syslog"


@dataclass(frozen=True)
class _Replay:
    leaf_index: int
    is_missing: bool
    last_unix_ns: int


class StateRestorer:
    """Brings a worker to the state that decoding every leaf before the next one would have left it in."""

    def __init__(self, paths: ArchivePaths, engine: Engine, carries: CarryReader) -> None:
        self._segments = paths.segments
        self._engine = engine
        self._carries = carries
        self._leaves = LeafReader(paths)
        self._first_missing: int | None = None
        self._last_missing = -1
        self._marks: list[CarryMark] = []

    def restore(self, worker: DecodeWorker, next_leaf: int) -> None:
        """Import a carry and decode the leaves after it again; without any carry, those of the last day."""
        self._first_missing = None
        newest_ns = self._newest_unix_ns(next_leaf)
        usable = [mark for mark in self._carries.carries() if mark.before_leaf <= next_leaf]
        carry = _carry_to_start_from(usable, newest_ns)
        replays = self._leaves_to_replay(next_leaf, newest_ns, carry)
        if carry is not None:
            wait_result(worker.import_state(self._carries.items(carry), frozenset(STATEFUL_KINDS)))
        syslog_from = self._import_syslog(worker, usable, newest_ns)
        start = carry.before_leaf if carry is not None else replays[0].leaf_index if replays else next_leaf
        settings = self._carries.settings_at(start)
        if settings is not None:
            item = {"kind": SETTINGS_LISTENER, **settings.values()}
            wait_result(worker.import_state([item], frozenset({SETTINGS_LISTENER})))
        for one in replays:
            leaf = self._leaves.leaf(one.leaf_index)
            if one.is_missing or self.is_missing(leaf):
                self.note_missing(one.leaf_index)
                continue
            self.go_on_over_gap(worker, one.leaf_index)
            only = {*STATEFUL_KINDS, SETTINGS_LISTENER}
            if one.last_unix_ns >= newest_ns - SYSLOG_LOOK_BACK_NS and one.leaf_index >= syslog_from:
                only.add(SYSLOG_KIND)
            wait_result(worker.replay(one.leaf_index, leaf, frozenset(only)))

    def is_missing(self, leaf: dict[str, Any]) -> bool:
        """Whether the segment of a data leaf is gone."""
        return not (self._segments / leaf["segment"]).exists()

    def note_missing(self, leaf_index: int) -> bool:
        """A leaf that cannot be decoded lies before the next one. Whether it is the first since the last carry."""
        self._last_missing = leaf_index
        if self._first_missing is not None:
            return False
        self._first_missing = leaf_index
        self._marks = self._carries.carries()
        return True

    def go_on_over_gap(self, worker: DecodeWorker, leaf_index: int) -> None:
        """Before a leaf that follows missing ones: the carry that knows them, if there is one. It lies later in the
        log than its boundary."""
        if self._first_missing is None:
            return
        known = [mark for mark in self._marks if self._first_missing < mark.before_leaf <= leaf_index]
        if not known:
            return
        kinds = frozenset({*STATEFUL_KINDS, SYSLOG_KIND, SETTINGS_LISTENER})
        try:
            items = self._carries.items(known[-1])
        except ArchiveIntegrityError:
            self._marks = self._carries.carries()
            raise
        wait_result(worker.import_state(items, kinds))
        self._first_missing = self._last_missing if self._last_missing >= known[-1].before_leaf else None

    def _import_syslog(self, worker: DecodeWorker, usable: list[CarryMark], newest_ns: int) -> int:
        """In the first minutes of a day its carry, for every line since is decoded again. The leaf it is as of."""
        recent = [mark for mark in usable if _day_start_ns(mark.day) >= newest_ns - SYSLOG_LOOK_BACK_NS]
        if not recent:
            return 0
        wait_result(worker.import_state(self._carries.items(recent[-1]), frozenset({SYSLOG_KIND})))
        return recent[-1].before_leaf

    def _newest_unix_ns(self, next_leaf: int) -> int:
        rows = self._engine.query(
            "SELECT max(last_unix_ns) AS newest FROM (SELECT last_unix_ns FROM {db}.leaves "
            "WHERE leaf_index < {next:UInt64} ORDER BY leaf_index DESC LIMIT {last:UInt32})",
            {"next": next_leaf, "last": NEWEST_LEAVES},
        )
        return int(rows[0]["newest"] or 0)

    def _leaves_to_replay(self, next_leaf: int, newest_ns: int, carry: CarryMark | None) -> list[_Replay]:
        since_ns = newest_ns - LOOK_BACK_NS if carry is None else 0
        rows = self._engine.query(
            "SELECT leaf_index, last_unix_ns, counters[{missing:String}] AS missing FROM {db}.leaves "
            "WHERE leaf_index >= {start:UInt64} AND leaf_index < {next:UInt64} AND (missing > 0 "
            "OR (hasAny(listener_kinds, {kinds:Array(String)}) AND last_unix_ns >= {since:Int64}) "
            "OR (has(listener_kinds, {syslog:String}) AND last_unix_ns >= {syslog_since:Int64})) ORDER BY leaf_index",
            {
                "missing": SEGMENT_MISSING,
                "start": carry.before_leaf if carry is not None else 0,
                "next": next_leaf,
                "kinds": [*STATEFUL_KINDS, SETTINGS_LISTENER],
                "since": since_ns,
                "syslog": SYSLOG_KIND,
                "syslog_since": newest_ns - SYSLOG_LOOK_BACK_NS,
            },
        )
        return [_Replay(int(row["leaf_index"]), bool(row["missing"]), int(row["last_unix_ns"])) for row in rows]


def _carry_to_start_from(usable: list[CarryMark], newest_ns: int) -> CarryMark | None:
    """The newest one that is a day old, so that what waited then is in the leaves after it; else the oldest."""
    old = [mark for mark in usable if _day_start_ns(mark.day) <= newest_ns - LOOK_BACK_NS]
    return old[-1] if old else usable[0] if usable else None


def _day_start_ns(day: str) -> int:
    """The first nanosecond of a UTC day; beyond any other for what is none."""
    try:
        return int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * NS
    except ValueError:
        return 2**63
