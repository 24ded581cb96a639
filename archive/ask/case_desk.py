"""The case register: open, approve, refuse, close, hand over; and what a package may be made of."""

from collections.abc import Mapping
from typing import Any

from archive.alarms import Condition
from archive.ask.audit import Actor
from archive.ask.case_access import Right, check_right, check_second_person, may_see
from archive.ask.case_arguments import case_values, moment_of, text_of, values_of
from archive.ask.case_holds import HoldDesk
from archive.ask.case_json import case_to_json, history_to_json
from archive.ask.case_reminders import reminders
from archive.attribution.question import Question
from archive.cases.book import CaseBook
from archive.cases.errors import CaseError
from archive.cases.events import CLOCK_CONFIRMED, ONE_PERSON, CaseEvent, event_of_row
from archive.cases.export import check_question
from archive.cases.legal import LegalTexts, legal_texts
from archive.cases.register import APPROVED, CLOSED, OPEN, REFUSED, Case, Hold
from archive.cases.scope import Scope
from archive.clock import Clock
from archive.errors import ArchiveFormatError
from archive.index.engine import LOG_NUMBER, Engine

CASES_FORMAT = 1
MAX_TOLD = 20
"""Numbers of records that an alarm names."""
STATES = (OPEN, APPROVED, REFUSED, CLOSED)
_JOURNAL_ROWS = (
    f"SELECT {LOG_NUMBER} AS log_number, toUnixTimestamp64Nano(time) AS time_unix_ns, "
    "event, `case`, hold, actor, details FROM {db}.cases"
)


class CaseDesk:
    """Cases and holds of one archive. Methods that change raise CaseError, AskError `case_not_recorded`."""

    def __init__(
        self, book: CaseBook, clock: Clock, zone: str, *, one_person: bool, texts: LegalTexts | None = None
    ) -> None:
        self._book, self._clock, self._zone, self._one_person = book, clock, zone, one_person
        self._texts = texts or legal_texts()
        self._indexed = -1
        self.holds = HoldDesk(book, clock, zone, one_person=one_person)

    def holds_in_force(self, at_unix_ns: int) -> list[Hold]:
        """Holds whose records may not be purged at a moment, by number."""
        return self.holds.in_force(at_unix_ns)

    def complete_from(self, engine: Engine) -> int:
        """Bring the working copy to what the index has of the journal; returns how many records changed. Raises
        IndexUnavailableError."""
        (counted,) = engine.query("SELECT count() AS n FROM {db}.cases")
        if counted["n"] == self._indexed:
            return 0
        logs: dict[int, list[CaseEvent]] = {}
        is_whole = True
        for row in engine.query(_JOURNAL_ROWS):
            try:
                logs.setdefault(int(row["log_number"]), []).append(event_of_row(row))
            except ArchiveFormatError:
                # What an index holds that is no record of a case is told by the check of the index, not here. Which
                # record it stands for is not known, so none of the copy is dropped.
                is_whole = False
        found = self._book.complete(*logs.values(), is_whole=is_whole)
        self._indexed = counted["n"]
        return found

    def state_mode(self) -> None:
        """Record the mode of the settings where the journal's last one is another. Raises AskError
        `case_not_recorded`."""
        with self._book.lock:
            if self._book.register.one_person != self._one_person:
                self._book.write(ONE_PERSON, "phayan.toml", "setting", {"one_person": self._one_person})

    def legal_items(self) -> dict[str, Any]:
        return self._texts.to_json()

    def open(self, actor: Actor, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Register a request."""
        check_right(actor, Right.CHANGE)
        with self._book.lock:
            values = case_values(arguments, self._texts, self._clock.unix_ns(), self._zone)
            identifier = self._book.next_identifier("case")
            self._book.write("case_opened", actor.name, actor.role, values, case=identifier)
            return self.show(actor, identifier)

    def change(self, actor: Actor, identifier: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Correct a case that has not ended. What the approval was about cannot be changed without another one."""
        check_right(actor, Right.CHANGE)
        with self._book.lock:
            case = self._not_ended(actor, identifier)
            before = values_of(case, self._zone)
            after = case_values(arguments, self._texts, self._clock.unix_ns(), self._zone, before)
            changed = {name: value for name, value in after.items() if value != before[name]}
            if not changed:
                raise CaseError("nothing would change", "ไม่มีข้อมูลที่เปลี่ยน")
            self._book.write("case_changed", actor.name, actor.role, changed, case=case.id)
            return self.show(actor, case.id)

    def approve(self, actor: Actor, identifier: str, note: str = "", *, via: str = "") -> dict[str, Any]:
        """Let packages be made of what the scope covers: the decision of a second person (R44)."""
        with self._book.lock:
            case = self._not_ended(actor, identifier)
            if case.state == APPROVED:
                raise CaseError(f"{case.id} is approved already", f"{case.id} ได้รับอนุมัติแล้ว")
            check_second_person(actor, case.requesters, case.asked, one_person=self._one_person)
            values = {"note": text_of({"note": note}, "note"), "one_person": self._one_person, "via": via}
            self._book.write("case_approved", actor.name, actor.role, values, case=case.id)
            return self.show(actor, case.id)

    def refuse(self, actor: Actor, identifier: str, reason: str) -> dict[str, Any]:
        return self._end(actor, identifier, "case_refused", reason)

    def close(self, actor: Actor, identifier: str, reason: str) -> dict[str, Any]:
        return self._end(actor, identifier, "case_closed", reason)

    def hand_over(self, actor: Actor, identifier: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Note to whom, how and when something was handed over, and the receipt (R56)."""
        check_right(actor, Right.CHANGE)
        with self._book.lock:
            case = self._find(actor, identifier)
            package = text_of(arguments, "package")
            if package and package not in {event.values["package"] for event in case.packages}:
                raise CaseError(
                    f"{case.id} has no package {package[:40]!r}", f"{case.id} ไม่มีชุดหลักฐาน {package[:40]}",
                    code="no_such_package",
                )  # fmt: skip
            now = self._clock.unix_ns()
            when = moment_of(arguments["when"], "when", now, self._zone) if arguments.get("when") else now
            if when > now:
                raise CaseError("it was handed over later than now", "เวลาส่งมอบอยู่หลังเวลาปัจจุบัน", code="bad_time")
            values = {
                "package": package,
                "to": text_of(arguments, "to", is_needed=True),
                "how": text_of(arguments, "how", is_needed=True),
                "when_unix_ns": str(when),
                "receipt": text_of(arguments, "receipt"),
            }
            self._book.write("handed_over", actor.name, actor.role, values, case=case.id)
            return self.show(actor, case.id)

    def list_cases(self, actor: Actor, state: str = "") -> dict[str, Any]:
        """Cases that `actor` may see, newest first; of one `state`, or all."""
        check_right(actor, Right.SEE)
        if state and state not in STATES:
            raise CaseError(f"state {state[:20]!r}; valid are {', '.join(STATES)}", "สถานะไม่ถูกต้อง")
        with self._book.lock:
            cases = [case for _, case in sorted(self._book.register.cases.items(), reverse=True)]
        shown = [self._json(case) for case in cases if may_see(actor, case) and state in ("", case.state)]
        return {"format": CASES_FORMAT, "one_person": self._one_person, "cases": shown}

    def show(self, actor: Actor, identifier: str) -> dict[str, Any]:
        """One case with its history."""
        with self._book.lock:
            case = self._find(actor, identifier)
        history = history_to_json(case.history, self._zone)
        return {**self._json(case), "one_person_mode": self._one_person, "history": history}

    def scope_of(self, actor: Actor, identifier: str) -> Scope:
        """What a package of the case may hold. Raises CaseError `out_of_scope` where it may hold nothing."""
        with self._book.lock:
            case = self._find(actor, identifier)
        if case.scope is None:
            raise CaseError(f"{case.id} has no scope", f"{case.id} ไม่มีขอบเขต", code="out_of_scope")
        return case.scope

    def check_export(self, actor: Actor, case_id: str, question: Question) -> dict[str, Any]:
        """The case that a package of `question` is made under, as its JSON object. Raises CaseError `no_such_case`,
        `not_allowed`, `not_approved`, `case_closed`, or `out_of_scope` with what lies outside."""
        check_right(actor, Right.CHANGE)
        with self._book.lock:
            case = self._find(actor, case_id)
        check_question(case, question, self._texts, self._zone)
        return self._json(case)

    def record_package(
        self, actor: Actor, case_id: str, package_id: str, sha256: str, counts: Mapping[str, int]
    ) -> None:
        """Note a package that is ready, with numbers of what is in it."""
        values = {"package": package_id, "sha256": sha256, "counts": dict(counts)}
        with self._book.lock:
            self._book.write("package_made", actor.name, actor.role, values, case=self._find(actor, case_id).id)

    def record_download(self, actor: Actor, package_id: str, **values: Any) -> None:
        """Note that a package left the appliance; nothing, for one that belongs to no case."""
        with self._book.lock:
            for case in self._book.register.cases.values():
                if any(event.values["package"] == package_id for event in case.packages):
                    told = {**values, "package": package_id}
                    self._book.write("downloaded", actor.name, actor.role, told, case=case.id)
                    return

    def confirm_clock(self, actor: Actor, reason: str) -> dict[str, Any]:
        """Say, on the record, that the clock is right after a jump (purge waits for it)."""
        check_right(actor, Right.CHANGE)
        values = {"reason": text_of({"reason": reason}, "reason", is_needed=True)}
        self._book.write(CLOCK_CONFIRMED, actor.name, actor.role, values)
        return {"format": CASES_FORMAT, "confirmed": True}

    def conditions(self, now_unix_ns: int) -> list[Condition]:
        """Reminders, which name the number and the day alone (alarms are seen by more people than cases), and whether
        the working copy said other than the journal since this process began."""
        with self._book.lock:
            cases, differing = list(self._book.register.cases.values()), self._book.differing
        told = f"records that were dropped or replaced: {', '.join(map(str, differing[:MAX_TOLD]))}"
        found = [Condition("cases_differ", "events.jsonl", told)] if differing else []
        return [*found, *reminders(cases, now_unix_ns, self._zone)]

    def _end(self, actor: Actor, identifier: str, event: str, reason: str) -> dict[str, Any]:
        check_right(actor, Right.CHANGE)
        with self._book.lock:
            case = self._not_ended(actor, identifier)
            values = {"reason": text_of({"reason": reason}, "reason", is_needed=True)}
            self._book.write(event, actor.name, actor.role, values, case=case.id)
            return self.show(actor, case.id)

    def _find(self, actor: Actor, identifier: str) -> Case:
        case = self._book.register.cases.get(identifier)
        # One that may not be seen is told like one that is not there.
        if case is None or not may_see(actor, case):
            raise CaseError(
                f"there is no case {identifier[:40]!r}", f"ไม่มีเรื่องเลขที่ {identifier[:40]}", code="no_such_case"
            )
        return case

    def _not_ended(self, actor: Actor, identifier: str) -> Case:
        case = self._find(actor, identifier)
        if case.state in (REFUSED, CLOSED):
            raise CaseError(f"{case.id} is {case.state}", f"{case.id} สิ้นสุดแล้ว", code="case_closed")
        return case

    def _json(self, case: Case) -> dict[str, Any]:
        now = self._clock.unix_ns()
        return case_to_json(case, self._texts, self._book.register.holds.values(), now, self._zone)
