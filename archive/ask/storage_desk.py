"""The disk as the index process sees it: measures and forecasts, makes room by dropping the index of the oldest days,
and has each step sealed as a record."""

import logging
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archive.alarms import Condition
from archive.clock import Clock
from archive.errors import ArchiveError, SpoolError
from archive.event_record import encode_event
from archive.index.dropped import drop_oldest_day, dropped_days
from archive.index.engine import Engine
from archive.origin import ArchivePaths
from archive.segment import utc_day
from archive.spool import RecordWriter
from archive.storage.forecast import forecast
from archive.storage.levels import Level
from archive.storage.watch import StorageWatch

MEASURE_NS = 60 * 1_000_000_000
"""Between two looks at the sizes of all days; only the last days' change."""
DROP_PAUSE_NS = 30 * 1_000_000_000
"""Between two days whose index is dropped: the engine frees the space of parts some seconds later."""
LEVEL_EVENT, DROPPED_EVENT = "storage_level", "index_day_dropped"
LEVEL_NAMES = {
    Level.NORMAL: "normal", Level.FILLING: "filling", Level.TIGHT: "tight", Level.FULL: "full", Level.SPENT: "spent",
}  # fmt: skip
MAY_NOT = "the index of the newest days is kept"

log = logging.getLogger(__name__)


class StorageDesk:
    """`tick` is called every few seconds by one thread; `read` by any."""

    def __init__(
        self,
        paths: ArchivePaths,
        engine: Engine,
        watch: StorageWatch,
        writer: RecordWriter,
        clock: Clock,
        retention_days: int,
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_busy`: whether the index is being rebuilt, which is not disturbed."""
        self._paths, self._engine, self._watch, self._writer = paths, engine, watch, writer
        self._clock, self._retention_days, self._is_busy = clock, retention_days, is_busy
        self._stated = Level.NORMAL
        self._sizes: dict[Path, tuple[int, int]] = {}
        self._days: dict[str, int] = {}
        self._index_bytes = 0
        self._measured_ns: int | None = None
        self._dropped_ns: int | None = None

    def tick(self) -> None:
        """State a change of level, and make room at the level where that is due."""
        level = self._watch.level()
        if level != self._stated:
            self._state(LEVEL_EVENT, {"from": LEVEL_NAMES[self._stated], "to": LEVEL_NAMES[level]})
            self._stated = level
        now = self._clock.monotonic_ns()
        if level >= Level.TIGHT and not self._is_busy():
            if self._dropped_ns is None or now - self._dropped_ns >= DROP_PAUSE_NS:
                self._dropped_ns = now
                self._drop_a_day()
        if self._measured_ns is None or now - self._measured_ns >= MEASURE_NS:
            self._measured_ns = now
            self._measure()

    def read(self) -> dict[str, Any]:
        """`disk` of the status object (docs/CONTRACT.md)."""
        space = self._watch.space()
        level = self._watch.level()
        reserve = self._watch.reserve_bytes
        said = forecast(self._days, utc_day(self._clock.unix_ns()), space, reserve, self._retention_days)
        return {
            "total_bytes": space.total_bytes,
            "free_bytes": space.free_bytes,
            "reserve_bytes": reserve,
            "used_percent": round(space.used_percent(reserve), 1),
            "level": LEVEL_NAMES[level],
            "journal_bytes": sum(self._days.values()) - self._index_bytes,
            "index_bytes": self._index_bytes,
            "bytes_per_day": said.bytes_per_day,
            "days_left": None if said.days_left is None else round(said.days_left, 1),
            "days_measured": said.from_days,
            "needed_bytes": said.needed_bytes,
            "is_enough": said.is_enough,
            "days_without_index": dropped_days(self._engine),
        }

    def conditions(self) -> list[Condition]:
        """Alarms of the level, and of a forecast that retention does not fit."""
        values, level, place = self.read(), self._watch.level(), str(self._paths.directory)
        percent = f"{values['used_percent']:.0f} % used"
        found = []
        if level == Level.FILLING:
            found.append(Condition("disk_filling", place, percent))
        elif level == Level.TIGHT:
            days = values["days_without_index"]
            found.append(Condition("disk_tight", place, f"{percent}; days without index: {', '.join(days) or 'none'}"))
        elif level >= Level.FULL:
            found.append(Condition("disk_full", place, f"{percent}; {values['free_bytes'] // 2**20} MiB are free"))
        if values["is_enough"] is False:
            needed, days = values["needed_bytes"] / 1e9, self._retention_days
            found.append(Condition("disk_too_small", place, f"{days} days need {needed:.1f} GB at the measured rate"))
        return found

    def _drop_a_day(self) -> None:
        try:
            day = drop_oldest_day(self._engine, self._clock.unix_ns())
        except ArchiveError as error:
            log.warning("no room is made: %s", error)
            return
        if day is not None:
            log.warning("the index of %s is dropped to make room; `phayan reindex` brings it back", day)
            self._state(DROPPED_EVENT, {"day": day})

    def _state(self, event: str, values: dict[str, Any]) -> None:
        space = self._watch.space()
        values |= {"process": "ask", "free_bytes": space.free_bytes, "reserve_bytes": self._watch.reserve_bytes}
        try:
            self._writer.append(encode_event(event, self._clock.unix_ns(), values), listener="system")
        except SpoolError as error:
            log.warning("%s is not recorded: %s", event, error)

    def _measure(self) -> None:
        days: Counter[str] = Counter()
        for folder in self._paths.segments.glob("*/[0-9]*"):
            days[folder.name] += self._size_of(folder)
        try:
            rows = self._engine.query(
                "SELECT partition, sum(bytes_on_disk) AS n FROM system.parts WHERE active "
                "AND database = {database:String} AND match(partition, '^[0-9]{8}$') GROUP BY partition",
                {"database": self._engine.database},
            )
        except ArchiveError as error:
            log.warning("the size of the index is not known: %s", error)
            rows = []
        self._index_bytes = sum(int(row["n"]) for row in rows)
        for row in rows:
            days[row["partition"]] += int(row["n"])
        self._days = dict(days)

    def _size_of(self, folder: Path) -> int:
        """Bytes of the files of a day's folder, which is looked into again only when it has changed; of today and
        yesterday always, for a segment that grows leaves its folder's time alone."""
        try:
            changed_ns = folder.stat().st_mtime_ns
            known = self._sizes.get(folder)
            is_new = folder.name >= utc_day(self._clock.unix_ns() - 2 * 86_400 * 1_000_000_000)
            if known is None or known[0] != changed_ns or is_new:
                known = self._sizes[folder] = (
                    changed_ns,
                    sum(one.stat().st_blocks * 512 for one in os.scandir(folder)),
                )
            return known[1]
        except FileNotFoundError:
            return 0
