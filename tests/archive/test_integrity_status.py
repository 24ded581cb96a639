"""What `status` says of anchors, clock, signing and verification, and which alarms follow."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from indexed_log import IndexedLog

from archive.alarms import (
    ALARMS,
    AUTHORITY_LAG_SECONDS,
    CLOCK_UNSYNCHRONISED_SECONDS,
    VERIFY_QUICK_LAG_SECONDS,
    WITNESS_LAG_SECONDS,
)
from archive.ask.integrity import IntegrityReader
from archive.event_record import encode_event

NS = 10**9
SAMPLE = {"synchronised": True, "offset_ns": 1_000, "dispersion_ns": 2_000, "source": "chrony: x stratum 2"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexedLog]:
    log = IndexedLog.make(tmp_path_factory.mktemp("integrity"))
    yield log
    log.close()


@pytest.fixture
def reader(shared: IndexedLog) -> IntegrityReader:
    return IntegrityReader(shared.engine, "Asia/Bangkok", shared.clock.unix_ns())


def codes(reader: IntegrityReader, now_ns: int, **processes: Any) -> list[str]:
    found = [condition.code for condition in reader.conditions(processes, now_ns)]
    assert set(found) <= ALARMS.keys()
    return [code for code in found if not code.startswith("verify_")]


def target(now_ns: int, age_seconds: float, **more: Any) -> dict[str, Any]:
    last_ns = now_ns - int(age_seconds * NS)
    return {"name": "one", "last_success_unix_ns": str(last_ns), "size": 7, "queue": 0, "problem": None, **more}


def test_a_sealer_that_may_not_sign_is_an_alarm_with_its_sentence(shared: IndexedLog, reader: IntegrityReader) -> None:
    sealer = {"signing_refused": "outside_head_ahead", "problem": "w has a newer head of this log"}
    condition = reader.conditions({"sealer": sealer}, shared.clock.unix_ns())[0]
    assert (condition.code, condition.source) == ("signing_refused", "outside_head_ahead")
    assert "newer head" in condition.details
    assert codes(reader, shared.clock.unix_ns(), sealer={"signing_refused": "", "problem": ""}) == []


@pytest.mark.parametrize(
    ("section", "age_seconds", "more", "expected"),
    [
        ("witnesses", WITNESS_LAG_SECONDS - 1, {}, []),
        ("witnesses", WITNESS_LAG_SECONDS + 1, {"problem": "no route to host"}, ["anchor_stale"]),
        ("authorities", AUTHORITY_LAG_SECONDS - 1, {"interval_seconds": 3600}, []),
        ("authorities", AUTHORITY_LAG_SECONDS + 1, {"interval_seconds": 3600}, ["anchor_stale"]),
        ("authorities", AUTHORITY_LAG_SECONDS + 1, {"interval_seconds": 86_400}, []),
    ],
)
def test_an_anchor_that_is_too_old_is_an_alarm(
    shared: IndexedLog, reader: IntegrityReader, section: str, age_seconds: float, more: dict, expected: list[str]
) -> None:
    now = shared.clock.unix_ns()
    assert codes(reader, now, anchor={section: [target(now, age_seconds, **more)]}) == expected


def test_one_that_never_answered_counts_from_the_start(shared: IndexedLog, reader: IntegrityReader) -> None:
    now = shared.clock.unix_ns()
    report = {"witnesses": [target(now, 0, last_success_unix_ns="0")]}
    assert codes(reader, now, anchor=report) == []
    assert codes(reader, now + int((WITNESS_LAG_SECONDS + 1) * NS), anchor=report) == ["anchor_stale"]
    shown = reader.read({"anchor": report}, now)["anchors"][0]
    assert (shown["last"], shown["kind"], shown["tree_size"]) == (None, "witness", 7)


@pytest.mark.parametrize(
    ("offset_ms", "expected"), [(0, []), (9.9, []), (-9.9, []), (20, ["clock_offset"]), (-20, ["clock_offset"])]
)
def test_a_clock_that_is_off_is_an_alarm(
    shared: IndexedLog, reader: IntegrityReader, offset_ms: float, expected: list[str]
) -> None:
    timers = {"clock": {**SAMPLE, "offset_ns": int(offset_ms * 1e6)}}
    assert codes(reader, shared.clock.unix_ns(), timers=timers) == expected


def test_a_clock_without_source_is_an_alarm_after_a_while(shared: IndexedLog, reader: IntegrityReader) -> None:
    now = shared.clock.unix_ns()
    timers = {"clock": {**SAMPLE, "synchronised": False, "offset_ns": None}}
    assert codes(reader, now + int((CLOCK_UNSYNCHRONISED_SECONDS - 1) * NS), timers=timers) == []
    late = now + int((CLOCK_UNSYNCHRONISED_SECONDS + 1) * NS)
    assert codes(reader, late, timers=timers) == ["clock_unsynchronised"]
    assert codes(reader, late, timers={"clock": SAMPLE}) == []
    assert codes(reader, late, timers=timers) == [], "it counts from when it was synchronised last"


def put_result(log: IndexedLog, kind: str, exit_code: int) -> None:
    values = {"kind": kind, "exit_code": exit_code, "verdict": "x", "defects": exit_code, "message": f"{kind} found it"}
    log.put("system", ("system", encode_event("verify_finished", log.clock.unix_ns(), values)))


def test_a_quick_result_does_not_clear_what_a_full_one_found(tmp_path: Path) -> None:
    log = IndexedLog.make(tmp_path)
    try:
        reader = IntegrityReader(log.engine, "Asia/Bangkok", log.clock.unix_ns())
        put_result(log, "full", 1)
        put_result(log, "quick", 0)
        now = log.clock.unix_ns()
        defects = [c for c in reader.conditions({}, now) if c.code == "verify_defect"]
        assert [(c.source, c.details) for c in defects] == [("verify", "full found it")]
        last = reader.last_verification()
        assert last is not None
        assert (last["kind"], last["exit_code"]) == ("full", 1)
        put_result(log, "full", 0)
        assert [c.code for c in reader.conditions({}, now)] == []
        shown = reader.read({}, log.clock.unix_ns())["verifications"]
        assert {kind: result["exit_code"] for kind, result in shown.items()} == {"quick": 0, "full": 0}
        assert json.dumps(shown)
        late = now + int((VERIFY_QUICK_LAG_SECONDS + 10) * NS)
        assert [c.code for c in reader.conditions({}, late)] == ["verify_overdue"]
    finally:
        log.close()


def test_a_verification_that_could_not_run_counts_for_nothing(tmp_path: Path) -> None:
    log = IndexedLog.make(tmp_path)
    try:
        reader = IntegrityReader(log.engine, "Asia/Bangkok", log.clock.unix_ns())
        late = log.clock.unix_ns() + int((VERIFY_QUICK_LAG_SECONDS + 10) * NS)
        log.clock.advance(VERIFY_QUICK_LAG_SECONDS)
        put_result(log, "quick", 2)
        assert [c.code for c in reader.conditions({}, late)] == ["verify_overdue"]
    finally:
        log.close()


@pytest.mark.parametrize("garbage", [None, 5, "abc", [None], [5, "x"], {"a": 1}, [{"last_success_unix_ns": {}}]])
def test_a_report_of_another_form_stops_no_alarm(shared: IndexedLog, reader: IntegrityReader, garbage: Any) -> None:
    now = shared.clock.unix_ns()
    processes = {
        "anchor": {"witnesses": garbage, "authorities": garbage},
        "timers": {"clock": {**SAMPLE, "offset_ns": garbage}},
    }
    assert reader.read(processes, now)
    assert set(codes(reader, now, **processes)) <= {"anchor_stale"}
