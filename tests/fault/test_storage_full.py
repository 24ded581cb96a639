"""A file system of 1 GB is filled: what stops, in which order, and what is sealed about it."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_disk import SmallDisk, need_mounting, small_disk

from archive.origin import create_log, default_paths
from archive.sealer import Sealer
from archive.segment import utc_day
from archive.spool import SpoolWriter
from archive.storage.levels import Level, Space, level_at
from tests.appliance import PHAYAN, SECRET, RunningAppliance
from tests.clocks import NS, ManualClock

GIB, MIB = 1024**3, 1024**2
RESERVE = 512 * MIB
DAYS = 5
LINES_A_DAY = 2_000
SECONDS_TO_NOTICE = 30.0


@dataclass
class ApplianceOnDisk(RunningAppliance):
    """All its processes, and every command, are in the mount namespace of the disk."""

    prefix: tuple[str, ...] = ()

    def start(self, seconds: float = 90) -> str:
        self.output = self.config_path.with_suffix(".log")
        command = [*self.prefix, str(PHAYAN), "up", "--data", str(self.directory), "--config", str(self.config_path)]
        with self.output.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            text = self.output.read_text(encoding="utf-8")
            if "Phayan is running" in text:
                return text
            assert self.process.poll() is None, text
            time.sleep(0.1)
        raise AssertionError(self.output.read_text(encoding="utf-8"))

    def phayan(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [*self.prefix, str(PHAYAN), *arguments, "--data", str(self.directory)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, input=stdin, check=False)

    @property
    def config_path(self) -> Path:
        return self.directory.parent.parent / "phayan.toml"


@dataclass
class Filler:
    """A file beside the archive that is as large as is needed for a level."""

    disk: SmallDisk

    @property
    def path(self) -> Path:
        return self.disk.path / "something else"

    def leave(self, free_bytes: int) -> None:
        wanted = self.disk.free_bytes() - free_bytes
        with self.path.open("ab") as file:
            size = file.tell() + wanted
            if wanted < 0:
                file.truncate(max(0, size))
        if wanted > 0:
            subprocess.run(["fallocate", "-l", str(size), str(self.path)], check=True)

    def reach(self, percent: float) -> None:
        """So much of what may be filled is used."""
        self.leave(int(RESERVE + (GIB - RESERVE) * (1 - percent / 100)))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    need_mounting()
    if shutil.which("radclient") is None:
        pytest.fail("radclient is missing; deploy/install_peers.sh installs it")
    with small_disk(tmp_path / "disk", GIB) as made:
        yield made


def make_days(disk: SmallDisk) -> list[str]:
    """A log whose records were received on five days before today."""
    clock = ManualClock(time.time_ns() - (DAYS + 1) * 86_400 * NS)
    paths = default_paths(disk.path / "data")
    keys = create_log(paths, "phayan.test/full", clock)
    sealer = Sealer(paths, keys, clock=clock, head_interval_seconds=0)
    days = []
    for _ in range(DAYS):
        writer = SpoolWriter(paths.spool, "collector", clock=clock, close_after_seconds=1e9)
        for number in range(LINES_A_DAY):
            writer.append(f"<13>old line {number} of {clock.unix_ns()}".encode(), listener="syslog/udp-1")
        writer.close()
        sealer.run_once()
        days.append(utc_day(clock.unix_ns()))
        clock.advance(86_400)
    sealer.close()
    return days


def wait_for(appliance: ApplianceOnDisk, what: str, is_so: Any, seconds: float = SECONDS_TO_NOTICE) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = appliance.ask("status")
        if is_so(status):
            return status
        time.sleep(0.5)
    raise AssertionError(f"{what}: {json.dumps(status['disk'])} {[one['code'] for one in status['alarms']]}")


def log_in(appliance: ApplianceOnDisk) -> bool:
    """Whether RADIUS accepts somebody."""
    request = 'User-Name = "malee"\nUser-Password = "rain on tin roofs"\nMessage-Authenticator = 0x00\n'
    server = f"127.0.0.1:{appliance.ports['radius_auth']}"
    done = subprocess.run(
        ["radclient", "-r", "1", "-t", "3", server, "auth", SECRET], input=request, capture_output=True, text=True
    )
    return "Access-Accept" in done.stdout


class Lines(threading.Thread):
    """Numbered lines, twenty a second, and when each was sent."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.address = ("127.0.0.1", port)
        self.sent: list[int] = []
        self.end = threading.Event()

    def run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not self.end.wait(0.05):
                self.sent.append(time.time_ns())
                sender.sendto(f"<13>numbered {len(self.sent) - 1}".encode(), self.address)


def events(appliance: ApplianceOnDisk, code: str) -> list[dict[str, Any]]:
    found = appliance.ask("search", f"event:{code}", "--since", "-1h", "--limit", "1000")
    return [json.loads(row["fields"]["details"]) for row in found["rows"] if row["table"] == "events"]


def lost(appliance: ApplianceOnDisk, how: str) -> int:
    """Records of a kind of loss."""
    found = appliance.ask("search", how, "--since", "-1h", "--limit", "1000")
    return sum(row["fields"]["count"] for row in found["rows"] if row["table"] == "losses")


def test_a_disk_that_fills_stops_things_in_their_order_and_says_so(disk: SmallDisk) -> None:
    days = make_days(disk)
    filler = Filler(disk)
    appliance = ApplianceOnDisk(disk.inside / "data", prefix=disk.prefix)
    appliance.configure()
    appliance.start()
    lines = Lines(appliance.ports["syslog_udp"])
    try:
        appliance.add_user("malee", "มาลี ใจดี", "rain on tin roofs")
        status = wait_for(appliance, "indexed", lambda s: s["indexed"] >= DAYS * LINES_A_DAY, 90)
        assert status["disk"]["level"] == "normal"
        assert status["disk"]["days_without_index"] == []

        filler.reach(72)
        status = wait_for(appliance, "filling", lambda s: s["disk"]["level"] == "filling")
        assert status["disk"]["days_without_index"] == []

        filler.reach(87)
        wait_for(appliance, "tight", lambda s: s["disk"]["level"] == "tight")
        status = wait_for(appliance, "index dropped", lambda s: s["disk"]["days_without_index"] == days[:1])
        asked = f"{days[0][:4]}-{days[0][4:6]}-{days[0][6:]}T12:00:00Z"
        answer = appliance.ask("who", "10.9.9.9", "--at", asked)
        assert answer["certainty"] == "pending"
        assert "phayan reindex" in answer["why"]

        lines.start()
        time.sleep(2)
        filler.reach(97)
        wait_for(appliance, "full", lambda s: s["disk"]["level"] == "full")
        assert log_in(appliance), "log-ins go on from the reserve"
        time.sleep(3)
        filler.leave(RESERVE // 16)
        wait_for(appliance, "spent", lambda s: s["disk"]["level"] == "spent")
        assert not log_in(appliance), "with the reserve spent they are refused"
        filler.path.unlink()
        wait_for(appliance, "normal", lambda s: s["disk"]["level"] == "normal")
        assert log_in(appliance)
        time.sleep(3)
        lines.end.set()
        lines.join()
        last = f"numbered {len(lines.sent) - 1}"
        wait_for(appliance, "the last line is indexed", lambda _: appliance.ask("search", f'"{last}"')["rows"], 60)
        check_interval(appliance, lines)
        done = appliance.phayan("verify")
        assert done.returncode == 0, done.stdout
    finally:
        lines.end.set()
        appliance.stop()


def check_interval(appliance: ApplianceOnDisk, lines: Lines) -> None:
    """What is sealed of the outage is what happened to the numbered lines."""
    ended = [one for one in events(appliance, "storage_resumed") if one["kinds"] and "syslog" in one["kinds"]]
    assert len(ended) == 1, ended
    start, end = int(ended[0]["from_unix_ns"]), int(ended[0]["to_unix_ns"])
    found = appliance.ask("search", "numbered", "--since", "-1h", "--limit", "10000")
    stored = {int(row["fields"]["message"].split()[-1]) for row in found["rows"] if row["table"] == "logs"}
    missing = [number for number in range(len(lines.sent)) if number not in stored]
    assert len(missing) > 60
    assert missing == list(range(missing[0], missing[-1] + 1)), "one interval without a hole"
    # The first line that is refused begins it, the first that is taken ends it: lines come every 50 ms.
    assert abs(start - lines.sent[missing[0]]) < NS
    assert abs(end - lines.sent[missing[-1]]) < NS
    counted, dropped = (lost(appliance, how) for how in ("storage_full", "kernel_socket_drops"))
    assert counted + dropped == len(missing)


def test_levels_of_a_disk_of_a_gigabyte() -> None:
    """The sizes used above are on the right side of each threshold."""
    for percent, level in ((72, Level.FILLING), (87, Level.TIGHT), (97, Level.FULL)):
        assert level_at(Space(GIB, int(RESERVE + (GIB - RESERVE) * (1 - percent / 100))), RESERVE) == level
