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
from deploy.timers import VerifyTimer, seconds_until


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
