"""Records of stream `cases`: JSON objects, one a change. Pure.

`number` orders them whatever the clock does; a number is never used twice. `case` and `hold` are empty where an event
is about none. `values` holds what the event says, by its kind.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from archive.errors import ArchiveFormatError
from archive.event_record import decode_event, encode_event

STREAM = "cases"
LISTENER = "cases"
MAX_RECORD_BYTES = 128 * 1024
"""A scope of 500 subjects of 200 characters of Thai is 300 kB in the worst case and is refused; a real one is 20 kB."""
MAX_NUMBER = 2**53
CASE_EVENTS = frozenset(
    {
        "case_opened", "case_changed", "case_approved", "case_refused", "case_closed",
        "package_made", "handed_over", "downloaded",
    }
)  # fmt: skip
HOLD_EVENTS = frozenset({"hold_placed", "hold_extended", "hold_released"})
CLOCK_CONFIRMED = "clock_confirmed"
ONE_PERSON = "one_person_mode"
"""The setting `[cases] one_person` has changed."""
EVENTS = CASE_EVENTS | HOLD_EVENTS | {CLOCK_CONFIRMED, ONE_PERSON}
CASE_ID = re.compile(r"case-\d{4}-\d{4,9}\Z", re.ASCII)
HOLD_ID = re.compile(r"hold-\d{4}-\d{4,9}\Z", re.ASCII)


@dataclass(frozen=True)
class CaseEvent:
    """One record. `details` of table `cases` is the JSON of `number`, `role` and `values`."""

    number: int
    event: str
    time_unix_ns: int
    case: str
    hold: str
    actor: str
    role: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[int, int]:
        """Names the record in the journal, the working copy and the index alike."""
        return self.number, self.time_unix_ns

    def details(self) -> str:
        """Text of the column `details`."""
        found = {"number": self.number, "role": self.role, "values": self.values}
        return json.dumps(found, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def encode_case_event(event: CaseEvent) -> bytes:
    """The record. Raises ArchiveFormatError where it is too long or is none that `decode_case_event` accepts."""
    record = encode_event(
        event.event,
        event.time_unix_ns,
        {
            "number": event.number,
            "case": event.case,
            "hold": event.hold,
            "actor": event.actor,
            "role": event.role,
            "values": event.values,
        },
    )
    decode_case_event(record)
    return record


def decode_case_event(payload: bytes) -> CaseEvent:
    """Raises ArchiveFormatError if it is no record of a case."""
    if len(payload) > MAX_RECORD_BYTES:
        raise ArchiveFormatError(f"a record of {len(payload)} bytes; at most {MAX_RECORD_BYTES}", code="case_record")
    record = decode_event(payload)
    try:
        found = CaseEvent(
            record["number"],
            record["event"],
            int(record["time_unix_ns"]),
            record["case"],
            record["hold"],
            record["actor"],
            record["role"],
            record["values"],
        )
    except KeyError as error:
        raise ArchiveFormatError(f"a record of a case without {error}", code="case_record") from error
    _check(found)
    return found


def event_of_row(row: dict[str, Any]) -> CaseEvent:
    """The event of a row of table `cases`, with `time_unix_ns`. Raises ArchiveFormatError."""
    try:
        details = json.loads(row["details"])
        found = CaseEvent(
            details["number"],
            row["event"],
            int(row["time_unix_ns"]),
            row["case"],
            row["hold"],
            row["actor"],
            details["role"],
            details["values"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveFormatError("not a row of a case", code="case_record") from error
    _check(found)
    return found


def _check(found: CaseEvent) -> None:
    texts = (found.event, found.case, found.hold, found.actor, found.role)
    if type(found.number) is not int or not 0 < found.number < MAX_NUMBER:
        raise ArchiveFormatError(f"number {str(found.number)[:20]} of a record of a case", code="case_record")
    if not all(isinstance(text, str) for text in texts) or not isinstance(found.values, dict):
        raise ArchiveFormatError("fields of a record of a case have other types", code="case_record")
    if found.event not in EVENTS:
        raise ArchiveFormatError(f"event {found.event[:40]!r} is none of a case", code="case_record")
    if found.event in CASE_EVENTS and not CASE_ID.match(found.case):
        raise ArchiveFormatError(f"{found.case[:40]!r} is no number of a case", code="case_record")
    if found.event in HOLD_EVENTS and not HOLD_ID.match(found.hold):
        raise ArchiveFormatError(f"{found.hold[:40]!r} is no number of a hold", code="case_record")
    if (found.case and not CASE_ID.match(found.case)) or (found.hold and not HOLD_ID.match(found.hold)):
        raise ArchiveFormatError("a record names a case or a hold by another number", code="case_record")
