"""Ranges checked by several processes find what one process finds; what a worker cannot do is told."""

import json
import os
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import archive.verify.leaves_check as leaves_check
import archive.verify.pool as pool
from archive.verify.leaf import check_fields, parse_leaf
from archive.verify.report import Report
from archive.verify.run import verify_archive
from archive.verify.spool_leaf import compile_reader, from_fields
from tests.archive.verify.hand_made_log import HandMadeLog, HandMadeWitness

SEEDS = 12


def verify(log: HandMadeLog) -> Report:
    return verify_archive(log.directory, log.head_path)


@pytest.fixture
def in_parallel(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes ranges of one bundle, two processes, and records tasks of one leaf."""

    def begin() -> None:
        monkeypatch.setattr(leaves_check, "MIN_PARALLEL_BUNDLES", 1)
        monkeypatch.setattr(leaves_check, "RANGE_BUNDLES", 1)
        monkeypatch.setattr(leaves_check, "RECORDS_LEAVES_A_TASK", 1)
        monkeypatch.setattr(leaves_check, "count_cores", lambda: 2)

    return begin


def test_sound_archive_says_the_same_in_parallel(archive: HandMadeLog, in_parallel: Callable[[], None]) -> None:
    archive.append_clock((True, 5), (False, None))
    for _ in range(300):
        archive.append_heartbeat()
    archive.append_clock((False, -9), (True, 1))
    archive.append_witnessed(HandMadeWitness("witness.example/a"), 600)
    units = [[b"one"], [b"two", b"three"]]
    leaf = archive.append_records_chunk("radius", [b"".join(record) for record in units], number=7)
    archive.append_roots([(leaf, 0, units)])
    archive.fill(1400).publish()
    alone = verify(archive)
    in_parallel()
    assert json.loads(verify(archive).to_json()) == json.loads(alone.to_json())
    assert (alone.exit_code, alone.units, alone.clock["unsynchronised_intervals"]) == (0, 3, 1)


def test_damage_is_located_the_same_in_parallel(archive: HandMadeLog, in_parallel: Callable[[], None]) -> None:
    """Random damage of random files, of leaves at the seams of ranges too."""
    files = sorted(
        path for path in archive.log.rglob("*") if path.is_file() and path.name not in ("origin", "key.vkey")
    )
    cases = []
    for seed in range(SEEDS):
        chooser = random.Random(seed)
        chosen = {path: bytearray(path.read_bytes()) for path in chooser.sample(files, 3)}
        for data in chosen.values():
            data[chooser.randrange(len(data))] ^= 1 << chooser.randrange(8)
        cases.append(chosen)
    bundle = archive.log / "tile" / "entries" / "001.zst"
    cases.append({bundle: bytearray(bundle.read_bytes()[:-1])})
    reports = [with_damage(archive, case) for case in cases]
    in_parallel()
    for case, alone in zip(cases, reports, strict=True):
        together = with_damage(archive, case)
        assert together.exit_code == alone.exit_code == 1
        assert sorted(map(str, together.defects)) == sorted(map(str, alone.defects))


def with_damage(log: HandMadeLog, damage: dict[Path, bytearray]) -> Report:
    before = {path: path.read_bytes() for path in damage}
    try:
        for path, data in damage.items():
            path.write_bytes(data)
        return verify(log)
    finally:
        for path, data in before.items():
            path.write_bytes(data)


@pytest.mark.parametrize("first", [254, 255, 256, 257])
def test_faults_at_the_seam_of_two_ranges_are_found(
    tmp_path: Path, in_parallel: Callable[[], None], first: int
) -> None:
    for fault in ({"spool_sequence": 9_999}, {"previous": None}):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        log = HandMadeLog(folder / "data").fill(first)
        log.append_empty("audit", **fault)
        log.fill(600)
        log.append_data("audit", number=5, offset=10**9)
        report = verify(log.publish())
        expected = sorted(map(str, report.defects))
        assert first in {defect.leaf for defect in report.defects}
        in_parallel()
        assert sorted(map(str, verify(log).defects)) == expected


@pytest.mark.parametrize("number", [1, 3])
def test_gap_between_the_chunks_of_two_ranges_and_before_a_segments_first_is_found(
    tmp_path: Path, in_parallel: Callable[[], None], number: int
) -> None:
    """Segment 1 has chunks in both ranges, segment 3 begins with this one."""
    log = HandMadeLog(tmp_path / "data").fill(256)
    log.append_data("audit", number=number, offset=10**9)
    log.fill(600).publish()
    in_parallel()
    assert ("segment_gap", 256) in {(defect.code, defect.leaf) for defect in verify(log).defects}


def test_gap_after_leaves_that_cannot_be_read_is_found(tmp_path: Path, in_parallel: Callable[[], None]) -> None:
    """Segment 5 goes on over the last two bundles; what is lost before them makes nobody less strict there."""
    log = HandMadeLog(tmp_path / "data").fill(512)
    log.append_data("audit", number=5, offset=10**9)
    log.fill(600).publish()
    (log.log / "tile" / "entries" / "000.zst").unlink()
    for begin in (lambda: None, in_parallel):
        begin()
        found = {(defect.code, defect.leaf) for defect in verify(log).defects}
        assert {("bundle_missing", 0), ("segment_gap", 512)} <= found
        assert not any(code.startswith("stream_") for code, _ in found)


def test_worker_that_is_killed_is_told(
    archive: HandMadeLog, in_parallel: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parallel()
    real = pool._Worker.ask

    def kill_and_ask(worker: pool._Worker, task: pool.Task) -> object:
        os.kill(worker._process.pid, signal.SIGKILL)
        worker._process.wait()
        return real(worker, task)

    monkeypatch.setattr(pool._Worker, "ask", kill_and_ask)
    report = verify(archive)
    assert report.exit_code == 2
    assert "ended before its work" in str(report.could_not_run)


def test_usual_leaves_are_read_as_the_whole_parser_reads_them(pristine: HandMadeLog) -> None:
    read = compile_reader(pristine.origin)
    usual = 0
    for leaf in pristine.leaves:
        spool = read(leaf)
        if spool is not None:
            fields = parse_leaf(leaf)
            assert check_fields(fields, pristine.origin) is None
            assert spool == from_fields(fields)
            usual += 1
    assert usual > 0.9 * len(pristine.leaves)


def test_changed_leaf_is_never_usual_unless_it_is_sound(pristine: HandMadeLog) -> None:
    """What the expression takes, the whole parser must take with the same meaning."""
    read = compile_reader(pristine.origin)
    leaf = next(leaf for leaf in pristine.leaves[30:] if read(leaf))
    chooser = random.Random(3)
    taken = 0
    for _ in range(20_000):
        damaged = bytearray(leaf)
        for _ in range(chooser.randint(1, 2)):
            place = chooser.randrange(len(damaged))
            if chooser.random() < 0.3:
                del damaged[place]
            else:
                damaged[place] = chooser.choice(b'"\\{}:,0123456789abcxyzABZ-_ /.') if chooser.random() < 0.9 else 0xE9
        spool = read(bytes(damaged))
        if spool is None:
            continue
        fields = parse_leaf(bytes(damaged))
        assert check_fields(fields, pristine.origin) is None, bytes(damaged)
        assert spool == from_fields(fields)
        taken += 1
    assert taken > 1_000


def test_number_beyond_what_json_keeps_is_never_usual(pristine: HandMadeLog) -> None:
    read = compile_reader(pristine.origin)
    leaf = next(leaf for leaf in pristine.leaves[30:] if read(leaf))
    for name in ("length", "offset", "records", "spool_sequence", "torn_bytes"):
        large = re.sub(rf'"{name}":[0-9]+'.encode(), f'"{name}":{2**53}'.encode(), leaf)
        assert large != leaf
        assert read(large) is None


def test_origin_that_needs_an_escape_is_read_by_the_whole_parser(tmp_path: Path) -> None:
    log = HandMadeLog(tmp_path / "data", origin='phayan.example/"\u0e01').fill(20).publish()
    assert compile_reader(log.origin)(log.leaves[3]) is None
    assert verify(log).exit_code == 0
