"""Every file system call of spool writer and sealer made to fail or to be the last: the next start needs no person,
what was acknowledged is found once, every head ever signed is a prefix of the log."""

import collections
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from archive.chunk import decode_chunk
from archive.clock import SystemClock
from archive.index.checkpoint import read_checkpoint
from archive.index.worker import stored_chunk
from archive.keys import LogKeys
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths, create_log, default_paths
from archive.sealer import Sealer
from archive.segment import read_stored_chunk
from archive.spool import SpoolWriter
from archive.tree import TreeReader
from archive.verify.run import verify_archive
from tests.fault.syscall_driver import Notes, fork_stopped, payload

CALLS = (
    "openat", "write", "pwrite64", "pread64", "read", "lseek", "fsync", "fdatasync", "rename", "unlink", "truncate",
    "mkdir", "flock", "close", "getdents64", "fcntl", "utimensat",
)  # fmt: skip
"""Calls that reach the file system; `stat` and its kin change nothing and fail as `openat` after them does."""
FAULTS = ("error=EIO", "error=ENOSPC", "signal=KILL")
SAMPLE_CASES = 45
"""Cases of `make test`, drawn from all; `make fault` runs each."""
CHILD_SECONDS = 30.0
AFTER = b"after the fault"

Case = tuple[str, str, int]


def _strace(pid: int, output: Path, *options: str) -> "subprocess.Popen[bytes]":
    """strace attached to the stopped `pid`. The injected call is in `trace=`, else nothing would be injected."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(output), "-e", f"trace={','.join(CALLS)}", *options, "-p", str(pid)],
        stderr=subprocess.PIPE,
    )
    status = Path(f"/proc/{pid}/status")
    deadline = time.monotonic() + 10
    while "TracerPid:\t0\n" in status.read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pytest.skip(f"strace may not attach here: {(tracer.communicate()[1] or b'').decode()[:200]}")
        time.sleep(0.005)
    return tracer


def _run(paths: ArchivePaths, keys: LogKeys, notes: Notes, output: Path, *options: str) -> str:
    """The traced work; returns the trace."""
    pid = fork_stopped(paths, keys, notes)
    tracer = _strace(pid, output, *options)
    os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + CHILD_SECONDS
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            tracer.wait(10)
            pytest.fail(f"{options}: writer and sealer hang")
        time.sleep(0.005)
    tracer.wait(10)
    return output.read_text(errors="replace")


def _counts(trace: str) -> dict[str, int]:
    """Greatest number of each call in any one thread: strace counts `when=` by thread."""
    found: collections.Counter[tuple[str, str]] = collections.Counter(
        (match[2], match[1]) for match in re.finditer(r"^(\d+) +(\w+)\(", trace, re.MULTILINE)
    )
    return {call: max((n for (name, _), n in found.items() if name == call), default=0) for call in CALLS}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[ArchivePaths, LogKeys]:
    """A log with a sealed file of one stream and a file of it that waits; the driver's own stream is new."""
    if shutil.which("strace") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("strace is not installed")
        pytest.skip("strace is not installed")
    paths = default_paths(tmp_path_factory.mktemp("template") / "data")
    keys = create_log(paths, "phayan.test/syscalls", SystemClock())
    SpoolWriter(paths.spool, "radius").close()
    sealer = Sealer(paths, keys, head_interval_seconds=0)
    sealer.run_once()
    sealer.close()
    SpoolWriter(paths.spool, "radius").close()
    return paths, keys


def _copy(template: ArchivePaths, directory: Path) -> ArchivePaths:
    paths = default_paths(directory / "data")
    shutil.copytree(template.directory, paths.directory)
    shutil.copy(template.head, paths.head)
    return paths


def _records(paths: ArchivePaths) -> collections.Counter[bytes]:
    size = read_checkpoint(paths).size
    reader = TreeReader(paths.log, size)
    found: collections.Counter[bytes] = collections.Counter()
    for index in range(size):
        leaf = decode_leaf(reader.leaf(index))
        if "segment" in leaf:
            found.update(
                decode_chunk(read_stored_chunk(paths.segments, stored_chunk(leaf))).column("payload").to_pylist()
            )
    return found


def _check(case: Case, paths: ArchivePaths, keys: LogKeys, notes: Notes) -> None:
    heads = [*notes.heads(), paths.head.read_bytes()]
    sealer = Sealer(paths, keys, head_interval_seconds=0)
    writer = SpoolWriter(paths.spool, "collector")
    writer.wait_durable(writer.append(AFTER, listener="syslog"))
    writer.close()
    sealer.run_once()
    sealer.close()
    heads.append(paths.head.read_bytes())
    report = verify_archive(paths.directory, paths.head)
    assert report.exit_code == 0, f"{case}: {report.to_text()}"
    for head in heads:
        report = verify_archive(paths.directory, paths.head, checkpoint=head)
        assert report.exit_code == 0, f"{case}: a head signed before is no prefix: {report.to_text()}"
    found = _records(paths)
    lost = [n for n in notes.acknowledged() if not found[payload(n)]]
    assert lost == [], f"{case}: acknowledged records {lost} are lost"
    assert found[AFTER] == 1
    double = [value for value, count in found.items() if count > 1]
    assert double == [], f"{case}: sealed twice: {double}"
    left = [path for path in paths.spool.glob("*/*") if path.suffix in (".open", ".spool")]
    assert left == [], f"{case}: never sealed: {left}"


def test_every_call_of_writer_and_sealer_may_fail_or_be_the_last(
    template: tuple[ArchivePaths, LogKeys], tmp_path: Path, full_counts: bool
) -> None:
    original, keys = template
    notes = Notes()
    whole = _copy(original, tmp_path / "whole")
    counts = _counts(_run(whole, keys, notes, tmp_path / "whole.trace"))
    assert notes.acknowledged() == [0, 1, 2, 3, 4, 5]
    assert len(set(notes.heads())) == 3
    _check(("none", "none", 0), whole, keys, notes)
    assert min(counts[call] for call in ("openat", "write", "fsync", "fdatasync", "rename", "unlink", "flock")) >= 3
    cases = [(call, fault, n) for call in CALLS for fault in FAULTS for n in range(1, counts[call] + 1)]
    chosen = cases if full_counts else random.Random(5).sample(cases, SAMPLE_CASES)
    injected = 0
    failures: list[str] = []
    for number, case in enumerate(chosen):
        call, fault, when = case
        directory = tmp_path / str(number)
        paths, notes = _copy(original, directory), Notes()
        options = ("-e", f"inject={call}:{fault}:when={when}")
        trace = _run(paths, keys, notes, tmp_path / f"{number}.trace", *options)
        injected += "(INJECTED)" in trace or "killed by SIGKILL" in trace
        try:
            _check(case, paths, keys, notes)
        except Exception as error:
            failures.append(f"{case}: {error!r}")
        shutil.rmtree(directory)
    print(f"{injected} of {len(chosen)} cases hit, {len(cases)} in all; calls {counts}")
    assert failures == [], f"{len(failures)} of {len(chosen)} cases: {failures[:20]}"
    assert injected >= 0.9 * len(chosen), "most faults were never injected"
