"""One message a minute: what it costs on disk, and how soon it is found with the settings as shipped."""

import re
import socket
import time
from pathlib import Path

import pytest

from archive import spool as spool_module
from archive.index.checkpoint import read_checkpoint
from archive.keys import load_keys
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths, create_log, default_paths
from archive.sealer import Sealer
from archive.spool import SpoolWriter
from archive.tree import TreeReader
from tests.appliance import RunningAppliance
from tests.clocks import ManualClock

MESSAGES = 600
"""Ten hours: more than two full tiles, so that what is only kept until a tile is full has little weight."""
SECONDS_BETWEEN = 60
MAX_BYTES_PER_MESSAGE = 2_048
"""Journal and tree together, for a line of LINE_BYTES."""
LINE_BYTES = 180
SEARCHABLE_SECONDS = 15.0
NS = 1_000_000_000
SEALED_SECONDS = 12.0
"""A spool file is open for ten seconds; the rest is sealing and the grain of this test."""
POLL_SECONDS = 0.5
SAMPLE_SEARCHES, FULL_SEARCHES = 2, 10


def _line(number: int) -> bytes:
    return (b"<13>Nov 20 08:00:00 gw1 app: trickle %08d " % number).ljust(LINE_BYTES, b"x")


def _bytes_below(*paths: Path) -> tuple[int, int]:
    """Apparent and allocated bytes of files and folders."""
    found = [path.stat() for top in paths for path in ([top, *top.rglob("*")] if top.is_dir() else [top])]
    return sum(one.st_size for one in found), sum(one.st_blocks for one in found) * 512


def _wait_closed(folder: Path) -> None:
    """Until the writer's own thread has closed the file."""
    end = time.monotonic() + 10
    while not any(folder.glob("*.spool")):
        assert time.monotonic() < end, "the spool file was not closed"
        time.sleep(0.001)


def test_what_a_message_a_minute_costs_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "COMMIT_INTERVAL_SECONDS", 0.001)
    clock = ManualClock()
    paths = default_paths(tmp_path / "data")
    create_log(paths, "phayan.test/trickle", clock)
    sealer = Sealer(paths, load_keys(paths.keys), clock=clock)
    writer = SpoolWriter(paths.spool, "collector", clock=clock)
    sealer.run_once()
    before = _bytes_below(paths.log, paths.spool, paths.head)
    leaves = read_checkpoint(paths).size
    for number in range(MESSAGES):
        writer.append(_line(number), listener="syslog/udp-5514", transport="udp", source=(bytes(16), 40_000))
        clock.advance(SECONDS_BETWEEN)
        _wait_closed(paths.spool / "collector")
        assert sealer.run_once() == 1
    after = _bytes_below(paths.log, paths.spool, paths.head)
    checkpoint = read_checkpoint(paths)
    writer.close()
    sealer.close()
    assert checkpoint.size - leaves == MESSAGES
    segments = _bytes_below(paths.segments)
    apparent, allocated = ((now - then) / MESSAGES for now, then in zip(after, before, strict=True))
    print(
        f"{MESSAGES} messages of {LINE_BYTES} bytes, one a minute: {apparent:.0f} bytes each apparent, {allocated:.0f} "
        f"allocated; of them {segments[0] / MESSAGES:.0f} and {segments[1] / MESSAGES:.0f} in segments"
    )
    assert apparent <= MAX_BYTES_PER_MESSAGE
    assert allocated <= MAX_BYTES_PER_MESSAGE


@pytest.mark.parametrize("start_seconds", [7.0, 9.5])
def test_a_record_is_sealed_soon_whenever_the_sealer_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_seconds: float
) -> None:
    """A record a second, and the sealer begins so long after a multiple of ten seconds."""
    monkeypatch.setattr(spool_module, "COMMIT_INTERVAL_SECONDS", 0.001)
    clock = ManualClock()
    paths = default_paths(tmp_path / "data")
    create_log(paths, "phayan.test/phase", clock)
    clock.advance(start_seconds)
    sealer = Sealer(paths, load_keys(paths.keys), clock=clock)
    sealer.run_once()
    writer = SpoolWriter(paths.spool, "collector", clock=clock)
    arrivals: list[int] = [clock.monotonic_ns()]  # of the writer's own record of its start
    waited_seconds: list[float] = []
    for _ in range(40):
        writer.append(b"<13>x", listener="syslog/udp-5514")
        arrivals.append(clock.monotonic_ns())
        for _ in range(4):
            clock.advance(0.25)
            time.sleep(0.01)  # the writer's own thread closes the file
            sealer.run_once()
        for arrival in arrivals[len(waited_seconds) : _sealed_records(paths)]:
            waited_seconds.append((clock.monotonic_ns() - arrival) / NS)
    writer.close()
    sealer.close()
    assert len(waited_seconds) > 20
    assert max(waited_seconds) <= SEALED_SECONDS


def _sealed_records(paths: ArchivePaths) -> int:
    checkpoint = read_checkpoint(paths)
    reader = TreeReader(paths.log, checkpoint.size)
    leaves = (decode_leaf(reader.leaf(index)) for index in range(checkpoint.size))
    return sum(leaf.get("records", 0) for leaf in leaves)


@pytest.mark.slow
def test_a_message_is_searchable_soon_with_the_settings_as_shipped(tmp_path: Path, full_counts: bool) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    text = appliance.config_path.read_text(encoding="utf-8")
    shipped = re.sub(r"^(spool_close_seconds|head_interval_seconds) = .*\n", "", text, flags=re.MULTILINE)
    assert shipped != text
    appliance.config_path.write_text(shipped, encoding="utf-8")
    appliance.start()
    taken: list[float] = []
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.connect(("127.0.0.1", appliance.ports["syslog_udp"]))
            for number in range(FULL_SEARCHES if full_counts else SAMPLE_SEARCHES):
                word = f"trickle{number:06d}"
                sent = time.monotonic()
                link.send(f"<13>gw1 app: {word}".encode())
                while not appliance.ask("search", word, "--since", "-10m")["rows"]:
                    assert time.monotonic() < sent + 4 * SEARCHABLE_SECONDS, f"{word} was never found"
                    time.sleep(POLL_SECONDS)
                taken.append(time.monotonic() - sent)
                # The next one at another place between two closings of the spool.
                time.sleep(3.7 * number % 10)
    finally:
        appliance.stop()
    print(f"searchable after {[round(seconds, 1) for seconds in taken]} s, as seen by asking without pause")
    assert max(taken) <= SEARCHABLE_SECONDS
