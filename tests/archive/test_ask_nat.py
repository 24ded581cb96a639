"""who over translations of flow records: sessions, blocks of ports, both directions. Real decoders, real index."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nat_datagrams as made
import pytest
from ask_desk import ZONE, AskDesk

from archive.event_record import encode_event
from archive.time_text import format_iso
from authgw.session_events import encode_session_event

OUTSIDE, SERVER = "203.0.113.5", "198.51.100.80"
PEOPLE = {"somchai": "10.0.0.7", "malee": "10.0.0.8", "anong": "10.0.0.9"}
LONG = 120
NS = 10**9


class Office(AskDesk):
    """Three people logged in for as long as the test lasts."""

    at_ns = 0

    def live(self, before: Callable[[int], Any], after: Callable[[int], Any]) -> None:
        """`before` and `after` make a datagram of a moment, sent before and after the moment that is asked about."""
        clock = self.log.clock
        self.log.put("identity", *[self.person(account) for account in PEOPLE])
        self.log.put("portal", *[self.login("open", account) for account in PEOPLE])
        self.log.put("collector", before(clock.unix_ns()))
        clock.advance(LONG)
        self.at_ns = clock.unix_ns()
        clock.advance(LONG)
        self.log.put("collector", after(clock.unix_ns()))
        self.log.put("portal", *[self.login("close", account) for account in PEOPLE])
        clock.advance(1800 + LONG)

    def person(self, account: str) -> tuple[str, bytes]:
        values = {"account": account, "person": account.title(), "actor": "admin", "details": {}}
        return "identity", encode_event("account_created", self.log.clock.unix_ns(), values)

    def login(self, event: Any, account: str) -> tuple[str, bytes]:
        moment = self.log.clock.unix_ns() + NS
        return "session", encode_session_event(
            event, moment, kind="portal", account=account, session_id=f"p-{account}", address=PEOPLE[account]
        )

    def who(self, port: int | None, **asked: Any) -> tuple[str, list[str]]:
        self.answer = self.ask("who", **{"address": OUTSIDE, "port": port, "at": format_iso(self.at_ns, ZONE), **asked})
        return self.answer["certainty"], sorted(one["account"] or "" for one in self.answer["candidates"])


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made_office = Office(tmp_path)
    yield made_office
    made_office.close()


def blocks(event: int, *given: tuple[str, int, int], step: int | None = None) -> Callable[[int], Any]:
    fields = made.BLOCK if step is None else made.STEPPED
    return lambda ns: made.message(
        ns, fields, *[made.block(ns, event, PEOPLE[a], OUTSIDE, low, high, step) for a, low, high in given]
    )


SHARED_OUT = (("somchai", 1024, 2047), ("malee", 2048, 3071))


def test_the_holder_of_a_block_holds_each_of_its_ports_and_no_other(office: Office) -> None:
    office.live(blocks(made.ALLOCATE, *SHARED_OUT), blocks(made.RELEASE, *SHARED_OUT))
    found = {port: office.who(port) for port in (1023, 1024, 2047, 2048, 3071, 3072)}
    assert found == {
        1023: ("no_record", []), 1024: ("exact", ["somchai"]), 2047: ("exact", ["somchai"]),
        2048: ("exact", ["malee"]), 3071: ("exact", ["malee"]), 3072: ("no_record", []),
    }  # fmt: skip
    office.who(1500)
    (step, *_) = office.answer["candidates"][0]["steps"]
    assert step["value"] == f"{OUTSIDE}:1024-2047"


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp", "6"])
def test_a_block_holds_for_every_protocol(office: Office, protocol: str) -> None:
    office.live(blocks(made.ALLOCATE, *SHARED_OUT), blocks(made.RELEASE, *SHARED_OUT))
    assert office.who(2048, protocol=protocol) == ("exact", ["malee"])


def test_a_destination_does_not_hide_the_only_holder_of_a_block(office: Office) -> None:
    office.live(blocks(made.ALLOCATE, *SHARED_OUT), blocks(made.RELEASE, *SHARED_OUT))
    assert office.who(2048, to=f"{SERVER}:443") == ("exact", ["malee"])


def test_without_a_port_all_holders_of_blocks_are_named(office: Office) -> None:
    office.live(blocks(made.ALLOCATE, *SHARED_OUT), blocks(made.RELEASE, *SHARED_OUT))
    assert office.who(None) == ("several", ["malee", "somchai"])


def test_a_block_that_is_still_held_is_assumed(office: Office) -> None:
    office.live(blocks(made.ALLOCATE, *SHARED_OUT), blocks(made.ALLOCATE, ("anong", 4096, 5119)))
    assert office.who(1500) == ("assumed", ["somchai"])
    assert office.who(4096) == ("no_record", []), "handed out later"


def test_a_block_that_changed_hands_within_the_window_has_several_holders(office: Office) -> None:
    second = 10 * NS

    def hand_over(ns: int) -> Any:
        before, after = ns - LONG * NS - second, ns - LONG * NS + second
        return made.message(
            ns, made.BLOCK,
            made.block(before, made.RELEASE, PEOPLE["somchai"], OUTSIDE, 1024, 2047),
            made.block(after, made.ALLOCATE, PEOPLE["malee"], OUTSIDE, 1024, 2047),
        )  # fmt: skip

    office.live(blocks(made.ALLOCATE, ("somchai", 1024, 2047)), hand_over)
    assert office.who(1500) == ("several", ["malee", "somchai"])
    assert office.who(1500, tolerance_seconds=0) == ("no_record", [])


def test_hosts_with_every_fourth_port_of_one_range_are_all_named_and_none_is_proven(office: Office) -> None:
    both = (("somchai", 1024, 2044), ("malee", 1025, 2045))
    office.live(blocks(made.ALLOCATE, *both, step=4), blocks(made.RELEASE, *both, step=4))
    assert office.who(1500) == ("several", ["malee", "somchai"])
    certainty, accounts = office.who(1024)
    assert (certainty, accounts) == ("assumed", ["somchai"])
    (step, *_) = office.answer["candidates"][0]["steps"]
    assert step["why"] == "the source gives no exact times or ports of the block"


def sessions(event: int, *given: tuple[str, int, str]) -> Callable[[int], Any]:
    return lambda ns: made.message(
        ns, made.SESSION, *[made.session(ns, event, PEOPLE[a], OUTSIDE, port, to) for a, port, to in given]
    )


def test_sessions_of_nat_events(office: Office) -> None:
    both = (("somchai", 40000, SERVER), ("malee", 40000, "198.51.100.81"), ("anong", 40001, SERVER))
    office.live(sessions(made.CREATE, *both), sessions(made.DELETE, *both))
    assert office.who(40001) == ("exact", ["anong"])
    assert office.who(40000) == ("several", ["malee", "somchai"])
    assert office.who(40000, to=SERVER) == ("exact", ["somchai"])
    assert office.who(40000, protocol="udp") == ("no_record", [])


def test_a_session_inside_the_block_of_another_host_is_no_proof(office: Office) -> None:
    def both(block_event: int, session_event: int) -> list[Callable[[int], Any]]:
        return [blocks(block_event, ("somchai", 1024, 2047)), sessions(session_event, ("malee", 1500, SERVER))]

    opening, closing = both(made.ALLOCATE, made.CREATE), both(made.RELEASE, made.DELETE)
    office.log.put("collector", opening[1](office.log.clock.unix_ns()))
    office.live(opening[0], closing[0])
    office.log.put("collector", closing[1](office.log.clock.unix_ns()))
    assert office.who(1500) == ("several", ["malee", "somchai"])
    assert office.who(1501) == ("exact", ["somchai"])


def flows(*records: Callable[[int], bytes]) -> Callable[[int], Any]:
    return lambda ns: made.message(ns, made.TRANSLATED, *[record(ns) for record in records])


def test_an_answer_from_outside_names_the_inside_host(office: Office) -> None:
    """Only the packets towards the inside were reported, with their translated destination."""

    def back(ns: int) -> bytes:
        flow = made.plain(ns - LONG * NS - 2 * NS, SERVER, OUTSIDE, (443, 40000), (2, 1))
        return made.translated(flow, SERVER, PEOPLE["malee"], (443, 5000))

    office.live(lambda ns: ("syslog/udp-5514", b"<134>x"), flows(back))
    assert office.who(40000, to=f"{SERVER}:443", tolerance_seconds=0) == ("exact", ["malee"])
    assert office.who(40000, to="198.51.100.81", tolerance_seconds=0)[1] == []
    assert office.who(5000, tolerance_seconds=0)[1] == []


def test_a_published_server_is_the_holder_of_the_outside_port(office: Office) -> None:
    def inbound(ns: int) -> bytes:
        flow = made.plain(ns - LONG * NS - 2 * NS, SERVER, OUTSIDE, (50000, 80), (2, 1))
        return made.translated(flow, SERVER, PEOPLE["anong"], (50000, 8080))

    office.live(lambda ns: ("syslog/udp-5514", b"<134>x"), flows(inbound))
    assert office.who(80, tolerance_seconds=0) == ("exact", ["anong"])
    steps = {step["step"]: step["value"] for step in office.answer["candidates"][0]["steps"]}
    assert (steps["public_address"], steps["inside_address"]) == (f"{OUTSIDE}:80", "10.0.0.9:8080")
