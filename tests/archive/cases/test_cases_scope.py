"""Scopes as people write them, what they cover, and how they merge."""

from typing import Any

import pytest

from archive.addresses import parse_address
from archive.attribution.question import Question
from archive.cases.errors import CaseError
from archive.cases.scope import Scope, SubjectAddress, merge_scopes
from archive.cases.scope_text import MAX_SUBJECTS, parse_scope
from archive.time_text import parse_time

ZONE = "Asia/Bangkok"
NOW = parse_time("2026-11-20T12:00:00+07:00", now_unix_ns=0)
NS = 1_000_000_000
DAY = {"from": "2026-11-20", "until": "2026-11-20"}


def parse(**given: Any) -> Scope:
    return parse_scope({**DAY, **given}, now_unix_ns=NOW, zone=ZONE)


def at(text: str) -> int:
    return parse_time(text, now_unix_ns=NOW)


def test_a_day_is_whole_in_site_time_with_its_end() -> None:
    scope = parse(accounts=["somchai"])
    assert scope.from_unix_ns == at("2026-11-20T00:00:00+07:00")
    assert scope.from_unix_ns <= at("2026-11-20T23:59:59.999+07:00") <= scope.until_unix_ns
    assert scope.until_unix_ns == at("2026-11-20T23:59:59.999999999+07:00")
    assert at("2026-11-21T00:00:00.000+07:00") > scope.until_unix_ns
    assert parse(accounts=["x"], **{"from": "2569-11-20", "until": "2569-11-20"}).until_unix_ns == scope.until_unix_ns


def test_a_day_of_a_zone_that_changes_its_clock_is_23_hours() -> None:
    given = {"accounts": ["x"], "from": "2026-03-29", "until": "2026-03-29"}
    scope = parse_scope(given, now_unix_ns=NOW, zone="Europe/Berlin")
    assert scope.until_unix_ns - scope.from_unix_ns == 23 * 3600 * NS - 1


def test_moments_are_taken_as_they_are() -> None:
    scope = parse(accounts=["x"], **{"from": "2026-11-20 08:00", "until": "2026-11-20T09:00:00.5+07:00"})
    assert (scope.from_unix_ns, scope.until_unix_ns) == (
        at("2026-11-20T08:00+07:00"),
        at("2026-11-20T09:00:00.5+07:00"),
    )


def test_subjects_are_in_one_spelling() -> None:
    scope = parse(
        persons=[" สมชาย ใจดี ", "สมชาย ใจดี"],
        accounts=["b", "a"],
        addresses=["10.0.0.7", {"network": "10.0.0.7/32", "realm": None}, "2001:db8::/32@annex", "10.0.1.0/24"],
        devices=["AA-BB-CC-DD-EE-FF", "aabb.ccdd.eeff"],
    )
    assert scope.persons == ("สมชาย ใจดี",)
    assert scope.accounts == ("a", "b")
    assert [one.text() for one in scope.addresses] == ["10.0.0.7", "10.0.1.0/24", "2001:db8::/32@annex"]
    assert scope.devices == ("aa:bb:cc:dd:ee:ff",)
    assert parse_scope(scope.to_json(ZONE), now_unix_ns=0, zone=ZONE) == scope


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "at least one"),
        ({"accounts": [""]}, "no name"),
        ({"accounts": [7]}, "no name"),
        ({"accounts": ["a\nb"]}, "no name"),
        ({"accounts": ["x" * 201]}, "no name"),
        ({"accounts": "somchai"}, "is a list"),
        ({"accounts": [str(n) for n in range(MAX_SUBJECTS + 1)]}, "at most 500"),
        ({"accounts": [str(n) for n in range(MAX_SUBJECTS)], "persons": ["x"]}, "at most 500"),
        ({"addresses": ["10.0.0.7/24"]}, "no address or network"),
        ({"addresses": ["nowhere"]}, "no address or network"),
        ({"addresses": ["fe80::1%eth0"]}, "names an interface"),
        ({"addresses": ["10.0.0.7@Main Hall"]}, "is no realm"),
        ({"devices": ["aa:bb:cc"]}, "no device"),
        ({"accounts": ["x"], "from": ""}, "has no 'from'"),
        ({"accounts": ["x"], "until": "yesterday"}, "not a time"),
        ({"accounts": ["x"], "from": "2026-11-21"}, "begins after it ends"),
        ({"accounts": ["x"], "from": "1969-01-01"}, "outside 1970"),
        ({"accounts": ["x"], "from": "2026-02-30"}, "not a time"),
        ({"accounts": ["x"], "everything": True}, "has no 'everything'"),
        ({"accounts": ["x"], "format": 2}, "format 2"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(CaseError, match=said) as caught:
        parse(**given)
    assert caught.value.code == "bad_scope"
    assert "\n" not in str(caught.value)
    assert caught.value.message_th


def question(address: str = "203.0.113.1", moment: str = "2026-11-20T08:00:00+07:00", **given: Any) -> Question:
    return Question(at(moment), parse_address(address) if address else None, **given)


@pytest.mark.parametrize(
    ("asked", "outside"),
    [
        (question(), None),
        (question("203.0.113.9"), "203.0.113.9 is not in"),
        (question("10.0.0.200"), None),
        (question("10.0.1.1"), "10.0.1.1 is not in"),
        (question("2001:db8::5"), "2001:db8::5 is not in"),
        (question("2001:db8::5", realm="main"), "2001:db8::5 in realm main is not in"),
        (question("2001:db8::5", realm="annex"), None),
        (question("", to_address=parse_address("203.0.113.1")), None),
        (question("", to_address=parse_address("203.0.113.2")), "203.0.113.2 is not in"),
        (question("203.0.113.2", to_address=parse_address("203.0.113.1")), "203.0.113.2 is not in"),
        (question(moment="2026-11-20T23:59:59.999+07:00"), "outside the case's interval"),
        (question(moment="2026-11-20T23:59:59.999+07:00", tolerance_seconds=0), None),
        (question(moment="2026-11-21T00:00:00.000+07:00", tolerance_seconds=0), "outside the case's interval"),
        (question(moment="2026-11-20T00:00:00+07:00", tolerance_seconds=0), None),
        (question(moment="2026-11-20T00:00:30+07:00"), "outside the case's interval"),
    ],
)
def test_what_a_question_may_ask(asked: Question, outside: str | None) -> None:
    scope = parse(addresses=["203.0.113.1", "10.0.0.0/24", "2001:db8::/32@annex"])
    found = scope.covers_question(asked, ZONE)
    assert (found is None) == (outside is None), found
    if outside is not None:
        assert found is not None
        assert outside in found[0]


def test_a_scope_of_names_covers_no_question_about_an_address() -> None:
    found = parse(accounts=["somchai"]).covers_question(question(), ZONE)
    assert found is not None
    assert "whose addresses are: none" in found[0]


def scope(start: int, end: int, *accounts: str) -> Scope:
    return Scope(start, end, accounts=accounts)


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        ([], []),
        ([scope(0, 9, "a"), scope(0, 9, "a")], [scope(0, 9, "a")]),
        ([scope(5, 9, "a"), scope(0, 4, "a")], [scope(0, 9, "a")]),
        ([scope(6, 9, "a"), scope(0, 4, "a")], [scope(0, 4, "a"), scope(6, 9, "a")]),
        ([scope(0, 9, "a"), scope(2, 4, "a")], [scope(0, 9, "a")]),
        ([scope(0, 9, "a"), scope(0, 9, "b")], [scope(0, 9, "a"), scope(0, 9, "b")]),
        ([scope(0, 9, "a", "b"), scope(2, 4, "b")], [scope(0, 9, "a", "b")]),
        ([scope(0, 9, "a", "b"), scope(2, 10, "b")], [scope(0, 9, "a", "b"), scope(2, 10, "b")]),
    ],
)
def test_merging_keeps_the_same_records(given: list[Scope], merged: list[Scope]) -> None:
    assert merge_scopes(given) == merged


def test_a_network_of_every_address() -> None:
    everything = SubjectAddress("0.0.0.0/0")
    assert everything.holds(parse_address("10.1.2.3"), None)
    assert not everything.holds(parse_address("2001:db8::1"), None)
    assert everything.range16() == ("::ffff:0.0.0.0", "::ffff:255.255.255.255")
