"""The spool: one append-only stream per writer process; a record in it, once durable, is *received*.

A writer owns only `spool/<stream>/`. It appends frames to `<sequence>.open`, renames it to `<sequence>.spool` at
4 MiB, every ten seconds or at UTC midnight, never reopens a file and never deletes one; the sealer does. The file
`<sequence>.next` carries the next number over restarts even when the sealer has removed every file before it.
"""

import fcntl
import os
import secrets
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np

from archive.clock import Clock, SystemClock
from archive.durable import make_directory, sync_directory, write_all
from archive.errors import SpoolError
from archive.event_record import encode_event
from archive.spool_format import (
    DATA_FRAME,
    HEADER_FRAME,
    NOTE_FRAME,
    Batch,
    SpoolFile,
    count_records,
    decode_batch,
    decode_json_frame,
    encode_batch_frame,
    encode_json_frame,
    iterate_frames,
)

CLOSE_AT_BYTES = 4 * 1024 * 1024
"""A chunk of about this size compresses well and verifies at the speed of sha256sum; smaller ones cost leaves."""
CLOSE_AFTER_SECONDS = 10.0
"""Bounds the delay between received and sealed on a quiet stream."""
COMMIT_INTERVAL_SECONDS = 0.1
"""Unacknowledged records become durable within this time; a power failure can lose no more of them."""
MAX_FAILED_RANGES = 1000
"""Abandoned files remembered for waiters, who wait at most seconds; older ones have been answered."""
NS = 1_000_000_000
DAY_NS = 86_400 * NS
NO_SOURCE = (bytes(16), 0)
DURABLE_MARK = struct.Struct("<QQ")
"""Sequence of the open file and how many of its bytes are durable; in `spool/<stream>/durable` for `status`."""


class SpoolWriter:
    """Appends to one stream. Safe for several threads of the one process that owns the stream.

    `append` and `append_batch` return a ticket after the bytes reached the kernel; `wait_durable(ticket)` returns
    after fdatasync. A failed fdatasync is never retried on the same file: it is left as it is for the sealer, which
    reads what is whole, the waiters get SpoolError, and a new file is begun.
    """

    def __init__(
        self,
        directory: Path,
        stream: str,
        *,
        clock: Clock | None = None,
        close_after_seconds: float = CLOSE_AFTER_SECONDS,
    ) -> None:
        self._clock = clock or SystemClock()
        self._directory = directory / stream
        self._stream = stream
        self._close_after_ns = int(close_after_seconds * NS)
        self._changed = threading.Condition()
        self._descriptor = -1
        self._size = self._records = 0
        self._next_ticket = 0
        self._durable_ticket = -1
        self._failed_tickets: list[tuple[int, int]] = []
        self._waiters = 0
        self._received_total = 0
        self._dropped: dict[str, int] = {}
        self._dropped_written: dict[str, int] = {}
        self._closing = False
        self._writer_id = secrets.token_hex(8)
        make_directory(self._directory)
        mark = self._directory / "durable"
        # The mark is written at every commit, so its age says when the writer before us last lived.
        self._previous_alive_ns = mark.stat().st_mtime_ns if mark.exists() else 0
        self._mark = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._sequence = self._find_next_sequence()
        with self._changed:
            self._open_file()
        restart: dict[str, Any] = {
            "stream": stream,
            "writer": self._writer_id,
            "pid": os.getpid(),
            "sequence": self._sequence - 1,
            "previous_alive_unix_ns": str(self._previous_alive_ns) if self._previous_alive_ns else None,
        }
        self.append(encode_event("writer_started", self._clock.unix_ns(), restart), listener="restart")
        self._committer = threading.Thread(target=self._commit_forever, name=f"commit-{stream}", daemon=True)
        self._committer.start()

    def append(
        self,
        payload: bytes,
        *,
        listener: str,
        transport: str = "internal",
        source: tuple[bytes, int] = NO_SOURCE,
        received_unix_ns: int | None = None,
        truncated: bool = False,
    ) -> int:
        """Append one record; arrival time is now unless given. Returns its ticket."""
        arrival = self._clock.unix_ns() if received_unix_ns is None else received_unix_ns
        return self.append_batch(
            Batch(
                listener,
                transport,
                np.array([arrival], np.int64),
                np.frombuffer(source[0], np.uint8).reshape(1, 16),
                np.array([source[1]], np.uint16),
                np.array([truncated], np.uint8),
                np.array([len(payload)], np.uint32),
                payload,
            )
        )

    def append_batch(self, batch: Batch) -> int:
        """Append records in order; a file never spans a UTC day, so a batch over midnight is cut in two."""
        if not len(batch):
            return self._next_ticket - 1
        days = batch.received_unix_ns // DAY_NS
        ticket = -1
        for day in np.unique(days):
            part = batch if days[0] == day == days[-1] else batch.take(days == day)
            ticket = self._append_one_day(part, int(day))
        return ticket

    def _append_one_day(self, batch: Batch, day: int) -> int:
        frame = encode_batch_frame(batch)
        with self._changed:
            if self._closing:
                raise SpoolError(f"stream {self._stream} is closed", code="spool_closed")
            if self._descriptor < 0:
                self._open_file()
            if self._records and self._day not in (None, day):
                self._close_file()
                self._open_file()
            self._day = day
            try:
                write_all(self._descriptor, frame)
            except OSError as error:
                self._abandon_file()
                raise SpoolError(f"stream {self._stream}: {error.strerror}", code="spool_write") from error
            self._size += len(frame)
            self._records += len(batch)
            self._received_total += len(batch)
            ticket = self._next_ticket
            self._next_ticket += 1
            if self._size >= CLOSE_AT_BYTES:
                self._close_file()
                self._open_file()
            return ticket

    def wait_durable(self, ticket: int, timeout_seconds: float = 10.0) -> None:
        """Return once the record of `ticket` is durable. Raises SpoolError `spool_not_durable` otherwise."""
        with self._changed:
            self._waiters += 1
            self._changed.notify_all()
            try:
                settled = self._changed.wait_for(
                    lambda: ticket <= self._durable_ticket or self._is_failed(ticket), timeout_seconds
                )
            finally:
                self._waiters -= 1
            if not settled or self._is_failed(ticket):
                raise SpoolError(f"stream {self._stream}: record not durable", code="spool_not_durable")

    def note_dropped(self, listener: str, total_dropped: int) -> None:
        """State how many datagrams the kernel dropped at `listener` since this process started."""
        with self._changed:
            self._dropped[listener] = total_dropped

    def counters(self) -> dict[str, int]:
        """`received_records` of this process, durable or not yet, and `pending_tickets` not yet durable."""
        with self._changed:
            return {
                "received_records": self._received_total,
                "pending_tickets": self._next_ticket - 1 - self._durable_ticket,
            }

    def close(self) -> None:
        """Close the open file durably; nothing can be appended afterwards."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._close_file()
            self._changed.notify_all()
        self._committer.join()
        os.close(self._mark)

    def _is_failed(self, ticket: int) -> bool:
        """Whether the file of `ticket` was abandoned before it was durable; later files do not cure that."""
        return any(first <= ticket <= last for first, last in self._failed_tickets)

    def _find_next_sequence(self) -> int:
        taken = [-1]
        for path in self._directory.iterdir():
            if path.suffix in (".open", ".spool") and path.stem.isdigit():
                taken.append(int(path.stem))
            elif path.suffix == ".next" and path.stem.isdigit():
                taken.append(int(path.stem) - 1)
        return max(taken) + 1

    def _open_file(self) -> None:
        """Begin `<sequence>.open`, locked, and move the `.next` mark; one directory sync covers both names.

        A file that cannot be begun is taken back, so that a full disk neither fills the folder with empty files nor
        leaves a hole in the stream's numbers.
        """
        sequence, self._sequence = self._sequence, self._sequence + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        path = self._directory / f"{sequence:020d}.open"
        descriptor = -1
        try:
            descriptor = os.open(path, flags, 0o640)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._move_next_mark(sequence + 1)
            header = encode_json_frame(
                HEADER_FRAME,
                {
                    "format": 1,
                    "stream": self._stream,
                    "sequence": sequence,
                    "writer": self._writer_id,
                    "boot_id": self._clock.boot_id(),
                    "unix_ns": str(self._clock.unix_ns()),
                    "monotonic_ns": str(self._clock.monotonic_ns()),
                },
            )
            write_all(descriptor, header)
            sync_directory(self._directory)
        except OSError as error:
            if descriptor >= 0:
                self._take_back(path, descriptor, sequence)
            raise SpoolError(f"stream {self._stream}: {error.strerror}", code="spool_open") from error
        self._path, self._descriptor = path, descriptor
        self._size, self._records, self._day = len(header), 0, None
        self._opened_monotonic_ns = self._clock.monotonic_ns()
        self._synced_size = 0

    def _take_back(self, path: Path, descriptor: int, sequence: int) -> None:
        """Remove a file that was just begun and holds no record, while its lock keeps the sealer away."""
        try:
            path.unlink()
            self._sequence = sequence
        except OSError:
            self._sequence = sequence + 1
        finally:
            os.close(descriptor)

    def _move_next_mark(self, sequence: int) -> None:
        following = self._directory / f"{sequence:020d}.next"
        marks = sorted(self._directory.glob("*.next"))
        if marks:
            os.replace(marks[-1], following)
        else:
            following.touch()

    def _close_file(self) -> None:
        """Note the closing clock and drops, fdatasync, rename to `.spool`, sync the directory."""
        if self._descriptor < 0:
            return
        note: dict[str, Any] = {
            "unix_ns": str(self._clock.unix_ns()),
            "monotonic_ns": str(self._clock.monotonic_ns()),
        }
        dropped = {k: v - self._dropped_written.get(k, 0) for k, v in self._dropped.items()}
        note["dropped"] = {k: v for k, v in dropped.items() if v}
        try:
            write_all(self._descriptor, encode_json_frame(NOTE_FRAME, note))
            os.fdatasync(self._descriptor)
            os.rename(self._path, self._path.with_suffix(".spool"))
            sync_directory(self._directory)
        except OSError as error:
            self._abandon_file()
            raise SpoolError(f"stream {self._stream}: {error.strerror}", code="spool_write") from error
        self._dropped_written = dict(self._dropped)
        os.close(self._descriptor)
        self._descriptor = -1
        self._durable_ticket = self._next_ticket - 1
        self._changed.notify_all()

    def _abandon_file(self) -> None:
        """After a failed write or sync: leave the file to the sealer (its lock goes with it), fail the waiters."""
        if self._next_ticket - 1 > self._durable_ticket:
            self._failed_tickets.append((self._durable_ticket + 1, self._next_ticket - 1))
            del self._failed_tickets[:-MAX_FAILED_RANGES]
        os.close(self._descriptor)
        self._descriptor = -1
        self._changed.notify_all()

    def _commit_forever(self) -> None:
        while True:
            with self._changed:
                if not self._waiters or self._durable_ticket >= self._next_ticket - 1:
                    self._changed.wait(COMMIT_INTERVAL_SECONDS)
                if self._closing:
                    return
                if self._descriptor < 0:
                    continue
                ticket, descriptor, size = self._next_ticket - 1, os.dup(self._descriptor), self._size
                sequence = self._sequence - 1
                dirty = size > self._synced_size
            if dirty:
                self._sync(descriptor, ticket, sequence, size)
            os.close(descriptor)
            with self._changed:
                self._close_if_due()

    def _sync(self, descriptor: int, ticket: int, sequence: int, size: int) -> None:
        """fdatasync outside the lock, so that receiving goes on meanwhile."""
        try:
            os.fdatasync(descriptor)
        except OSError:
            with self._changed:
                if self._descriptor >= 0 and sequence == self._sequence - 1:
                    self._abandon_file()
            return
        with self._changed:
            self._durable_ticket = max(self._durable_ticket, ticket)
            if sequence == self._sequence - 1:
                self._synced_size = size
                os.pwrite(self._mark, DURABLE_MARK.pack(sequence, size), 0)
            self._changed.notify_all()

    def _close_if_due(self) -> None:
        """Close on the same multiples of the interval in every process, so that one checkpoint covers all streams."""
        if self._descriptor < 0 or not self._records:
            return
        turn = self._clock.monotonic_ns() // self._close_after_ns
        if turn != self._opened_monotonic_ns // self._close_after_ns:
            try:
                self._close_file()
                self._open_file()
            except SpoolError:
                return


def read_spool_file(path: Path) -> SpoolFile:
    """Read a spool file, closed or left open by a dead writer, up to its last whole frame."""
    data = path.read_bytes()
    header: dict[str, Any] = {}
    closing: dict[str, Any] = {}
    batches: list[Batch] = []
    end = 0
    for frame in iterate_frames(data):
        if frame.magic == HEADER_FRAME:
            header = decode_json_frame(frame)
        elif frame.magic == DATA_FRAME:
            batches.append(decode_batch(frame))
        else:
            closing = decode_json_frame(frame)
        end = frame.end_offset
    return SpoolFile(path, path.parent.name, int(path.stem), header, closing, batches, len(data) - end)


def count_spool_records(directory: Path, stream: str) -> dict[int, int]:
    """Durable records per spool file still there, by sequence; of an open file only what its durable mark covers."""
    folder = directory / stream
    found: dict[int, int] = {}
    for path in folder.glob("*[0-9].*"):
        if path.suffix not in (".open", ".spool"):
            continue
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        if path.suffix == ".open":
            sequence, size = DURABLE_MARK.unpack((folder / "durable").read_bytes() or bytes(DURABLE_MARK.size))
            data = data[:size] if sequence == int(path.stem) else b""
        found[int(path.stem)] = count_records(data)
    return found
