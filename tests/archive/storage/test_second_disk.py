"""Days that move to a second disk stay readable where they were, whenever the move is cut off."""

import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from archive.storage import second_disk
from archive.storage.second_disk import (
    SecondDiskError,
    finish_moves,
    movable_days,
    move_day,
    open_second,
    remove_day_folder,
)


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    for stream, day in (("collector", "20260101"), ("collector", "20260102"), ("radius", "20260101")):
        folder = tmp_path / "segments" / stream / day
        folder.mkdir(parents=True)
        (folder / "000000.seg").write_bytes(os.urandom(100_000))
        (folder / "salt.key").write_bytes(os.urandom(32))
        (folder / "salt.key").chmod(0o600)
    return tmp_path / "segments"


def contents(segments: Path) -> dict[str, bytes]:
    return {path.relative_to(segments).as_posix(): path.read_bytes() for path in sorted(segments.glob("*/*/*"))}


def test_a_moved_day_reads_as_before(segments: Path, tmp_path: Path) -> None:
    before = contents(segments)
    folders = movable_days(segments, "20260102")
    assert [f"{one.parent.name}/{one.name}" for one in folders] == ["collector/20260101", "radius/20260101"]
    assert move_day(folders[0], tmp_path / "second", nullcontext()) == 100_032
    assert contents(segments) == before
    assert folders[0].is_symlink()
    assert (folders[0] / "salt.key").stat().st_mode & 0o777 == 0o600
    assert movable_days(segments, "20260102") == folders[1:]
    assert not list(segments.glob("*/*.link"))


@pytest.mark.parametrize("step", ["_copy", "sync_directory", "_exchange"])
def test_cut_off_anywhere_and_done_again(
    segments: Path, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(segments)
    (folder,) = (one for one in movable_days(segments, "20260102") if one.parent.name == "collector")
    real, left = getattr(second_disk, step), [0]

    def dying(*arguments: object) -> object:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(*arguments)

    for allowed in range(8):
        left[0] = allowed
        monkeypatch.setattr(second_disk, step, dying)
        try:
            move_day(folder, tmp_path / "second", nullcontext())
        except KeyboardInterrupt:
            pass
        monkeypatch.setattr(second_disk, step, real)
        assert contents(segments.parent / "segments").items() >= before.items()
        finish_moves(segments)
        assert contents(segments) == before
        if folder.is_symlink():
            break
    move_day(folder, tmp_path / "second", nullcontext()) if not folder.is_symlink() else None
    assert contents(segments) == before


def test_a_copy_that_does_not_read_back_moves_nothing(
    segments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(segments)
    real = second_disk._blocks

    def lying(file: object) -> object:
        for block in real(file):
            yield block if "segments" in file.name else b"\0" + block[1:]  # type: ignore[attr-defined]

    monkeypatch.setattr(second_disk, "_blocks", lying)
    with pytest.raises(SecondDiskError, match="read back"):
        move_day(movable_days(segments, "20260102")[0], tmp_path / "second", nullcontext())
    assert contents(segments) == before


def test_a_purged_day_goes_from_both_disks(segments: Path, tmp_path: Path) -> None:
    folder = movable_days(segments, "20260102")[0]
    move_day(folder, tmp_path / "second", nullcontext())
    for path in folder.iterdir():
        path.unlink()
    remove_day_folder(folder)
    assert not folder.exists()
    assert not folder.is_symlink()
    assert list((tmp_path / "second").glob("*/*")) == []
    shutil.rmtree(tmp_path / "second")


def test_an_empty_mount_point_is_not_the_disk(segments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = tmp_path / "second"
    with pytest.raises(SecondDiskError, match="is not there"):
        open_second(second, "o", segments)
    second.mkdir()
    with pytest.raises(SecondDiskError, match="the disk of the archive itself"):
        open_second(second, "o", segments)
    real = Path.stat
    other = os.stat_result((0o40755, 1, 4711, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda self, **more: other if self == second else real(self, **more))
    one, two = open_second(second, "o", segments), open_second(second, "p", segments)
    assert one != two, "two logs never share a folder"
    move_day(movable_days(segments, "20260102")[0], one, nullcontext())
    (second / "phayan-second-disk").unlink()
    with pytest.raises(SecondDiskError, match="is the disk mounted"):
        open_second(second, "o", segments)


def test_what_is_appended_meanwhile_stops_the_move(
    segments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = movable_days(segments, "20260102")[0]
    real = second_disk._copy

    def copying(source: Path, target: Path) -> int:
        size = real(source, target)
        with (folder / "000000.seg").open("ab") as file:
            file.write(b"late")
        return size

    monkeypatch.setattr(second_disk, "_copy", copying)
    with pytest.raises(SecondDiskError, match="has changed"):
        move_day(folder, tmp_path / "second", nullcontext())
    assert (folder / "000000.seg").read_bytes().endswith(b"late")
    assert not folder.is_symlink()
