"""search and who over a small log: real decoders, real index."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ask_desk import ZONE, AskDesk
from netflow_datagrams import data, template

from archive.errors import AskError
from archive.event_record import encode_event
from archive.query.parse import FIELDS
from archive.time_text import format_iso
from authgw.session_events import encode_session_event

OUTSIDE, SERVER, OTHER_SERVER = "203.0.113.5", "198.51.100.80", "198.51.100.81"
PEOPLE = {"somchai": ("10.0.0.7", "สมชาย ใจดี", SERVER), "malee": ("10.0.0.8", "มาลี มีสุข", OTHER_SERVER)}
SYSLOG = "syslog/udp-5514"
LONG = 120
"""Seconds around the moment: more than the window and the time a sealed record takes."""


def conntrack(word: str, inside: str, server: str, port: int = 40_000) -> tuple[str, bytes]:
    line = f"tcp 6 src={inside} dst={server} sport=5000 dport=443 src={server} dst={OUTSIDE} sport=443 dport={port}"
    return SYSLOG, f"<134>Nov 20 08:01:12 gw conntrack: [{word}] {line} id=7".encode()


class Office(AskDesk):
    """Two people behind one port towards two servers; `at` is a moment in the middle."""

    def session(self, event: Any, account: str, **given: Any) -> tuple[str, bytes]:
        moment = self.log.clock.unix_ns() + 10**9
        address = given.pop("address", PEOPLE[account][0])
        return "session", encode_session_event(
            event, moment, kind="portal", account=account, session_id=f"p-{account}", address=address, **given
        )

    def live(self) -> None:
        log = self.log
        log.put("identity", *[("identity", self.identity(a, p)) for a, (_, p, _) in PEOPLE.items()])
        log.put("portal", *[self.session("open", a) for a in PEOPLE])
        self.opened = log.put("collector", *[conntrack("NEW", inside, s) for inside, _, s in PEOPLE.values()])
        log.clock.advance(LONG)
        self.at_ns = log.clock.unix_ns()
        log.clock.advance(LONG)
        log.put("collector", *[conntrack("DESTROY", inside, s) for inside, _, s in PEOPLE.values()])
        log.put("portal", *[self.session("close", a, ended_why="logout") for a in PEOPLE])
        log.clock.advance(LONG)

    def identity(self, account: str, person: str) -> bytes:
        values = {"account": account, "person": person, "actor": "admin", "details": {"identified_how": "id card"}}
        return encode_event("account_created", self.log.clock.unix_ns() + 10**9, values)

    def who(self, **asked: Any) -> dict[str, Any]:
        return self.ask("who", **{"address": OUTSIDE, "port": 40_000, "at": format_iso(self.at_ns, ZONE), **asked})

    def search(self, query: str = "", **given: Any) -> list[dict[str, Any]]:
        return self.ask("search", query=query, since="-7d", **given)["rows"]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Read only: shared by the tests that just ask."""
    made = Office(tmp_path_factory.mktemp("lived"))
    made.live()
    yield made
    made.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    made.at_ns = made.log.clock.unix_ns()
    yield made
    made.close()


def test_two_hosts_on_one_port_are_both_named(lived: Office) -> None:
    answer = lived.who()
    assert answer["certainty"] == "several"
    assert {c["person"] for c in answer["candidates"]} == {person for _, person, _ in PEOPLE.values()}


@pytest.mark.parametrize("account", PEOPLE)
def test_the_destination_tells_them_apart(lived: Office, account: str) -> None:
    inside, person, server = PEOPLE[account]
    answer = lived.who(to=f"{server}:443", protocol="tcp")
    (candidate,) = answer["candidates"]
    assert (answer["certainty"], candidate["account"], candidate["person"]) == ("exact", account, person)
    steps = {step["step"]: step for step in candidate["steps"]}
    assert steps["inside_address"]["value"] == f"{inside}:5000"
    assert steps["public_address"]["leaf_index"] == lived.opened
    assert {step["log"] for step in steps.values()} == {lived.log.paths.origin()}
    record = lived.ask("record", leaf_index=lived.opened, row=steps["public_address"]["row"], reason="x")
    assert any(row["table"] == "nat" and row["fields"]["inside_address"] == inside for row in record["rows"])


@pytest.mark.parametrize(
    ("asked", "certainty", "accounts"),
    [
        ({"port": 40_001}, "no_record", []),
        ({"port": None}, "several", ["malee", "somchai"]),
        ({"protocol": "udp"}, "no_record", []),
        ({"realm": "annex"}, "cannot_know", []),
        ({"address": "203.0.113.99"}, "cannot_know", []),
        ({"address": "10.0.0.7", "port": None}, "exact", ["somchai"]),
        ({"address": "", "to": SERVER, "port": None}, "exact", ["somchai"]),
        ({"tolerance_seconds": 0}, "several", ["malee", "somchai"]),
        ({"tolerance_seconds": 3600}, "not_received", ["malee", "somchai"]),
    ],
)
def test_questions(lived: Office, asked: dict[str, Any], certainty: str, accounts: list[str]) -> None:
    answer = lived.who(**asked)
    assert (answer["certainty"], sorted(c["account"] for c in answer["candidates"])) == (certainty, accounts)


def test_what_was_asked_is_echoed(lived: Office) -> None:
    asked = lived.who(tolerance_seconds=0)["asked"]
    assert (asked["tolerance_seconds"], asked["from"], asked["until"]) == (0, asked["at"], asked["at"])
    assert (asked["address"], asked["port"]) == (OUTSIDE, 40_000)


def test_a_moment_past_retention_is_expired(lived: Office) -> None:
    answer = lived.who(at="-91d")
    assert (answer["certainty"], answer["candidates"]) == ("expired", [])


def test_a_loss_of_evidence_weakens_and_one_of_ours_does_not(office: Office) -> None:
    office.live()
    for listener, certainty in (("audit", "several"), (SYSLOG, "not_received")):
        loss = {
            "from_unix_ns": str(office.at_ns),
            "to_unix_ns": str(office.at_ns),
            "listener": listener,
            "count": 5,
            "how": "k",
        }
        office.log.put("collector", ("loss", encode_event("loss", office.at_ns, loss)))
        office.log.clock.advance(LONG)
        assert office.who()["certainty"] == certainty
    (loss,) = [x for x in office.who()["losses"] if x["how"] == "k"]
    assert (loss["listener"], loss["count"]) == (SYSLOG, 5)


def test_what_is_received_but_not_sealed_is_pending(office: Office) -> None:
    office.live()
    at = format_iso(office.log.clock.unix_ns(), ZONE)
    assert office.who(at=at, tolerance_seconds=0)["certainty"] == "no_record"
    writer = office.log.writer("collector")
    writer.wait_durable(writer.append(b"<134>x", listener=SYSLOG))
    office.log.clock.advance(LONG)
    at = format_iso(office.log.clock.unix_ns(), ZONE)
    assert office.who(at=at, tolerance_seconds=0)["certainty"] == "pending"


def test_what_is_sealed_but_not_indexed_is_pending(office: Office) -> None:
    office.live()
    office.log.put("collector", conntrack("NEW", "10.0.0.9", SERVER, 50_000), index=False)
    office.log.indexer.run_once(at_most=0)
    at = format_iso(office.log.clock.unix_ns(), ZONE)
    assert office.who(at=at, tolerance_seconds=0, port=50_000)["certainty"] == "pending"
    office.log.index()
    assert office.who(at=at, tolerance_seconds=0, port=50_000)["candidates"]


def test_what_was_sealed_since_the_indexer_looked_is_pending(office: Office) -> None:
    office.live()
    office.log.put("collector", conntrack("NEW", "10.0.0.9", SERVER, 50_000), index=False)
    at = format_iso(office.log.clock.unix_ns(), ZONE)
    assert office.who(at=at, tolerance_seconds=0, port=50_000)["certainty"] == "pending"


def test_a_stream_that_waits_holds_the_limit_back(office: Office) -> None:
    log = office.log
    log.put("collector", (SYSLOG, b"<134>x"))
    writers = [log.writer(stream) for stream in ("collector", "radius")]
    received = log.clock.unix_ns()
    for writer in writers:
        writer.append(b"<134>x", listener=SYSLOG)
        log.clock.advance(10)
        writer.append(b"<134>x", listener=SYSLOG)
        log.clock.advance(-10)
        writer.close()
        log.writers.remove(writer)
    log.clock.advance(20)
    log._sealer.run_once()
    log.indexer.run_once(at_most=1)
    assert log.indexer.next_leaf < log.check()
    assert office.desk.coverage().indexed_until_ns <= received
    log.index()
    assert office.desk.coverage().indexed_until_ns == log.clock.unix_ns()


def test_a_running_flow_may_still_be_reported(office: Office) -> None:
    clock = office.log.clock
    flow = ("10.0.0.7", 5000, OUTSIDE, 40_000)
    seconds = clock.unix_ns() // 10**9
    office.log.put("collector", ("netflow/udp-2055", template(seconds)), ("netflow/udp-2055", data(seconds, 2, flow)))
    office.at_ns = clock.unix_ns()
    clock.advance(LONG)
    assert office.who(port=40_001)["certainty"] == "pending"
    clock.advance(1800)
    assert office.who(port=40_001)["certainty"] == "no_record"
    (step, *_) = office.who()["candidates"][0]["steps"]
    assert (step["value"], step["certainty"]) == (f"{OUTSIDE}:40000", "assumed")


def test_a_later_name_does_not_change_what_was(office: Office) -> None:
    office.live()
    office.log.put("identity", ("identity", office.identity("somchai", "ชื่อใหม่")))
    assert office.who(to=SERVER)["candidates"][0]["person"] == "สมชาย ใจดี"


def test_the_directorys_name_is_taken_from_the_log_in(office: Office) -> None:
    office.log.put(
        "portal", office.session("open", "somchai", details={"person": "จากไดเรกทอรี", "source": "directory"})
    )
    office.log.clock.advance(LONG)
    office.at_ns = office.log.clock.unix_ns()
    office.log.clock.advance(LONG)
    office.log.put("portal", office.session("close", "somchai"))
    office.log.clock.advance(LONG)
    answer = office.who(address="10.0.0.7", port=None)
    assert (answer["certainty"], answer["candidates"][0]["person"]) == ("exact", "จากไดเรกทอรี")


def test_a_question_that_is_too_wide_says_so(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.live()
    monkeypatch.setattr("archive.ask.who.MAX_EVENTS", 3)
    with pytest.raises(AskError) as caught:
        office.who()
    assert caught.value.code == "too_wide"


def test_search_is_newest_first_and_limited(lived: Office) -> None:
    everything = lived.ask("search", query="", since="-7d", limit=10_000)
    keys = [(r["received_unix_ns"], r["leaf_index"], r["row"]) for r in everything["rows"]]
    assert keys == sorted(keys, reverse=True)
    assert everything["more"] is False
    assert {r["table"] for r in everything["rows"]} == {"logs", "nat", "sessions", "identity", "events", "losses"}
    for limit in (1, 3, len(keys) - 1, len(keys)):
        some = lived.ask("search", query="", since="-7d", limit=limit)
        assert some["rows"] == everything["rows"][:limit]
        assert some["more"] is (limit < len(keys))
    json.dumps(everything)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("table:nat", 4),
        ("table:nat src:10.0.0.7", 2),
        ("table:nat -src:10.0.0.7", 2),
        ("table:nat ip:203.0.113.0/24", 4),
        ("table:nat dst:198.51.100.80/31 event:close", 2),
        ("table:nat port:40000 proto:tcp", 4),
        ("table:nat -proto:6", 0),
        ("table:nat from:192.0.2.254", 4),
        ("table:sessions user:SOMCHAI", 2),
        ("user:somchai event:open", 1),
        ('table:identity "ใจดี"', 1),
        ("table:logs destroy", 2),
        ("table:logs -destroy", 2),
        ("host:gw app:conntrack", 4),
        ("action:deny", 0),
        ("table:nat table:logs", 0),
        ("' OR 1=1 --", 0),
    ],
)
def test_search_terms(lived: Office, query: str, found: int) -> None:
    assert len(lived.search(query, limit=1000)) == found


@pytest.mark.parametrize("field", [name for name in FIELDS if name not in ("table",)])
def test_every_field_reaches_the_engine(lived: Office, field: str) -> None:
    value = {"src": "10.0.0.7", "dst": "10.0.0.0/8", "ip": "::/0", "from": "::1", "proto": "tcp"}.get(field, "7")
    plain, negated, everything = (
        len(lived.search(q, limit=1000)) for q in (f"{field}:{value}", f"-{field}:{value}", "")
    )
    assert plain + negated == everything


@pytest.mark.parametrize(
    "value", ["'", "\\", "`; DROP TABLE logs", "{p0:String}", "%s", "\x00", "\t", "สมชาย", "😀", "$1"]
)
def test_odd_values_are_values(lived: Office, value: str) -> None:
    quoted = '"' + value.replace("\\", "\\\\") + '"'
    for field in ("", "user:", "host:", "event:"):
        assert isinstance(lived.search(f"{field}{quoted}"), list)
    assert len(lived.search("", limit=1000)) > 10


def test_the_range_is_of_receipt_and_closed(lived: Office) -> None:
    (newest, *_) = lived.search("table:nat")
    moment = format_iso(newest["received_unix_ns"], ZONE)
    exactly = lived.ask("search", query="table:nat", since=moment, until=moment)["rows"]
    assert {r["received_unix_ns"] for r in exactly} == {newest["received_unix_ns"]}
    before = format_iso(newest["received_unix_ns"] - 1, ZONE)
    assert all(r["received_unix_ns"] < newest["received_unix_ns"] for r in lived.search("table:nat", until=before))


def test_a_retransmission_is_one_event_and_the_first_stands_for_it(office: Office) -> None:
    packet = office.session("open", "somchai")
    first = office.log.put("portal", packet)
    other = office.session("open", "malee")
    second = office.log.put("portal", packet, other)
    rows = office.search("table:sessions")
    assert [(r["leaf_index"], r["fields"]["account"]) for r in rows] == [(second, "malee"), (first, "somchai")]
    assert len(office.log.rows("sessions")) == 3


def test_times_of_rows_keep_their_nanoseconds(office: Office) -> None:
    office.log.clock.advance(0.123456789)
    office.log.put("collector", (SYSLOG, b"<134>x"))
    (row,) = office.search("table:logs")
    assert row["received_unix_ns"] == office.log.clock.unix_ns()
    assert row["time"].endswith(f".{office.log.clock.unix_ns() % 10**9:09d}+07:00")
    assert f".{office.log.clock.unix_ns() % 10**9:09d}" in row["fields"]["received"]
