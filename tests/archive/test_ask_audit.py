"""The door: who may ask, and the record of every question before its answer."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ask_desk import CONSOLE, STRANGER, AskDesk

from archive.ask.operators import TOKEN_SECONDS, OperatorError
from archive.errors import ArchiveError, AskError, SpoolError
from archive.local_rpc import LocalServer, call_local

PASSWORD = "correct horse 1"
UNAUDITED = {"reindex_progress", "retention_progress", "setup_state", "who_am_i", "setup_secret", "metrics"}
"""`setup_state` and `metrics` (test_status_losses.py) say nothing of anybody; the other two are held against the
contract below."""
WITHOUT_SESSION = {"log_in", "set_up", "setup_state", "metrics"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "who": {"address": "203.0.113.5"},
    "search": {"query": "x"},
    "record": {"leaf_index": 0, "row": 0, "reason": "letter 1/2569"},
    "package_create": {"address": "203.0.113.5", "reason": "letter 1/2569"},
    "package_fetch": {"id": "x"},
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[AskDesk]:
    made = AskDesk(tmp_path)
    yield made
    made.close()


@pytest.fixture
def token(desk: AskDesk) -> str:
    desk.ask("set_up", secret=desk.operators.setup_secret(), name="malee", password=PASSWORD)
    return desk.ask("log_in", name="malee", password=PASSWORD)["token"]


def code_of(call: Any) -> str:
    with pytest.raises(ArchiveError) as caught:
        call()
    return caught.value.code


def fail_durability(desk: AskDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise SpoolError("disk full", code="spool_not_durable")

    monkeypatch.setattr(desk.audit_writer, "wait_durable", fail)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AskDesk]:
    """For questions that are refused and change nothing."""
    made = AskDesk(tmp_path_factory.mktemp("desk"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def operations(shared: AskDesk) -> list[str]:
    return sorted(shared.handlers)


def test_every_request_of_the_contract_is_tested_here(operations: list[str]) -> None:
    """A request that is new must be told here whether it may do without a record or a session."""
    plain = {
        "status",
        "verify_last",
        "verify_now",
        "package_list",
        "log_out",
        "reindex_start",
        "reindex_stop",
        "integrity",
        "index_check",
        "case_open",
        "case_list",
        "case_show",
        "case_change",
        "case_approve",
        "case_refuse",
        "case_close",
        "case_hand_over",
        "legal_items",
        "hold_place",
        "hold_extend",
        "hold_release",
        "hold_list",
        "hold_show",
        "clock_confirm",
        "retention_plan",
        "retention_run",
    }
    assert set(operations) == {*ARGUMENTS, *UNAUDITED, *WITHOUT_SESSION, *plain}


def test_a_question_is_durable_before_its_answer(desk: AskDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    wait, query = desk.audit_writer.wait_durable, desk.log.engine.query
    monkeypatch.setattr(desk.audit_writer, "wait_durable", lambda *a: (wait(*a), order.append("durable")))
    monkeypatch.setattr(desk.log.engine, "query", lambda *a: (order.append("query"), query(*a))[1])
    desk.ask("search", query="user:somchai", reason="letter 1/2569")
    assert order[0] == "durable"
    assert "query" in order
    record = desk.audit()[-1]
    assert (record["event"], record["question"]["query"], record["reason"]) == (
        "search",
        "user:somchai",
        "letter 1/2569",
    )
    assert record["role"] == "console"


def test_no_audit_record_no_answer(
    desk: AskDesk, token: str, operations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_durability(desk, monkeypatch)
    answered: list[str] = []
    monkeypatch.setattr(desk.log.engine, "query", lambda *a: answered.append(a[0]))
    for op in sorted(set(operations) - UNAUDITED - {"log_in", "set_up"}):
        assert code_of(lambda op=op: desk.ask(op, token=token, **ARGUMENTS.get(op, {}))) == "audit_failed", op
    assert answered == []
    assert code_of(lambda: desk.ask("log_in", name="malee", password=PASSWORD)) == "audit_failed"
    assert desk.operators.find(token) is not None, "nobody was logged out without a record of it"


def test_without_a_record_nobody_is_made_an_operator(desk: AskDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = desk.operators.setup_secret()
    fail_durability(desk, monkeypatch)
    assert code_of(lambda: desk.ask("set_up", secret=secret, name="malee", password=PASSWORD)) == "audit_failed"
    assert desk.operators.setup_secret() == secret


def test_a_stranger_on_the_socket_is_nobody(desk: AskDesk, operations: list[str]) -> None:
    for op in sorted(set(operations) - WITHOUT_SESSION):
        assert code_of(lambda op=op: desk.ask_as(STRANGER, op, **ARGUMENTS.get(op, {}))) == "not_signed_in", op
    assert desk.audit() == []


def test_the_pages_are_nobody_without_a_token(desk: AskDesk, operations: list[str]) -> None:
    for op in sorted(set(operations) - WITHOUT_SESSION - {"setup_secret"}):
        arguments = {"from_pages": True, **ARGUMENTS.get(op, {})}
        assert code_of(lambda op=op, given=arguments: desk.ask(op, **given)) == "not_signed_in", op


@pytest.mark.parametrize("bad", ["", "x", 7, ["x"], "' OR 1=1 --"])
def test_a_bad_token_is_not_the_local_user(shared: AskDesk, bad: Any) -> None:
    assert code_of(lambda: shared.ask("status", token=bad)) == "not_signed_in"


def test_a_token_names_the_operator_from_any_peer_until_it_ends(desk: AskDesk, token: str) -> None:
    desk.ask_as(STRANGER, "search", query="x", token=token, from_pages=True)
    assert (desk.audit()[-1]["actor"], desk.audit()[-1]["role"]) == ("malee", "administrator")
    desk.log.clock.advance(TOKEN_SECONDS)
    assert code_of(lambda: desk.ask("search", query="x", token=token)) == "not_signed_in"


def test_the_log_out_ends_the_token(desk: AskDesk, token: str) -> None:
    desk.ask("log_out", token=token)
    assert code_of(lambda: desk.ask("search", query="x", token=token)) == "not_signed_in"
    assert desk.audit()[-1]["event"] == "operator_logged_out"


def test_secrets_are_not_in_the_audit(desk: AskDesk, token: str) -> None:
    desk.ask("search", query="x", token=token, password="pass word", secret="sesame", from_pages=True)
    text = repr(desk.audit())
    assert not any(secret in text for secret in (token, PASSWORD, "pass word", "sesame"))


def test_a_refused_log_in_is_recorded(desk: AskDesk, token: str) -> None:
    assert code_of(lambda: desk.ask("log_in", name="malee", password="wrong password")) == "wrong_password"
    record = desk.audit()[-1]
    assert (record["event"], record["actor"], record["question"]) == (
        "operator_log_in_refused",
        "malee",
        {"why": "wrong_password"},
    )


def test_a_bad_question_is_recorded_too(desk: AskDesk) -> None:
    assert code_of(lambda: desk.ask("search", query='"')) == "bad_query"
    assert desk.audit()[-1]["question"] == {"query": '"'}


@pytest.mark.parametrize(
    ("op", "arguments", "code"),
    [
        ("who", {}, "bad_question"),
        ("who", {"address": "x"}, "bad_address"),
        ("who", {"address": "10.0.0.1", "port": "65536"}, "bad_port"),
        ("who", {"address": "10.0.0.1", "at": "soon"}, "bad_time"),
        ("who", {"address": "10.0.0.1", "protocol": "tcpp"}, "bad_question"),
        ("who", {"address": "10.0.0.1", "protocol": "256"}, "bad_question"),
        *[("who", {"address": "::1", "tolerance_seconds": t}, "bad_question") for t in (-1, 3601, "nan", "x", [1])],
        ("search", {"query": "port:x"}, "bad_query"),
        ("search", {"limit": 10_001}, "bad_question"),
        ("search", {"limit": -1}, "bad_question"),
        ("search", {"since": "now", "until": "-1h"}, "bad_question"),
        ("record", {"leaf_index": 99, "row": 0}, "no_such_record"),
        ("record", {"leaf_index": -1, "row": 0}, "bad_question"),
        ("record", {}, "bad_question"),
        ("record", {"leaf_index": "x", "row": 0}, "bad_question"),
        ("search", {"limit": "many"}, "bad_question"),
        ("package_fetch", {"offset": "x"}, "bad_question"),
        ("record", {"leaf_index": 0, "row": 0}, "no_such_record"),
        ("package_create", {"address": "10.0.0.1"}, "no_case"),
        ("package_create", {"address": "10.0.0.1", "case": "case-2026-0001"}, "no_such_case"),
        ("case_open", {"scope": []}, "bad_case"),
        ("case_show", {"id": ["x"]}, "no_such_case"),
        ("case_approve", {"id": "x"}, "second_person"),
        ("hold_place", {"kind": "order", "scope": 7}, "bad_scope"),
        ("hold_show", {"id": "../../head"}, "no_such_hold"),
        ("package_fetch", {"id": "../../head"}, "no_such_package"),
        ("package_fetch", {"id": "/etc/passwd\x00"}, "no_such_package"),
        ("verify_now", {}, "not_running"),
    ],
)  # fmt: skip
def test_bad_questions_have_codes(shared: AskDesk, op: str, arguments: dict[str, Any], code: str) -> None:
    assert code_of(lambda: shared.ask(op, **arguments)) == code


def test_the_set_up_link_is_given_out_with_a_record(desk: AskDesk) -> None:
    assert desk.ask("setup_secret")["secret"]
    assert len(desk.audit()) == 1


def test_raw_bytes_only_with_a_reason(desk: AskDesk) -> None:
    leaf = desk.log.put("collector", ("syslog/udp-5514", b"<134>raw line"))
    without = desk.ask("record", leaf_index=leaf, row=1, reason="  ")
    assert without["payload_base64"] is None
    assert (
        desk.ask("record", leaf_index=leaf, row=1, reason="letter 1/2569")["payload_base64"] == "PDEzND5yYXcgbGluZQ=="
    )
    assert without["proof"]["tree_size"] == desk.log.check()


def test_over_the_socket_and_at_once(desk: AskDesk) -> None:
    server = LocalServer(desk.log.paths.run / "ask.sock", desk.handlers)
    server.start()
    errors: list[BaseException] = []

    def ask(number: int) -> None:
        try:
            call_local(desk.log.paths.run / "ask.sock", "search", query=f"n{number}", timeout_seconds=30)
        except AskError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    server.shutdown()
    server.server_close()
    assert errors == []
    assert {record["question"]["query"] for record in desk.audit()} == {f"n{n}" for n in range(8)}


def test_who_am_i(desk: AskDesk, token: str) -> None:
    assert desk.ask_as(STRANGER, "who_am_i", token=token) == {"name": "malee", "role": "administrator", "demo": False}
    assert desk.ask_as(CONSOLE, "who_am_i")["role"] == "console"
    assert isinstance(OperatorError("x", "ก"), AskError)
