"""Cases and holds through the requests of the ask service: who may, what is refused, what is recorded."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ask_desk import CONSOLE, STRANGER, ZONE, AskDesk

from archive.addresses import parse_address
from archive.ask.audit import Actor
from archive.ask.case_access import RIGHTS, Right, may_see
from archive.ask.case_desk import CaseDesk
from archive.ask.case_handlers import make_case_handlers
from archive.attribution.question import Question
from archive.cases.book import CaseBook
from archive.cases.events import CaseEvent, encode_case_event
from archive.errors import AskError
from archive.time_text import format_iso, parse_time

PASSWORD = "correct horse battery"
DAY = 86_400
NS = 1_000_000_000
SCOPE = {"accounts": ["somchai"], "addresses": ["203.0.113.1"], "from": "2026-11-10", "until": "2026-11-15"}
CASE = {
    "title": "ตรวจสอบการใช้งาน", "ground": "order", "letter": "ตช 0026/1234", "officer": "ร.ต.อ. สมคิด",
    "unit": "บก.ปอท.", "legal_items": [2, 3], "scope": SCOPE,
}  # fmt: skip
HOLD = {"kind": "order", "order_number": "77/2569", "officer": "o", "unit": "u", "scope": SCOPE, "until": "2027-06-30"}
NOK = {"name": "nok", "password": PASSWORD}
KLA = {"name": "kla", "password": PASSWORD}


class Office(AskDesk):
    """With three operators; the clock stands on Wednesday 18 November 2026."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.operators.add("nok", PASSWORD, "administrator")
        self.operators.add("kla", PASSWORD, "administrator")
        self.operators.add("aud", PASSWORD, "auditor")

    def token(self, name: str) -> dict[str, Any]:
        return {"token": self.ask("log_in", name=name, password=PASSWORD)["token"]}

    def refused(self, op: str, **arguments: Any) -> AskError:
        with pytest.raises(AskError) as caught:
            self.ask(op, **arguments)
        assert "\n" not in str(caught.value)
        assert getattr(caught.value, "message_th", "x") != str(caught.value)
        return caught.value

    def code(self, op: str, **arguments: Any) -> str:
        return self.refused(op, **arguments).code

    def approved(self, **given: Any) -> str:
        identifier = self.ask("case_open", **{**CASE, **given}, **KLA)["id"]
        self.ask("case_approve", id=identifier, **NOK)
        return identifier

    def seal_cases(self) -> None:
        """What was recorded becomes a leaf and rows."""
        with self.cases_writer._changed:
            self.cases_writer._close_file()
            self.cases_writer._open_file()
        self.log._sealer.run_once()
        self.log.index()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def question(moment: str = "2026-11-12T10:00:00+07:00", address: str = "203.0.113.1") -> Question:
    return Question(parse_time(moment, now_unix_ns=0), parse_address(address))


def test_a_case_from_letter_to_receipt(office: Office) -> None:
    opened = office.ask("case_open", **CASE, received="2026-11-14 09:00", **KLA)
    assert (opened["id"], opened["state"], opened["due_day"]) == ("case-2026-0001", "open", "2026-11-21")
    assert opened["working_day_before"] == "2026-11-20"
    assert opened["opened_by"] == "kla"
    approved = office.ask("case_approve", id=opened["id"], **NOK, note="ok")
    assert (approved["state"], approved["approved_by"], approved["one_person"]) == ("approved", "nok", False)
    facts = office.desk.cases.check_export(Actor("nok", "administrator"), opened["id"], question())
    assert (facts["id"], facts["letter"], facts["scope"]["accounts"]) == (opened["id"], CASE["letter"], ["somchai"])
    office.desk.cases.record_package(Actor("nok", "administrator"), opened["id"], "p-1", "ab", {"nat": 2})
    office.desk.cases.record_download(Actor("kla", "administrator"), "p-1", size_bytes=5)
    office.desk.cases.record_download(Actor("kla", "administrator"), "p-of-no-case")
    handed = office.ask("case_hand_over", id=opened["id"], to="ร.ต.อ. สมคิด", how="disk", package="p-1", receipt="9")
    assert [event["event"] for event in handed["history"]] == [
        "case_opened", "case_approved", "package_made", "downloaded", "handed_over",
    ]  # fmt: skip
    closed = office.ask("case_close", id=opened["id"], reason="answered")
    assert (closed["state"], closed["ended_why"]) == ("closed", "answered")
    assert office.code("case_close", id=opened["id"], reason="again") == "case_closed"


def test_who_opened_or_changed_it_may_not_approve(office: Office) -> None:
    identifier = office.ask("case_open", **CASE, **NOK)["id"]
    assert office.code("case_approve", id=identifier) == "second_person"
    assert office.code("case_approve", id=identifier, **NOK) == "second_person"
    assert office.code("case_approve", id=identifier, name="nok", password="wrong wrong wrong") == "wrong_password"
    assert office.code("case_approve", id=identifier, name="aud", password=PASSWORD) == "not_allowed"
    office.ask("case_change", id=identifier, title="other", **KLA)
    assert office.code("case_approve", id=identifier, **KLA) == "second_person"
    office.operators.add("third", PASSWORD, "administrator")
    assert office.ask("case_approve", id=identifier, **office.token("third"))["approved_by"] == "third"
    assert office.code("case_approve", id=identifier, **NOK) == "bad_case"
    changed = office.ask("case_change", id=identifier, scope={**SCOPE, "accounts": ["malee"]}, **NOK)
    assert (changed["state"], changed["approved_by"]) == ("open", None)
    refused = [record for record in office.audit() if record["event"] == "operator_log_in_refused"]
    assert [record["actor"] for record in refused] == ["nok"]
    assert not any(PASSWORD in str(record) for record in office.audit())


def test_what_was_asked_for_at_the_console_is_decided_by_nobody_until_an_operator_stands_for_it(office: Office) -> None:
    identifier = office.ask("case_open", **CASE)["id"]
    refused = office.refused("case_approve", id=identifier, **NOK)
    assert (refused.code, "--as NAME" in str(refused)) == ("second_person", True)
    office.ask("case_change", id=identifier, title="other", **KLA)
    assert office.code("case_approve", id=identifier, **KLA) == "second_person"
    office.ask("case_change", id=identifier, scope={**SCOPE, "accounts": ["malee"]})
    assert office.code("case_approve", id=identifier, **NOK) == "second_person"
    office.ask("case_change", id=identifier, title="third", **KLA)
    assert office.ask("case_approve", id=identifier, **NOK)["state"] == "approved"
    for kind in ("order", "preserve"):
        hold = office.ask("hold_place", **{**HOLD, "kind": kind})
        assert hold["state"] == "in_force"
        assert office.code("hold_release", id=hold["id"], reason="over", **NOK) == "second_person"
        office.ask("hold_extend", id=hold["id"], until="2027-07-31", order_number="8", **KLA)
        assert office.ask("hold_release", id=hold["id"], reason="over", **NOK)["state"] == "released"


def reopened(office: Office, *lines: CaseEvent) -> tuple[CaseBook, CaseDesk]:
    """The service begins again over a copy to which somebody appended `lines`."""
    directory = office.log.paths.directory / "cases"
    with (directory / "events.jsonl").open("ab") as copy:
        copy.writelines(encode_case_event(line) + b"\n" for line in lines)
    book = CaseBook(directory, office.cases_writer, office.log.clock, ZONE)
    return book, CaseDesk(book, office.log.clock, ZONE, one_person=False)


def test_a_line_by_hand_decides_nothing_and_gives_way_to_the_journal(office: Office) -> None:
    hold = office.ask("hold_place", **HOLD)["id"]
    waiting = office.ask("case_open", **CASE)["id"]
    office.seal_cases()
    now = office.log.clock.unix_ns()
    told = {"reason": "x", "note": "", "one_person": False}
    by_hand = [
        CaseEvent(3, "hold_released", now, "", hold, "eve", "administrator", told),
        CaseEvent(4, "case_approved", now, waiting, "", "eve", "administrator", told),
        CaseEvent(5, "clock_confirmed", now, "", "", "eve", "administrator", told),
        CaseEvent(2, "case_refused", now + 1, waiting, "", "eve", "administrator", told),
    ]
    book, cases = reopened(office, *by_hand)
    assert cases.complete_from(office.log.engine) == 1
    assert [one.id for one in cases.holds_in_force(now)] == [hold]
    assert (book.register.cases[waiting].state, book.register.clock_confirmed) == ("open", [])
    cases.holds.place(Actor("nok", "administrator"), "order", HOLD)
    office.seal_cases()
    assert cases.complete_from(office.log.engine) == 3
    assert book.differing == [2, 3, 4, 5]
    (condition,) = cases.conditions(now)
    assert (condition.code, condition.details) == (
        "cases_differ", "records that were dropped or replaced: 2, 3, 4, 5",
    )  # fmt: skip
    office.desk.alarms.update([condition])
    again, _ = reopened(office)
    assert sorted(number for number, _ in again._events) == [1, 2, 6]
    assert again.register == book.register


def test_a_line_with_other_values_is_replaced(office: Office) -> None:
    hold = office.ask("hold_place", **HOLD)["id"]
    office.seal_cases()
    copy = office.log.paths.directory / "cases/events.jsonl"
    copy.write_text(copy.read_text(encoding="utf-8").replace("somchai", "nobody"), encoding="utf-8")
    book, cases = reopened(office)
    assert book.register.holds[hold].scope.accounts == ("nobody",)
    assert cases.complete_from(office.log.engine) == 1
    assert (book.register.holds[hold].scope.accounts, book.differing) == (("somchai",), [1])
    assert "nobody" not in copy.read_text(encoding="utf-8")


def test_an_approval_counts_at_once_and_after_a_restart_once_it_is_indexed(office: Office) -> None:
    identifier = office.approved()
    assert office.book.register.cases[identifier].state == "approved"
    book, cases = reopened(office)
    cases.complete_from(office.log.engine)
    assert book.register.cases[identifier].state == "open"
    office.seal_cases()
    cases.complete_from(office.log.engine)
    assert (book.register.cases[identifier].state, book.differing) == ("approved", [])


def test_one_person_mode_is_recorded_and_told(office: Office) -> None:
    cases = CaseDesk(office.book, office.log.clock, ZONE, one_person=True)
    cases.state_mode()
    cases.state_mode()
    assert office.book.count == 1
    handlers = make_case_handlers(cases, office.desk.auditor, office.operators, one_person=True)
    identifier = handlers["case_open"](CONSOLE, dict(CASE))["id"]
    shown = handlers["case_approve"](CONSOLE, {"id": identifier})
    assert (shown["state"], shown["one_person"], shown["one_person_mode"]) == ("approved", True, True)
    assert handlers["case_list"](CONSOLE, {})["one_person"] is True
    hold = handlers["hold_place"](CONSOLE, dict(HOLD))
    assert handlers["hold_release"](CONSOLE, {"id": hold["id"], "reason": "over"})["one_person"] is True
    CaseDesk(office.book, office.log.clock, ZONE, one_person=False).state_mode()
    assert office.book.register.one_person is False


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"title": " "}, "bad_case"),
        ({"title": "x" * 501}, "bad_case"),
        ({"title": 7}, "bad_case"),
        ({"ground": "curiosity"}, "bad_case"),
        ({"letter": ""}, "bad_case"),
        ({"officer": None}, "bad_case"),
        ({"legal_items": []}, "bad_case"),
        ({"legal_items": [9]}, "bad_case"),
        ({"legal_items": [2, 4]}, "court_order_missing"),
        ({"due_days": 16}, "bad_case"),
        ({"due_days": "soon"}, "bad_case"),
        ({"received": "2027-01-01"}, "bad_time"),
        ({"received": "yesterday"}, "bad_time"),
        ({"scope": None}, "bad_scope"),
        ({"scope": {**SCOPE, "accounts": [], "addresses": []}}, "bad_scope"),
    ],
)
def test_what_a_case_needs(office: Office, changed: dict[str, Any], code: str) -> None:
    assert office.code("case_open", **{**CASE, **changed}) == code
    assert office.book.count == 0


def test_items_of_the_court_with_its_order_or_a_reason(office: Office) -> None:
    sentence = str(office.refused("case_open", **{**CASE, "legal_items": [2, 6]}))
    assert "item 6" in sentence
    assert "not checked against the text of the law" in sentence
    assert office.ask("case_open", **{**CASE, "legal_items": [6]}, court_order="ศ 5/2569")["court_order"] == "ศ 5/2569"
    reason = "the court's order follows by post"
    assert office.ask("case_open", **{**CASE, "legal_items": [6]}, override_reason=reason)["override_reason"] == reason


def check(office: Office, identifier: str, asked: Question | None = None) -> str:
    with pytest.raises(AskError) as caught:
        office.desk.cases.check_export(Actor("nok", "administrator"), identifier, asked or question())
    return f"{caught.value.code}: {caught.value}"


def test_what_no_package_may_be_made_of(office: Office) -> None:
    assert check(office, "case-2026-0009").startswith("no_such_case")
    waiting = office.ask("case_open", **CASE)["id"]
    assert check(office, waiting).startswith("not_approved")
    refused = office.ask("case_open", **CASE)["id"]
    office.ask("case_refuse", id=refused, reason="no letter")
    assert "was refused" in check(office, refused)
    closed = office.approved()
    office.ask("case_close", id=closed, reason="withdrawn")
    assert check(office, closed).startswith("case_closed")
    good = office.approved()
    assert "203.0.113.9 is not in the case's scope" in check(office, good, question(address="203.0.113.9"))
    assert "outside the case's interval" in check(office, good, question("2026-11-16T00:00:00+07:00"))
    assert office.desk.cases.check_export(Actor("nok", "administrator"), good, question("2026-11-15T23:58:00+07:00"))
    for ground in ("preserve", "information_act"):
        none = office.approved(ground=ground)
        assert check(office, none).startswith("out_of_scope: the ground")
    assert office.approved(ground="information_act", scope=None)


def test_roles(office: Office) -> None:
    identifier = office.ask("case_open", **CASE)["id"]
    hold = office.ask("hold_place", **HOLD)["id"]
    auditor = office.token("aud")
    assert office.ask("case_show", id=identifier, **auditor)["id"] == identifier
    assert office.ask("hold_list", **auditor)["holds"][0]["id"] == hold
    with pytest.raises(AskError) as caught:
        office.desk.cases.check_export(Actor("aud", "auditor"), office.approved(), question())
    assert caught.value.code == "not_allowed"
    for op, given in (
        ("case_open", CASE), ("case_change", {"id": identifier, "title": "x"}), ("case_approve", {"id": identifier}),
        ("case_refuse", {"id": identifier, "reason": "x"}),
        ("case_hand_over", {"id": identifier, "to": "x", "how": "y"}),
        ("hold_place", HOLD), ("hold_release", {"id": hold, "reason": "x"}), ("clock_confirm", {"reason": "x"}),
    ):  # fmt: skip
        assert office.code(op, **given, **auditor) == "not_allowed", op
    with pytest.raises(AskError) as caught:
        office.ask_as(STRANGER, "case_list")
    assert caught.value.code == "not_signed_in"
    assert not may_see(Actor("x", "help desk"), None)
    assert [role for role, rights in RIGHTS.items() if Right.SECOND in rights] == ["administrator"]


def test_every_look_and_change_is_audited_and_every_change_recorded_first(office: Office) -> None:
    identifier = office.approved()
    office.ask("case_show", id=identifier)
    office.ask("case_list")
    office.ask("hold_list")
    office.ask("legal_items")
    actions = [record["event"] for record in office.audit()]
    assert actions == ["case_open", "case_approve", "case_show", "case_list", "hold_list", "legal_items"]
    office.seal_cases()
    rows = office.log.rows("cases", "event, `case`, actor")
    assert [row["event"] for row in rows] == ["case_opened", "case_approved"]
    assert {row["case"] for row in rows} == {identifier}
    assert rows[1]["actor"] == "nok"
    office.log.check()


def test_a_lost_copy_comes_back_from_the_index(office: Office) -> None:
    identifier = office.approved()
    hold = office.ask("hold_place", **HOLD)["id"]
    office.seal_cases()
    for path in (office.log.paths.directory / "cases").iterdir():
        path.unlink()
    book = CaseBook(office.log.paths.directory / "cases", office.cases_writer, office.log.clock, ZONE)
    cases = CaseDesk(book, office.log.clock, ZONE, one_person=False)
    assert book.count == 0
    assert cases.complete_from(office.log.engine) == 3
    assert cases.complete_from(office.log.engine) == 0
    assert book.register == office.book.register
    assert [one.id for one in cases.holds_in_force(office.log.clock.unix_ns())] == [hold]
    assert cases.show(Actor("nok", "administrator"), identifier)["approved_by"] == "nok"
    assert book.next_identifier("case") == "case-2026-0002"


def test_without_a_durable_record_nothing_happens(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(AskError) as caught:
        office.ask("hold_place", **HOLD)
    assert caught.value.code == "audit_failed"
    with pytest.raises(AskError) as caught:
        office.desk.cases.holds.place(Actor("nok", "administrator"), "order", HOLD)
    assert caught.value.code == "case_not_recorded"
    assert office.book.register.holds == {}


def test_a_hold_is_in_force_at_once_and_ends(office: Office) -> None:
    clock = office.log.clock
    placed = office.ask("hold_place", **HOLD)
    assert (placed["id"], placed["state"]) == ("hold-2026-0001", "in_force")
    assert placed["until"] == "2027-06-30T23:59:59.999999999+07:00"
    assert [hold.id for hold in office.desk.cases.holds_in_force(clock.unix_ns())] == [placed["id"]]
    assert office.desk.cases.holds_in_force(parse_time("2027-07-01T00:00:00+07:00", now_unix_ns=0)) == []
    longer = office.ask("hold_extend", id=placed["id"], until="2028-01-31", order_number="8", **KLA)
    assert longer["until"].startswith("2028-01-31T23:59:59.999")
    assert office.code("hold_extend", id=placed["id"], until="2027-12-31", order_number="8") == "bad_case"
    assert office.code("hold_extend", id=placed["id"], until="2028-11-11", order_number="8") == "hold_too_long"
    assert office.code("hold_release", id=placed["id"], reason="over") == "second_person"
    released = office.ask("hold_release", id=placed["id"], reason="over", **NOK)
    assert (released["state"], released["released_by"]) == ("released", "nok")
    assert office.desk.cases.holds_in_force(clock.unix_ns()) == []
    assert office.code("hold_release", id=placed["id"], reason="over", **NOK) == "hold_ended"
    assert office.code("hold_show", id="hold-2026-0009") == "no_such_hold"


@pytest.mark.parametrize(
    ("until", "code"),
    [
        ("2028-11-09", None),
        ("2028-11-10T00:00:00+07:00", None),
        ("2028-11-10T00:00:00.000000001+07:00", "hold_too_long"),
        ("2028-11-10", "hold_too_long"),
        ("2026-11-17", "bad_time"),
        ("", "bad_case"),
        ("some day", "bad_time"),
    ],
)
def test_two_years_from_the_oldest_record_and_no_more(office: Office, until: str, code: str | None) -> None:
    if code is None:
        assert office.ask("hold_place", **{**HOLD, "until": until})["state"] == "in_force"
    else:
        assert office.code("hold_place", **{**HOLD, "until": until}) == code


def test_a_scope_in_the_future_lets_no_hold_outlive_two_years_of_its_order(office: Office) -> None:
    scope = {**SCOPE, "from": "2027-01-01", "until": "2027-02-01"}
    assert office.code("hold_place", **{**HOLD, "scope": scope, "until": "2028-12-01"}) == "hold_too_long"
    assert office.ask("hold_place", **{**HOLD, "scope": scope, "until": "2028-11-17"})


def test_keep_first_takes_one_step_and_makes_no_file(office: Office) -> None:
    before = {path for path in office.log.paths.directory.rglob("*") if "spool" not in path.parts}
    hold = office.ask("hold_place", kind="preserve", officer="o", unit="u", scope=SCOPE)
    assert (hold["state"], hold["kind"]) == ("in_force", "preserve")
    assert hold["until"] == format_iso(office.log.clock.unix_ns() + 90 * DAY * NS, ZONE)
    made = {path for path in office.log.paths.directory.rglob("*") if "spool" not in path.parts} - before
    assert {path.name for path in made} == {"events.jsonl", "numbers.json"}
    assert office.code("hold_place", kind="preserve", officer="", unit="u", scope=SCOPE) == "bad_case"
    assert office.code("hold_place", **HOLD, case="case-2026-0001") == "no_such_case"


def test_reminders_name_the_number_and_nobody(office: Office) -> None:
    clock, cases = office.log.clock, office.desk.cases
    identifier = office.ask("case_open", **CASE)["id"]
    found = []
    for days in (0, 4.9, 5.1, 6.9, 7.1):
        found.append([(c.code, c.source) for c in cases.conditions(clock.unix_ns() + int(days * DAY * NS))])
    assert found == [[], [], [("case_due", identifier)], [("case_due", identifier)], [("case_overdue", identifier)]]
    clock.advance(8 * DAY)
    (condition,) = cases.conditions(clock.unix_ns())
    assert not any(str(CASE[name]) in condition.details for name in ("title", "officer", "letter", "unit"))
    assert office.ask("case_show", id=identifier)["is_overdue"] is True
    office.desk.alarms.update(cases.conditions(clock.unix_ns()))
    assert office.desk.alarms.standing(ZONE)[0]["message_th"]
    office.ask("case_hand_over", id=identifier, to="x", how="paper")
    assert cases.conditions(clock.unix_ns()) == []
    assert office.ask("case_show", id=identifier)["is_overdue"] is False
