"""A real appliance over a log whose days are past their retention: a hold is placed, what is due is purged, what is
held stays findable. And a clock that is not synchronised purges nothing."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from archive.origin import create_log, default_paths
from archive.sealer import Sealer
from archive.sealing.json_leaves import JsonLeaves, check_clock_fields
from archive.segment import utc_day
from archive.spool import SpoolWriter
from authgw.session_events import encode_session_event
from tests.appliance import RunningAppliance
from tests.clocks import NS, ManualClock

DAYS_AGO = 100
PEOPLE = ("malee", "somchai", "ญาดา")


class SealedClock:
    """Writes clock samples into the inbox, as the timers do."""

    def __init__(self, inbox: Path, clock: ManualClock) -> None:
        self.folder, self.clock = inbox / "clock", clock
        self.folder.mkdir(parents=True, exist_ok=True)

    def sample(self) -> None:
        values = {
            "unix_ns": str(self.clock.unix_ns()), "monotonic_ns": str(self.clock.monotonic_ns()), "synchronised": True,
            "offset_ns": 0, "dispersion_ns": None, "source": "chrony",
        }  # fmt: skip
        fields = {"boot_id": self.clock.boot_id(), "step": None, "samples": [values]}
        (self.folder / f"{self.clock.monotonic_ns():020d}.json").write_text(json.dumps(fields))


def make_old_log(directory: Path) -> tuple[str, int]:
    """Three people's sessions and lines of a day long ago, and clock samples every other day since, the last of this
    boot. Returns the day and a moment in it."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    now, monotonic = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    clock = ManualClock(now - DAYS_AGO * 86_400 * NS, 1000 * NS, "boot-of-then")
    paths = default_paths(directory)
    keys = create_log(paths, "phayan.test/old", clock)
    source = JsonLeaves("clock", paths.inbox / "clock", check_clock_fields)
    sealer = Sealer(paths, keys, clock=clock, head_interval_seconds=0, sources=[source])
    samples = SealedClock(paths.inbox, clock)
    start = clock.unix_ns() + 60 * NS
    records = []
    for number, name in enumerate(PEOPLE, 1):
        values: dict[str, Any] = {"kind": "portal", "account": name, "session_id": f"p-{number}"}
        values |= {"address": f"10.0.1.{number}", "station": f"02:00:00:00:00:{number:02x}"}
        records.append(("session", encode_session_event("open", start, **values)))
        line = f"<134>kernel: IN=br0 OUT=ppp0 SRC=10.0.1.{number} DST=198.51.100.80 PROTO=TCP SPT=5000 DPT=443"
        records.append(("syslog/udp-5514", line.encode()))
        records.append(("session", encode_session_event("close", start + 3600 * NS, ended_why="logout", **values)))
    clock.advance(300)
    writer = SpoolWriter(paths.spool, "portal", clock=clock, close_after_seconds=1e9)
    for listener, payload in records:
        writer.append(payload, listener=listener)
    writer.close()
    day = utc_day(clock.unix_ns())
    while clock.unix_ns() < now - 2 * 86_400 * NS:
        clock.advance(86_400)
        samples.sample()
        sealer.run_once(full_look=True)
        sealer.publish()
    sealer.close()
    live = ManualClock(now, monotonic, boot)
    SealedClock(paths.inbox, live).sample()
    return day, start + 300 * NS


@pytest.fixture
def old(tmp_path: Path) -> Any:
    appliance = RunningAppliance(tmp_path / "data")
    appliance.day, appliance.moment = make_old_log(appliance.directory)  # type: ignore[attr-defined]
    appliance.configure("[cases]\none_person = true\n")
    yield appliance
    appliance.stop()


def days_of(appliance: RunningAppliance) -> dict[str, dict[str, Any]]:
    return {one["day"]: one for one in appliance.ask("retention")["days"]}


def test_what_is_due_goes_and_what_a_hold_keeps_stays(old: Any) -> None:
    old.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and days_of(old).get(old.day, {}).get("state") != "due":
        time.sleep(0.5)
    plan = old.ask("retention")
    assert plan["problem"] == "", plan["problem"]
    assert days_of(old)[old.day]["state"] == "due"

    since = time.strftime("%Y-%m-%d", time.gmtime(old.moment // NS - 86_400))
    until = time.strftime("%Y-%m-%d", time.gmtime(old.moment // NS + 86_400))
    end = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 300 * 86_400))
    placed = old.phayan(
        "holds", "place", "--order", "ศธ 04001/55", "--officer", "พ.ต.ท. ก", "--unit", "บก.ปอท.", "--account", "malee",
        "--from", since, "--until", until, "--hold-until", end,
    )  # fmt: skip
    assert placed.returncode == 0, placed.stderr + placed.stdout

    done = old.phayan("retention", "run", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    day = days_of(old)[old.day]
    assert day["state"] == "held"
    assert len(day["holds"]) == 1
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(old.moment // NS))
    held, gone = (old.ask("who", f"10.0.1.{number}", "--at", at) for number in (1, 2))
    assert [one["account"] for one in held["candidates"]] == ["malee"]
    assert (held["certainty"], gone["certainty"], gone["candidates"]) == ("expired", "expired", [])
    verified = old.phayan("verify")
    assert verified.returncode == 0, verified.stdout
    text = old.phayan("retention").stdout
    assert "ลบแล้ว เหลือตามคำสั่ง" in text
    assert old.phayan("retention", "run", "--yes").returncode == 0, "nothing is left to do"


def test_a_clock_that_nobody_synchronises_purges_nothing(old: Any) -> None:
    for path in (old.directory / "inbox" / "clock").iterdir():
        path.unlink()
    old.start()
    plan = old.ask("retention")
    assert "no synchronised clock sample" in plan["problem"]
    refused = old.phayan("retention", "run", "--yes")
    assert refused.returncode == 2
    assert "no synchronised clock sample" in refused.stderr
    assert days_of(old)[old.day]["state"] == "kept"
    assert os.listdir(old.directory / "log" / "segments" / "portal" / old.day)
