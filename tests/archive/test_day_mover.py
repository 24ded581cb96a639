"""Sealed days move to a second disk while the first fills, and stay readable, provable and purgeable."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from purge_log import DAY_SECONDS, PurgeLog

from archive.ask.record import prove_leaf
from archive.sealing import day_mover
from archive.sealing.day_mover import DayMover
from archive.storage.levels import Level
from archive.verify.run import verify_archive


class Disk:
    """A StorageWatch that is told."""

    now = Level.NORMAL

    def level(self) -> Level:
        return self.now


@pytest.fixture(autouse=True)
def another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a test both folders are on one disk."""
    monkeypatch.setattr(day_mover, "open_second", lambda second, origin, first: second)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PurgeLog]:
    made = PurgeLog(tmp_path)
    yield made
    made.close()


def is_intact(log: PurgeLog) -> bool:
    report = verify_archive(log.paths.directory, log.paths.head)
    return report.exit_code == 0


def test_days_move_and_are_purged_from_there(log: PurgeLog, tmp_path: Path) -> None:
    disk, second = Disk(), tmp_path / "second"
    mover = DayMover(log.paths, second, disk, log.clock, log.retention_days, nullcontext())  # type: ignore[arg-type]
    leaves, days = [], []
    for _ in range(4):
        days.append(log.day())
        leaves.append(log.receive("collector", b"<13>a line of this day"))
        log.root(leaves[-1])
        log.clock.advance(DAY_SECONDS)
        log.samples()
    assert not mover.step()
    disk.now = Level.FILLING
    moved = 0
    while mover.step():
        moved += 1
    assert moved == 3, "the newest two days stay"
    assert sorted(path.name for path in (second / "collector").iterdir()) == days[:3]
    assert is_intact(log)
    for leaf in leaves:
        prove_leaf(log.paths, leaf)
    log.clock.advance((log.retention_days + 1) * DAY_SECONDS)
    log.samples()
    for _ in range(10):
        log.clock.advance(DAY_SECONDS)
        log.samples()
    assert log.ask(days[0])["state"] == "done", log.purge.report()
    assert not (log.paths.segments / "collector" / days[0]).exists()
    assert sorted(path.name for path in (second / "collector").iterdir()) == days[1:3]
    assert is_intact(log)


def test_a_day_about_to_be_purged_is_not_moved(log: PurgeLog, tmp_path: Path) -> None:
    disk = Disk()
    disk.now = Level.FILLING
    mover = DayMover(log.paths, tmp_path / "second", disk, log.clock, log.retention_days, nullcontext())  # type: ignore[arg-type]
    log.receive("collector", b"<13>old")
    log.clock.advance((log.retention_days - 2) * DAY_SECONDS)
    assert not mover.step()
