"""kill -9 of every process under load: what was acknowledged or counted as received is found, once; the log
never forks."""

import collections
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from archive.chunk import decode_chunk
from archive.index.checkpoint import read_checkpoint
from archive.index.worker import stored_chunk
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths, default_paths
from archive.segment import read_stored_chunk
from archive.tree import TreeReader
from archive.verify.run import verify_archive
from tests.appliance import RunningAppliance
from tests.e2e.lab import wait_until
from tests.fault.load import Load

SAMPLE_KILLS, FULL_KILLS = 1, 20
"""Of each process. The sample is what `make test` runs; `make fault` runs the full count."""
NUMBERED = re.compile(rb"load: (udp|tcp) number (\d{8})")


@pytest.mark.slow
def test_kill_of_each_process_under_load(tmp_path: Path, full_counts: bool) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    appliance.start()
    heads: set[bytes] = set()
    kills: collections.Counter[str] = collections.Counter()
    try:
        appliance.add_user("somchai", "สมชาย ใจดี", "correct horse 1")
        ports = appliance.ports
        with Load(ports["syslog_udp"], ports["syslog_tcp"], ports["radius_acct"]) as load:
            time.sleep(2)
            names = sorted(appliance.process_ids())
            assert {"collector", "radius", "sealer", "ask", "accounts", "timers"} <= set(names)
            chosen = random.Random(7)
            turns = names * (FULL_KILLS if full_counts else SAMPLE_KILLS)
            chosen.shuffle(turns)
            for name in turns:
                received = _received(appliance)
                _kill(appliance, name)
                kills[name] += 1
                heads.add((tmp_path / "office.head").read_bytes())
                time.sleep(chosen.uniform(0.2, 1.0))
                later = _received(appliance)
                for stream, count in received.items():
                    assert later.get(stream, 0) >= count, f"{stream} went from {count} to {later} after {name} died"
            time.sleep(2)
        received = _received(appliance)
        _wait_indexed(appliance)
        _check_once(appliance, load, received)
        _check_restarts_recorded(appliance, kills)
    finally:
        appliance.stop()
    report = verify_archive(appliance.directory, tmp_path / "office.head")
    assert report.exit_code == 0, report.to_text()
    for head in heads:
        report = verify_archive(appliance.directory, tmp_path / "office.head", checkpoints=[head])
        assert report.exit_code == 0, f"a head signed earlier is no prefix any more: {report.to_text()}"
    print(f"kills {dict(kills)}, answered {len(load.answered)} of {load.asked}, heads {len(heads)}")


def _received(appliance: RunningAppliance) -> dict[str, int]:
    """What `status` counts as received, by stream; retried while the ask service itself restarts."""

    def read() -> dict[str, int] | None:
        done = appliance.phayan("status", "--format", "json")
        if done.returncode:
            return None
        import json

        return {name: counts["received"] for name, counts in json.loads(done.stdout)["streams"].items()}

    return wait_until(read, 60, "status answers")


def _kill(appliance: RunningAppliance, name: str) -> None:
    pid = wait_until(lambda: appliance.process_ids().get(name), 30, f"{name} runs")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: appliance.process_ids().get(name) not in (None, pid), 30, f"{name} is started again")


def _wait_indexed(appliance: RunningAppliance) -> None:
    def ready() -> bool:
        status = appliance.ask("status")
        streams = {n: c for n, c in status["streams"].items() if n in ("collector", "radius")}
        return all(c["received"] == c["indexed"] for c in streams.values())

    wait_until(ready, 90, "everything received is indexed")


def _payloads(paths: ArchivePaths, stream: str) -> list[bytes]:
    size = read_checkpoint(paths).size
    reader = TreeReader(paths.log, size)
    found: list[bytes] = []
    for index in range(size):
        leaf = decode_leaf(reader.leaf(index))
        if leaf.get("stream") == stream and "segment" in leaf:
            found += decode_chunk(read_stored_chunk(paths.segments, stored_chunk(leaf))).column("payload").to_pylist()
    return found


def _check_once(appliance: RunningAppliance, load: Load, received: dict[str, int]) -> None:
    payloads = wait_until(lambda: _try_payloads(appliance), 30, "the journal can be read while the sealer works")
    assert len(payloads) >= received["collector"]
    numbers = collections.Counter(match.groups() for p in payloads if (match := NUMBERED.search(p)))
    twice = [number for number, count in numbers.items() if count > 1]
    assert twice == [], f"{len(twice)} lines are sealed twice, first {twice[:3]}"
    assert len(numbers) > 100
    assert load.answered, "no accounting request was answered at all"
    found = collections.Counter(_sessions_opened(appliance))
    missing = [s for s in load.answered if found[s] == 0]
    double = [s for s in load.answered if found[s] > 1]
    assert missing == [], f"{len(missing)} of {len(load.answered)} answered requests are lost: {missing[:3]}"
    assert double == [], f"{len(double)} answered requests are found more than once: {double[:3]}"


def _sessions_opened(appliance: RunningAppliance) -> list[str]:
    """Session ids of every open event search finds, page by page back in time; each record once."""
    found: dict[tuple[int, int], str] = {}
    until = "now"
    while True:
        page = appliance.ask(
            "search", "table:sessions event:open", "--since", "-2h", "--until", until, "--limit", "10000"
        )
        for row in page["rows"]:
            found[row["leaf_index"], row["row"]] = row["fields"]["session_id"]
        if not page["more"]:
            return list(found.values())
        until = page["rows"][-1]["time"]


def _try_payloads(appliance: RunningAppliance) -> list[bytes] | None:
    try:
        return _payloads(default_paths(appliance.directory), "collector")
    except FileNotFoundError:
        return None


def _check_restarts_recorded(appliance: RunningAppliance, kills: collections.Counter[str]) -> None:
    def recorded() -> bool:
        rows = appliance.ask("search", "event:process_ended", "--since", "-2h", "--limit", "10000")["rows"]
        ended = collections.Counter(row["fields"]["process"] for row in rows)
        # The process that writes these notes cannot write of a death while it is dead itself; the supervisor
        # repeats it.
        return all(ended[name] >= count for name, count in kills.items())

    wait_until(recorded, 60, f"every restart of {dict(kills)} is a sealed record")
