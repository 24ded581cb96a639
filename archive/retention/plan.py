"""Which days are purged when, and why not yet: for the sealer, which decides, and for a dry run. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from archive.retention.age import ClockHistory, Dated, LiveClock, Moment, Steadiness, judge_clock
from archive.retention.limits import (
    LONG_LIVED_STREAMS,
    LONG_LIVED_TABLES,
    NS_PER_DAY,
    RETENTION_FLOOR_DAYS,
    RetentionError,
    check_retention_days,
)
from archive.retention.purge_leaf import PurgedFolder, PurgeLeaf

__all__ = [
    "LONG_LIVED_STREAMS", "LONG_LIVED_TABLES", "RETENTION_FLOOR_DAYS", "DayPlan", "Facts", "Folder", "Plan",
    "RetentionError", "make_plan",
]  # fmt: skip
CARRY_STREAM = "carry"


@dataclass
class Folder:
    """Data leaves of one stream and day that no purge leaf lists: the first and last, their sums, and when the last
    one's file was opened and closed."""

    stream: str
    day: str
    first_leaf: int
    last_leaf: int = 0
    chunks: int = 0
    records: int = 0
    bytes: int = 0
    closed: Moment | None = None
    opened: Moment | None = None

    def purged(self) -> PurgedFolder:
        return PurgedFolder(self.stream, self.first_leaf, self.last_leaf, self.chunks, self.records, self.bytes)


@dataclass
class Facts:
    """What the first `size` leaves of a log say. `purges` are in log order for each day, with their numbers;
    `newest_carry_day` is of all carries ever sealed, "" without any."""

    size: int = 0
    folders: dict[tuple[str, str], Folder] = field(default_factory=dict)
    clock: ClockHistory = field(default_factory=ClockHistory)
    purges: dict[str, list[tuple[int, PurgeLeaf]]] = field(default_factory=dict)
    newest_carry_day: str = ""


@dataclass(frozen=True)
class DayPlan:
    """A day with data that is not purged. `why_not` is empty when it is due; `due_unix_ns` is None while the day has no
    age. `previous` is the day's last purge leaf."""

    day: str
    folders: tuple[Folder, ...]
    age: Dated | None
    due_unix_ns: int | None
    why_not: str
    previous: int | None = None

    @property
    def is_due(self) -> bool:
        return not self.why_not


@dataclass(frozen=True)
class Plan:
    """`clock` says whether anything may be purged at all, and what the present is; `days` are in order."""

    retention_days: int
    clock: Steadiness
    days: tuple[DayPlan, ...]

    def due(self) -> tuple[DayPlan, ...]:
        return tuple(one for one in self.days if one.is_due)

    def of(self, day: str) -> DayPlan | None:
        return next((one for one in self.days if one.day == day), None)


def make_plan(facts: Facts, retention_days: int, live: LiveClock) -> Plan:
    """The plan at this moment. Raises RetentionError for fewer days than the law allows."""
    check_retention_days(retention_days)
    clock = judge_clock(facts.clock, live)
    by_day: dict[str, list[Folder]] = {}
    for (stream, day), folder in facts.folders.items():
        if stream not in LONG_LIVED_STREAMS:
            by_day.setdefault(day, []).append(folder)
    days = (_plan_day(day, folders, facts, retention_days, clock) for day, folders in sorted(by_day.items()))
    return Plan(retention_days, clock, tuple(days))


def _plan_day(day: str, folders: list[Folder], facts: Facts, retention_days: int, clock: Steadiness) -> DayPlan:
    folders = sorted(folders, key=lambda folder: folder.stream)
    age = date_folders(facts.clock, folders)
    start = None if age is None else max(age.unix_ns, *(_trusted_start(facts.clock, one) for one in folders))
    due_unix_ns = None if start is None else start + retention_days * NS_PER_DAY
    purges = facts.purges.get(day)
    previous = purges[-1][0] if purges else None
    why_not = _why_not(day, folders, facts, due_unix_ns, clock)
    return DayPlan(day, tuple(folders), age, due_unix_ns, why_not, previous)


def _trusted_start(clock: ClockHistory, folder: Folder) -> int:
    """More careful than the age that a leaf states and verifiers compute: it only puts a purge off."""
    dated = clock.date(folder.last_leaf, folder.closed, folder.opened)
    return clock.doubt_until(dated, folder.closed) if dated is not None else 0


def date_folders(clock: ClockHistory, folders: Iterable[Folder]) -> Dated | None:
    """The latest of the folders' ages; None while one of them has none."""
    dates = [clock.date(folder.last_leaf, folder.closed, folder.opened) for folder in folders]
    known = [date for date in dates if date is not None]
    return max(known) if known and len(known) == len(dates) else None


def _why_not(day: str, folders: list[Folder], facts: Facts, due_unix_ns: int | None, clock: Steadiness) -> str:
    if due_unix_ns is None:
        return "no synchronised clock sample tells its age"
    if clock.now is None:
        return clock.problem
    if clock.now.unix_ns < due_unix_ns:
        return f"it is not due for {(due_unix_ns - clock.now.unix_ns) / NS_PER_DAY:.1f} days"
    needs_carry = any((CARRY_STREAM, one) in facts.folders for one in _carry_days(facts) if one <= day)
    if needs_carry and facts.newest_carry_day <= day:
        return "no carry of a later day is sealed"
    return ""


def _carry_days(facts: Facts) -> list[str]:
    return [day for stream, day in facts.folders if stream == CARRY_STREAM]
