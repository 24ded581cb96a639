"""Threats 5, 7, 9 and 12: states put back, tails not anchored, silences, clocks that jump."""

import json
import shutil
from pathlib import Path

import pytest

from archive.anchor.judgement import WITNESS, OutsideHead
from archive.anchor.outside_heads import FOUND_FILE, WANTED_FILE
from archive.anchor.published import PublishedLog
from archive.anchor.store import AnchorStore
from archive.anchor.witness_feed import WitnessFeed
from archive.cosignature import WitnessKey
from archive.errors import ArchiveError
from archive.leaf import decode_leaf
from archive.note import VerifierKey
from archive.origin import create_log, default_paths
from archive.sealer import HEAD_INTERVAL_SECONDS, HEARTBEAT_SECONDS, Sealer
from archive.sealing.first_head import FirstHead
from archive.spool import SpoolWriter
from archive.tree import TreeReader
from archive.verify.report import Report
from archive.verify.run import verify_archive
from tests.archive.published_log import MemoryWitness
from tests.archive.small_log import SmallLog
from tests.clocks import ManualClock

RESTORED_POINTS = 20
WINDOW_SECONDS = 600
YEAR = 365 * 86_400
NS = 1_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> SmallLog:
    clock = ManualClock()
    paths = default_paths(tmp_path / "data")
    return SmallLog(paths, create_log(paths, "phayan.test/time", clock), clock)


def _key(log: SmallLog) -> VerifierKey:
    return log.keys.verifier_key("phayan.test/time")


def _receive(log: SmallLog, payload: bytes) -> None:
    writer = SpoolWriter(log.paths.spool, "collector", clock=log.clock)
    writer.append(payload, listener="syslog")
    writer.close()


def _codes(report: Report) -> set[str]:
    return {one.code for one in (*report.defects, *report.statements)}


def _verify(log: SmallLog) -> Report:
    return verify_archive(log.paths.directory, log.paths.head)


def test_an_older_state_that_is_restored_may_not_sign(log: SmallLog, tmp_path: Path) -> None:
    """The data alone: the head beside it is ahead. The whole machine: a witness's head is."""
    for number in range(RESTORED_POINTS):
        sealer = log.sealer()
        _receive(log, b"%d" % number)
        sealer.run_once(full_look=True)
        sealer.close()
        shutil.copytree(log.paths.directory, tmp_path / f"{number}")
        shutil.copy(log.paths.head, tmp_path / f"{number}.head")
        log.clock.advance(1)
    log.sealers.clear()
    newer = log.sealer()
    newer.run_once()
    newer.close()
    newest = log.paths.head.read_text()
    for number in range(RESTORED_POINTS):
        for is_whole in (False, True):
            shutil.rmtree(log.paths.directory)
            shutil.copytree(tmp_path / f"{number}", log.paths.directory)
            log.paths.head.write_text((tmp_path / f"{number}.head").read_text() if is_whole else newest)
            _receive(log, b"appended")
            before = log.paths.head.read_bytes()
            if is_whole:
                _check_gate_refuses(log, newest)
            else:
                with pytest.raises(ArchiveError):
                    Sealer(log.paths, log.keys, clock=log.clock)
            assert log.paths.head.read_bytes() == before
    print(f"row 5: {2 * RESTORED_POINTS} restored states")


def _check_gate_refuses(log: SmallLog, newest: str) -> None:
    gate = FirstHead(log.paths, _key(log), log.clock, has_sources=True)
    gate.is_allowed()
    wanted = json.loads((log.paths.run / WANTED_FILE).read_text())
    values = {"nonce": wanted["nonce"], "sources": [vars(OutsideHead("office", WITNESS, newest))]}
    (log.paths.run / FOUND_FILE).write_text(json.dumps(values))
    assert not gate.is_allowed()
    assert gate.code == "outside_head_ahead"


def test_with_a_witness_no_leaf_is_unanchored_for_longer_than_a_head_takes(log: SmallLog) -> None:
    """Stepped by a quarter of a second, with the pauses of sealer and feed as they are."""
    witness = MemoryWitness(_key(log), log.clock)
    store = AnchorStore(log.paths, log.clock)
    store.open(_key(log))
    feed = WitnessFeed(
        witness, WitnessKey(witness.name, witness.key.public_key), PublishedLog(log.paths), store, log.clock
    )
    sealer = Sealer(log.paths, log.keys, clock=log.clock, head_interval_seconds=HEAD_INTERVAL_SECONDS)
    appended: dict[int, float] = {}
    oldest = 0.0
    for quarter in range(4 * WINDOW_SECONDS):
        if quarter % 12 == 0:
            _receive(log, b"%d" % quarter)
        before = sealer.tree_size
        sealer.run_once(full_look=True)
        appended.update(dict.fromkeys(range(before, sealer.tree_size), quarter / 4))
        feed.step()
        waiting = [since for leaf, since in appended.items() if leaf >= witness.size]
        appended = {leaf: since for leaf, since in appended.items() if leaf >= witness.size}
        oldest = max(oldest, quarter / 4 - min(waiting, default=quarter / 4))
        log.clock.advance(0.25)
    sealer.close()
    assert witness.size > WINDOW_SECONDS / HEAD_INTERVAL_SECONDS
    assert 0 < oldest <= HEAD_INTERVAL_SECONDS + 0.25
    print(f"row 7: the oldest leaf that no witness had seen was {oldest} s old, of {witness.size}")


@pytest.mark.parametrize("heartbeats", [0, 1, 2, 12, 1_000])
def test_a_log_that_was_made_to_keep_silent_says_so(log: SmallLog, heartbeats: int) -> None:
    """Cut off, not continued for a while, continued by who has the key and leaves the outage out."""
    sealer = log.sealer()
    _receive(log, b"before")
    sealer.run_once(full_look=True)
    log.clock.advance(heartbeats * HEARTBEAT_SECONDS + 1)
    _receive(log, b"after")
    sealer.run_once(full_look=True)
    sealer.close()
    report = _verify(log)
    assert report.exit_code == 0
    assert ("silent_gap" in _codes(report)) == (heartbeats > 2)
    log.clock.advance(heartbeats * HEARTBEAT_SECONDS)
    started = Sealer(log.paths, log.keys, clock=log.clock, head_interval_seconds=0)
    _receive(log, b"after a stated outage")
    started.run_once(full_look=True)
    started.close()
    again = _verify(log)
    assert "outage" in _codes(again)
    said = [[one.message for one in found.statements if one.code == "silent_gap"] for found in (report, again)]
    assert said[0] == said[1], "an outage that is stated is no silence"


def test_a_log_that_beats_is_never_silent(log: SmallLog) -> None:
    sealer = log.sealer()
    for _ in range(300):
        log.clock.advance(HEARTBEAT_SECONDS + 0.2)
        sealer.run_once()
    sealer.close()
    assert "silent_gap" not in _codes(_verify(log))


@pytest.mark.parametrize("jump_seconds", [-1, -2, -3600, -YEAR, YEAR])
def test_a_clock_that_jumps_in_the_middle_of_a_chunk(log: SmallLog, jump_seconds: int) -> None:
    sealer = log.sealer()
    _receive(log, b"before")
    sealer.run_once(full_look=True)
    writer = SpoolWriter(log.paths.spool, "collector", clock=log.clock)
    for number in range(10):
        writer.append(b"%d" % number, listener="syslog")
        log.clock.advance(1, wall_seconds=1 + (jump_seconds if number == 5 else 0))
        sealer.run_once(full_look=True)
    writer.close()
    for _ in range(3):
        log.clock.advance(HEARTBEAT_SECONDS + 1)
        sealer.run_once(full_look=True)
    sealer.close()
    report = _verify(log)
    assert report.exit_code == 0, report.to_text()
    assert report.records == 1 + 10 + 2, "the writers' own records among them"
    codes = _codes(report)
    # A second is within what slewing may do; sealing goes on in every case.
    assert ("clock_back" in codes) == (jump_seconds < -1)
    assert ("silent_gap" in codes) == (jump_seconds > 0)
    reader = TreeReader(log.paths.log, report.tree_size)
    steps = [leaf for leaf in map(decode_leaf, map(reader.leaf, range(reader.size))) if leaf["kind"] == "clock"]
    assert len(steps) == (jump_seconds < -1)
    for leaf in steps:
        assert int(leaf["step"]["from_unix_ns"]) - int(leaf["step"]["to_unix_ns"]) == -jump_seconds * NS
