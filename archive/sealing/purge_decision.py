"""Whether a request for a purge is granted: from the sealer's own log and clock alone, and with the day verified. Steps
1 and 2 of a purge, to be run in a thread."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from archive.clock import Clock
from archive.note import Checkpoint
from archive.origin import ArchivePaths
from archive.retention.age import Dated, LiveClock, Sample
from archive.retention.journal import Journal
from archive.retention.limits import MAX_HELD_UNITS, RetentionError, check_retention_days
from archive.retention.plan import DayPlan, Plan, make_plan
from archive.retention.purge_leaf import PurgeLeaf
from archive.retention.request import MAX_REQUEST_BYTES, SUFFIX, PurgeRequest, decode_request
from archive.sealing.inbox import read_handed_in
from archive.sealing.purge_day import DayCheck, Kept
from archive.sealing.purge_removal import bar_folder, is_removed, remove_unnamed_held
from archive.segment import utc_day
from archive.spool_read import is_spool_file, read_spool_file

TAKEN_SUFFIX = ".taken"
"""Of a request that is being worked on, so that one that comes meanwhile is another file."""
REPEATED_LEAVES = 120
"""Purge leaves whose step 4 a start repeats: one a day, so that a third of a year of unfinished ones is made good."""
MAX_SPOOL_FILES = 1_000
"""With more that wait to be sealed, the sealer has better to do than to look whose day they are of."""


@dataclass
class PurgeSettings:
    """`head` gives the newest published checkpoint and `next_leaf` the number that the next leaf gets."""

    retention_days: int
    head: Callable[[], Checkpoint]
    next_leaf: Callable[[], int]
    is_stopped: Callable[[], bool] = field(default=lambda: False)


@dataclass(frozen=True)
class Ready:
    """Steps 1 and 2 but for the number of the leaf."""

    request: PurgeRequest
    plan: DayPlan | None
    age: Dated
    now: Sample
    previous: int | None
    kept: Kept


class PurgeDecision:
    """Raises RetentionError for fewer days than the law allows. One thread at a time."""

    def __init__(self, paths: ArchivePaths, clock: Clock, settings: PurgeSettings) -> None:
        check_retention_days(settings.retention_days)
        self._paths, self._clock, self._settings = paths, clock, settings
        self.journal = Journal(paths, settings.head)

    def read_unfinished(self) -> list[tuple[int, PurgeLeaf]]:
        """What an earlier run left: purge leaves of which something was not removed. What no leaf names is removed, and
        requests that were being worked on are new again. Raises ArchiveError, OSError."""
        facts = self.journal.read()
        remove_unnamed_held(self._paths, facts.size, facts.purges)
        for path in sorted((self._paths.inbox / "purge").glob(f"*{TAKEN_SUFFIX}")):
            request = path.with_suffix(SUFFIX)
            path.unlink() if request.exists() else os.replace(path, request)
        purges = sorted(((leaf, purge) for day in facts.purges.values() for leaf, purge in day), key=lambda one: one[0])
        for _, purge in purges[-REPEATED_LEAVES:]:
            for folder in purge.streams:
                # The mark may have been lost with the machine that a copy was restored from.
                segment = Path(self.journal.leaf(folder.last_leaf)["segment"])
                bar_folder(self._paths, f"{folder.stream}/{purge.day}", int(segment.stem) + 1)
        return [one for one in purges[-REPEATED_LEAVES:] if not is_removed(self._paths, *one)]

    def decide(self, path: Path) -> Ready:
        """Steps 1 and 2 for the request in `path`. Raises ArchiveError with why not; OSError."""
        request = decode_request(read_handed_in(path, MAX_REQUEST_BYTES))
        if request.day != path.stem:
            raise RetentionError(f"{path.name} is a request for {request.day}")
        if len(request.leaf) and not request.holds:
            raise RetentionError(f"units of {request.day} are to be kept, and no hold is named")
        if len(request.leaf) > MAX_HELD_UNITS:
            raise RetentionError(
                f"{len(request.leaf)} units of {request.day} are held; at most {MAX_HELD_UNITS} can be"
            )
        facts = self.journal.read()
        plan = make_plan(facts, self._settings.retention_days, self.live())
        if plan.clock.now is None:
            raise RetentionError(plan.clock.problem, code="retention_clock")
        day, earlier = plan.of(request.day), facts.purges.get(request.day, [])
        age = self._require_due(request, plan, day, earlier)
        self._require_nothing_in_spool(request.day)
        kept = DayCheck(self._paths, self.journal, self._settings.is_stopped).gather(
            request, day, earlier[-1][1] if earlier else None
        )
        if day is None:
            _require_change(request, kept, earlier[-1])
        return Ready(request, day, age, plan.clock.now, earlier[-1][0] if earlier else None, kept)

    def _require_due(
        self, request: PurgeRequest, plan: Plan, day: DayPlan | None, earlier: list[tuple[int, PurgeLeaf]]
    ) -> Dated:
        if day is None and not earlier:
            raise RetentionError(f"nothing of {request.day} is in the log")
        if day is None:
            last = earlier[-1][1]
            return Dated(last.age_unix_ns, last.age_leaf)
        if not day.is_due or day.age is None:
            raise RetentionError(f"{request.day} is not purged: {day.why_not}", code="retention_not_due")
        return day.age

    def _require_nothing_in_spool(self, day: str) -> None:
        files = [path for path in self._paths.spool.glob("*/*") if is_spool_file(path)]
        if len(files) > MAX_SPOOL_FILES:
            raise OSError(0, f"{len(files)} spool files wait to be sealed; purge comes after them", "spool")
        for path in files:
            try:
                batches = read_spool_file(path).batches
            except FileNotFoundError:
                continue
            for batch in batches:
                if len(batch) and utc_day(int(batch.received_unix_ns.min())) == day:
                    raise RetentionError(f"records of {day} in spool/{path.parent.name} are not sealed yet")

    def live(self) -> LiveClock:
        """The clock of this moment."""
        return LiveClock(self._clock.unix_ns(), self._clock.monotonic_ns(), self._clock.boot_id())


def _require_change(request: PurgeRequest, kept: Kept, last: tuple[int, PurgeLeaf]) -> None:
    """A day without folders is purged again only to keep less than before."""
    leaf, purge = last
    units, rows = kept.unit_count(), sum(len(rows) for rows in kept.rows.values())
    before = (purge.held.units, purge.held.rows) if purge.held else (0, 0)
    if purge.holds == request.holds and before == (units, rows):
        raise RetentionError(f"{request.day} was purged by leaf {leaf}, and nothing of it has changed since")
