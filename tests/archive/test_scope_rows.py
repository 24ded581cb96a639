"""Rows of a scope out of chunks that hold everybody's: real decoders, real engine."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from indexed_log import IndexedLog
from netflow_datagrams import data, template

from archive.addresses import format_address
from archive.ask.scope_rows import rows_in_scope
from archive.cases.scope import Scope, SubjectAddress
from archive.cases.scope_text import parse_scope
from archive.event_record import encode_event
from archive.schema import SCHEMAS
from authgw.session_events import encode_session_event

NS = 1_000_000_000
PEOPLE = 100
OUTSIDE = "203.0.113.5"
SYSLOG, NETFLOW = "syslog/udp-5514", "netflow/2055"


def address_of(number: int) -> str:
    return f"10.0.1.{number}"


def line(inside: str) -> tuple[str, bytes]:
    words = f"IN=br0 OUT=ppp0 SRC={inside} DST=198.51.100.80 LEN=60 PROTO=TCP SPT=5000 DPT=443"
    return SYSLOG, f"<134>Nov 20 08:01:12 gw kernel: {words}".encode()


def conntrack(inside: str, port: int) -> tuple[str, bytes]:
    words = (
        f"src={inside} dst=198.51.100.80 sport=5000 dport=443 src=198.51.100.80 dst={OUTSIDE} sport=443 dport={port}"
    )
    return SYSLOG, f"<134>Nov 20 08:01:12 gw conntrack: [NEW] tcp 6 {words} id=7".encode()


class School(IndexedLog):
    """A hundred people, each with a session, a line, a translation and a flow in chunks that all share."""

    start_ns: int
    end_ns: int

    def session(self, event: Any, number: int, moment_ns: int, **given: Any) -> tuple[str, bytes]:
        values: dict[str, Any] = {"kind": "portal", "account": f"pupil{number}", "session_id": f"p-{number}"}
        values |= {"address": address_of(number), "station": f"02:00:00:00:00:{number:02x}"} | given
        return "session", encode_session_event(event, moment_ns, **values)

    def identity(self, account: str, person: str, moment_ns: int) -> tuple[str, bytes]:
        values = {"account": account, "person": person, "actor": "admin", "details": {}}
        return "identity", encode_event("account_created", moment_ns, values)

    def live(self) -> None:
        numbers = range(1, PEOPLE + 1)
        now = self.clock.unix_ns()
        self.start_ns = now + 10 * NS
        self.put("identity", *[self.identity(f"pupil{n}", f"บุคคล {n}", now) for n in numbers])
        self.put("portal", *[self.session("open", n, self.start_ns) for n in numbers])
        self.clock.advance(60)
        now = self.clock.unix_ns()
        self.at_ns = now
        self.put(
            "collector",
            *[line(address_of(n)) for n in numbers],
            *[conntrack(address_of(n), 40_000 + n) for n in numbers],
            (NETFLOW, template(now // NS)),
            (NETFLOW, data(now // NS, 2, *[(address_of(n), 5000, OUTSIDE, 40_000 + n) for n in numbers[:30]])),
        )
        self.clock.advance(60)
        self.end_ns = self.clock.unix_ns()
        self.put("portal", *[self.session("close", n, self.end_ns, ended_why="logout") for n in numbers])

    def scope(self, **subjects: Any) -> Scope:
        whole = {"from_unix_ns": self.start_ns - 3600 * NS, "until_unix_ns": self.end_ns + 3600 * NS}
        return Scope(**{**whole, **subjects})

    def find(self, scope: Scope, day: str | None = None) -> dict[str, pa.Table]:
        found = rows_in_scope(self.engine, scope, day)
        for name, rows in found.items():
            assert rows.schema == SCHEMAS[name]
        return found


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    made = School.make(tmp_path_factory.mktemp("school"))
    made.live()
    yield made  # type: ignore[misc]
    made.close()


def inside_addresses(table: str, rows: pa.Table) -> set[str]:
    column = {"sessions": "address", "nat": "inside_address"}.get(table, "source_address")
    return {format_address(value) for value in rows[column].to_pylist()}


@pytest.mark.parametrize(
    "subjects",
    [
        {"persons": ("บุคคล 7",)},
        {"accounts": ("pupil7",)},
        {"accounts": ("PUPIL7",)},
        {"devices": ("02:00:00:00:00:07",)},
        {"addresses": (SubjectAddress("10.0.1.7/32"),)},
        {"addresses": (SubjectAddress("10.0.1.7/32", "main"),)},
        {"persons": ("บุคคล 7",), "accounts": ("pupil7",), "devices": ("02:00:00:00:00:07",)},
    ],
)
def test_one_of_a_hundred_in_one_chunk(school: School, subjects: dict[str, Any]) -> None:
    found = school.find(school.scope(**subjects))
    assert {name: rows.num_rows for name, rows in found.items()} == {"sessions": 2, "nat": 3, "flows": 1, "logs": 2}
    for name, rows in found.items():
        assert inside_addresses(name, rows) <= {address_of(7)}, name
    # Each is the very row of the index: same record, same content.
    for name, rows in found.items():
        kept = {(r["leaf_index"], r["row"], r.get("source_port"), r.get("inside_port")) for r in rows.to_pylist()}
        there = {(r["leaf_index"], r["row"], r.get("source_port"), r.get("inside_port")) for r in school.rows(name)}
        assert kept <= there


def test_two_persons_are_the_union_of_each(school: School) -> None:
    both = school.find(school.scope(persons=("บุคคล 7", "บุคคล 8")))
    each = [school.find(school.scope(persons=(name,))) for name in ("บุคคล 7", "บุคคล 8")]
    for name, rows in both.items():
        assert rows.num_rows == sum(one[name].num_rows for one in each), name
        assert inside_addresses(name, rows) == {address_of(7), address_of(8)}


@pytest.mark.parametrize(
    "subjects",
    [
        {"persons": ("บุคคล 777",)},
        {"accounts": ("pupil",)},
        {"devices": ("02:00:00:00:ff:07",)},
        {"addresses": (SubjectAddress("10.0.1.7/32", "annex"),)},
        {"addresses": (SubjectAddress("10.0.2.0/24"),)},
    ],
)
def test_nobody_gives_nothing(school: School, subjects: dict[str, Any]) -> None:
    assert school.find(school.scope(**subjects)) == {}


def test_a_network_and_an_outside_address_take_whom_they_hold(school: School) -> None:
    found = school.find(school.scope(addresses=(SubjectAddress("10.0.1.0/28"),)))
    assert inside_addresses("nat", found["nat"]) == {address_of(n) for n in range(1, 16)}
    assert {name: rows.num_rows for name, rows in found.items()} == {"sessions": 30, "nat": 45, "flows": 15, "logs": 30}
    outside = school.find(school.scope(addresses=(SubjectAddress(f"{OUTSIDE}/32"),)))
    # And who was logged in behind it: the translation alone leads to nobody.
    counts = {"sessions": 2 * PEOPLE, "nat": PEOPLE + 60, "flows": 30}
    assert {name: rows.num_rows for name, rows in outside.items()} == counts


def test_days_are_those_of_receipt(school: School) -> None:
    scope = school.scope(persons=("บุคคล 7",))
    (day,) = {str(row["received"])[:10].replace("-", "") for row in school.rows("logs")}
    assert {name: rows.num_rows for name, rows in school.find(scope, day).items()} == {
        name: rows.num_rows for name, rows in school.find(scope).items()
    }
    assert school.find(scope, "20261117") == {}


def test_never_identity_audit_or_cases(school: School) -> None:
    whole = school.scope(addresses=(SubjectAddress("0.0.0.0/0"), SubjectAddress("::/0")))
    assert school.find(whole).keys() == {"sessions", "nat", "flows", "logs"}


@pytest.fixture
def office(tmp_path: Any) -> Iterator[School]:
    made = School.make(tmp_path)
    yield made  # type: ignore[misc]
    made.close()


def test_an_address_passed_on_is_only_theirs_while_they_had_it(office: School) -> None:
    clock = office.clock
    office.put(
        "identity", office.identity("pupil1", "หนึ่ง", clock.unix_ns()), office.identity("pupil2", "สอง", clock.unix_ns())
    )

    def use(word: str) -> None:
        clock.advance(10)
        office.put("collector", (SYSLOG, line("10.0.1.9")[1] + f" {word}".encode()))
        clock.advance(10)

    office.start_ns = clock.unix_ns()
    use("nobody")
    office.put("portal", office.session("open", 1, clock.unix_ns(), address="10.0.1.9"))
    use("first")
    # Its end is lost: the next holder's log-in ends it.
    office.put("portal", office.session("open", 2, clock.unix_ns(), address="10.0.1.9"))
    use("second")
    office.put("portal", office.session("close", 2, clock.unix_ns(), address="10.0.1.9"))
    use("after")
    office.end_ns = clock.unix_ns()
    for person, word in (("หนึ่ง", "first"), ("สอง", "second")):
        rows = office.find(office.scope(persons=(person,)))["logs"]
        assert [text.rsplit(" ", 1)[1] for text in rows["message"].to_pylist()] == [word]
    by_address = office.find(office.scope(addresses=(SubjectAddress("10.0.1.9/32"),)))["logs"]
    assert by_address.num_rows == 4


def test_an_account_that_changed_hands_is_each_ones_in_their_time(office: School) -> None:
    clock = office.clock
    office.start_ns = clock.unix_ns()
    for person in ("ก่อน", "หลัง"):
        office.put("identity", office.identity("pupil1", person, clock.unix_ns()))
        clock.advance(5)
        office.put("portal", office.session("open", 1, clock.unix_ns(), session_id=person))
        clock.advance(5)
        office.put("collector", (SYSLOG, line(address_of(1))[1] + f" {person}".encode()))
        office.put("portal", office.session("close", 1, clock.unix_ns(), session_id=person))
        clock.advance(5)
    office.end_ns = clock.unix_ns()
    for person in ("ก่อน", "หลัง"):
        found = office.find(office.scope(persons=(person,)))
        assert set(found["sessions"]["session_id"].to_pylist()) == {person}
        assert [text.rsplit(" ", 1)[1] for text in found["logs"]["message"].to_pylist()] == [person]
    assert office.find(office.scope(accounts=("pupil1",)))["logs"].num_rows == 2


def test_whole_days_end_with_their_last_nanosecond(office: School) -> None:
    scope = parse_scope(
        {"addresses": ["10.0.1.1"], "from": "2026-11-18", "until": "2569-11-18"}, now_unix_ns=0, zone="Asia/Bangkok"
    )
    last_ms = scope.until_unix_ns - 999_999
    office.put(
        "portal",
        office.session("open", 1, last_ms, session_id="in"),
        office.session("close", 1, last_ms, session_id="in"),
        office.session("open", 1, scope.until_unix_ns + 1, session_id="out"),
        office.session("close", 1, scope.until_unix_ns + 2, session_id="out"),
    )
    found = office.find(scope)
    assert set(found["sessions"]["session_id"].to_pylist()) == {"in"}


def test_a_refused_log_in_is_of_the_account(office: School) -> None:
    office.start_ns = office.clock.unix_ns()
    refused = {"address": None, "session_id": "", "station": ""}
    office.put("radius", *[office.session("reject", n, office.clock.unix_ns(), **refused) for n in (1, 2)])
    office.end_ns = office.clock.unix_ns()
    rows = office.find(office.scope(accounts=("pupil2",)))["sessions"]
    assert (rows["event"].to_pylist(), rows["account"].to_pylist()) == (["reject"], ["pupil2"])


def test_lines_that_name_the_account(school: School) -> None:
    row = school.rows("logs")[0]
    schema = SCHEMAS["logs"]
    named = {name: row[name] for name in schema.names} | {"user": "Pupil9", "row": 9_999, "source_address": None}
    school.engine.insert("logs", pa.Table.from_pylist([named], schema=schema), "a line with a user")
    places = school.find(school.scope(accounts=("pupil9",)))["logs"]["row"].to_pylist()
    assert 9_999 in places
    assert 9_999 not in school.find(school.scope(accounts=("pupil8",)))["logs"]["row"].to_pylist()


def lasting(event: str, number: int) -> tuple[str, bytes]:
    """A translation that is open for an hour."""
    words = (
        f"src={address_of(number)} dst=198.51.100.81 sport=7000 dport=443 src=198.51.100.81 dst={OUTSIDE} sport=443 "
        f"dport={60_000 + number}"
    )
    return SYSLOG, f"<134>Nov 20 08:01:12 gw conntrack: [{event}] tcp 6 {words} id={900 + number}".encode()


@pytest.mark.parametrize("subject", ["account", "outside address"])
def test_what_began_before_the_interval_and_lasted_into_it_is_whole(tmp_path: Any, subject: str) -> None:
    school = School.make(tmp_path)
    try:
        now = school.clock.unix_ns()
        school.put("portal", *[school.session("open", n, now) for n in (1, 2)])
        school.put("collector", *[lasting("NEW", n) for n in (1, 2)])
        school.clock.advance(1800)
        start = school.clock.unix_ns()
        school.clock.advance(1800)
        school.put("collector", *[lasting("DESTROY", n) for n in (1, 2)])
        end = school.clock.unix_ns()
        school.put("portal", *[school.session("close", n, end, ended_why="logout") for n in (1, 2)])
        of = {"accounts": ("pupil1",)} if subject == "account" else {"addresses": (SubjectAddress(f"{OUTSIDE}/32"),)}
        found = rows_in_scope(school.engine, Scope(start, start + 60 * NS, **of))
        people = 1 if subject == "account" else 2
        assert {name: rows.num_rows for name, rows in found.items()} == {"sessions": 2 * people, "nat": 2 * people}
        after = rows_in_scope(school.engine, Scope(end + 60 * NS, end + 120 * NS, **of))
        assert after == {}
    finally:
        school.close()
