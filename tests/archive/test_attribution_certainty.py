"""The truth table of `who`: what is recorded, and how sure the answer may be."""

import ast
import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from attribution_rows import (
    CHAIN,
    INSIDE,
    LOGGED_IN,
    MAPPED,
    NAMED,
    OTHER_INSIDE,
    OTHER_SERVER,
    OUTSIDE,
    SERVER,
    ask,
    identity,
    loss,
    moment_ns,
    nas_restart,
    nat,
    session,
)

import archive.attribution.answer as answer_module
from archive.addresses import parse_address
from archive.attribution.answer import FLOW_REPORT_NS
from archive.attribution.certainty import NO_RECORD, SENTENCES, Certainty, weakest
from archive.attribution.folding import Row

ANY_PORT = (0, 65_535)
IPV6 = "2001:db8::7"
MALEE = [session(-1000, "open", "malee", OTHER_INSIDE), session(1000, "close", "malee", OTHER_INSIDE)]
MALEE_NAMED = [*MALEE, identity(-9000, "มาลี มีสุข", "malee")]


@dataclass
class Case:
    rows: list[Row]
    verdict: str
    weak: dict[str, str] = field(default_factory=dict)
    """Steps of the first candidate that are not exact."""
    accounts: list[str | None] = field(default_factory=lambda: ["somchai"])
    asked: dict[str, Any] = field(default_factory=dict)


def flow(start: float, end: float, inside: str = INSIDE, **given: Any) -> list[Row]:
    """One flow record: both its events come from one row."""
    first = nat(start, "open", inside, kind="flow", mapping_id=f"{start}", **given)
    return [first, {**first, "event": "close", "time_unix_ns": moment_ns(end)}]


CASES = {
    # One holder, everything recorded.
    "start and end of both are recorded": Case(CHAIN, "exact"),
    "a later sign of life stands for the end": Case(
        [nat(-100, "open"), nat(50, "update"), session(-1000, "open"), session(60, "update"), *NAMED], "exact"
    ),
    "the translation ends inside the window, the session encloses the overlap": Case(
        [nat(-5, "open"), nat(2, "close"), session(-6, "open"), session(3, "close"), *NAMED], "exact"
    ),
    "bounds of window, translation and session coincide": Case(
        [nat(-10, "open"), nat(10, "close"), session(-10, "open"), session(10, "close"), *NAMED], "exact"
    ),
    "a restart of the NAS after a later sign of life": Case(
        [*MAPPED, session(-1000, "open"), session(150, "update"), nas_restart(200), *NAMED], "exact"
    ),
    "the port is used again, after a later sign of life": Case(
        [nat(-100, "open"), nat(50, "update"), nat(60, "open"), nat(70, "close"), *LOGGED_IN, *NAMED], "exact"
    ),
    "one host twice on the port towards two destinations": Case(
        [
            *CHAIN,
            nat(-50, "open", to=OTHER_SERVER, inside_port=5001),
            nat(50, "close", to=OTHER_SERVER, inside_port=5001),
        ],
        "exact",
        accounts=["somchai", "somchai"],
    ),
    "one host, two sources of the translation": Case(
        [*CHAIN, nat(-50, "open", mapping_id="x"), nat(50, "close", mapping_id="x")], "exact"
    ),
    "one account with a session of each kind": Case(
        [*CHAIN, *(session(t, e, kind="portal", session_id="p") for t, e in ((-500, "open"), (500, "close")))],
        "exact",
        accounts=["somchai", "somchai"],
    ),
    "a port block": Case(
        [nat(-100, "open", port=(39_000, 41_000)), nat(100, "close", port=(39_000, 41_000)), *LOGGED_IN, *NAMED],
        "exact",
    ),
    "no destination is carried and the port has one holder": Case(
        [nat(-100, "open", to=None), nat(100, "close", to=None), *LOGGED_IN, *NAMED],
        "exact",
        asked={"to_address": SERVER, "to_port": 443},
    ),
    "ICMP has no ports": Case(
        [
            *(nat(t, e, port=0, protocol=1, inside_port=None) for t, e in ((-9, "open"), (9, "close"))),
            *LOGGED_IN,
            *NAMED,
        ],
        "exact",
        asked={"port": None, "protocol": 1},
    ),
    "any port, and none asked for": Case(
        [nat(-100, "open", port=ANY_PORT), nat(100, "close", port=ANY_PORT), *LOGGED_IN, *NAMED],
        "exact",
        asked={"port": None},
    ),
    "an inside address asked for": Case([*LOGGED_IN, *NAMED], "exact", asked={"address": INSIDE, "port": None}),
    "an inside address whose session began inside the window": Case(
        [session(-2, "open"), session(3, "close"), *NAMED], "exact", asked={"address": INSIDE, "port": None}
    ),
    "an IPv6 address": Case(
        [session(-9, "open", address=IPV6), session(9, "close", address=IPV6), *NAMED],
        "exact",
        asked={"address": IPV6, "port": None},
    ),
    "both addresses of one session: the IPv4 one": Case(
        [session(t, e, address=a) for t, e in ((-9, "open"), (9, "close")) for a in (INSIDE, IPV6)] + [*NAMED],
        "exact",
        asked={"address": INSIDE, "port": None},
    ),
    "both addresses of one session: the IPv6 one": Case(
        [session(t, e, address=a) for t, e in ((-9, "open"), (9, "close")) for a in (INSIDE, IPV6)] + [*NAMED],
        "exact",
        asked={"address": IPV6, "port": None},
    ),
    "a long finished flow": Case([*flow(-5, 5), *LOGGED_IN, *NAMED], "exact", asked={"reports_at_end": True}),
    "a flow of one packet": Case([*reversed(flow(1, 1)), *LOGGED_IN, *NAMED], "exact"),
    "a flow record that came twice": Case([*flow(-5, 5), *flow(-5, 5), *LOGGED_IN, *NAMED], "exact"),
    "another holder ended just before the window": Case(
        [*CHAIN, *MALEE, nat(-50, "open", OTHER_INSIDE), nat(-10.1, "close", OTHER_INSIDE)], "exact"
    ),
    "another holder began just after the window": Case([*CHAIN, *MALEE, nat(10.1, "open", OTHER_INSIDE)], "exact"),
    "a close that came twice says nothing of the time before": Case(
        [
            *CHAIN,
            nat(-50, "open", OTHER_INSIDE, to=OTHER_SERVER),
            *2 * [nat(-40, "close", OTHER_INSIDE, to=OTHER_SERVER)],
            nat(-30, "close", OTHER_INSIDE, to=OTHER_SERVER),
        ],
        "exact",
    ),
    "the directory named the account at log-in": Case(
        [*MAPPED, session(-1000, "open", details_object={"person": "สมชาย"}), session(1000, "close")], "exact"
    ),
    # One holder, a start or an end inferred.
    "the start of the translation is missing": Case(
        [nat(100, "close"), *LOGGED_IN, *NAMED], "assumed", {"public_address": "assumed"}
    ),
    "the end of the translation is missing": Case(
        [nat(-100, "open"), *LOGGED_IN, *NAMED], "assumed", {"public_address": "assumed"}
    ),
    "the last sign of the translation lies inside the window": Case(
        [nat(-100, "open"), nat(9, "update"), *LOGGED_IN, *NAMED], "assumed", {"public_address": "assumed"}
    ),
    "the translation was opened again": Case(
        [nat(-100, "open"), nat(50, "open"), nat(60, "close"), *LOGGED_IN, *NAMED],
        "assumed",
        {"public_address": "assumed"},
    ),
    "a use known by updates alone, before the next open": Case(
        [nat(-1, "update"), nat(50, "open"), *LOGGED_IN, *NAMED], "assumed", {"public_address": "assumed"}
    ),
    "the times of the translation are computed": Case(
        [nat(-100, "open", quality="derived"), nat(100, "close", quality="derived"), *LOGGED_IN, *NAMED],
        "assumed",
        {"public_address": "assumed"},
    ),
    "a computed end is no proof of life": Case(
        [nat(-100, "open"), nat(100, "close", quality="derived"), *LOGGED_IN, *NAMED],
        "assumed",
        {"public_address": "assumed"},
    ),
    "a flow record without times": Case(
        [*flow(0, 0, quality="arrival"), *LOGGED_IN, *NAMED], "assumed", {"public_address": "assumed"}
    ),
    "the session's start is missing": Case(
        [*MAPPED, session(50, "update"), session(1000, "close"), *NAMED], "assumed", {"session": "assumed"}
    ),
    "the session's end is missing": Case([*MAPPED, session(-1000, "open"), *NAMED], "assumed", {"session": "assumed"}),
    "the session began after the translation": Case(
        [*MAPPED, session(-9.9, "open"), session(1000, "close"), *NAMED], "assumed", {"session": "assumed"}
    ),
    "the session ended before the translation": Case(
        [*MAPPED, session(-1000, "open"), session(9.9, "close"), *NAMED], "assumed", {"session": "assumed"}
    ),
    "the NAS restarted without a log-out": Case(
        [*MAPPED, session(-1000, "open"), nas_restart(200), *NAMED], "assumed", {"session": "assumed"}
    ),
    "the NAS went down without a log-out": Case(
        [*MAPPED, session(-1000, "open"), nas_restart(5, "nas_off"), *NAMED], "assumed", {"session": "assumed"}
    ),
    "the log-out of the session is computed": Case(
        [*MAPPED, session(-1000, "open"), session(200, "close", quality="derived"), *NAMED],
        "assumed",
        {"session": "assumed"},
    ),
    "the session's address was reported only after the window": Case(
        [*MAPPED, session(-1000, "open", address=None), session(200, "update"), session(900, "close"), *NAMED],
        "assumed",
        {"session": "assumed"},
    ),
    "the session's address was reported only at log-out": Case(
        [*MAPPED, session(-1000, "open", address=None), session(900, "close"), *NAMED],
        "assumed",
        {"session": "assumed"},
    ),
    "an accept before the accounting is no part of a session": Case(
        [*CHAIN, session(-1001, "update", "malee", None, session_id="")], "exact"
    ),
    # More than one holder.
    "two hosts on one port towards two destinations": Case(
        [
            *CHAIN,
            *MALEE_NAMED,
            nat(-50, "open", OTHER_INSIDE, to=OTHER_SERVER),
            nat(50, "close", OTHER_INSIDE, to=OTHER_SERVER),
        ],
        "several",
        {"public_address": "several"},
        ["somchai", "malee"],
    ),
    "the same, and the destination is asked for": Case(
        [
            *CHAIN,
            *MALEE_NAMED,
            nat(-50, "open", OTHER_INSIDE, to=OTHER_SERVER),
            nat(50, "close", OTHER_INSIDE, to=OTHER_SERVER),
        ],
        "exact",
        accounts=["malee"],
        asked={"to_address": OTHER_SERVER, "to_port": 443},
    ),
    "two protocols on one port": Case(
        [
            *CHAIN,
            *MALEE_NAMED,
            nat(-50, "open", OTHER_INSIDE, protocol=17),
            nat(50, "close", OTHER_INSIDE, protocol=17),
        ],
        "several",
        {"public_address": "several"},
        ["somchai", "malee"],
    ),
    "two protocols, and one is asked for": Case(
        [
            *CHAIN,
            *MALEE_NAMED,
            nat(-50, "open", OTHER_INSIDE, protocol=17),
            nat(50, "close", OTHER_INSIDE, protocol=17),
        ],
        "exact",
        accounts=["malee"],
        asked={"protocol": 17},
    ),
    "one after the other on the port": Case(
        [
            nat(-100, "open"),
            nat(-5, "close"),
            nat(5, "open", OTHER_INSIDE),
            nat(90, "close", OTHER_INSIDE),
            *LOGGED_IN,
            *NAMED,
            *MALEE_NAMED,
        ],
        "several",
        {"public_address": "several"},
        ["somchai", "malee"],
    ),
    "one after the other on the inside address": Case(
        [
            *MAPPED,
            session(-1000, "open"),
            session(-5, "close"),
            session(5, "open", "malee"),
            session(900, "close", "malee"),
            *NAMED,
            identity(-9000, "มาลี มีสุข", "malee"),
        ],
        "several",
        {"public_address": "several", "session": "assumed"},
        ["somchai", "malee"],
    ),
    "two realms with the same inside address, asked for": Case(
        [
            *LOGGED_IN,
            *NAMED,
            *(session(t, e, "malee", realm="annex") for t, e in ((-9, "open"), (9, "close"))),
            identity(-9000, "มาลี มีสุข", "malee"),
        ],
        "several",
        {"inside_address": "several"},
        ["malee", "somchai"],
        {"address": INSIDE, "port": None},
    ),
    "two realms, and one is asked for": Case(
        [*LOGGED_IN, *NAMED, *(session(t, e, "malee", realm="annex") for t, e in ((-9, "open"), (9, "close")))],
        "exact",
        asked={"address": INSIDE, "port": None, "realm": "main"},
    ),
    "two realms translate the same inside address, nobody logged in": Case(
        [*MAPPED, nat(-100, "open", realm="annex"), nat(100, "close", realm="annex")],
        "cannot_know",
        {"public_address": "several", "session": "cannot_know"},
        [None, None],
    ),
    "a session of another realm is nobody's here": Case(
        [*MAPPED, *(session(t, e, realm="annex") for t, e in ((-900, "open"), (900, "close")))],
        "cannot_know",
        {"session": "cannot_know"},
        [None],
    ),
    # Not indexed, lost, past.
    "the moment is not indexed yet": Case(
        CHAIN, "pending", {"public_address": "pending", "session": "pending"}, asked={"indexed_until": -1}
    ),
    "the end of the window is not indexed yet": Case(
        CHAIN, "pending", {"public_address": "pending", "session": "pending"}, asked={"indexed_until": 9}
    ),
    "the session may not be indexed yet": Case(
        [*MAPPED], "pending", {"public_address": "pending", "session": "pending"}, [None], {"indexed_until": 9}
    ),
    "an exporter of flows may still hold a connection": Case(
        [*flow(-5, 5), *LOGGED_IN, *NAMED],
        "pending",
        {"public_address": "pending", "session": "pending"},
        asked={"reports_at_end": True, "indexed_until": 10 + FLOW_REPORT_NS / 1e9 - 1},
    ),
    "a loss touches the window": Case(
        CHAIN, "not_received", {"public_address": "not_received", "session": "not_received"}, asked={"losses": [loss()]}
    ),
    "a loss weighs more than several holders": Case(
        [*CHAIN, *MALEE_NAMED, nat(-50, "open", OTHER_INSIDE), nat(50, "close", OTHER_INSIDE)],
        "not_received",
        {"public_address": "not_received", "session": "not_received"},
        ["somchai", "malee"],
        {"losses": [loss()]},
    ),
    "records of the window may have been purged": Case(
        CHAIN,
        "expired",
        {"public_address": "expired", "session": "expired"},
        asked={"expired_before_ns": moment_ns(-9)},
    ),
    # The sources do not carry it.
    "nobody logged in": Case([*MAPPED], "cannot_know", {"session": "cannot_know"}, [None]),
    "two inside ports of one host, nobody logged in": Case(
        [*MAPPED, nat(-9, "open", inside_port=1, to=OTHER_SERVER), nat(9, "close", inside_port=1, to=OTHER_SERVER)],
        "cannot_know",
        {"session": "cannot_know"},
        [None, None],
    ),
    "nobody says who the account is": Case([*MAPPED, *LOGGED_IN], "cannot_know", {"person": "cannot_know"}),
    "the account was linked to a person only later": Case(
        [*MAPPED, *LOGGED_IN, identity(1, "สมชาย ใจดี")], "cannot_know", {"person": "cannot_know"}
    ),
    "a session without an account": Case(
        [*MAPPED, *(session(t, e, "") for t, e in ((-900, "open"), (900, "close"))), identity(-9000, "x", "")],
        "cannot_know",
        {"account": "cannot_know"},
        [None],
    ),
    "the source reports no translated ports": Case(
        [nat(-100, "open", port=ANY_PORT), nat(100, "close", port=ANY_PORT), *LOGGED_IN, *NAMED],
        "cannot_know",
        {"public_address": "cannot_know"},
    ),
    "the same with a destination asked for": Case(
        [nat(-100, "open", port=ANY_PORT), nat(100, "close", port=ANY_PORT), *LOGGED_IN, *NAMED],
        "cannot_know",
        {"public_address": "cannot_know"},
        asked={"to_address": SERVER},
    ),
    "no destination is carried and the port leads elsewhere too": Case(
        [nat(-100, "open", to=None), nat(100, "close", to=None), *LOGGED_IN, *NAMED, nat(-5, "open", OTHER_INSIDE)],
        "cannot_know",
        {"public_address": "cannot_know"},
        asked={"to_address": OTHER_SERVER},
    ),
    "no destination is carried and no port is asked for": Case(
        [nat(-100, "open", to=None), nat(100, "close", to=None), *LOGGED_IN, *NAMED],
        "cannot_know",
        {"public_address": "cannot_know"},
        asked={"to_address": SERVER, "port": None, "address": None},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_truth_table(name: str) -> None:
    case = CASES[name]
    result = ask(case.rows, **case.asked)
    assert [c.account for c in result.candidates] == case.accounts
    first = result.candidates[0]
    weak = {s.step: str(s.certainty) for s in first.steps if s.certainty != Certainty.EXACT}
    assert (weak, result.verdict) == (case.weak, case.verdict), [(s.step, s.why) for s in first.steps]
    assert all(step.why for candidate in result.candidates for step in candidate.steps)
    assert result.verdict == weakest([s.certainty for c in result.candidates for s in c.steps])


@pytest.mark.parametrize("name", CASES)
def test_the_order_in_which_rows_come_from_the_index_does_not_matter(name: str) -> None:
    case = CASES[name]
    expected = ask(case.rows, **case.asked)
    for rows in (case.rows[::-1], sorted(case.rows, key=lambda r: -r["leaf_index"])):
        result = ask(rows, **case.asked)
        assert result.verdict == expected.verdict
        assert {repr(c.steps) for c in result.candidates} == {repr(c.steps) for c in expected.candidates}


NOBODY: dict[str, tuple[str, dict[str, Any]]] = {
    "everything was received and nothing fits": ("no_record", {"reports_outside": True}),
    "the address is known inside": ("no_record", {"knows_inside": True}),
    "no source speaks of the address": ("cannot_know", {}),
    "not indexed yet": ("pending", {"reports_outside": True, "indexed_until": 9}),
    "not indexed yet, and no source known so far": ("pending", {"indexed_until": 9}),
    "flows are reported at their end": (
        "pending",
        {"reports_outside": True, "reports_at_end": True, "indexed_until": 99},
    ),
    "lost": ("not_received", {"reports_outside": True, "losses": [loss()]}),
    "lost, and not indexed": ("not_received", {"indexed_until": 9, "losses": [loss()]}),
    "not ours": ("not_ours", {"own_addresses": frozenset()}),
    "not ours, whatever was lost": ("not_ours", {"own_addresses": frozenset(), "losses": [loss()]}),
    "ours": ("cannot_know", {"own_addresses": frozenset([parse_address(OUTSIDE)])}),
    "not in the list but translated to": ("no_record", {"own_addresses": frozenset(), "reports_outside": True}),
    "past": ("expired", {"expired_before_ns": moment_ns(-9), "losses": [loss()], "own_addresses": frozenset()}),
    "not past": ("no_record", {"expired_before_ns": moment_ns(-10), "reports_outside": True}),
}


@pytest.mark.parametrize("name", NOBODY)
def test_why_there_is_nobody(name: str) -> None:
    verdict, asked = NOBODY[name]
    result = ask([], **asked)
    assert result.candidates == []
    assert result.verdict == verdict
    assert result.why


@pytest.mark.parametrize(
    "asked",
    [{"port": PORT} for PORT in (39_999, 40_001, 0)]
    + [{"address": "203.0.113.6"}, {"protocol": 17}, {"realm": "annex"}, {"to_address": OTHER_SERVER}, {"to_port": 80}]
    + [{"at": 111}, {"at": -111}],
)
def test_a_question_about_something_else_finds_nobody(asked: dict[str, Any]) -> None:
    assert ask(CHAIN, **asked).verdict == NO_RECORD


def test_weakest_follows_the_order_of_the_design() -> None:
    order = ["exact", "assumed", "several", "pending", "not_received", "cannot_know", "not_ours", "expired"]
    assert [str(c) for c in Certainty] == order
    for stronger, weaker in itertools.combinations(Certainty, 2):
        assert weakest([stronger, weaker]) == weakest([weaker, stronger]) == weaker
    assert weakest([]) == Certainty.EXACT
    assert SENTENCES.keys() == {*order, NO_RECORD}


def test_no_text_says_that_a_person_did_something() -> None:
    tree = ast.parse(Path(answer_module.__file__).read_text(encoding="utf-8"))
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    texts.remove(ast.get_docstring(tree, clean=False) or "")
    texts += [text for pair in SENTENCES.values() for text in pair]
    texts += [s.why for case in CASES.values() for c in ask(case.rows, **case.asked).candidates for s in c.steps]
    forbidden = re.compile(
        r"\b(user|person|he|she|they|somebody|someone|who) (did|used|sent|visited|downloaded|posted|accessed|opened)\b"
        r"|\b(committed|guilty|offender|culprit|suspect)\b|ผู้กระทำ|ผู้ต้องสงสัย|กระทำผิด",
        re.IGNORECASE,
    )
    assert [text for text in texts if forbidden.search(text)] == []
