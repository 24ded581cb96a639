"""The spool writer when the disk refuses, when it dies at the wrong moment, and when there are two of it."""

import errno
import fcntl
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import archive.spool as spool
from archive.errors import SpoolError
from archive.sealing.spool_watch import _is_abandoned
from archive.spool import SpoolWriter
from archive.spool_format import MAX_FRAME_BODY_BYTES
from archive.spool_read import count_spool_records, read_spool_file
from tests.clocks import ManualClock


def make(directory: Path, clock: ManualClock | None = None) -> SpoolWriter:
    return SpoolWriter(directory, "radius", clock=clock or ManualClock())


def sequences(directory: Path) -> list[int]:
    return sorted(int(p.stem) for p in (directory / "radius").iterdir() if p.suffix in (".open", ".spool"))


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _close_refused(writer: SpoolWriter) -> None:
    """The failed sync may have given the file up before the close came to it; then nothing is left to refuse."""
    with suppress(SpoolError):
        writer.close()


def test_the_sealer_never_takes_a_file_that_is_being_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, taken = fcntl.flock, []

    def slow(descriptor: int, operation: int) -> None:
        taken.extend(path.name for path in (tmp_path / "radius").glob("*.open") if _is_abandoned(path))
        real(descriptor, operation)

    monkeypatch.setattr(spool.fcntl, "flock", slow)
    writer = make(tmp_path)
    # _is_abandoned itself locks through the patched function; what it finds is what counts.
    monkeypatch.setattr(spool.fcntl, "flock", real)
    writer.wait_durable(writer.append(b"kept", listener="radius-acct"))
    writer.close()
    assert taken == []


@pytest.mark.parametrize("broken", ["write_all", "sync_directory"])
def test_a_full_disk_and_a_restart_leave_no_hole_in_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    make(tmp_path).close()
    with monkeypatch.context() as full:
        full.setattr(spool, broken, no_space)
        for _ in range(3):
            with pytest.raises(SpoolError):
                make(tmp_path)
    make(tmp_path).close()
    assert sequences(tmp_path) == [0, 1]


def test_a_death_between_mark_and_file_leaves_no_hole(tmp_path: Path) -> None:
    make(tmp_path).close()
    (tmp_path / "radius" / f"{1:020d}.next").write_bytes(b"half a header")
    (tmp_path / "radius" / f"{2:020d}.next").touch()
    for path in (tmp_path / "radius").glob("*.spool"):
        path.unlink()
    make(tmp_path).close()
    make(tmp_path).close()
    assert sequences(tmp_path) == [1, 2]
    assert read_spool_file(tmp_path / "radius" / f"{1:020d}.spool").torn_bytes == 0


def test_a_mark_that_cannot_be_written_stops_no_acknowledgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make(tmp_path)
    monkeypatch.setattr(os, "pwrite", no_space)
    for _ in range(3):
        writer.wait_durable(writer.append(b"record", listener="radius-acct"), timeout_seconds=5)
    writer.close()


def test_a_sync_error_is_not_forgotten_by_the_close_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reports a failed write-back once: whoever syncs next is told that all is well."""
    writer = make(tmp_path)
    real, began, go_on = os.fdatasync, threading.Event(), threading.Event()
    calls: list[int] = []

    def once(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            began.set()
            go_on.wait(10)
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", once)
    ticket = writer.append(b"lost by the disk", listener="radius-acct")
    assert began.wait(10)
    closer = threading.Thread(target=lambda: _close_refused(writer))
    closer.start()
    time.sleep(0.1)
    go_on.set()
    closer.join(10)
    with pytest.raises(SpoolError):
        writer.wait_durable(ticket, timeout_seconds=1)


def test_a_record_no_reader_could_read_is_refused(tmp_path: Path) -> None:
    writer = make(tmp_path)
    with pytest.raises(SpoolError) as caught:
        writer.append(bytes(MAX_FRAME_BODY_BYTES), listener="radius-acct")
    assert caught.value.code == "record_too_large"
    writer.wait_durable(writer.append(b"after", listener="radius-acct"))
    writer.close()
    assert read_spool_file(tmp_path / "radius" / f"{0:020d}.spool").records == 2


def test_a_stream_has_one_writer(tmp_path: Path) -> None:
    writer = make(tmp_path)
    with pytest.raises(SpoolError) as caught:
        make(tmp_path)
    assert caught.value.code == "stream_in_use"
    writer.wait_durable(writer.append(b"goes on", listener="radius-acct"))
    writer.close()
    make(tmp_path).close()


def test_an_error_of_close_is_no_error_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    writer = make(tmp_path, clock)
    descriptor, real = writer._descriptor, os.close

    def fail(number: int) -> None:
        real(number)
        if number == descriptor:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "close", fail)
    writer.append(bytes(spool.CLOSE_AT_BYTES), listener="radius-acct")
    writer.wait_durable(writer.append(b"into the next file", listener="radius-acct"))
    writer.close()
    assert sequences(tmp_path) == [0, 1]


def test_what_is_counted_as_received_stays_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = make(tmp_path)
    writer.wait_durable(writer.append(b"one", listener="radius-acct"))
    path = next((tmp_path / "radius").glob("*.open"))
    copy = path.read_bytes()
    assert count_spool_records(tmp_path, "radius") == {0: 2}
    real = Path.read_bytes

    def renamed_meanwhile(self: Path) -> bytes:
        if self.suffix == ".open" and writer._descriptor >= 0:
            writer.close()
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", renamed_meanwhile)
        assert count_spool_records(tmp_path, "radius") == {0: 2}
    # The same file as a killed writer leaves it, and the next writer at work.
    path.with_suffix(".spool").unlink()
    path.write_bytes(copy)
    again = make(tmp_path)
    again.wait_durable(again.append(b"two", listener="radius-acct"))
    assert count_spool_records(tmp_path, "radius") == {0: 2, 1: 2}
    again.close()


def test_foreign_files_are_not_counted(tmp_path: Path) -> None:
    make(tmp_path).close()
    (tmp_path / "radius" / "a7.spool").write_bytes(b"")
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray" / f"{3:020d}.open").write_bytes(b"")
    assert count_spool_records(tmp_path, "radius") == {0: 1}
    assert count_spool_records(tmp_path, "stray") == {3: 0}
