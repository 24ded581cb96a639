"""Reminders of answers that are owed. Pure."""

from collections.abc import Iterable

from archive.alarms import Condition
from archive.cases.due import due_of
from archive.cases.register import Case


def reminders(cases: Iterable[Case], now_unix_ns: int, zone: str) -> list[Condition]:
    """`case_due` and `case_overdue`. They name the number and the day alone: alarms are seen by more people than
    cases."""
    found = []
    for case in cases:
        due = due_of(case.received_unix_ns, case.due_days, zone)
        before = f" (working day before: {due.working_day_before})" if due.working_day_before else ""
        if not case.is_waiting:
            continue
        if due.is_overdue(now_unix_ns):
            found.append(Condition("case_overdue", case.id, f"was due on {due.day}"))
        elif due.is_near(now_unix_ns):
            found.append(Condition("case_due", case.id, f"due on {due.day}{before}"))
    return found
