"""Nightly verification: the hour is the site's, and the result is a sealed record whatever it is."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archive.clock import SystemClock
from archive.origin import create_log, default_paths
from archive.spool import SpoolWriter
from archive.spool_read import read_spool_file
from deploy.config import Config
from deploy.layout import Appliance
from deploy.timers import QUICK_SECONDS, Schedule, seconds_until
from deploy.verify_timer import VerifyTimer
from tests.clocks import ManualClock


@pytest.mark.parametrize(
    ("now", "at", "expected_hours"),
    [
        ("2026-11-20T19:00:00", "02:30", 0.5),
        ("2026-11-20T19:30:00", "02:30", 24.0),
        ("2026-11-20T19:31:00", "02:30", 24.0 - 1 / 60),
        ("2026-11-20T02:30:00", "02:30", 17.0),
    ],
)
def test_the_hour_is_that_of_the_site(now: str, at: str, expected_hours: float) -> None:
    unix_ns = int(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()) * 10**9
    assert seconds_until(at, "Asia/Bangkok", unix_ns) == pytest.approx(expected_hours * 3600)


@pytest.mark.parametrize("damaged", [False, True])
def test_the_result_is_a_record_in_the_system_stream(tmp_path: Path, damaged: bool) -> None:
    paths = default_paths(tmp_path / "data")
    create_log(paths, "phayan.test/timers", SystemClock())
    if damaged:
        (paths.log / "checkpoint").write_bytes(b"something else\n")
    writer = SpoolWriter(paths.spool, "system")
    timer = VerifyTimer(Appliance(paths.directory, None, Config(), demo=False), writer, SystemClock())
    result = timer.verify("nightly")
    writer.close()
    assert result["exit_code"] == (1 if damaged else 0)
    assert result["verdict"] == ("defect" if damaged else "intact")
    batches = [b for f in sorted((paths.spool / "system").glob("*.spool")) for b in read_spool_file(f).batches]
    records = [json.loads(bytes(batch.payload)) for batch in batches if batch.listener == "system"]
    assert [r["event"] for r in records] == ["verify_finished"]
    assert records[0]["exit_code"] == result["exit_code"]
    assert bool(records[0]["first_defects"]) == damaged


def test_a_quick_result_says_that_it_is_one(tmp_path: Path) -> None:
    paths = default_paths(tmp_path / "data")
    create_log(paths, "phayan.test/timers", SystemClock())
    writer = SpoolWriter(paths.spool, "system")
    timer = VerifyTimer(Appliance(paths.directory, None, Config(), demo=False), writer, SystemClock())
    quick, full = timer.verify("hourly", quick=True), timer.verify("nightly")
    writer.close()
    assert (quick["kind"], full["kind"]) == ("quick", "full")
    assert full["index"]["state"] == "not checked", "there is no index process here"
    assert full["index"]["problem"]


def test_quick_ones_come_by_the_hour_and_a_full_one_at_night() -> None:
    # 01:00 in Bangkok.
    clock = ManualClock(unix_ns=int(datetime(2026, 11, 20, 18, tzinfo=UTC).timestamp()) * 10**9)
    schedule = Schedule("02:30", "Asia/Bangkok", clock)
    found = []
    for minute in range(24 * 60 + 1):
        kind = schedule.due()
        if kind:
            found.append((minute, kind))
        clock.advance(60)
    assert found[:4] == [(60, "quick"), (90, "full"), (150, "quick"), (210, "quick")]
    assert [kind for _, kind in found].count("full") == 1
    assert len(found) == 24


def test_a_machine_that_slept_does_one_of_each_and_not_all_that_were_missed() -> None:
    clock = ManualClock(unix_ns=int(datetime(2026, 11, 20, 18, tzinfo=UTC).timestamp()) * 10**9)
    schedule = Schedule("02:30", "Asia/Bangkok", clock)
    clock.advance(5 * QUICK_SECONDS)
    assert schedule.due() == "full"
    assert schedule.due() is None
