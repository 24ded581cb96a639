"""Death and errors at every file system call of a purge: the next start finishes it, nothing held is lost, and all
heads are one history."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from archive.errors import ArchiveError
from archive.merkle import consistency_proof, verify_consistency
from archive.note import Checkpoint, open_checkpoint
from archive.retention.held_file import decode_held
from archive.sealer import HEARTBEAT_SECONDS
from archive.tree import TreeReader
from archive.verify.run import verify_archive
from tests.archive.forged_purge import HOLD, Forger, second_defects
from tests.archive.purge_log import PurgeLog
from tests.archive.test_purge import content_below

CALLS = ("open", "write", "pread", "fsync", "replace", "unlink", "rmdir", "mkdir")
TURNS = 12
RETRY_SECONDS = 31
SAMPLE_EVERY = 3
"""Of the calls in the normal run; `--full` takes each."""


class DeathError(BaseException):
    """The process ends here."""


@contextmanager
def failing(at: int, make: Callable[[], BaseException], after: bool = False) -> Iterator[list[str]]:
    """The call with this number (from 0) raises, before it is made or right after. Yields the calls."""
    made: list[str] = []
    real = {name: getattr(os, name) for name in CALLS}

    def wrap(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            made.append(name)
            is_hit = len(made) - 1 == at
            if is_hit and not after:
                raise make()
            result = real[name](*arguments, **options)
            if is_hit:
                if name == "open":
                    os.close(result)
                raise make()
            return result

        return call

    for name in CALLS:
        setattr(os, name, wrap(name))
    try:
        yield made
    finally:
        for name, function in real.items():
            setattr(os, name, function)


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Forger:
    return Forger(tmp_path_factory.mktemp("crash"))


def begin(forger: Forger) -> tuple[PurgeLog, Path]:
    """A copy with a request that nobody has looked at."""
    log = forger.copy()
    log.turn(2)
    log.request(forger.day, forger.units, [HOLD])
    return log, log.paths.directory


def heads_of(log: PurgeLog) -> set[Checkpoint]:
    key = log.keys.verifier_key(log.paths.origin())
    files = (log.paths.head, log.paths.log / "checkpoint")
    return {open_checkpoint(path.read_bytes(), key) for path in files}


def check(forger: Forger, log: PurgeLog, heads: set[Checkpoint]) -> None:
    """Purged once, for good, with what is held."""
    report = verify_archive(log.paths.directory, log.paths.head)
    assert [(defect.code, defect.file, defect.message) for defect in report.defects] == []
    assert "purge_not_finished" not in {statement.code for statement in report.statements}
    assert second_defects(log.paths.directory, log.paths.head) == []
    [(number, purge)] = log.purges()
    held = decode_held((log.paths.log / purge["held"]["file"]).read_bytes())
    places = [(unit.leaf, unit.row, unit.offset) for record in held.records for unit in record.units]
    assert places == forger.units
    assert not [path for path in log.paths.segments.glob(f"*/{forger.day}") if path.parent.name != "identity"]
    assert {path.stem for path in (log.paths.log / "held").rglob("*.*")} == {f"{number:012d}"}
    assert b"person007" not in content_below(log.paths.log / "segments")
    assert not [path for path in (log.paths.inbox / "purge").glob("*.*")]
    newest = log.sealer.checkpoint
    reader = TreeReader(log.paths.log, newest.size)
    for head in heads:
        if head.size < newest.size:
            proof = consistency_proof(head.size, newest.size, reader.node)
            verify_consistency(head.size, head.root, newest.size, newest.root, proof)
        else:
            assert head == newest


def count_calls(forger: Forger) -> list[str]:
    log, _ = begin(forger)
    with failing(-1, DeathError) as made:
        log.turn(TURNS)
    check(forger, log, heads_of(log))
    log.close()
    forger.clean()
    return made


def restart(log: PurgeLog) -> PurgeLog:
    """The process is gone with its locks; the next one starts."""
    log.sealer._head.close()
    log.open()
    log.turn(TURNS)
    return log


@pytest.mark.parametrize("after", [False, True])
def test_death_at_every_call_is_repaired_by_the_next_start(forger: Forger, full_counts: bool, after: bool) -> None:
    made = count_calls(forger)
    step = 1 if full_counts else SAMPLE_EVERY
    hits = 0
    for at in range(int(after), len(made), step):
        log, _ = begin(forger)
        heads = heads_of(log)
        try:
            with failing(at, DeathError, after):
                log.turn(TURNS)
        except DeathError:
            hits += 1
        heads |= heads_of(log)
        restart(log)
        check(forger, log, heads)
        log.close()
        forger.clean()
    print(f"{hits} deaths of {len(made)} calls, after={after}")
    assert hits >= len(made) // step - 1


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_errors_at_every_call_are_waited_out(forger: Forger, full_counts: bool, number: int) -> None:
    made = count_calls(forger)
    step = 1 if full_counts else SAMPLE_EVERY
    hits = 0
    for at in range(number % 2, len(made), step):
        log, _ = begin(forger)
        heads = heads_of(log)
        with failing(at, lambda: OSError(number, "no", "disk")):
            for _ in range(TURNS):
                try:
                    log.turn()
                except OSError:
                    hits += 1
                except ArchiveError:
                    # As in the service: the process ends, and is started again.
                    restart(log)
        heads |= heads_of(log)
        for _ in range(4):
            log.clock.advance(RETRY_SECONDS)
            log.turn(TURNS)
        if not log.purges():
            # The request could not even be read aside: a start takes it again.
            restart(log)
        # What a head covers is removed again with the next head, at the latest with a heartbeat.
        log.clock.advance(HEARTBEAT_SECONDS + 1)
        log.turn()
        check(forger, log, heads)
        log.close()
        forger.clean()
    print(f"{hits} errors raised of {len(made)} calls")


def test_death_twice_in_one_purge(forger: Forger) -> None:
    """Before the leaf and again while files are removed."""
    made = count_calls(forger)
    for first, second in ((len(made) // 3, 5), (len(made) // 2, 30), (len(made) - 5, 3), (len(made) - 3, 1)):
        log, _ = begin(forger)
        heads = heads_of(log)
        for at in (first, second):
            try:
                with failing(at, DeathError):
                    log.turn(TURNS)
            except DeathError:
                pass
            heads |= heads_of(log)
            log.sealer._head.close()
            try:
                with failing(at, DeathError):
                    log.open()
            except DeathError:
                log.open()
        log.turn(TURNS)
        check(forger, log, heads)
        log.close()
        forger.clean()
