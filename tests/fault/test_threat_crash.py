"""Threat 19: every byte of the last frame of a spool file and of a segment as the place where the power went."""

import json
from pathlib import Path

import pytest

from archive.leaf import decode_leaf
from archive.origin import create_log, default_paths
from archive.sealer import Sealer
from archive.spool import SpoolWriter
from archive.spool_format import iterate_frames
from archive.tree import TreeReader
from archive.verify.run import verify_archive
from tests.archive.small_log import SmallLog
from tests.clocks import ManualClock

SAMPLE_STEP = 7
"""Every seventh byte in `make test`; `make fault` cuts at each."""
CLOSED, ABANDONED = ".spool", ".open"


@pytest.fixture
def log(tmp_path: Path) -> SmallLog:
    clock = ManualClock()
    paths = default_paths(tmp_path / "data")
    return SmallLog(paths, create_log(paths, "phayan.test/crash", clock), clock)


def _sealer(log: SmallLog) -> Sealer:
    return Sealer(log.paths, log.keys, clock=log.clock, head_interval_seconds=0)


def _spool_file(log: SmallLog) -> Path:
    writer = SpoolWriter(log.paths.spool, "collector", clock=log.clock)
    writer.append(b"whole", listener="syslog")
    writer.append(b"the last one", listener="syslog")
    writer.close()
    return next((log.paths.spool / "collector").glob("*.spool"))


def _last_leaf(log: SmallLog, size: int) -> dict:
    return decode_leaf(TreeReader(log.paths.log, size).leaf(size - 1))


@pytest.mark.parametrize("suffix", [CLOSED, ABANDONED])
def test_every_byte_of_a_spool_files_last_frames(log: SmallLog, suffix: str, full_counts: bool) -> None:
    """The last record's frame and the note after it, in a file that was closed and in one whose writer died."""
    sealer = _sealer(log)
    cases = place = 0
    while True:
        path = _spool_file(log)
        stored = path.read_bytes()
        ends = [frame.end_offset for frame in iterate_frames(stored)]
        cut = ends[-3] + place
        if cut > len(stored):
            path.unlink()
            break
        path.write_bytes(stored[:cut])
        path.rename(path.with_suffix(suffix))
        log.clock.advance(1)
        sealer.run_once(full_look=True)
        leaf = _last_leaf(log, sealer.checkpoint.size)
        whole = max(end for end in ends if end <= cut)
        assert leaf["torn_bytes"] == cut - whole, cut
        assert leaf["records"] == (3 if whole >= ends[-2] else 2), cut
        assert (leaf["closed"] is None) == (whole < len(stored))
        cases += 1
        place += 1 if full_counts else SAMPLE_STEP
    sealer.close()
    log.check()
    print(f"row 19: {cases} cuts in a spool file ({suffix})")


def test_every_byte_of_a_segments_last_frame(log: SmallLog, full_counts: bool) -> None:
    """Not covered by a leaf: cut off at the next start, and sealed from the spool. Covered: found."""
    sealer = _sealer(log)
    _spool_file(log)
    sealer.run_once(full_look=True)
    sealer.close()
    path = next(log.paths.segments.rglob("*.seg"))
    sealed = path.read_bytes()
    cases = 0
    for cut in range(0, len(sealed), 1 if full_counts else SAMPLE_STEP):
        path.write_bytes(sealed[:cut])
        report = verify_archive(log.paths.directory, log.paths.head)
        assert {defect.code for defect in report.defects} == {"segment_short"}, cut
        cases += 1
    path.write_bytes(sealed)
    for torn in range(1, len(sealed), 1 if full_counts else SAMPLE_STEP):
        log.clock.advance(1)
        before = path.stat().st_size
        with path.open("ab") as file:
            file.write(sealed[:torn])
        waiting = _spool_file(log)
        sealer = _sealer(log)
        sealer.run_once(full_look=True)
        sealer.close()
        assert not waiting.exists()
        size = sealer.checkpoint.size
        reader = TreeReader(log.paths.log, size)
        outage, chunk = (json.loads(reader.leaf(index)) for index in (size - 2, size - 1))
        assert outage["cut_bytes"] == torn
        assert chunk["offset"] == before
        cases += 1
    log.check()
    print(f"row 19: {cases} cuts in a segment")
