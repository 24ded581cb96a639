"""P10: `phayan verify` against `sha256sum` of the same segment files, per core, leaves per second at 1 KiB chunks, and
CPU seconds for a million units of records."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from archive.clock import SystemClock
from archive.keys import load_keys
from archive.leaf import spool_leaf_fields
from archive.origin import ArchivePaths, create_log, default_paths
from archive.sealer import Sealer, StreamEnd
from archive.segment import utc_day
from archive.spool_format import SpoolFile
from tests.archive.verify.hand_made_log import HandMadeLog
from tests.bench.contestants import RECEIVER_CORE
from tests.bench.figure import Figure

TARGET_RATIO = 0.7
TARGET_LEAVES_PER_SECOND = 50_000
JOURNAL_BYTES = 1 << 30
SMALL_LEAVES = 100_000
TARGET_SECONDS_A_MILLION_UNITS = 1.5
LINES_A_CHUNK = 20_000
CHUNKS_OF_LINES = 50
LINE_BYTES = 180
PHAYAN = Path(sys.executable).parent / "phayan"


def _build(directory: Path, chunk_bytes: int, chunks: int) -> ArchivePaths:
    """A log of incompressible chunks, written through the sealer's own segment and tree code."""
    paths = default_paths(directory / "data")
    create_log(paths, "phayan.bench/verify", SystemClock())
    sealer = Sealer(paths, load_keys(paths.keys), head_interval_seconds=0)
    random = np.random.default_rng(7)
    block = random.bytes(chunk_bytes + 65_536)
    now = time.time_ns()
    moment = {"unix_ns": str(now), "monotonic_ns": "1", "boot_id": "bench"}
    previous: StreamEnd | None = None
    for sequence in range(chunks):
        start = sequence * 97 % 65_536
        frame = sequence.to_bytes(8, "big") + block[start : start + chunk_bytes - 8]
        chunk = sealer._segments.append("collector", utc_day(now), frame)
        spool = SpoolFile(Path("x"), "collector", sequence, {"writer": "bench", **moment}, moment, [], 0)
        fields = spool_leaf_fields(spool, chunk, (now, now), previous.reference() if previous else None)
        index, digest = sealer._append_leaf("data", {**fields, "records": 1})
        previous = StreamEnd(index, digest.hex(), sequence)
    sealer.close()
    return paths


def _timed(command: list[str]) -> float:
    """CPU seconds of a command on one core; its files are in the page cache for both contestants."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["taskset", "-c", str(RECEIVER_CORE), *command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def _verify_seconds(paths: ArchivePaths) -> float:
    return _timed([str(PHAYAN), "verify", "--data", str(paths.directory)])


ROOTS_PROGRAM = """
import sys
from pathlib import Path
import archive.verify.chunk_payloads
from archive.verify.run import verify_archive
path = Path(sys.argv[1])
report = verify_archive(path, Path(f"{path}.head"), records_roots=bool(sys.argv[2]))
sys.exit(report.exit_code or bool(report.units) != bool(sys.argv[2]))
"""


def _build_records(directory: Path) -> Path:
    """A log of chunks of lines, each line a unit, with all their roots."""
    log = HandMadeLog(directory / "data")
    random = np.random.default_rng(7)
    for _ in range(CHUNKS_OF_LINES):
        lines = [b"<13>" + random.bytes((LINE_BYTES - 4) // 2).hex().encode() for _ in range(LINES_A_CHUNK)]
        leaf = log.append_records_chunk("collector", lines)
        log.append_roots([(leaf, 0, [[line] for line in lines])])
    log.publish()
    return log.directory


def figures(runs: int) -> Iterator[Figure]:
    """GB/s at three chunk sizes against sha256sum, then leaves/s."""
    for chunk_bytes in (4 << 20, 256 << 10, 32 << 10):
        directory = Path(tempfile.mkdtemp(prefix="phayan-p10-"))
        try:
            paths = _build(directory, chunk_bytes, JOURNAL_BYTES // chunk_bytes)
            files = [str(p) for p in sorted(paths.segments.rglob("*.seg"))]
            size = sum(os.path.getsize(f) for f in files)
            target = TARGET_RATIO if chunk_bytes >= 256 << 10 else None
            notes = "CPU seconds of the whole command, start included; sha256sum over the same files"
            figure = Figure(
                "P10", f"verify, chunks of {chunk_bytes >> 10} KiB", "GB/s per core", target, "higher", notes=notes
            )
            _verify_seconds(paths)
            for _ in range(runs):
                figure.add(size / _verify_seconds(paths) / 1e9, size / _timed(["sha256sum", *files]) / 1e9)
                print(
                    f"P10 {chunk_bytes >> 10} KiB: {figure.ours[-1]:.2f} / {figure.peer[-1]:.2f} GB/s", file=sys.stderr
                )
            yield figure
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix="phayan-p10-"))
    try:
        paths = _build(directory, 1024, SMALL_LEAVES)
        figure = Figure(
            "P10", "verify, leaves of 1 KiB chunks", "leaves/s per core", TARGET_LEAVES_PER_SECOND, "higher"
        )
        for _ in range(runs):
            figure.add_absolute(SMALL_LEAVES / _verify_seconds(paths))
        yield figure
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix="phayan-p10-"))
    try:
        log = _build_records(directory)
        figure = Figure(
            "P10",
            "verify, records roots apart",
            "CPU s per million units",
            TARGET_SECONDS_A_MILLION_UNITS,
            notes="the whole verification with the roots less the same without; lines of 180 bytes, 20,000 a chunk",
        )
        for _ in range(runs):
            with_roots, without = (_timed([sys.executable, "-c", ROOTS_PROGRAM, str(log), flag]) for flag in ("1", ""))
            figure.add_absolute((with_roots - without) * 1e6 / (LINES_A_CHUNK * CHUNKS_OF_LINES))
        yield figure
    finally:
        shutil.rmtree(directory, ignore_errors=True)
