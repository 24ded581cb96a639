"""Earlier logs under DIR/former: each verified with its own key, and the seams between them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from archive.verify.report import Report
from archive.verify.run import verify_archive
from tests.archive.verify.hand_made_log import HandMadeLog


def seam(log: HandMadeLog, why: str = "key_changed", **changes: str) -> dict[str, str]:
    checkpoint = log.checkpoint(len(log.leaves)).decode()
    return {"origin": log.origin, "vkey": log.vkey, "checkpoint": checkpoint, "why": why} | changes


def put_aside(log: HandMadeLog, directory: Path, number: int) -> None:
    """Move `log` and its head to where an earlier log of `directory` lies."""
    folder = directory / "former" / str(number)
    folder.mkdir(parents=True)
    shutil.move(log.log, folder / "log")
    shutil.move(log.head_path, folder / "head")


@pytest.fixture
def first(tmp_path: Path) -> HandMadeLog:
    return HandMadeLog(tmp_path / "first", seed=11).fill(300).publish()


def continued(first: HandMadeLog, tmp_path: Path, former: dict[str, str] | None) -> HandMadeLog:
    """A log with another key that names `former`, and `first` put aside as its first."""
    log = HandMadeLog(tmp_path / "data", seed=12, former=former).fill(40).publish()
    put_aside(first, log.directory, 1)
    return log


def verify(log: HandMadeLog, *checkpoints: bytes) -> Report:
    return verify_archive(log.directory, log.head_path, checkpoints=checkpoints)


def name_successor(log: HandMadeLog, successor: HandMadeLog, **changes: str) -> None:
    fields = {"origin": successor.origin, "vkey": successor.vkey, "unix_ns": "1795000000000000000"} | changes
    log.append("successor", **fields)


def found(report: Report) -> list[tuple[str, str]]:
    return [(defect.code, defect.file) for defect in report.defects]


def test_earlier_logs_are_verified_with_their_own_keys(first: HandMadeLog, tmp_path: Path) -> None:
    second = HandMadeLog(tmp_path / "second", seed=12, former=seam(first)).fill(269)
    name_successor(second, HandMadeLog(tmp_path / "x", seed=13))
    second.publish()
    log = HandMadeLog(tmp_path / "data", seed=13, former=seam(second, "moved")).fill(30).publish()
    put_aside(first, log.directory, 1)
    put_aside(second, log.directory, 2)
    report = verify(log)
    assert (report.exit_code, report.defects) == (0, [])
    shown = json.loads(report.to_json())["former"]
    assert [(f["folder"], f["tree_size"], f["continued_at"], f["why"]) for f in shown] == [
        ("former/2/", 270, 270, "moved"),
        ("former/1/", 300, 300, "key_changed"),
    ]
    assert report.tree_size == 30
    assert [s.code for s in report.statements if s.code in ("former", "moved")] == ["moved", "former"]


def test_damage_in_an_earlier_log_names_its_folder(first: HandMadeLog, tmp_path: Path) -> None:
    log = continued(first, tmp_path, seam(first))
    tile = log.directory / "former" / "1" / "log" / "tile" / "0" / "000"
    tile.write_bytes(bytes([tile.read_bytes()[0] ^ 1]) + tile.read_bytes()[1:])
    segment = sorted((log.directory / "former").rglob("*.seg"))[0]
    segment.write_bytes(b"x" + segment.read_bytes()[1:])
    files = [file for _, file in found(verify(log))]
    assert files == [str(segment.relative_to(log.directory)), "former/1/log/tile/0/000"] or sorted(files) == sorted(
        [str(segment.relative_to(log.directory)), "former/1/log/tile/0/000"]
    )


def test_seam_to_another_state_of_the_earlier_log_is_found(first: HandMadeLog, tmp_path: Path) -> None:
    other = HandMadeLog(tmp_path / "other", seed=11).fill(299)
    other.append_heartbeat()
    longer = HandMadeLog(tmp_path / "longer", seed=11).fill(301)
    stranger = HandMadeLog(tmp_path / "stranger", seed=77)
    cases: list[tuple[dict[str, str], str]] = [
        (seam(first, checkpoint=other.checkpoint(300).decode()), "former/1/head"),
        (seam(first, checkpoint=longer.checkpoint(301).decode()), "former/1/head"),
        (seam(first, vkey=stranger.vkey), "log/tile/entries"),
        (seam(first, origin="another"), "log/tile/entries"),
        (seam(first, checkpoint=stranger.checkpoint(1).decode()), "log/tile/entries"),
        (seam(first, checkpoint="x"), "log/tile/entries"),
    ]
    for number, (former, file) in enumerate(cases):
        folder = tmp_path / f"case{number}"
        folder.mkdir()
        copy = HandMadeLog(folder / "first", seed=11).fill(300).publish()
        assert found(verify(continued(copy, folder, former))) == [("former_seam", file)], number


def test_restored_log_says_what_was_lost(first: HandMadeLog, tmp_path: Path) -> None:
    """Its head knows 300 leaves; the copy that came back ends at 280."""
    head = first.checkpoint(300)
    named = seam(first, "restored")
    copy = HandMadeLog(tmp_path / "copy", seed=11).fill(280).publish()
    copy.head_path.write_bytes(head)
    log = continued(copy, tmp_path, named)
    report = verify(log)
    assert (report.exit_code, found(report)) == (0, [])
    [lost] = [statement.message for statement in report.statements if statement.code == "former_lost"]
    assert "Leaves 280 to 299" in lost


def test_missing_and_unnamed_earlier_logs_are_found(first: HandMadeLog, tmp_path: Path) -> None:
    log = continued(first, tmp_path, None)
    assert found(verify(log)) == [("former_unnamed", "former/1/log/key.vkey")]
    shutil.rmtree(log.directory / "former")
    assert verify(log).exit_code == 0
    gone = HandMadeLog(tmp_path / "gone", former=seam(log)).publish()
    assert found(verify(gone)) == [("former_missing", "former")]
    moved = HandMadeLog(tmp_path / "moved", former=seam(log, "moved")).publish()
    report = verify(moved)
    assert (report.exit_code, "former_elsewhere" in {s.code for s in report.statements}) == (0, True)


def test_checkpoint_of_an_earlier_log_is_judged_against_it(first: HandMadeLog, tmp_path: Path) -> None:
    other = [*first.leaves[:100], b"{}", *first.leaves[101:]]
    old, forged = first.checkpoint(200), first.checkpoint(200, other)
    log = continued(first, tmp_path, seam(first))
    report = verify(log, old)
    assert (report.exit_code, report.freshness) == (0, "unproven")
    assert "anchored_former" in {statement.code for statement in report.statements}
    assert found(verify(log, forged)) == [("anchor_inconsistent", "former/1/head")]


@pytest.mark.parametrize("wrong", [{"why": "bored"}, {"more": "x"}, {"origin": 1}])
def test_former_with_a_wrong_field_is_found(tmp_path: Path, wrong: dict[str, Any]) -> None:
    log = HandMadeLog(tmp_path / "data", former=seam(HandMadeLog(tmp_path / "x")) | wrong).publish()
    assert "leaf_fields" in [defect.code for defect in verify(log).defects]


SECOND = Path(__file__).parents[2] / "second_verifier.py"


def second_opinion(log: HandMadeLog) -> bool:
    """Whether the other verifier finds a defect of a seam. These logs lack what else it wants of a whole one."""
    command = [sys.executable, str(SECOND), str(log.directory), str(log.head_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return "successor" in done.stdout


def moved(tmp_path: Path, why: str, *, named: str = "", after: bool = False, **changes: str) -> HandMadeLog:
    """A log that continues another one, whose successor leaf names `named` (none for "")."""
    following = HandMadeLog(tmp_path / "following", seed=13)
    stranger = HandMadeLog(tmp_path / "stranger", seed=14)
    old = HandMadeLog(tmp_path / "old", seed=11).fill(20)
    if named:
        name_successor(old, following if named == "this" else stranger, **changes)
    if after:
        old.append_heartbeat()
    old.publish()
    log = HandMadeLog(tmp_path / "data", seed=13, former=seam(old, why)).fill(20).publish()
    put_aside(old, log.directory, 1)
    return log


@pytest.mark.parametrize(
    ("why", "named", "expected"),
    [
        ("moved", "this", []),
        ("restored", "", []),
        ("restored", "stranger", []),
        ("moved", "", [("former_seam", "log/tile/entries")]),
        ("moved", "stranger", [("former_seam", "log/tile/entries")]),
        ("key_changed", "this", [("former_seam", "log/tile/entries")]),
    ],
)
def test_the_end_of_a_log_and_the_beginning_of_the_next_fit(
    tmp_path: Path, why: str, named: str, expected: list[tuple[str, str]]
) -> None:
    log = moved(tmp_path, why, named=named)
    report = verify(log)
    assert found(report) == expected
    assert second_opinion(log) is bool(expected)
    codes = {statement.code for statement in report.statements}
    if not expected:
        assert why in codes
        assert ("successor_not_taken" in codes) == (named == "stranger")


def test_nothing_follows_a_successor(tmp_path: Path) -> None:
    log = moved(tmp_path, "restored", named="this", after=True)
    report = verify(log)
    assert [code for code, _ in found(report)] == ["successor_leaf"]
    assert report.defects[0].leaf == 20
    assert second_opinion(log)


def test_a_successor_has_the_name_in_its_key(tmp_path: Path) -> None:
    log = moved(tmp_path, "moved", named="this", origin="another.test/log")
    assert "successor_leaf" in [code for code, _ in found(verify(log))]
    assert second_opinion(log)


def test_a_log_that_ended_says_who_continues_it(tmp_path: Path) -> None:
    log = HandMadeLog(tmp_path / "data", seed=11).fill(20)
    name_successor(log, HandMadeLog(tmp_path / "x", seed=13))
    report = verify(log.publish())
    assert report.exit_code == 0
    assert "moved_away" in {statement.code for statement in report.statements}
    assert not second_opinion(log)


def test_the_gap_of_a_restored_log_is_stated(tmp_path: Path) -> None:
    report = verify(moved(tmp_path, "restored"))
    [sentence] = [statement.message for statement in report.statements if statement.code == "restored"]
    assert re.search(r"2026-\S+ to 2026-\S+", sentence), sentence
