"""strace attached to the driver: what it called, with one call of it made to fail, to lie or to be the last."""

import collections
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from archive.keys import LogKeys
from archive.origin import ArchivePaths
from tests.fault.syscall_driver import Notes, fork_stopped

CHILD_SECONDS = 30.0


def _strace(pid: int, output: Path, calls: str, *options: str) -> "subprocess.Popen[bytes]":
    """strace attached to the stopped `pid`. The injected call is in `trace=`, else nothing would be injected."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-s", "512", "-o", str(output), "-e", f"trace={calls}", *options, "-p", str(pid)],
        stderr=subprocess.PIPE,
    )
    status = Path(f"/proc/{pid}/status")
    deadline = time.monotonic() + 10
    while "TracerPid:\t0\n" in status.read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pytest.skip(f"strace may not attach here: {(tracer.communicate()[1] or b'').decode()[:200]}")
        time.sleep(0.002)
    return tracer


def run_traced(paths: ArchivePaths, keys: LogKeys, notes: Notes, *options: str, calls: str) -> str:
    """The traced work; returns the trace."""
    output = paths.directory.with_name("trace")
    pid = fork_stopped(paths, keys, notes)
    tracer = _strace(pid, output, calls, *options)
    os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + CHILD_SECONDS
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            tracer.wait(10)
            pytest.fail(f"{options}: writer and sealer hang")
        time.sleep(0.002)
    tracer.wait(10)
    return _joined(output.read_text(errors="replace"))


def _joined(trace: str) -> str:
    """Calls that strace tells of in two lines, because another thread was seen in between, in one."""
    begun: dict[tuple[str, str], str] = {}
    lines = []
    for line in trace.splitlines():
        if begin := re.fullmatch(r"(\d+) +(\w+)(\(.*) <unfinished \.\.\.>", line):
            begun[begin[1], begin[2]] = line.removesuffix(" <unfinished ...>")
        elif end := re.fullmatch(r"(\d+) +<\.\.\. (\w+) resumed>(.*)", line):
            lines.append(begun.pop((end[1], end[2]), f"{end[1]} {end[2]}(") + end[3])
        else:
            lines.append(line)
    return "\n".join([*lines, *begun.values()])


def results_of(trace: str) -> dict[str, list[int]]:
    """What each call returned, in order, in the thread that made most of them: strace counts `when=` by thread."""
    found: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
    for line in re.finditer(r"^(\d+) +(\w+)\((?:.* = (-?\d+).*)?", trace, re.MULTILINE):
        found[line[2], line[1]].append(int(line[3] or -1))
    calls = {call for call, _ in found}
    return {call: max((r for (name, _), r in found.items() if name == call), key=len) for call in calls}
