"""What `phayan cases` and `phayan holds` send and print; the service is replaced by a list of answers."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from archive.ask.case_json import case_to_json, history_to_json, hold_to_json
from archive.cases.errors import CaseError
from archive.cases.events import CaseEvent
from archive.cases.legal import legal_texts
from archive.cases.register import fold_events
from deploy import case_options
from deploy.commands_cases import cases_command
from deploy.commands_holds import holds_command

ZONE = "Asia/Bangkok"
NS = 1_000_000_000
T0 = 1_795_000_000 * NS
SCOPE = {
    "format": 1, "persons": ["สมชาย ใจดี"], "accounts": ["somchai"],
    "addresses": [{"network": "10.0.0.0/24", "realm": "main"}], "devices": ["aa:bb:cc:dd:ee:ff"],
    "from": "2026-11-01T00:00:00.000000000+07:00",
    "until": "2026-11-20T23:59:59.999999999+07:00",
}  # fmt: skip
OPENED = {
    "title": "คำขอ", "letter": "12/2569", "officer": "o", "unit": "u", "ground": "preserve", "court_order": "ศ 5",
    "scope": SCOPE, "override_reason": "", "legal_items": [7], "received_unix_ns": str(T0), "due_days": 10,
}  # fmt: skip
PLACED = {
    "kind": "preserve", "order_number": "", "officer": "o", "unit": "u", "scope": SCOPE, "until_unix_ns": str(T0 + NS),
    "note": "",
}  # fmt: skip
REGISTER = fold_events(
    [
        CaseEvent(1, "case_opened", T0, "case-2026-0001", "", "nok", "administrator", OPENED),
        CaseEvent(2, "hold_placed", T0, "case-2026-0001", "hold-2026-0001", "nok", "administrator", PLACED),
        CaseEvent(
            3, "hold_released", T0 + 1, "case-2026-0001", "hold-2026-0001", "kla", "administrator", {"reason": "x"}
        ),
    ],
    ZONE,
)
Run = Callable[..., tuple[int, str, dict[str, Any]]]


def shown_case(one_person: bool = False) -> dict[str, Any]:
    (case,) = REGISTER.cases.values()
    shown = case_to_json(case, legal_texts(), REGISTER.holds.values(), T0 + 20 * 86_400 * NS, ZONE)
    return {**shown, "one_person_mode": one_person, "history": history_to_json(case.history, ZONE)}


def shown_hold(one_person: bool = False) -> dict[str, Any]:
    (hold,) = REGISTER.holds.values()
    shown = hold_to_json(hold, T0 + NS, ZONE)
    return {**shown, "one_person_mode": one_person, "history": history_to_json(hold.history, ZONE)}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(answer: Any, *words: str, stdin: str = "") -> tuple[int, str, dict[str, Any]]:
        sent: dict[str, Any] = {}

        def ask(data: str | None, op: str, **arguments: Any) -> Any:
            sent.update(arguments, op=op)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(case_options, "ask", ask)
        command = cases_command if words[0] == "cases" else holds_command
        done = CliRunner().invoke(command, words[1:], input=stdin)
        return done.exit_code, done.output, sent

    return call


def test_a_case_is_told_in_both_languages(run: Run) -> None:
    code, text, sent = run(shown_case(), "cases", "show", "case-2026-0001")
    assert (code, sent) == (0, {"op": "case_show", "id": "case-2026-0001"})
    for words in (
        "รออนุมัติ / waits for approval", "คำขอ", "12/2569", "2026-11-28", "working day before 2026-11-27", "สมชาย ใจดี",
        "10.0.0.0/24@main", "aa:bb:cc:dd:ee:ff", "hold-2026-0001", "ศ 5", "ประวัติ / history", "case_opened nok",
    ):  # fmt: skip
        assert words in text, words
    assert text.count("not checked against the text of the law") == 2, "the ground and the item were not read"
    assert "One-person" not in text
    assert text.startswith("case-2026-0001")
    assert "One-person mode" in run(shown_case(one_person=True), "cases", "show", "x")[1].splitlines()[0]


def test_lists(run: Run) -> None:
    cases = {"format": 1, "one_person": True, "cases": [shown_case()]}
    _, text, sent = run(cases, "cases", "list", "--state", "open")
    assert sent["state"] == "open"
    assert "One-person mode" in text
    assert "เลยกำหนด / overdue" in text
    assert "no cases" in run({**cases, "one_person": False, "cases": []}, "cases", "list")[1]
    holds = {"format": 1, "one_person": False, "holds": [shown_hold()]}
    _, text, _ = run(holds, "holds", "list")
    assert "hold-2026-0001 ยกเลิกแล้ว / released" in text
    assert "keep first" in text


def test_what_opening_sends(run: Run) -> None:
    _, text, sent = run(
        shown_case(), "cases", "open", "--title", "t", "--ground", "order", "--item", "2", "--item", "4",
        "--person", "ก", "--address", "10.0.0.7@main", "--address", "10.0.1.0/24",
        "--from", "2026-11-01", "--until", "2026-11-02",
        "--format", "json",
    )  # fmt: skip
    assert '"format": 1' in text
    assert sent["legal_items"] == ["2", "4"]
    assert sent["scope"] == {
        "persons": ["ก"], "accounts": [], "addresses": ["10.0.0.7@main", "10.0.1.0/24"], "devices": [],
        "from": "2026-11-01", "until": "2026-11-02",
    }  # fmt: skip
    assert "letter" not in sent, "what was not given stays as it is"
    _, _, sent = run(shown_case(), "cases", "change", "case-2026-0001", "--title", "t")
    assert sent == {"op": "case_change", "id": "case-2026-0001", "title": "t"}


def test_the_second_person_types_a_password(run: Run) -> None:
    words = ("cases", "approve", "case-2026-0001", "--as", "nok", "--password-stdin")
    _, _, sent = run(shown_case(), *words, stdin="a long password\n")
    assert (sent["name"], sent["password"]) == ("nok", "a long password")
    code, _, sent = run(shown_case(), "cases", "approve", "case-2026-0001", "--as", "nok")
    assert (code, sent) == (1, {}), "without a terminal nothing is sent"


def test_a_refusal_is_said_in_both_languages(run: Run) -> None:
    code, text, _ = run(CaseError("there is no case", "ไม่มีเรื่อง"), "cases", "show", "x")
    assert code == 1
    assert "phayan: ไม่มีเรื่อง" in text


def test_holds(run: Run) -> None:
    common = ("--officer", "o", "--unit", "u", "--account", "a", "--from", "-1d", "--until", "now")
    _, text, sent = run(shown_hold(), "holds", "preserve", *common)
    assert (sent["op"], sent["kind"], "until" in sent) == ("hold_place", "preserve", False)
    assert sent["scope"]["until"] == "now"
    assert "ยกเลิก / released" in text
    _, _, sent = run(shown_hold(), "holds", "place", "--order", "7", "--hold-until", "2027-01-01", *common)
    assert (sent["kind"], sent["order_number"], sent["until"]) == ("order", "7", "2027-01-01")
    _, _, sent = run(shown_hold(), "holds", "extend", "hold-2026-0001", "--order", "8", "--hold-until", "2027-02-01")
    assert (sent["op"], sent["until"]) == ("hold_extend", "2027-02-01")
    assert run(shown_hold(), "holds", "release", "hold-2026-0001")[0] == 2, "a release needs its reason"


def test_the_law_as_data(run: Run) -> None:
    _, text, _ = run(legal_texts().to_json(), "cases", "legal-items")
    assert text.count("คำสั่งศาล / court order") == 5
    for line in text.splitlines():
        if "decryption" in line or "seizure" in line or "need an order" in line:
            assert "not checked against the text of the law" in line
