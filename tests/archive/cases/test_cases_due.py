"""Due dates across weekends, reminders, and the two years of a hold."""

from datetime import date

import pytest

from archive.cases.due import add_years_ns, due_of
from archive.time_text import format_iso, parse_time

ZONE = "Asia/Bangkok"
NS = 1_000_000_000


def at(text: str) -> int:
    return parse_time(text, now_unix_ns=0, zone=ZONE)


@pytest.mark.parametrize(
    ("received", "days", "day", "before"),
    [
        ("2026-11-20 09:30", 7, "2026-11-27", None),  # a Friday
        ("2026-11-21 09:30", 7, "2026-11-28", "2026-11-27"),  # a Saturday
        ("2026-11-22 09:30", 7, "2026-11-29", "2026-11-27"),  # a Sunday
        ("2026-11-23 09:30", 7, "2026-11-30", None),  # a Monday
        ("2026-11-20 09:30", 15, "2026-12-05", "2026-12-04"),
        ("2026-12-28 23:59:59.999999999", 7, "2027-01-04", None),
        ("2026-11-20 00:00", 8, "2026-11-28", "2026-11-27"),
    ],
)
def test_weekends_count_and_the_working_day_before_is_shown(
    received: str, days: int, day: str, before: str | None
) -> None:
    due = due_of(at(received), days, ZONE)
    assert due.day == date.fromisoformat(day)
    assert due.working_day_before == (date.fromisoformat(before) if before else None)
    assert due.unix_ns == at(received) + days * 86_400 * NS


def test_reminder_and_overdue() -> None:
    friday, sunday = due_of(at("2026-11-20 09:30"), 7, ZONE), due_of(at("2026-11-22 09:30"), 7, ZONE)
    assert not friday.is_near(at("2026-11-25 09:29:59"))
    assert friday.is_near(at("2026-11-25 09:30"))
    assert friday.is_near(friday.unix_ns)
    assert not friday.is_overdue(friday.unix_ns)
    assert friday.is_overdue(friday.unix_ns + 1)
    assert not friday.is_near(friday.unix_ns + 1)
    # The answer has to leave on Friday, so that the reminder stands from Wednesday.
    assert sunday.is_near(at("2026-11-25 09:30"))
    assert not sunday.is_near(at("2026-11-25 09:29:59"))


@pytest.mark.parametrize(
    ("moment", "later"),
    [
        ("2026-11-20T08:00:00.000000001+07:00", "2028-11-20T08:00:00.000000001+07:00"),
        ("2028-02-29T08:00:00.000000000+07:00", "2030-02-28T08:00:00.000000000+07:00"),
        ("2026-02-28T23:59:59.999999999+07:00", "2028-02-28T23:59:59.999999999+07:00"),
    ],
)
def test_two_years_are_the_same_day(moment: str, later: str) -> None:
    assert format_iso(add_years_ns(at(moment), 2, ZONE), ZONE) == later
