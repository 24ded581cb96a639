"""Holds: placing one takes one step and is in force at once; ending one takes a second person."""

from collections.abc import Mapping
from typing import Any

from archive.ask.audit import Actor
from archive.ask.case_access import Right, check_right, check_second_person
from archive.ask.case_arguments import moment_of, text_of
from archive.ask.case_json import history_to_json, hold_to_json
from archive.cases.book import CaseBook
from archive.cases.due import add_years_ns
from archive.cases.errors import CaseError
from archive.cases.register import HOLD_KINDS, IN_FORCE, Hold
from archive.cases.scope import Scope
from archive.cases.scope_text import parse_scope
from archive.clock import Clock
from archive.time_text import format_iso

HOLDS_FORMAT = 1
MAX_HOLD_YEARS = 2
"""Computer Crime Act section 26: by order up to 2 years."""
PRESERVE_DAYS = 90
"""How long "keep first" lasts where the order says nothing: once more the time that data is kept anyway."""
DAY_NS = 86_400 * 1_000_000_000
STATES = (IN_FORCE, "released", "expired")


class HoldDesk:
    """Holds of one archive. Every method that changes raises CaseError, AskError `case_not_recorded`."""

    def __init__(self, book: CaseBook, clock: Clock, zone: str, *, one_person: bool) -> None:
        self._book, self._clock, self._zone, self._one_person = book, clock, zone, one_person

    def in_force(self, at_unix_ns: int) -> list[Hold]:
        """Holds whose records may not be purged at a moment, by number."""
        with self._book.lock:
            return self._book.register.holds_in_force(at_unix_ns)

    def place(self, actor: Actor, kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """In force when this returns. No file is made and nothing is handed over."""
        check_right(actor, Right.CHANGE)
        if kind not in HOLD_KINDS:
            raise CaseError(f"kind {kind[:20]!r}; valid are {', '.join(HOLD_KINDS)}", "ชนิดของการเก็บรักษาไม่ถูกต้อง")
        with self._book.lock:
            now = self._clock.unix_ns()
            scope = parse_scope(arguments.get("scope"), now_unix_ns=now, zone=self._zone)
            values = {
                "kind": kind,
                "order_number": text_of(arguments, "order_number", is_needed=kind == "order"),
                "officer": text_of(arguments, "officer", is_needed=True),
                "unit": text_of(arguments, "unit", is_needed=True),
                "note": text_of(arguments, "note"),
                "scope": scope.to_json(self._zone),
                "until_unix_ns": str(self._until(arguments.get("until"), kind, scope, now, now)),
            }
            case = text_of(arguments, "case")
            if case and case not in self._book.register.cases:
                raise CaseError(f"there is no case {case[:40]!r}", f"ไม่มีเรื่องเลขที่ {case[:40]}", code="no_such_case")
            identifier = self._book.next_identifier("hold")
            self._book.write("hold_placed", actor.name, actor.role, values, case=case, hold=identifier)
            return self.show(actor, identifier)

    def extend(self, actor: Actor, identifier: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A later end by another order; never beyond the two years of the first one."""
        check_right(actor, Right.CHANGE)
        with self._book.lock:
            hold = self._in_force(identifier)
            if not arguments.get("until"):
                raise CaseError("the new end is missing", "ต้องระบุวันสิ้นสุดใหม่")
            now = self._clock.unix_ns()
            until = self._until(arguments["until"], hold.kind, hold.scope, hold.placed_unix_ns, now)
            if until <= hold.until_unix_ns:
                ends = format_iso(hold.until_unix_ns, self._zone)
                raise CaseError(f"{hold.id} is in force until {ends} already", f"{hold.id} มีผลถึง {ends} อยู่แล้ว")
            values = {
                "until_unix_ns": str(until),
                "order_number": text_of(arguments, "order_number", is_needed=True),
                "reason": text_of(arguments, "reason"),
            }
            self._book.write("hold_extended", actor.name, actor.role, values, case=hold.case, hold=hold.id)
            return self.show(actor, hold.id)

    def release(self, actor: Actor, identifier: str, reason: str, *, via: str = "") -> dict[str, Any]:
        """Ends a hold: a second person decides (R44)."""
        with self._book.lock:
            hold = self._in_force(identifier)
            asked = [event for event in hold.history if event.event in ("hold_placed", "hold_extended")]
            first = frozenset(event.actor for event in asked)
            check_second_person(actor, first, asked[-1], one_person=self._one_person)
            values = {
                "reason": text_of({"reason": reason}, "reason", is_needed=True),
                "one_person": self._one_person,
                "via": via,
            }
            self._book.write("hold_released", actor.name, actor.role, values, case=hold.case, hold=hold.id)
            return self.show(actor, hold.id)

    def list_holds(self, actor: Actor, state: str = "") -> dict[str, Any]:
        """Holds, newest first; of one `state`, or all."""
        check_right(actor, Right.SEE)
        if state and state not in STATES:
            raise CaseError(f"state {state[:20]!r}; valid are {', '.join(STATES)}", "สถานะไม่ถูกต้อง")
        now = self._clock.unix_ns()
        with self._book.lock:
            holds = [hold for _, hold in sorted(self._book.register.holds.items(), reverse=True)]
        shown = [hold_to_json(hold, now, self._zone) for hold in holds if state in ("", hold.state(now))]
        return {"format": HOLDS_FORMAT, "one_person": self._one_person, "holds": shown}

    def show(self, actor: Actor, identifier: str) -> dict[str, Any]:
        """One hold with its history."""
        check_right(actor, Right.SEE)
        with self._book.lock:
            hold = self._find(identifier)
        shown = hold_to_json(hold, self._clock.unix_ns(), self._zone)
        return {**shown, "one_person_mode": self._one_person, "history": history_to_json(hold.history, self._zone)}

    def _find(self, identifier: str) -> Hold:
        hold = self._book.register.holds.get(identifier)
        if hold is None:
            raise CaseError(
                f"there is no hold {identifier[:40]!r}", f"ไม่มีการเก็บรักษาเลขที่ {identifier[:40]}", code="no_such_hold"
            )
        return hold

    def _in_force(self, identifier: str) -> Hold:
        hold = self._find(identifier)
        state = hold.state(self._clock.unix_ns())
        if state != IN_FORCE:
            raise CaseError(f"{hold.id} is {state}", f"{hold.id} ไม่มีผลแล้ว", code="hold_ended")
        return hold

    def _until(self, given: Any, kind: str, scope: Scope, placed_ns: int, now_ns: int) -> int:
        """The end of a hold. Two years count from the earlier of the order and the oldest record of the scope, so that
        no record is kept longer than two years from its receipt whichever way the law is read."""
        limit = add_years_ns(min(placed_ns, scope.from_unix_ns), MAX_HOLD_YEARS, self._zone)
        if not given:
            if kind == "order":
                raise CaseError("the end of the hold is missing", "ต้องระบุวันสิ้นสุดของการเก็บรักษา")
            until = min(now_ns + PRESERVE_DAYS * DAY_NS, limit)
        else:
            until = moment_of(given, "until", now_ns, self._zone, last=True)
        last = format_iso(limit, self._zone)
        if until > limit:
            raise CaseError(
                f"a hold until {format_iso(until, self._zone)}; the last moment for this scope is {last}, "
                "2 years after its oldest record",
                f"เก็บรักษาได้ไม่เกิน 2 ปีนับจากข้อมูลเก่าสุดในขอบเขต คือไม่เกิน {last}",
                code="hold_too_long",
            )
        if until <= now_ns:
            raise CaseError(f"the hold would have ended by now (2 years: {last})", "วันสิ้นสุดผ่านไปแล้ว", code="bad_time")
        return until
