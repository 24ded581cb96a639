"""Every file system call of spool writer and sealer made to fail, to be the last, or, where it writes, to be a lie: the
next start needs no person, what was acknowledged is found once, all heads ever published are one history."""

import collections
import itertools
import os
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from archive.chunk import decode_chunk
from archive.clock import SystemClock
from archive.index.checkpoint import read_checkpoint
from archive.index.worker import stored_chunk
from archive.keys import LogKeys
from archive.leaf import decode_leaf
from archive.merkle import consistency_proof, verify_consistency
from archive.note import open_checkpoint
from archive.origin import ArchivePaths, create_log, default_paths
from archive.sealer import Sealer
from archive.segment import read_stored_chunk
from archive.spool import SpoolWriter
from archive.tree import TreeReader
from archive.verify.run import verify_archive
from tests.fault.strace import results_of, run_traced
from tests.fault.syscall_driver import RECORDS, Notes, TracedSealer, hand_in, payload

CALLS = (
    "openat", "write", "writev", "pwrite64", "pread64", "read", "readv", "lseek", "fsync", "fdatasync", "rename",
    "unlink", "truncate", "mkdir", "flock", "close", "getdents64", "fcntl", "utimensat",
)  # fmt: skip
"""Calls that reach the file system. `truncate` only follows a fault of its own."""
LOOKING = frozenset({"newfstatat", "fstat", "stat", "lstat", "statx", "access", "readlink", "getcwd", "ioctl", "mmap"})
"""Calls that change nothing and fail as the `openat` after them does."""
WRITES = ("write", "writev", "pwrite64")
FAULTS = ("error=EIO", "error=ENOSPC", "signal=KILL")
LOST = "lost"
"""The call is not made, and the process is told that all its bytes were written."""
SAMPLE_CASES, SAMPLE_LOST = 35, 10
"""Cases of `make test`, drawn from all and from the lost writes; `make fault` runs each."""
UNHURT_RUNS = 3
"""The fewest calls in any of them count: how two threads and the file system's clock meet makes a few more or less."""
MAX_BEYOND, ALWAYS_BEYOND = 0.02, 3
"""Share and number of cases that may be left out because their call was not made so often this time: some depend on
how two threads meet."""
AFTER = b"after the fault"


@dataclass(frozen=True)
class Case:
    """`when` counts the calls of one thread, as strace does; `result` is what a lost write returns."""

    call: str
    fault: str
    when: int
    result: int = 0

    def option(self) -> str:
        fault = f"retval={self.result}" if self.fault == LOST else self.fault
        return f"inject={self.call}:{fault}:when={self.when}"


def _run(paths: ArchivePaths, keys: LogKeys, notes: Notes, *options: str) -> str:
    return run_traced(paths, keys, notes, *options, calls=",".join(CALLS))


def _make_cases(results: dict[str, list[int]]) -> list[Case]:
    cases = []
    for call in CALLS:
        returned = results.get(call, [])
        for when in range(1, len(returned) + 1):
            cases += [Case(call, fault, when) for fault in FAULTS]
            if call in WRITES and returned[when - 1] > 0:
                cases.append(Case(call, LOST, when, returned[when - 1]))
    return cases


def _carried(trace: str) -> set[int]:
    """Records in the bytes of lost writes to the spool. No reader can find them: the kernel lied. (Those in a segment
    or tile are read back and written again from the spool.)"""
    lines = [line for line in trace.splitlines() if "(INJECTED)" in line and "writev(" in line and "PYSD" in line]
    return {int(number) for line in lines for number in re.findall(r"record (\d{4})", line)}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[ArchivePaths, LogKeys]:
    """A log with a sealed file of one stream and a file of it that waits, and something of each kind in the inbox; the
    driver's own stream is new."""
    if shutil.which("strace") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("strace is not installed")
        pytest.skip("strace is not installed")
    paths = default_paths(tmp_path_factory.mktemp("template") / "data")
    keys = create_log(paths, "phayan.test/syscalls", SystemClock())
    writer = SpoolWriter(paths.spool, "radius")
    writer.append(b"HEADrecord", listener="radius")
    writer.close()
    sealer = Sealer(paths, keys, head_interval_seconds=0)
    sealer.run_once()
    sealer.close()
    reader = TreeReader(paths.log, sealer.checkpoint.size)
    kinds = [decode_leaf(reader.leaf(index))["kind"] for index in range(reader.size)]
    hand_in(paths, kinds.index("data"))
    SpoolWriter(paths.spool, "radius").close()
    return paths, keys


def _copy(template: ArchivePaths, directory: Path) -> ArchivePaths:
    paths = default_paths(directory / "data")
    shutil.copytree(template.directory, paths.directory)
    shutil.copy(template.head, paths.head)
    return paths


def _check(paths: ArchivePaths, keys: LogKeys, notes: Notes, carried: set[int]) -> None:
    """`carried` are the records a lost write to the spool carried."""
    heads = {*notes.heads(), paths.head.read_bytes(), (paths.log / "checkpoint").read_bytes()}
    traced = TracedSealer(paths, keys)
    writer = SpoolWriter(paths.spool, "collector")
    writer.wait_durable(writer.append(AFTER, listener="syslog"))
    writer.close()
    traced.turn()
    traced.sealer.close()
    heads.add(paths.head.read_bytes())
    report = verify_archive(paths.directory, paths.head, checkpoints=sorted(heads))
    assert report.exit_code == 0, report.to_text()
    reader = TreeReader(paths.log, read_checkpoint(paths).size)
    _check_one_history(heads, keys, reader)
    leaves = [decode_leaf(reader.leaf(index)) for index in range(reader.size)]
    found: collections.Counter[bytes] = collections.Counter()
    for leaf in leaves:
        if "segment" in leaf:
            table = decode_chunk(read_stored_chunk(paths.segments, stored_chunk(leaf)))
            found.update(table.column("payload").to_pylist())
    lost = {n for n in notes.acknowledged() if not found[payload(n)]}
    assert lost == carried & set(notes.acknowledged()), f"acknowledged records {lost} are lost, {carried} were lied of"
    assert found[AFTER] == 1
    double = [value for value, count in found.items() if count > 1]
    assert double == [], f"sealed twice: {double}"
    assert {"anchor", "clock", "records"} <= {leaf["kind"] for leaf in leaves}
    left = [path for path in paths.spool.glob("*/*") if path.suffix in (".open", ".spool")]
    left += [path for path in paths.inbox.glob("*/*") if path.name != "refused" or any(path.iterdir())]
    assert left == [], f"never sealed: {left}"


def _check_one_history(heads: set[bytes], keys: LogKeys, reader: TreeReader) -> None:
    """A witness that keeps every head: no two of one size, and of each pair the smaller one is the beginning."""
    key = keys.verifier_key("phayan.test/syscalls")
    seen = sorted({open_checkpoint(head, key) for head in heads}, key=lambda one: one.size)
    for older, newer in itertools.combinations(seen, 2):
        proof = consistency_proof(older.size, newer.size, reader.node)
        verify_consistency(older.size, older.root, newer.size, newer.root, proof)


def test_every_call_of_writer_and_sealer_is_a_case(template: tuple[ArchivePaths, LogKeys], tmp_path: Path) -> None:
    """Without a fault: no call is forgotten, and the work has everything in it."""
    original, keys = template
    paths, notes = _copy(original, tmp_path), Notes()
    made = results_of(run_traced(paths, keys, notes, calls="%file,%desc"))
    assert made.keys() - LOOKING <= set(CALLS)
    assert set(CALLS) - made.keys() == {"truncate"}
    assert notes.acknowledged() == [0, 1, 2, 3, 4, 5]
    assert len(set(notes.heads())) >= 3
    _check(paths, keys, notes, set())


def test_every_call_of_writer_and_sealer_may_fail_be_the_last_or_lie(
    template: tuple[ArchivePaths, LogKeys], tmp_path: Path, full_counts: bool
) -> None:
    original, keys = template
    runs = [results_of(_run(_copy(original, tmp_path / f"whole{n}"), keys, Notes())) for n in range(UNHURT_RUNS)]
    results = {call: min((run[call] for run in runs), key=len) for call in runs[0]}
    cases = _make_cases(results)
    chosen = cases
    if not full_counts:
        draw, lies = random.Random(5), [case for case in cases if case.fault == LOST]
        chosen = draw.sample(cases, SAMPLE_CASES) + draw.sample(lies, SAMPLE_LOST)
    hit: collections.Counter[str] = collections.Counter()
    beyond, lied_of, failures = [], 0, []
    for number, case in enumerate(chosen):
        directory = tmp_path / str(number)
        paths, notes = _copy(original, directory), Notes()
        trace = _run(paths, keys, notes, "-e", case.option())
        is_hit = "(INJECTED)" in trace or "killed by SIGKILL" in trace
        if is_hit:
            hit[f"{case.call} {case.fault}"] += 1
        elif len(results_of(trace).get(case.call, [])) < case.when:
            beyond.append(case)
        else:
            failures.append(f"{case} was made and not injected")
        carried = _carried(trace) if case.fault == LOST else set()
        lied_of += bool(carried)
        try:
            _check(paths, keys, notes, carried)
        except Exception as error:
            failures.append(f"{case}: {error!r}")
        shutil.rmtree(directory)
    print(f"{hit.total()} cases of {len(cases)}, {len(beyond)} beyond what happened, {lied_of} lied of a record")
    print({call: len(found) for call, found in results.items()}, dict(hit))
    assert failures == [], f"{len(failures)} of {len(chosen)} cases: {failures[:20]}"
    assert len(beyond) <= max(MAX_BEYOND * len(chosen), ALWAYS_BEYOND), beyond
    assert hit.total() + len(beyond) == len(chosen)
    assert not full_counts or (hit.total() >= 1_000 and lied_of >= RECORDS)
