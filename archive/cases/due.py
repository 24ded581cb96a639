"""When a request is due. Pure.

An answer is taken to be due within 7 days, or a time of up to 15 days that the official sets; the law's wording was not
read (`time_limit` of archive/cases/legal_items.toml). Weekends count; a due day on a Saturday or Sunday is shown with
the working day before. Public holidays are not known here.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

MIN_DUE_DAYS = 1
DEFAULT_DUE_DAYS = 7
MAX_DUE_DAYS = 15
REMIND_DAYS = 2
"""A reminder stands this long before the day on which the answer should go out."""
NS = 1_000_000_000
DAY_NS = 86_400 * NS
SATURDAY = 5


@dataclass(frozen=True)
class Due:
    """The last moment, its day in site time, and the working day before where that is on a weekend."""

    unix_ns: int
    day: date
    working_day_before: date | None
    remind_from_unix_ns: int

    def is_near(self, now_unix_ns: int) -> bool:
        """Whether it is time for the reminder, and not too late yet."""
        return self.remind_from_unix_ns <= now_unix_ns <= self.unix_ns

    def is_overdue(self, now_unix_ns: int) -> bool:
        return now_unix_ns > self.unix_ns


def due_of(received_unix_ns: int, days: int, zone: str) -> Due:
    """Days of 24 hours from receipt: never later than any other way of counting them from the day after."""
    moment = received_unix_ns + days * DAY_NS
    day = datetime.fromtimestamp(moment // NS, ZoneInfo(zone)).date()
    weekend = day.weekday() - SATURDAY + 1
    before = day - timedelta(days=weekend) if weekend > 0 else None
    shift = max(weekend, 0) * DAY_NS
    return Due(moment, day, before, moment - shift - REMIND_DAYS * DAY_NS)


def add_years_ns(moment_unix_ns: int, years: int, zone: str) -> int:
    """The same day and time some years later in site time; 29 February becomes 28."""
    moment = datetime.fromtimestamp(moment_unix_ns // NS, ZoneInfo(zone)).replace(tzinfo=None)
    try:
        later = moment.replace(year=moment.year + years)
    except ValueError:
        later = moment.replace(year=moment.year + years, day=28)
    return int(later.replace(tzinfo=ZoneInfo(zone)).timestamp()) * NS + moment_unix_ns % NS
