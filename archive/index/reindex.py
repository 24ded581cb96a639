"""Rebuilding the index from the journal beside the one in use: shadow tables, of which a day's partitions take their
place at a time, while receiving and indexing go on."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from archive.errors import ArchiveError
from archive.index.blocks import SEGMENT_MISSING
from archive.index.dropped import forget_dropped
from archive.index.engine import Engine
from archive.index.indexer import Indexer
from archive.schema import SCHEMAS

DAY_NS = 86_400 * 1_000_000_000
LEAVES_A_TURN = 16
"""Between two looks at whether to stop."""
PAUSE_SECONDS = 0.1
"""When a newer head took the tiles that were being read."""
LOOK_AHEAD_DAYS = 2
"""A day is put in place when a leaf of the day after the next is met: data that waited for a template over midnight is
then among its rows. What comes later still puts the day in place once more, at the end."""
CATCH_UP_LEAVES = 64
"""The index in use is held still for the last leaves, and for putting the last days in place."""
_DAY = "toString(toYYYYMMDD(fromUnixTimestamp64Nano(first_unix_ns, 'UTC')))"

log = logging.getLogger(__name__)


@dataclass
class ReindexProgress:
    """`state` is `running`, `finished`, `stopped` or `failed`; days are `YYYYMMDD`."""

    state: str = "running"
    leaves_done: int = 0
    leaves_total: int = 0
    days_done: list[str] = field(default_factory=list)
    days_kept: list[str] = field(default_factory=list)
    rows: int = 0
    problem: str = ""

    def values(self) -> dict[str, Any]:
        return {**vars(self), "days_done": list(self.days_done), "days_kept": list(self.days_kept)}


class Reindex:
    """One run. `make_indexer` gives an indexer of the shadow engine; `live` is the one in use, held by `hold` (a lock
    its loop takes for each turn) while the last days are put in place.

    A day of which segments are missing that the index in use still has rows of is kept as it is: the journal cannot
    tell it again.
    """

    def __init__(
        self,
        engine: Engine,
        live: Indexer,
        hold: threading.Lock,
        make_indexer: Callable[[Engine], Indexer],
    ) -> None:
        self._engine = engine
        self._live = live
        self._hold = hold
        self._make_indexer = make_indexer
        self._counts: dict[tuple[str, str], int] = {}
        self._rebuilt: set[str] = set()
        self.progress = ReindexProgress()

    def run(self, stop: threading.Event) -> None:
        """Rebuild everything. What went wrong is in `progress`; days that were put in place stay."""
        shadow: Engine | None = None
        try:
            shadow = self._engine.shadow()
            shadow.clear()
            indexer = self._make_indexer(shadow)
            try:
                self._index(shadow, indexer, stop)
            finally:
                indexer.close()
            self.progress.state = "stopped" if stop.is_set() else "finished"
        except Exception as error:
            # Whoever waits for the run is told, whatever ended it.
            log.warning("the index is not rebuilt: %s", error, exc_info=not isinstance(error, ArchiveError | OSError))
            self.progress.state, self.progress.problem = "failed", str(error) or type(error).__name__
        finally:
            if shadow is not None:
                with suppress(ArchiveError):
                    shadow.drop()

    def _index(self, shadow: Engine, indexer: Indexer, stop: threading.Event) -> None:
        # Never beyond the index in use: it would insert those leaves' rows a second time.
        while not stop.is_set() and (behind := self._live.next_leaf - indexer.next_leaf) > CATCH_UP_LEAVES:
            if not indexer.run_once(at_most=min(LEAVES_A_TURN, behind)):
                stop.wait(PAUSE_SECONDS)
            self._count(indexer)
            self._put_days_in_place(shadow, before=self._newest_day(shadow) - LOOK_AHEAD_DAYS + 1)
        while not stop.is_set():
            with self._hold:
                # The engine remembers the tokens of a leaf that it took half of; its rows would never come again.
                if self._live.is_between_leaves:
                    self._catch_up(indexer)
                    self._put_days_in_place(shadow, before=None)
                    self._keep_decoders(shadow)
                    self._engine.take_partition(shadow, "leaves", "all")
                    for day in sorted(self._rebuilt):
                        forget_dropped(self._engine, day)
                    return
            stop.wait(PAUSE_SECONDS)

    def _catch_up(self, indexer: Indexer) -> None:
        while behind := self._live.next_leaf - indexer.next_leaf:
            if not indexer.run_once(at_most=behind):
                time.sleep(PAUSE_SECONDS)
        self._count(indexer)

    def _count(self, indexer: Indexer) -> None:
        self.progress.leaves_done = indexer.next_leaf
        self.progress.leaves_total = max(indexer.sealed_size, indexer.next_leaf)

    def _newest_day(self, shadow: Engine) -> int:
        """Days since 1970 of the newest records met; a single leaf of a clock that was ahead does not count."""
        rows = shadow.query(
            "SELECT min(last_unix_ns) AS t FROM (SELECT last_unix_ns FROM {db}.leaves WHERE records > 0 "
            "ORDER BY leaf_index DESC LIMIT 3)"
        )
        return int(rows[0]["t"] or 0) // DAY_NS

    def _put_days_in_place(self, shadow: Engine, before: int | None) -> None:
        """Days before `before` (days since 1970; all with None) of which the shadow has more rows than were put in
        place."""
        counts = shadow.count_partitions()
        live = self._engine.count_partitions() if before is None else self._counts
        limit = None if before is None else _day_text(before)
        changed = sorted(
            (day, table)
            for table, day in {*counts, *live}
            if table in SCHEMAS
            and (limit is None or day < limit)
            and ((table, day) not in self._counts or live.get((table, day)) != counts.get((table, day)))
        )
        missing = self._days_with_missing_segments(shadow) if changed else set()
        for day, table in changed:
            self._counts[table, day] = counts.get((table, day), 0)
            if day not in missing:
                self._put_in_place(shadow, table, day, self._counts[table, day])
            elif day not in self.progress.days_kept:
                self.progress.days_kept.append(day)

    def _put_in_place(self, shadow: Engine, table: str, day: str, count: int) -> None:
        if count:
            self._engine.take_partition(shadow, table, day)
        else:
            self._engine.drop_partition(table, day)
        self._rebuilt.add(day)
        self.progress.rows = sum(self._counts.values())
        if day not in self.progress.days_done:
            self.progress.days_done.append(day)

    def _keep_decoders(self, shadow: Engine) -> None:
        """Leaves of days that are kept have the rows that their decoders made, so these stay noted."""
        where = f"{_DAY} IN ({', '.join(repr(day) for day in self.progress.days_kept)})"
        if not self.progress.days_kept:
            return
        for row in self._engine.query(f"SELECT DISTINCT decoder FROM {{db}}.leaves WHERE decoder != '' AND {where}"):
            decoder = f"unhex('{row['decoder'].encode().hex()}')"
            shadow.command(
                f"ALTER TABLE {shadow.database}.leaves UPDATE decoder = {decoder} WHERE decoder != '' AND leaf_index "
                f"IN (SELECT leaf_index FROM {self._engine.database}.leaves WHERE decoder = {decoder} AND {where}) "
                "SETTINGS mutations_sync = 2"
            )

    def _days_with_missing_segments(self, shadow: Engine) -> set[str]:
        rows = shadow.query(
            f"SELECT DISTINCT {_DAY} AS day FROM {{db}}.leaves WHERE counters[{{missing:String}}] > 0",
            {"missing": SEGMENT_MISSING},
        )
        return {str(row["day"]) for row in rows}


def _day_text(days: int) -> str:
    return datetime.fromtimestamp(days * 86_400, UTC).strftime("%Y%m%d")
