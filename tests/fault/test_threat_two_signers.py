"""Threat 10: two heads of one size. Two instances over one directory, and clones before one witness."""

import shutil
import threading
from pathlib import Path

import pytest

from archive.errors import ArchiveError
from archive.merkle import consistency_proof
from archive.note import Checkpoint, VerifierKey, open_checkpoint
from archive.origin import ArchivePaths, create_log, default_paths
from archive.sealer import Sealer
from archive.spool import SpoolWriter
from archive.tree import TreeReader
from archive.verify.run import verify_archive
from tests.archive.published_log import MemoryWitness
from tests.archive.small_log import SmallLog
from tests.clocks import ManualClock

SAMPLE_ROUNDS, FULL_ROUNDS = 100, 1_000
CLONE_ROUNDS = 20
MEET_SECONDS = 10.0
"""So that one instance that dies fails the test and does not keep the other waiting."""


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


def _heads_of(log: SmallLog, heads: list[bytes]) -> dict[int, set[bytes]]:
    found: dict[int, set[bytes]] = {}
    for head in heads:
        checkpoint = open_checkpoint(head, _key(log))
        found.setdefault(checkpoint.size, set()).add(checkpoint.root)
    return found


def test_two_instances_racing_for_one_log(log: SmallLog, full_counts: bool) -> None:
    rounds = FULL_ROUNDS if full_counts else SAMPLE_ROUNDS
    heads: list[bytes] = []
    refused = 0
    lock, start = threading.Lock(), threading.Barrier(2, timeout=MEET_SECONDS)

    def race() -> None:
        nonlocal refused
        for _ in range(rounds):
            start.wait()
            try:
                sealer = Sealer(log.paths, log.keys, clock=log.clock, head_interval_seconds=0)
            except ArchiveError:
                with lock:
                    refused += 1
                continue
            sealer.publish()
            with lock:
                heads.append(log.paths.head.read_bytes())
            sealer.close()

    threads = [threading.Thread(target=race, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    roots = _heads_of(log, heads)
    assert len(heads) + refused == 2 * rounds
    assert refused > 0, "they never met"
    assert all(len(found) == 1 for found in roots.values())
    assert verify_archive(log.paths.directory, log.paths.head).exit_code == 0
    print(f"row 10: {rounds} rounds, {len(heads)} heads, {refused} refused by the lock")


def test_two_clones_of_a_log_before_one_witness(log: SmallLog, tmp_path: Path) -> None:
    """Each has its own head file and lock. Of one size the witness cosigns one root, whoever comes first."""
    witness = MemoryWitness(_key(log), log.clock)
    refused = 0
    for number in range(CLONE_ROUNDS):
        clone = default_paths(tmp_path / f"clone{number}")
        shutil.copytree(log.paths.directory, clone.directory)
        shutil.copy(log.paths.head, clone.head)
        _receive(log, b"the one")
        _seal(log, log.paths)
        log.clock.advance(1)
        _seal(log, clone)
        order = (log.paths, clone) if number % 2 else (clone, log.paths)
        for paths in order:
            refused += not _is_cosigned(witness, paths, _key(log))
        if order[0] is clone:
            # The clone was first: from here on it is the log.
            shutil.rmtree(log.paths.directory)
            shutil.copytree(clone.directory, log.paths.directory)
            shutil.copy(clone.head, log.paths.head)
    assert refused == CLONE_ROUNDS
    seen: dict[int, Checkpoint] = {}
    for _, checkpoint in witness.seen:
        assert seen.setdefault(checkpoint.size, checkpoint) == checkpoint
    print(f"row 10: {CLONE_ROUNDS} clones before a witness")


def _seal(log: SmallLog, paths: ArchivePaths) -> None:
    sealer = Sealer(paths, log.keys, clock=log.clock, head_interval_seconds=0)
    sealer.run_once(full_look=True)
    sealer.close()


def _is_cosigned(witness: MemoryWitness, paths: ArchivePaths, key: VerifierKey) -> bool:
    note = paths.head.read_bytes()
    size = open_checkpoint(note, key).size
    reader = TreeReader(paths.log, size)
    try:
        witness.add_checkpoint(note, witness.size, lambda old: consistency_proof(old, size, reader.node))
    except (ArchiveError, ValueError):
        return False
    own = open_checkpoint(note, key)
    if any(one.size == own.size and one.root != own.root for _, one in witness.seen[:-1]):
        witness.seen.pop()
        return False
    return True
