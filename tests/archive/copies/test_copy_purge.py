"""Purge reaches the copies: what a purge leaf lists goes there too, once the copy's head covers the leaf."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from copy_targets import Failing

from archive.copies.copier import Copier, mark_target
from archive.copies.directory_target import DirectoryTarget
from archive.copies.target import LOCKED, CopyError
from archive.verify.run import verify_archive
from tests.archive.purge_log import PurgeLog

HOLD = "hold-2026-0001"


class Locked(DirectoryTarget):
    """Removes no segment before `is_open`."""

    is_open = False

    def remove(self, name: str) -> None:
        if name.endswith(".seg") and not self.is_open:
            raise CopyError(f"{name} is locked still", code=LOCKED)
        super().remove(name)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PurgeLog]:
    log = PurgeLog(tmp_path, retention_days=90)
    (tmp_path / "usb").mkdir()
    mark_target(DirectoryTarget(tmp_path / "usb"), log.clock)
    yield log
    log.close()


def copier(log: PurgeLog, target: object = None) -> Copier:
    place = log.paths.directory.parent / "usb"
    return Copier("usb", log.paths, target or DirectoryTarget(place), log.clock, retention_days=90)  # type: ignore[arg-type]


def assert_intact(place: Path) -> None:
    report = verify_archive(place, place / "head")
    assert report.exit_code == 0, report.to_text()


def old_day(log: PurgeLog) -> tuple[str, int]:
    day = log.day()
    leaf = log.receive("collector", b"<134>one", b"<134>two")
    log.root(leaf)
    return day, leaf


def test_a_purged_day_goes_from_the_copy_and_what_is_held_stays(log: PurgeLog, tmp_path: Path) -> None:
    place = tmp_path / "usb"
    day, leaf = old_day(log)
    copier(log).run()
    assert list((place / "log/segments/collector" / day).glob("*.seg"))
    for _ in range(90):
        log.pass_day()
    copier(log).run()
    assert log.ask(day, [(leaf, 1, 0)], [HOLD])["state"] == "done"
    before, memory = tmp_path / "before", tmp_path / "memory"
    shutil.copytree(place, before)
    shutil.copytree(log.paths.directory / "copies", memory)
    counting = Failing(DirectoryTarget(place), at=0)
    copier(log, counting).run()
    for at in range(counting.calls, 0, -3):
        shutil.rmtree(place)
        shutil.copytree(before, place)
        shutil.rmtree(log.paths.directory / "copies")
        shutil.copytree(memory, log.paths.directory / "copies")
        with pytest.raises(CopyError):
            copier(log, Failing(DirectoryTarget(place), at)).run()
        assert_intact(place)
    copier(log).run()
    assert not (place / "log/segments/collector" / day).exists()
    assert not (log.paths.segments / "collector" / day).exists()
    assert [path.name for path in (place / "log/held" / day).iterdir()]
    assert_intact(place)
    names = {path.relative_to(place).as_posix() for path in (place / "log").rglob("*") if path.is_file()}
    here = {path.relative_to(log.paths.directory).as_posix() for path in log.paths.log.rglob("*") if path.is_file()}
    assert names == here


def test_a_copy_made_after_the_purge_never_gets_it(log: PurgeLog, tmp_path: Path) -> None:
    day, _ = old_day(log)
    for _ in range(90):
        log.pass_day()
    assert log.ask(day)["state"] == "done"
    copier(log).run()
    assert not (tmp_path / "usb/log/segments/collector" / day).exists()
    assert_intact(tmp_path / "usb")


def test_what_is_locked_there_waits_and_a_lost_memory_finds_it(log: PurgeLog, tmp_path: Path) -> None:
    place = tmp_path / "usb"
    day, _ = old_day(log)
    locked = Locked(place)
    copier(log, locked).run()
    for _ in range(90):
        log.pass_day()
    assert log.ask(day)["state"] == "done"
    one = copier(log, locked)
    one.run()
    assert len(one.memory.purges) == 1
    assert_intact(place)
    (log.paths.directory / "copies/usb.json").unlink()
    locked.is_open = True
    one = copier(log, locked)
    one.run()
    assert one.memory.purges == []
    assert not (place / "log/segments/collector" / day).exists()
    assert_intact(place)
