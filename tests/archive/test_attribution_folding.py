"""Events folded into intervals, and names as of a moment."""

import pytest
from attribution_rows import (
    CHAIN,
    INSIDE,
    LOGGED_IN,
    MAPPED,
    NAS,
    OTHER_INSIDE,
    OTHER_SERVER,
    ask,
    identity,
    moment_ns,
    nas_restart,
    nat,
    session,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.addresses import format_address
from archive.attribution.folding import Interval
from archive.attribution.intervals import fold_mappings, fold_sessions

IPV6 = "2001:db8::7"


def spans(intervals: list[Interval]) -> list[tuple[int | None, int | None, str]]:
    """Start and end in nanoseconds and why it ended, by start."""
    return sorted(((i.start_ns, i.end_ns, i.ended_why) for i in intervals), key=lambda s: (s[0] or 0, s[1] or 0))


def span(start: float | None, end: float | None, why: str) -> tuple[int | None, int | None, str]:
    return (None if start is None else moment_ns(start), None if end is None else moment_ns(end), why)


def test_accepts_never_form_a_session() -> None:
    accepts = [session(t, "update", who, None, session_id="") for t, who in ((-5, "somchai"), (5, "malee"))]
    assert fold_sessions(accepts) == []
    # Nor do they lend their account to a session the NAS gave no id.
    nameless = session(6, "update", "", INSIDE, session_id="")
    assert [i.first["account"] for i in fold_sessions([*accepts, nameless])] == [""]


def test_sessions_without_an_id_are_held_together_by_what_they_say() -> None:
    rows = [session(t, e, who, session_id="") for t, who in ((1, "somchai"), (2, "malee")) for e in ("open", "update")]
    assert sorted(i.first["account"] for i in fold_sessions(rows)) == ["malee", "somchai"]


def test_an_accept_with_the_session_id_of_the_nas_is_a_sign_of_that_session_only() -> None:
    rows = [session(-1, "update", address=None), session(0, "open"), session(5, "close")]
    assert spans(fold_sessions(rows)) == [span(0, 5, "User-Request")]


@pytest.mark.parametrize("event", ["open", "update", "close"])
def test_a_retransmitted_packet_is_folded_once(event: str) -> None:
    rows = [session(0, "open"), session(10, "update"), session(20, "close")]
    copy = {**session(0, event), "dedup_key": "k", "time_unix_ns": moment_ns(30)}
    known = [{**row, "dedup_key": "k"} if row["event"] == event else row for row in rows]
    assert spans(fold_sessions([*known, copy])) == [span(0, 20, "User-Request")]


def test_the_key_of_a_retransmission_counts_within_its_realm() -> None:
    rows = [session(t, "open", realm=realm, dedup_key="k") for t, realm in ((0, "main"), (1, "annex"))]
    assert {i.first["realm"] for i in fold_sessions(rows)} == {"main", "annex"}


def test_a_restart_ends_the_sessions_of_its_own_device_only() -> None:
    rows = [
        session(0, "open"),
        session(1, "open", "malee", OTHER_INSIDE, nas="192.0.2.2"),
        session(2, "open", "malee", OTHER_INSIDE, realm="annex"),
        nas_restart(9),
    ]
    ended = {(i.first["realm"], format_address(i.first["nas_address"])): i.ended_why for i in fold_sessions(rows)}
    assert ended == {("main", NAS): "nas_restart", ("main", "192.0.2.2"): "", ("annex", NAS): ""}


def test_a_restart_is_no_sign_of_life_and_no_session() -> None:
    (interval,) = fold_sessions([session(0, "open"), session(5, "update"), nas_restart(9), nas_restart(20)])
    assert (interval.last_seen_ns, interval.end_ns, interval.end_inferred) == (moment_ns(5), moment_ns(9), True)
    assert fold_sessions([nas_restart(9)]) == []


def test_a_session_after_the_restart_is_another_one() -> None:
    rows = [session(0, "open"), nas_restart(9), session(10, "open"), session(20, "close")]
    assert spans(fold_sessions(rows)) == [span(0, 9, "nas_restart"), span(10, 20, "User-Request")]


def test_every_address_of_a_session_has_its_interval() -> None:
    rows = [
        {**session(t, e, address=a), "row": n}
        for t, e in ((0, "open"), (9, "close"))
        for n, a in enumerate((INSIDE, IPV6))
    ]
    # The decoder gives each address of a packet the packet's own leaf and row.
    rows = [{**row, "row": 0, "leaf_index": row["time_unix_ns"]} for row in rows]
    found = {format_address(i.first["address"]): (i.start_ns, i.end_ns, i.ended_why) for i in fold_sessions(rows)}
    assert found == dict.fromkeys((INSIDE, IPV6), span(0, 9, "User-Request"))


def test_another_ipv4_address_ends_the_former_and_begins_unseen() -> None:
    rows = [session(0, "open"), session(5, "update", address=OTHER_INSIDE), session(9, "close", address=OTHER_INSIDE)]
    former, latter = sorted(fold_sessions(rows), key=lambda i: i.start_ns is None)
    assert (former.start_ns, former.end_ns, former.end_inferred) == (moment_ns(0), moment_ns(5), True)
    assert (latter.start_ns, latter.not_before_ns, latter.end_ns) == (None, moment_ns(0), moment_ns(9))
    assert latter.overlaps(moment_ns(1), moment_ns(2))
    assert not latter.overlaps(moment_ns(-2), moment_ns(-1))


def test_a_start_without_address_or_account_takes_them_from_what_follows() -> None:
    rows = [session(0, "open", "", None, session_id="s"), session(5, "update", session_id="s")]
    (interval,) = fold_sessions(rows)
    assert (interval.start_ns, interval.address_from_ns, interval.first["account"]) == (
        moment_ns(0),
        moment_ns(5),
        "somchai",
    )


def test_a_missing_start_lies_after_the_use_before() -> None:
    rows = [nat(0, "open"), nat(5, "close"), nat(9, "close")]
    first, second = fold_mappings(rows)
    assert (second.start_ns, second.not_before_ns) == (None, moment_ns(5))
    assert first.overlaps(moment_ns(-1), moment_ns(1))
    assert not second.overlaps(moment_ns(-1), moment_ns(4))
    assert second.overlap(moment_ns(-1), moment_ns(20)) == (moment_ns(5), moment_ns(9))


@pytest.mark.parametrize(
    "other",
    [
        {"inside": OTHER_INSIDE},
        {"inside_port": 1},
        {"to": OTHER_SERVER},
        {"port": 1},
        {"protocol": 17},
        {"realm": "annex"},
        {"mapping_id": "2"},
        {"sender_address": bytes(16)},
        {"outside": "203.0.113.6"},
        {"destination_port": 80},
    ],
)
def test_mappings_that_differ_anywhere_are_not_one(other: dict) -> None:
    rows = [nat(0, "open"), nat(1, "open", **other), nat(5, "close")]
    assert spans(fold_mappings(rows)) == [span(0, 5, "close"), span(1, None, "")]


EVENTS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["open", "update", "close"])), max_size=12)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_folding_loses_no_moment_in_which_a_mapping_was_seen(events: list[tuple[int, str]]) -> None:
    rows = [nat(t, event) for t, event in events]
    intervals = fold_mappings(rows)
    for row in rows:
        assert any(i.overlaps(row["time_unix_ns"], row["time_unix_ns"]) for i in intervals)
    for interval in intervals:
        assert interval.end_ns is None or (interval.start_ns or 0) <= interval.end_ns
        assert interval.end_ns is None or interval.last_seen_ns <= interval.end_ns


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9),
            st.sampled_from(["open", "update", "close", "nas_on"]),
            st.sampled_from([None, INSIDE, OTHER_INSIDE, IPV6]),
        ),
        max_size=12,
    )
)
def test_sessions_keep_every_address_they_were_seen_with(events: list[tuple[int, str, str | None]]) -> None:
    rows = [nas_restart(t) if event == "nas_on" else session(t, event, address=a) for t, event, a in events]
    intervals = fold_sessions(rows)
    for row in rows:
        if row["address"] != bytes(16):
            seen = row["time_unix_ns"]
            assert any(i.first["address"] == row["address"] and i.overlaps(seen, seen) for i in intervals)
    assert all(i.address_from_ns is not None for i in intervals)


def test_a_name_is_the_one_of_that_time() -> None:
    names = [identity(-9000, "สมชาย ใจดี"), identity(0.5, "สมชาย มีสุข"), identity(50, "คนอื่น")]
    assert ask([*MAPPED, *LOGGED_IN, *names]).candidates[0].person == "สมชาย ใจดี"
    assert ask([*MAPPED, *LOGGED_IN, *names], at=1).candidates[0].person == "สมชาย มีสุข"
    assert ask([*MAPPED, *LOGGED_IN, *names], at=60).candidates[0].person == "คนอื่น"


def test_a_name_is_cited_by_the_record_that_gave_it() -> None:
    name = identity(-9000, "สมชาย ใจดี")
    steps = {s.step: s for s in ask([*MAPPED, *LOGGED_IN, name]).candidates[0].steps}
    assert steps["person"].evidence is not None
    assert steps["person"].evidence.leaf_index == name["leaf_index"]
    assert steps["session"].evidence is not None
    assert steps["session"].evidence.leaf_index == LOGGED_IN[0]["leaf_index"]
    assert (steps["session"].start_ns, steps["session"].end_ns) == (moment_ns(-1000), moment_ns(1000))


def test_a_recorded_name_goes_before_the_directorys() -> None:
    opened = session(-1000, "open", details_object={"person": "Directory Name"})
    rows = [*MAPPED, opened, session(1000, "close")]
    assert ask(rows).candidates[0].person == "Directory Name"
    assert ask([*rows, identity(-9000, "สมชาย ใจดี")]).candidates[0].person == "สมชาย ใจดี"


@pytest.mark.parametrize("person", [None, "", 7, ["x"], {"a": 1}])
def test_a_name_in_a_session_that_is_no_text_is_none(person: object) -> None:
    rows = [*MAPPED, session(-1000, "open", details_object={"person": person}), session(1000, "close")]
    assert ask(rows).candidates[0].person is None


@pytest.mark.parametrize(
    ("station", "randomised"), [("a4:bb:cc:dd:ee:ff", False), ("a6:bb:cc:dd:ee:ff", True), ("3A:bb:cc:dd:ee:ff", True)]
)
def test_a_randomised_device_address_is_said_to_be_one(station: str, randomised: bool) -> None:
    rows = [*MAPPED, session(-1000, "open", station=station), session(1000, "close", station=station)]
    (step,) = (s for s in ask(rows).candidates[0].steps if s.step == "device")
    assert (step.value, step.why.startswith("randomised")) == (station, randomised)


@pytest.mark.parametrize(
    ("port", "text"),
    [(40_000, "203.0.113.5:40000"), (0, "203.0.113.5"), ((0, 65_535), "203.0.113.5"), ((9, 12), "203.0.113.5:9-12")],
)
def test_the_outside_is_named_with_the_ports_that_are_known(port: object, text: str) -> None:
    result = ask([nat(-9, "open", port=port), nat(9, "close", port=port)], port=None)
    assert result.candidates[0].steps[0].value == text


def test_an_ipv6_outside_is_named_with_brackets() -> None:
    rows = [nat(-9, "open", outside="2001:db8::9"), nat(9, "close", outside="2001:db8::9")]
    assert ask(rows, address="2001:db8::9").candidates[0].steps[0].value == "[2001:db8::9]:40000"


def test_steps_come_in_the_order_of_the_chain() -> None:
    steps = [s.step for s in ask(CHAIN).candidates[0].steps]
    assert steps == ["public_address", "inside_address", "session", "device", "account", "person"]
