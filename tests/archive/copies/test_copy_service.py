"""A copy as the anchor process keeps it: its report, its pauses, and when it is too old."""

import shutil
from pathlib import Path

from copy_targets import CopiedLog

from archive.copies.memory import Memory, MemoryFile
from archive.copies.service import CopyTask
from archive.copies.stale import copy_conditions
from tests.clocks import NS

INTERVAL = 900


def test_a_pass_an_interval_and_what_it_says_of_itself(tmp_path: Path) -> None:
    log = CopiedLog(tmp_path)
    size = log.grow(b"first")
    task = CopyTask(log.copier(), log.paths, log.clock, INTERVAL)
    task.step()
    report = task.report()
    assert (report["tree_size"], report["behind_leaves"], report["behind_bytes"]) == (size, 0, 0)
    assert report["problem"] == ""
    newer = log.grow(b"second" * 1000)
    task.step()
    report = task.report()
    assert (report["tree_size"], report["behind_leaves"]) == (size, newer - size)
    assert 100 < report["behind_bytes"] < 10_000
    log.clock.advance(INTERVAL)
    task.step()
    assert task.report()["tree_size"] == newer


def test_a_disk_that_is_away_is_said_and_tried_again(tmp_path: Path) -> None:
    log = CopiedLog(tmp_path)
    log.grow(b"first")
    shutil.move(log.place, tmp_path / "drawer")
    task = CopyTask(log.copier(), log.paths, log.clock, INTERVAL)
    task.step()
    assert "mounted" in task.report()["problem"]
    assert task.report()["last_success_unix_ns"] is None
    shutil.move(tmp_path / "drawer", log.place)
    task.step()
    assert "mounted" in task.report()["problem"], "it waits before it tries again"
    log.clock.advance(6)
    task.step()
    assert task.report()["problem"] == ""
    assert task.report()["last_success_unix_ns"] == str(log.clock.unix_ns())


def test_a_process_that_ends_leaves_a_pass_for_the_next_start(tmp_path: Path) -> None:
    log = CopiedLog(tmp_path)
    log.grow(*(b"%d" % number for number in range(5)))
    task = CopyTask(log.copier(is_stopped=lambda: True), log.paths, log.clock, INTERVAL)
    task.step()
    assert task.report()["problem"] == ""
    assert not (log.place / "head").exists()


def test_what_is_remembered_is_of_one_address(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path, "usb", "/mnt/usb")
    memory = Memory(vkey="k", head_size=9, leaves=12, purges=[{"leaf": 1, "day": "20261119", "folders": {}}])
    file.save(memory)
    assert file.load() == memory
    assert MemoryFile(tmp_path, "usb", "/mnt/other").load() == Memory()
    for wrong in (b"{", b"[]", b'{"address": "/mnt/usb"}'):
        (tmp_path / "usb.json").write_bytes(wrong)
        assert file.load() == Memory()


def test_a_copy_is_stale_after_a_day_or_three_intervals() -> None:
    day = 86_400
    now = 1_795_000_000 * NS

    def codes(age_seconds: int | None, interval: int, started: int = 0) -> list[str]:
        last = None if age_seconds is None else str(now - age_seconds * NS)
        one = {"name": "usb", "last_success_unix_ns": last, "interval_seconds": interval, "problem": "x"}
        return [found.source for found in copy_conditions({"copies": [one]}, now - started * NS, now)]

    assert codes(day - 1, 900) == []
    assert codes(day + 1, 900) == ["usb"]
    assert codes(day + 1, day) == []
    assert codes(3 * day + 1, day) == ["usb"]
    assert codes(None, 900, started=day - 1) == []
    assert codes(None, 900, started=day + 1) == ["usb"]
    assert copy_conditions({"copies": ["x", {}], "more": 1}, now, now) == []
    assert copy_conditions({}, 0, now) == []
