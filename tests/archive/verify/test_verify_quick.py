"""`quick`: what it still finds, what it leaves out, and that it says so."""

from pathlib import Path

import pytest

from archive.verify.report import Report
from archive.verify.run import verify_archive
from tests.archive.verify.bulk_log import write_bulk_log
from tests.archive.verify.hand_made_log import DAY_NS, HandMadeLog, HandMadeWitness


@pytest.fixture
def log(tmp_path: Path) -> HandMadeLog:
    """600 leaves of one day, then 300 two days later: the last day begins inside the third bundle."""
    log = HandMadeLog(tmp_path / "data")
    log.fill(600)
    log.now_unix_ns += 2 * DAY_NS
    return log.fill(900).publish()


def quick(log: HandMadeLog) -> Report:
    return verify_archive(log.directory, log.head_path, quick=True)


def flip(path: Path, place: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def found(report: Report) -> list[tuple[str, str]]:
    return [(defect.code, defect.file) for defect in report.defects]


def test_sound_archive_is_intact_and_says_what_was_left_out(log: HandMadeLog) -> None:
    report = quick(log)
    assert (report.exit_code, report.defects, report.tree_size) == (0, [], 900)
    [left_out] = [statement.message for statement in report.statements if statement.code == "quick"]
    assert "leaves before 512 only the hash tree" in left_out
    assert report.chunks < 400


def test_every_hash_tile_and_head_and_the_last_days_leaves_are_checked(log: HandMadeLog) -> None:
    for file in ("tile/0/000", "tile/0/001", "tile/0/002", "tile/1/000.p/3", "tile/entries/002.zst", "checkpoint"):
        before = (log.log / file).read_bytes()
        flip(log.log / file, 50)
        assert quick(log).exit_code == 1, file
        assert {name for _, name in found(quick(log))} == {f"log/{file}"}
        (log.log / file).write_bytes(before)
    assert quick(log).exit_code == 0


def test_older_leaves_and_content_are_left_out(log: HandMadeLog) -> None:
    flip(log.log / "tile" / "entries" / "000.zst")
    newest = sorted((log.log / "segments").rglob("*.seg"))[-1]
    flip(newest)
    assert quick(log).exit_code == 0
    assert verify_archive(log.directory, log.head_path).exit_code == 1
    newest.write_bytes(newest.read_bytes()[:-1])
    assert ("segment_short", newest.relative_to(log.directory).as_posix()) in found(quick(log))


def test_anchors_of_the_last_day_are_judged_in_the_whole_tree(log: HandMadeLog) -> None:
    log.append_witnessed(HandMadeWitness("witness.example/a"), 300)
    assert quick(log.publish()).exit_code == 0
    other = HandMadeLog(log.directory.with_name("other"))
    other.leaves = [*log.leaves[:100], b"{}", *log.leaves[101:]]
    log.append_witnessed(HandMadeWitness("witness.example/a"), 300, of=other)
    assert [code for code, _ in found(quick(log.publish()))] == ["anchor_contradicts"]


def test_a_log_of_one_day_is_read_whole(tmp_path: Path) -> None:
    log = write_bulk_log(tmp_path / "data", 400)
    report = quick(log)
    assert (report.exit_code, report.chunks) == (0, 1200)
