"""A key change in the middle of traffic: search, who and record treat the logs as one archive."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nat_datagrams as made
import pytest
from ask_desk import ZONE, AskDesk
from flow_days import SYSLOG, to_next_day

from archive.alarms import Condition
from archive.ask.alarm_book import AlarmBook
from archive.errors import AskError
from archive.event_record import encode_event
from archive.index import former_indexing
from archive.leaf import decode_leaf
from archive.merkle import leaf_hash, verify_inclusion
from archive.note import open_checkpoint, parse_verifier_key
from archive.origin import ArchivePaths
from archive.segment import utc_day
from archive.succession import former_folders
from archive.time_text import format_iso
from authgw.session_events import encode_session_event

OUTSIDE, INSIDE, OTHER, PORT = "203.0.113.5", "10.0.0.7", "10.0.0.8", 40_000
NS = 10**9
FIRST_ROW = 1
"""Row 0 of a file is the start of its writer."""


class Logs(AskDesk):
    """Lines, translations and log-ins, with changes of the key between."""

    @property
    def now_ns(self) -> int:
        return self.log.clock.unix_ns()

    @property
    def origin(self) -> str:
        return self.log.engine.origin

    def change_key(self) -> None:
        """The appliance stops, begins a new log, and starts."""
        self.stop()
        self.log.change_key()
        self.open(self.log)
        self.catch_up()

    def catch_up(self) -> None:
        """Every log is indexed to its end."""
        self.log.index()
        while not self.log.former.is_complete:
            assert self.log.former.run_once()

    def restart(self) -> None:
        self.stop()
        self.log.restart_indexer()
        self.open(self.log)

    def stop(self) -> None:
        for writer in (self.audit_writer, self.cases_writer):
            self.log.writers.remove(writer)
            writer.close()
        self.operators._database.close()

    def line(self, text: str) -> int:
        return self.log.put("collector", (SYSLOG, f"<13>1 - gw app - - - {text}".encode()))

    def nat(self, event: int, inside: str = INSIDE) -> int:
        session = made.session(self.now_ns, event, inside, OUTSIDE, PORT)
        return self.log.put("collector", made.message(self.now_ns, made.SESSION, session))

    def login(self, event: Any, account: str = "somchai", address: str = INSIDE) -> int:
        values: dict[str, Any] = {
            "kind": "portal", "account": account, "session_id": f"p-{account}", "address": address,
        }  # fmt: skip
        return self.log.put("portal", ("session", encode_session_event(event, self.now_ns, **values)))

    def person(self, account: str, name: str) -> int:
        values = {"account": account, "person": name, "actor": "admin", "details": {}}
        return self.log.put("identity", ("identity", encode_event("account_created", self.now_ns, values)))

    def next_day(self) -> None:
        to_next_day(self.log)
        self.line("good morning")
        self.log.seal_carries()
        self.log.index()
        self.log.clock.advance(6 * 3600)

    def search(self, query: str = "table:logs", **asked: Any) -> list[dict[str, Any]]:
        return self.ask("search", query=query, since="-90d", **asked)["rows"]

    def messages(self, **asked: Any) -> list[tuple[str, str]]:
        return [(row["fields"]["message"], row["log"]) for row in self.search(**asked)]

    def who(self, at_ns: int, **asked: Any) -> dict[str, Any]:
        at = format_iso(at_ns, ZONE)
        return self.ask("who", address=OUTSIDE, port=PORT, at=at, tolerance_seconds=10, **asked)

    def forget_former(self, number: int = 0) -> None:
        """The index of an ended log is of another version: the next start finds it empty."""
        self.log.logs.former[number].engine.clear()
        self.restart()


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    opened = Logs(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Logs]:
    opened = Logs(tmp_path, carries=True)
    yield opened
    opened.close()


def step_of(answer: dict[str, Any], name: str = "public_address") -> dict[str, Any]:
    (candidate,) = answer["candidates"]
    return next(step for step in candidate["steps"] if step["step"] == name)


def test_without_an_earlier_log_questions_read_the_log_itself(logs: Logs) -> None:
    assert logs.log.logs.reader is logs.log.engine


def test_search_finds_the_rows_of_every_log_once_and_in_order(logs: Logs) -> None:
    expected = []
    for number in range(3):
        if number:
            logs.change_key()
        for text in (f"first {number}", f"second {number}"):
            logs.line(text)
            expected.append((text, logs.origin))
    assert logs.messages() == expected[::-1]
    assert logs.messages(limit=3) == expected[:2:-1]
    logs.restart()
    assert logs.messages() == expected[::-1]
    assert logs.ask("search", query="table:logs", since="-90d")["log"] == logs.origin


def test_rows_of_one_moment_are_in_the_order_of_their_logs(logs: Logs) -> None:
    """The second log's clock is put back so that its line arrives in the very nanosecond of the first log's."""
    logs.line("one")
    logs.change_key()
    logs.log.clock.advance(-1)
    logs.line("two")
    rows = logs.search()
    assert rows[0]["received_unix_ns"] == rows[1]["received_unix_ns"]
    assert [row["fields"]["message"] for row in rows] == ["two", "one"]


def test_records_of_equal_numbers_are_not_confused(logs: Logs) -> None:
    for stream in ("audit", "cases"):
        logs.line(f"so that both logs have as many leaves before: the writer of {stream} ends")
    leaf = logs.login("open", "somchai", INSIDE)
    first = logs.origin
    logs.change_key()
    assert leaf == logs.login("open", "malee", OTHER)
    rows = logs.search("table:sessions")
    found = {(row["log"], row["leaf_index"], row["row"], row["fields"]["account"]) for row in rows}
    assert found == {(first, leaf, FIRST_ROW, "somchai"), (logs.origin, leaf, FIRST_ROW, "malee")}
    for origin, account in ((first, "somchai"), (logs.origin, "malee"), ("", "malee")):
        record = logs.ask("record", leaf_index=leaf, row=FIRST_ROW, log=origin, reason="letter 1")
        assert record["log"] == (origin or logs.origin)
        assert [row["fields"]["account"] for row in record["rows"]] == [account]
        assert [row["log"] for row in record["rows"]] == [record["log"]]


def test_sessions_of_equal_numbers_without_a_key_of_their_own_are_two(logs: Logs) -> None:
    """As carried ones are, which are told apart by their place alone."""
    logs.change_key()
    for one in (*logs.log.logs.former, logs.log.logs.newest):
        one.engine.command(
            f"INSERT INTO {one.engine.database}.sessions (leaf_index, row, realm, received, event, kind) "
            f"VALUES (900, 7, 'main', fromUnixTimestamp64Nano({logs.now_ns}, 'UTC'), 'carry', 'portal')"
        )
    assert len({row["log"] for row in logs.search("table:sessions")}) == 2


def test_a_record_is_proven_under_its_own_logs_last_checkpoint(logs: Logs) -> None:
    for text in ("earlier", "early"):
        logs.line(text)
    leaf = logs.line("before")
    first = logs.origin
    logs.change_key()
    assert logs.line("after") == leaf
    (former,) = former_folders(logs.log.paths)
    for origin, paths in ((first, ArchivePaths(former, former / "head")), (logs.origin, logs.log.paths)):
        proof = logs.ask("record", leaf_index=leaf, row=FIRST_ROW, log=origin)["proof"]
        key = parse_verifier_key((paths.log / "key.vkey").read_text().strip())
        head = open_checkpoint(proof["checkpoint"].encode(), key)
        assert (head.origin, proof["tree_size"]) == (origin, head.size)
        assert decode_leaf(proof["leaf"].encode())["log"] == origin
        path = [base64.b64decode(value) for value in proof["proof"]]
        verify_inclusion(leaf_hash(proof["leaf"].encode()), leaf, head.size, path, head.root)


def test_a_log_that_is_none_of_this_archive_has_no_record(logs: Logs) -> None:
    with pytest.raises(AskError, match="has no log") as caught:
        logs.ask("record", leaf_index=1, row=1, log="phayan.test/other")
    assert caught.value.code == "no_such_record"


def test_the_audit_record_names_the_log_that_was_asked(logs: Logs) -> None:
    leaf = logs.line("before")
    first = logs.origin
    logs.change_key()
    logs.ask("record", leaf_index=leaf, row=FIRST_ROW, log=first, reason="letter 7")
    (audit,) = [one for one in logs.audit() if one["event"] == "record"]
    assert audit["question"]["log"] == first


def test_a_translation_over_the_seam_is_one_interval(logs: Logs) -> None:
    logs.person("somchai", "Somchai")
    logs.login("open")
    opened_ns, opened = logs.now_ns, logs.nat(made.CREATE)
    first = logs.origin
    logs.log.clock.advance(120)
    logs.change_key()
    at_ns = logs.now_ns + 60 * NS
    logs.log.clock.advance(120)
    closed_ns = logs.now_ns
    logs.nat(made.DELETE)
    logs.login("close")
    answer = logs.who(at_ns)
    assert (answer["certainty"], answer["log"]) == ("exact", logs.origin)
    step = step_of(answer)
    assert (step["log"], step["leaf_index"], step["row"]) == (first, opened, FIRST_ROW)
    assert (step["from"], step["to"]) == (format_iso(opened_ns, ZONE), format_iso(closed_ns, ZONE))
    assert step_of(answer, "person")["value"] == "Somchai"
    # The holder before the seam is found from both sides of it.
    assert logs.who(opened_ns + 30 * NS)["certainty"] == "exact"


def test_a_translation_that_was_never_closed_is_found_days_after_the_seam(days: Logs) -> None:
    days.login("open")
    opened, first = days.nat(made.CREATE), days.origin
    days.next_day()
    days.change_key()
    days.line("the new log begins within a day")
    for _ in range(3):
        days.next_day()
    answer = days.who(days.now_ns - 60 * NS)
    step = step_of(answer)
    assert (step["log"], step["leaf_index"], step["row"]) == (first, opened, FIRST_ROW)
    assert step["carried_log"] == days.origin
    carried = days.ask("record", leaf_index=step["carried_leaf_index"], row=step["carried_row"], log=days.origin)
    assert [row["fields"]["opened_log"] for row in carried["rows"]] == [first]
    session = step_of(answer, "session")
    assert (session["log"], session["value"]) == (first, "p-somchai")
    assert step["certainty"] == "assumed"


def test_what_was_closed_before_the_seam_is_not_carried_over_it(days: Logs) -> None:
    days.nat(made.CREATE)
    days.next_day()
    days.nat(made.DELETE)
    days.change_key()
    change_day = utc_day(days.now_ns)
    days.line("begin")
    days.next_day()
    assert days.who(days.now_ns)["candidates"] == []
    rows = days.log.rows("nat", "toUnixTimestamp64Nano(time) AS t", "event = 'carry'")
    # It was open at the start of the day on which it was closed.
    assert [utc_day(row["t"]) for row in rows] == [change_day]


def test_carries_of_several_logs_follow_each_other(days: Logs) -> None:
    opened, first = days.nat(made.CREATE), days.origin
    for _ in range(2):
        days.next_day()
        days.change_key()
        days.line("begin")
        days.next_day()
    step = step_of(days.who(days.now_ns))
    assert (step["log"], step["leaf_index"], step["carried_log"]) == (first, opened, days.origin)
    days.nat(made.DELETE)
    days.log.clock.advance(60)
    assert days.who(days.now_ns)["candidates"] == []


def test_until_an_earlier_log_is_indexed_answers_are_pending(days: Logs) -> None:
    days.login("open")
    opened_ns = days.now_ns
    days.nat(made.CREATE)
    days.line("old")
    days.change_key()
    days.line("new")
    days.forget_former()
    # The newest log is indexed to its end: what is missing is the earlier one's alone.
    days.log.index()
    assert days.log.indexer.next_leaf == days.log.indexer.sealed_size
    assert [one.problem for one in days.log.former.behind] == [""]
    asked_ns = opened_ns + 30 * NS
    days.log.clock.advance(60)
    assert days.who(asked_ns)["certainty"] == "pending"
    assert [text for text, _ in days.messages()] == ["new"]
    status = days.ask("status")
    (behind,) = status["former_logs_behind"]
    assert behind["indexed_leaves"] == 0 < behind["tree_size"]
    days.catch_up()
    assert days.ask("status")["former_logs_behind"] == []
    assert [text for text, _ in days.messages()] == ["new", "old"]
    assert step_of(days.who(asked_ns))["certainty"] == "assumed"


def test_what_is_open_is_not_carried_before_the_earlier_log_is_indexed(days: Logs) -> None:
    opened, first = days.nat(made.CREATE), days.origin
    days.next_day()
    days.change_key()
    days.forget_former()
    days.next_day()
    assert days.log.rows("events", "1 AS one", "code = 'open_carried'") == []
    days.catch_up()
    days.line("one more")
    days.log.seal_carries()
    days.log.index()
    assert len(days.log.rows("events", "1 AS one", "code = 'open_carried'")) == 1
    step = step_of(days.who(days.now_ns))
    assert (step["log"], step["leaf_index"], step["carried_log"]) == (first, opened, days.origin)


def test_an_earlier_log_that_cannot_be_read_stops_nothing_else(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.line("old")
    first = logs.origin
    logs.change_key()
    logs.line("new")
    (former,) = former_folders(logs.log.paths)
    (segment,) = (former / "log" / "segments" / "collector").rglob("*.seg")
    stored = segment.read_bytes()
    segment.write_bytes(bytes([stored[0] ^ 1]) + stored[1:])
    logs.forget_former()
    assert logs.log.former.run_once() == 0
    (behind,) = logs.log.former.behind
    assert behind.problem
    alarm = next(one for one in logs.desk.status.conditions() if one.code == "index_lag")
    assert alarm.source == first
    logs.log.receive("collector", (SYSLOG, b"<13>1 - gw app - - - newer"))
    assert [text for text, _ in logs.messages()] == ["newer", "new"]
    segment.write_bytes(stored)
    monkeypatch.setattr(former_indexing, "RETRY_SECONDS", 0.0)
    logs.restart()
    logs.catch_up()
    assert [text for text, _ in logs.messages()] == ["newer", "new", "old"]


def test_alarms_and_losses_of_the_earlier_log_still_stand(logs: Logs) -> None:
    condition = Condition("clock_offset", "clock", "+900 ms")
    logs.desk.alarms.update([condition])
    loss = {
        "from_unix_ns": str(logs.now_ns), "to_unix_ns": str(logs.now_ns + NS), "listener": SYSLOG, "count": 3,
        "how": "kernel_socket_drops",
    }  # fmt: skip
    logs.log.put("collector", ("loss", encode_event("loss", logs.now_ns, loss)))
    first = logs.origin
    logs.stop()
    logs.log._sealer.run_once()
    logs.log.index()
    logs.log.change_key()
    logs.open(logs.log)
    (alarm,) = AlarmBook(logs.audit_writer, logs.log.logs.reader, logs.log.clock).standing(ZONE)
    assert alarm["code"] == "clock_offset"
    losses = [one for one in logs.ask("status")["losses"] if one["how"] == "kernel_socket_drops"]
    assert [one["log"] for one in losses] == [first]
