"""What `status` counts while files are closed, sealed, published and indexed: three states, each within the one before,
none ever less than it was."""

import os
import threading
import time
from pathlib import Path

import pytest
from indexed_log import IndexedLog
from storage_of import storage_of

import archive.spool as spool
import archive.storage.watch as watch
from archive.ask.status import SILENT_SECONDS, StatusReader

SECONDS = 6.0
STREAM = "collector"


def test_counts_never_fall_and_hold_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "CLOSE_AT_BYTES", 3000)
    log = IndexedLog.make(tmp_path)
    reader = StatusReader(log.paths, log.engine, log.indexer, log.clock, "Asia/Bangkok", storage_of(log))
    stop = threading.Event()
    failures: list[BaseException] = []

    def repeat(turn: object, pause_seconds: float) -> threading.Thread:
        def run() -> None:
            try:
                while not stop.wait(pause_seconds):
                    turn()  # type: ignore[operator]
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    writer = log.writer(STREAM)
    sealer = log._sealer
    threads = [
        repeat(lambda: writer.wait_durable(writer.append(b"<13>x", listener="syslog/udp-5514")), 0.001),
        repeat(sealer.run_once, 0.02),
        repeat(log.indexer.run_once, 0.05),
    ]
    seen = []
    try:
        began = time.monotonic()
        while time.monotonic() - began < SECONDS:
            count = reader.count_streams()[STREAM]
            seen.append((count.received, count.sealed, count.indexed))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(seen) > 20
    assert seen[-1][2] > 0
    assert [counts for counts in seen if not counts[0] >= counts[1] >= counts[2]] == []
    for number in range(3):
        column = [counts[number] for counts in seen]
        assert column == sorted(column), ("received", "sealed", "indexed")[number]
    log.close()


def test_a_disk_is_as_full_as_df_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that keeps blocks for itself is not fuller for it."""
    log = IndexedLog.make(tmp_path)
    writer = log.writer("audit")
    for used, free, level in ((26, 77, "normal"), (71, 30, "filling")):
        found = os.statvfs_result((1, 1, 252, 252 - used, free, 1, 1, 1, 0, 255))
        monkeypatch.setattr(watch.os, "statvfs", lambda _, one=found: one)
        assert storage_of(log, reserve_bytes=0, writer=writer).read()["level"] == level
    log.close()


def test_a_process_that_never_reported_is_down(tmp_path: Path) -> None:
    log = IndexedLog.make(tmp_path)
    reader = StatusReader(log.paths, log.engine, log.indexer, log.clock, "Asia/Bangkok", storage_of(log))
    assert [c for c in reader.conditions() if c.code == "process_down"] == []
    reader._started_monotonic -= SILENT_SECONDS + 1
    assert "radius" in [c.source for c in reader.conditions() if c.code == "process_down"]
    log.close()
