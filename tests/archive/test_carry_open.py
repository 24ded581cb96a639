"""What was opened days before the question: carried from day to day, found, cited, never doubled."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nat_datagrams as made
import pytest
from flow_days import SYSLOG, to_next_day
from indexed_log import IndexedLog

from archive.addresses import parse_address
from archive.ask.coverage import Coverage
from archive.ask.who import gather
from archive.ask.who_json import answer_to_json
from archive.attribution.answer import answer
from archive.attribution.question import Question
from archive.event_record import encode_event
from archive.index.engine import IndexUnavailableError
from archive.segment import utc_day
from authgw.session_events import encode_session_event
from tests.fault.load import accounting_request

OUTSIDE, INSIDE, OTHER, SERVER = "203.0.113.5", "10.0.0.7", "10.0.0.8", "198.51.100.80"
PORT, NS, DAY_NS = 40_000, 10**9, 86_400 * 10**9
RADIUS = "radius-acct/udp-1813"
FIRST_ROW = 1
"""Every file begins with the start of its writer."""


class Days:
    """A log that lives through days, each with a line of its own."""

    def __init__(self, log: IndexedLog) -> None:
        self.log = log

    @property
    def now_ns(self) -> int:
        return self.log.clock.unix_ns()

    @property
    def day(self) -> str:
        return utc_day(self.now_ns)

    def nat(self, event: int, inside: str = INSIDE, port: int = PORT, *, at_ns: int = 0) -> int:
        """One event of a NAT session; returns its leaf."""
        at_ns = at_ns or self.now_ns
        return self.log.put(
            "collector", made.message(self.now_ns, made.SESSION, made.session(at_ns, event, inside, OUTSIDE, port))
        )

    def block(self, event: int, inside: str = INSIDE) -> int:
        record = made.block(self.now_ns, event, inside, OUTSIDE, PORT, PORT + 999)
        return self.log.put("collector", made.message(self.now_ns, made.BLOCK, record))

    def login(self, event: Any, account: str = "somchai", address: str | None = INSIDE, **given: Any) -> int:
        session_id = f"p-{account}"
        values: dict[str, Any] = {
            "kind": "portal",
            "account": account,
            "session_id": session_id,
            "address": address,
            **given,
        }
        values.setdefault("details", {"person": account.title()})
        return self.log.put("portal", ("session", encode_session_event(event, self.now_ns, **values)))

    def next_day(self) -> None:
        to_next_day(self.log)
        self.log.put("collector", (SYSLOG, b"<13>good morning"))
        self.log.seal_carries()
        self.log.index()
        self.log.clock.advance(6 * 3600)

    def who(self, at_ns: int, port: int | None = PORT, **given: Any) -> dict[str, Any]:
        asked = {"address": parse_address(OUTSIDE), "port": port, "tolerance_seconds": 10.0, **given}
        question = Question(at_unix_ns=at_ns, **asked)
        coverage = Coverage(self.now_ns + DAY_NS, self.now_ns - 90 * DAY_NS)
        known = gather(self.log.engine, coverage, question)
        return answer_to_json(question, answer(question, known), coverage, known, "UTC")

    def holder(self, at_ns: int, **given: Any) -> tuple[str, list[str]]:
        """Certainty of the translation, and the inside addresses."""
        found = self.who(at_ns, **given)
        steps = [{s["step"]: s for s in one["steps"]} for one in found["candidates"]]
        known = {s["public_address"]["certainty"] for s in steps} or {found["certainty"]}
        return "/".join(sorted(known)), sorted(s["inside_address"]["value"].split(":")[0] for s in steps)

    def carried(self, table: str = "nat") -> list[tuple[str, int, int]]:
        """(day, leaf, row) of each carried row: its boundary, and the record it names."""
        rows = self.log.rows(table, "toUnixTimestamp64Nano(time) AS t, opened_leaf, opened_row", "event = 'carry'")
        return sorted((utc_day(r["t"]), r["opened_leaf"], r["opened_row"]) for r in rows)

    def reindex(self) -> None:
        self.log.stop_indexer()
        self.log.carries = False
        self.log.engine.clear()
        self.log.start_indexer()
        self.log.index()


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    log = IndexedLog.make(tmp_path, carries=True)
    yield Days(log)
    log.close()


def public_step(found: dict[str, Any]) -> dict[str, Any]:
    (candidate,) = found["candidates"]
    return next(step for step in candidate["steps"] if step["step"] == "public_address")


def test_a_translation_of_two_days_ago_is_found_and_cites_its_own_opening(days: Days) -> None:
    opened_ns, leaf = days.now_ns, days.nat(made.CREATE)
    for _ in range(3):
        days.next_day()
    at_ns = days.now_ns
    assert days.holder(at_ns) == ("assumed", [INSIDE]), "that it has not ended yet is no sign of life"
    days.log.clock.advance(600)
    days.nat(made.DELETE)
    step = public_step(days.who(at_ns))
    assert (step["certainty"], step["leaf_index"], step["row"]) == ("exact", leaf, FIRST_ROW)
    rows = days.log.rows("nat", "toUnixTimestamp64Nano(opened) AS o, leaf_index, row", "event = 'carry'")
    assert {r["o"] // 10**6 for r in rows} == {opened_ns // 10**6}
    assert (step["carried_leaf_index"], step["carried_row"]) in {(r["leaf_index"], r["row"]) for r in rows}
    assert step["from"].startswith("2026-11-18")
    days.next_day()
    assert len(days.carried()) == 3, "closed, it is not carried on"
    assert days.holder(days.now_ns) == ("no_record", [])


def test_without_the_carry_it_would_not_be_found(days: Days) -> None:
    """The test above must be able to fail."""
    days.nat(made.CREATE)
    for _ in range(3):
        days.next_day()
    days.log.engine.command(
        f"ALTER TABLE {days.log.engine.database}.nat DELETE WHERE event = 'carry' SETTINGS mutations_sync = 2"
    )
    assert days.holder(days.now_ns)[1] == []


def test_a_block_held_for_five_days(days: Days) -> None:
    leaf = days.block(made.ALLOCATE)
    moments = []
    for _ in range(5):
        days.next_day()
        moments.append(days.now_ns)
    days.log.clock.advance(600)
    days.block(made.RELEASE)
    for at_ns in moments:
        step = public_step(days.who(at_ns, port=PORT + 7))
        assert (step["certainty"], step["leaf_index"]) == ("exact", leaf)
        assert step["value"] == f"{OUTSIDE}:{PORT}-{PORT + 999}"
    assert days.holder(days.now_ns + 60 * NS, port=PORT + 7) == ("no_record", [])


def test_a_session_without_a_sign_since_its_start(days: Days) -> None:
    record = accounting_request(1, "s-1")
    leaf = days.log.put("radius", (RADIUS, record))
    (address,) = {row["address"] for row in days.log.rows("sessions", "address")}
    for _ in range(2):
        days.next_day()
    found = days.who(days.now_ns, address=address, port=None)
    (candidate,) = found["candidates"]
    session = next(step for step in candidate["steps"] if step["step"] == "session")
    assert (candidate["account"], session["leaf_index"], session["row"]) == ("somchai", leaf, FIRST_ROW)
    assert (session["certainty"], session["carried_leaf_index"] is not None) == ("assumed", True)
    assert len(days.carried("sessions")) == 2


def test_a_portal_session_is_exact_when_it_ends_later(days: Days) -> None:
    leaf = days.login("open", details={"person": "สมชาย ใจดี"})
    days.nat(made.CREATE)
    for _ in range(3):
        days.next_day()
    at_ns = days.now_ns
    days.log.clock.advance(600)
    days.nat(made.DELETE)
    days.login("close", ended_why="logout")
    found = days.who(at_ns)
    (candidate,) = found["candidates"]
    assert (found["certainty"], candidate["person"]) == ("exact", "สมชาย ใจดี")
    assert next(s["leaf_index"] for s in candidate["steps"] if s["step"] == "session") == leaf
    days.next_day()
    assert len(days.carried("sessions")) == 3


def test_an_end_days_after_the_question_is_found(days: Days) -> None:
    days.login("open")
    days.nat(made.CREATE)
    days.log.clock.advance(60)
    at_ns = days.now_ns
    for _ in range(4):
        days.next_day()
    assert days.who(at_ns)["certainty"] == "assumed"
    days.nat(made.DELETE)
    assert days.who(at_ns)["certainty"] == "assumed", "of the session no sign has come since"
    days.login("close")
    assert days.who(at_ns)["certainty"] == "exact"


def test_what_ended_before_the_boundary_is_not_carried_and_at_it_ends_there(days: Days) -> None:
    boundary_ns = (days.now_ns // DAY_NS + 1) * DAY_NS
    leaves = [days.nat(made.CREATE, port=port) for port in range(PORT, PORT + 3)]
    days.nat(made.DELETE)
    to_next_day(days.log, 30)
    days.nat(made.DELETE, port=PORT + 1, at_ns=boundary_ns)
    days.log.seal_carries()
    days.log.index()
    days.next_day()
    assert [(day, leaf) for day, leaf, _ in days.carried()] == [
        (utc_day(boundary_ns), leaves[1]), (utc_day(boundary_ns), leaves[2]), (utc_day(days.now_ns), leaves[2]),
    ]  # fmt: skip
    assert days.holder(boundary_ns, port=PORT + 1) == ("exact", [INSIDE])
    assert days.holder(boundary_ns + 60 * NS, port=PORT + 1) == ("no_record", [])
    assert days.holder(days.now_ns, port=PORT + 2) == ("assumed", [INSIDE])


def test_an_end_that_came_after_the_boundary_leaf_ends_it_nevertheless(days: Days) -> None:
    days.nat(made.CREATE)
    days.next_day()
    to_next_day(days.log, -60)
    ended_ns = days.now_ns
    days.next_day()
    assert days.holder(days.now_ns) == ("assumed", [INSIDE])
    days.nat(made.DELETE, at_ns=ended_ns)
    days.log.clock.advance(60)
    assert days.holder(days.now_ns) == ("no_record", [])
    assert days.holder(ended_ns - 60 * NS) == ("exact", [INSIDE])
    days.next_day()
    assert len(days.carried()) == 2


def test_the_next_holder_of_the_port_is_the_only_one(days: Days) -> None:
    days.nat(made.CREATE)
    days.next_day()
    days.nat(made.DELETE)
    days.log.clock.advance(60)
    days.nat(made.CREATE, OTHER)
    days.next_day()
    assert days.holder(days.now_ns) == ("assumed", [OTHER])


def test_two_carries_of_one_day_double_no_holder(days: Days) -> None:
    days.nat(made.CREATE)
    days.login("open")
    days.next_day()
    log = days.log
    log.restart_indexer()
    assert log.carry_writer is not None
    log.carry_writer.write_open(days.day, 0, log.engine)
    log.seal_carries()
    log.index()
    assert len(days.carried()) == 1, "the journal has it"
    log.carry_writer._reader._open_days.clear()
    log.carry_writer.write_open(days.day, 4, log.engine)
    log.seal_carries()
    log.index()
    assert len(days.carried()) == len(days.carried("sessions")) == 2
    days.next_day()
    assert len(days.carried()) == len(days.carried("sessions")) == 3
    at_ns = days.now_ns
    days.log.clock.advance(60)
    days.nat(made.DELETE)
    days.login("close")
    found = days.who(at_ns)
    assert (found["certainty"], [one["account"] for one in found["candidates"]]) == ("exact", ["somchai"])


def test_a_reindex_gives_the_same_rows_and_without_the_first_day_the_same_answer(days: Days) -> None:
    first = days.day
    named = {"account": "somchai", "person": "สมชาย ใจดี", "actor": "admin", "details": {}}
    days.log.put("identity", ("identity", encode_event("account_created", days.now_ns, named)))
    days.nat(made.CREATE)
    days.login("open", details={})
    for _ in range(3):
        days.next_day()
    at_ns = days.now_ns
    days.log.clock.advance(60)
    days.nat(made.DELETE)
    days.login("close")
    before, rows = days.who(at_ns), days.carried() + days.carried("sessions")
    assert before["certainty"] == "exact"
    days.reindex()
    assert (days.who(at_ns), days.carried() + days.carried("sessions")) == (before, rows)
    for folder in days.log.paths.segments.glob(f"*/{first}"):
        if folder.parent.name != "identity":
            shutil.rmtree(folder)
    days.reindex()
    assert days.log.rows("nat", where="event = 'open'") == []
    assert days.who(at_ns) == before


def test_a_reindex_writes_no_carry_again(days: Days) -> None:
    days.nat(made.CREATE)
    days.next_day()
    days.next_day()
    days.log.restart_indexer()
    days.log.engine.clear()
    days.log.restart_indexer()
    days.log.index()
    days.log.seal_carries()
    days.log.index()
    assert len(days.carried()) == 2


def test_what_has_no_room_is_counted_and_no_answer_is_exact(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archive.index.carry_open.MAX_MAPPINGS", 1)
    for port in (PORT, PORT + 1):
        days.nat(made.CREATE, port=port)
    days.next_day()
    rows = days.log.rows("events", "details", "code = 'open_carried'")
    details = [json.loads(row["details"]) for row in rows]
    assert [(one["items"], one["not_carried"]) for one in details] == [(0, 0), (1, 1)]
    days.nat(made.CREATE, OTHER, port=PORT + 2)
    days.log.clock.advance(60)
    at_ns = days.now_ns
    days.log.clock.advance(60)
    days.nat(made.DELETE, OTHER, port=PORT + 2)
    days.log.clock.advance(86_400)
    assert days.holder(at_ns, port=PORT + 2) == ("exact", [OTHER]), "the whole carry of the day before tells all"
    monkeypatch.setattr("archive.index.carry_open.MAX_DETOUR_NS", 0)
    assert days.holder(at_ns, port=PORT + 2) == ("assumed", [OTHER])
    assert days.holder(at_ns, port=PORT + 5) == ("cannot_know", [])


def test_an_engine_that_refuses_the_fold_stops_nothing(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    days.nat(made.CREATE)
    query = days.log.engine.query

    def refuses(sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        if "argMaxIf" in sql:
            raise IndexUnavailableError("memory limit")
        return query(sql, parameters)

    monkeypatch.setattr(days.log.engine, "query", refuses)
    days.next_day()
    (last,) = days.log.rows("events", "details", "code = 'open_carried'")[1:]
    assert json.loads(last["details"])["not_carried"] is None
    monkeypatch.undo()
    days.next_day()
    (last,) = days.log.rows("events", "details", "code = 'open_carried'")[2:]
    assert json.loads(last["details"])["not_carried"] == 0, "folded from the whole one before"
    assert len(days.carried()) == 1


@pytest.mark.parametrize("slice_events", [1, 7])
def test_slices_carry_each_once(days: Days, monkeypatch: pytest.MonkeyPatch, slice_events: int) -> None:
    monkeypatch.setattr("archive.index.carry_open.SLICE_EVENTS", slice_events)
    for port in range(PORT, PORT + 10):
        days.nat(made.CREATE, port=port)
    for number in range(5):
        days.login("open", f"user{number}", f"10.1.0.{number}")
    days.next_day()
    assert len(days.carried()) == 10
    assert len(days.carried("sessions")) == 5


def test_a_restart_of_the_device_ends_its_sessions(days: Days) -> None:
    days.login("open", nas_address="192.0.2.1")
    days.login("open", "malee", OTHER, nas_address="192.0.2.2")
    days.log.clock.advance(60)
    values: dict[str, Any] = {"kind": "portal", "account": "", "nas_address": "192.0.2.1"}
    days.log.put("portal", ("session", encode_session_event("nas_on", days.now_ns, **values)))
    days.next_day()
    assert [leaf for _, leaf, _ in days.carried("sessions")] == [3]


def test_a_session_whose_address_came_later_and_one_that_moved(days: Days) -> None:
    days.login("open", address=None)
    days.log.clock.advance(60)
    days.login("update")
    days.log.clock.advance(60)
    days.login("update", address=OTHER)
    for _ in range(2):
        days.next_day()
    rows = days.log.rows("sessions", "address, opened_leaf", "event = 'carry'")
    assert {row["address"] for row in rows} == {parse_address(OTHER)}
    at_ns = days.now_ns
    days.log.clock.advance(60)
    days.login("close", address=None)
    (candidate,) = days.who(at_ns, address=parse_address(OTHER), port=None)["candidates"]
    session = next(s for s in candidate["steps"] if s["step"] == "session")
    assert (session["certainty"], session["from"]) == ("assumed", None), (
        "since when it had this address is not recorded"
    )
    assert days.who(at_ns, address=parse_address(INSIDE), port=None)["candidates"] == []


def test_an_opening_that_was_never_recorded_stays_unknown(days: Days) -> None:
    line = (
        f"<134>Nov 20 08:01:12 gw conntrack: [UPDATE] tcp 6 src={INSIDE} dst={SERVER} sport=5000 dport=443 "
        f"src={SERVER} dst={OUTSIDE} sport=443 dport={PORT} id=7"
    )
    leaf = days.log.put("collector", (SYSLOG, line.encode()))
    for _ in range(2):
        days.next_day()
    assert [one[1] for one in days.carried()] == [leaf, leaf]
    step = public_step(days.who(days.now_ns))
    assert (step["certainty"], step["from"], step["leaf_index"]) == ("assumed", None, leaf)


def test_items_that_cannot_be_read_are_counted(days: Days) -> None:
    good = {"run": "r", "what": "nat", "values": {}}
    bad = [b"{", encode_event("open", 5, good), encode_event("open", 5, {"what": "flows", "values": {}})]
    leaf = days.log.put("other", *[("carry-open", payload) for payload in bad])
    (row,) = days.log.rows("leaves", "counters", f"leaf_index = {leaf}")
    assert dict(row["counters"]) == {"own_events_malformed": 2}
