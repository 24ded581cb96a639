"""Days on their way to a second disk, in a thread of the sealer: one after another while the first disk fills."""

import logging
import threading
from contextlib import AbstractContextManager
from pathlib import Path

from archive.clock import Clock
from archive.errors import ArchiveError
from archive.origin import ArchivePaths
from archive.segment import utc_day
from archive.storage.levels import Level
from archive.storage.second_disk import finish_moves, movable_days, move_day, open_second
from archive.storage.watch import StorageWatch

LOOK_SECONDS = 30.0
DAY_NS = 86_400 * 1_000_000_000
YOUNGEST_DAYS = 2
"""Today and yesterday are still written to."""
BEFORE_PURGE_DAYS = 3
"""A day that is about to be purged is not carried elsewhere first."""

log = logging.getLogger(__name__)


class DayMover:
    """`retention_days` as in the settings. `lock` is held by the sealer while it writes into folders of days."""

    def __init__(
        self,
        paths: ArchivePaths,
        second: Path,
        watch: StorageWatch,
        clock: Clock,
        retention_days: int,
        lock: AbstractContextManager[object],
    ) -> None:
        self._paths, self._second, self._watch, self._lock = paths, second, watch, lock
        self._clock, self._retention_days = clock, retention_days
        self.moved_days = 0
        self.problem = ""

    def start(self, stop: threading.Event) -> None:
        """Finish what was cut off, then look every half minute until `stop`."""
        finish_moves(self._paths.segments)
        threading.Thread(target=self._run, args=(stop,), name="second-disk", daemon=True).start()

    def step(self) -> bool:
        """Move one folder if it is time for that. Whether one was moved; raises ArchiveError, OSError."""
        if self._watch.level() < Level.FILLING:
            return False
        now = self._clock.unix_ns()
        since = utc_day(now - (self._retention_days - BEFORE_PURGE_DAYS) * DAY_NS)
        folders = movable_days(self._paths.segments, utc_day(now - (YOUNGEST_DAYS - 1) * DAY_NS), since)
        if not folders:
            return False
        place = open_second(self._second, self._paths.origin(), self._paths.segments)
        size = move_day(folders[0], place, self._lock)
        self.moved_days += 1
        log.info("%s/%s is on the second disk now, %d bytes", folders[0].parent.name, folders[0].name, size)
        return True

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_SECONDS):
            try:
                while not stop.is_set() and self.step():
                    self.problem = ""
            except (ArchiveError, OSError) as error:
                self.problem = str(error)
                log.warning("days stay on the first disk: %s", error)
