"""The spool: one append-only stream per writer process; a record in it, once durable, is *received*.

A writer owns only `spool/<stream>/`. It appends frames to `<sequence>.open`, renames it to `<sequence>.spool` at
4 MiB, every ten seconds or at UTC midnight, never reopens a file and never deletes one; the sealer does. The file
`<sequence>.next` carries the next number over restarts even when the sealer has removed every file before it; it
becomes `<sequence>.open` by rename, so that a number is neither used twice nor left out, whenever the writer dies.
"""

import errno
import fcntl
import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from archive.clock import Clock, SystemClock
from archive.durable import make_directory, sync_directory, write_all, write_parts
from archive.errors import SpoolError
from archive.event_record import encode_event
from archive.spool_batch import Batch, ReadBatch
from archive.spool_format import (
    FRAME_HEADER,
    HEADER_FRAME,
    MAX_FRAME_BODY_BYTES,
    NOTE_FRAME,
    batch_frame_parts,
    encode_json_frame,
)
from archive.spool_read import DURABLE_MARK, is_spool_file

CLOSE_AT_BYTES = 4 * 1024 * 1024
"""A chunk of about this size compresses well and verifies at the speed of sha256sum; smaller ones cost leaves."""
CLOSE_AFTER_SECONDS = 10.0
"""Bounds the delay between received and sealed on a quiet stream."""
COMMIT_INTERVAL_SECONDS = 0.1
"""Unacknowledged records become durable within this time; a power failure can lose no more of them."""
IDLE_SECONDS = 0.5
"""Longest the committing thread sleeps while nothing is to be made durable; a file is closed at most so late."""
MAX_FAILED_RANGES = 1000
"""Abandoned files remembered for waiters, who wait at most seconds; older ones have been answered."""
NS = 1_000_000_000
DAY_NS = 86_400 * NS
NO_SOURCE = (bytes(16), 0)


class RecordWriter(Protocol):
    """What writers of events use of a SpoolWriter, or of what stands before one."""

    def append(self, payload: bytes, *, listener: str) -> int: ...

    def append_batch(self, batch: Batch | ReadBatch) -> int: ...

    def wait_durable(self, ticket: int, timeout_seconds: float = 10.0) -> None: ...


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
        self._syncing = threading.Lock()
        self._failed_sequence = -1
        self._descriptor = -1
        self._size = self._records = 0
        self._next_ticket = 0
        self._durable_ticket = -1
        self._failed_tickets: list[tuple[int, int]] = []
        self._waiters = 0
        self._idle = False
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
        try:
            self._lock_stream()
            self._sequence = self._find_next_sequence()
            with self._changed:
                self._open_file()
        except BaseException:
            os.close(self._mark)
            raise
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

    def append_batch(self, batch: Batch | ReadBatch) -> int:
        """Append records in order; a file never spans a UTC day, so a batch over midnight is cut in two."""
        if not len(batch):
            return self._next_ticket - 1
        first, last = int(batch.received_unix_ns.min()) // DAY_NS, int(batch.received_unix_ns.max()) // DAY_NS
        if first == last:
            return self._append_one_day(batch, first)
        ticket = -1
        days = batch.received_unix_ns // DAY_NS
        for day in np.unique(days):
            if ticket >= 0:
                # The ticket returned is the last part's; it may not become durable when one before it did not.
                self.wait_durable(ticket)
            ticket = self._append_one_day(batch.take(days == day), int(day))
        return ticket

    def _append_one_day(self, batch: Batch | ReadBatch, day: int) -> int:
        parts = batch_frame_parts(batch)
        frame_bytes = sum(map(len, parts))
        if frame_bytes - FRAME_HEADER.size > MAX_FRAME_BODY_BYTES:
            # No reader accepts such a frame: it would hide every record after it.
            raise SpoolError(f"stream {self._stream}: {frame_bytes} bytes are too long", code="record_too_large")
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
                write_parts(self._descriptor, parts)
            except OSError as error:
                self._abandon_file()
                raise SpoolError(f"stream {self._stream}: {error.strerror}", code="spool_write") from error
            self._size += frame_bytes
            self._records += len(batch)
            self._received_total += len(batch)
            ticket = self._next_ticket
            self._next_ticket += 1
            if self._idle:
                self._changed.notify_all()
            if self._size >= CLOSE_AT_BYTES:
                # This record is in its file, and the ticket says whether it became durable; if the file cannot be
                # closed or none begun now, the next append says so.
                with suppress(SpoolError):
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

    def _lock_stream(self) -> None:
        """Be the only writer of the stream, until this process ends."""
        try:
            fcntl.flock(self._mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SpoolError(f"another process writes the stream {self._stream}", code="stream_in_use") from error

    def _find_next_sequence(self) -> int:
        """The least `.next` mark: a greater one beside it belongs to a file that was not begun any more."""
        files, marks = [-1], []
        for path in self._directory.iterdir():
            if is_spool_file(path):
                files.append(int(path.stem))
            elif path.suffix == ".next" and path.stem.isdecimal():
                marks.append(int(path.stem))
        return max(max(files) + 1, min(marks, default=0))

    def _open_file(self) -> None:
        """Begin `<sequence>.open`: the `.next` mark itself, locked and with its header, under its new name.

        The sealer takes an `.open` file without a lock for one of a dead writer; so it must not see one before it is
        locked. A file that cannot be begun stays a mark, so that a full disk neither fills the folder with empty files
        nor leaves a hole in the stream's numbers.
        """
        sequence = self._sequence
        mark, path = self._directory / f"{sequence:020d}.next", self._directory / f"{sequence:020d}.open"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        descriptor = -1
        try:
            descriptor = os.open(mark, flags, 0o640)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
            (self._directory / f"{sequence + 1:020d}.next").touch()
            os.rename(mark, path)
            self._sequence = sequence + 1
            sync_directory(self._directory)
        except OSError as error:
            if descriptor >= 0:
                self._take_back(mark, path, sequence)
                _close_quietly(descriptor)
            raise SpoolError(f"stream {self._stream}: {error.strerror}", code="spool_open") from error
        self._path, self._descriptor = path, descriptor
        self._size, self._records, self._day = len(header), 0, None
        self._opened_monotonic_ns = self._clock.monotonic_ns()
        self._synced_size = 0

    def _take_back(self, mark: Path, path: Path, sequence: int) -> None:
        """A file that was just begun and holds no record is a mark again, while its lock keeps the sealer away."""
        if self._sequence == sequence:
            return
        with suppress(OSError):
            os.rename(path, mark)
            self._sequence = sequence

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
            self._sync_file(self._descriptor, self._sequence - 1)
            os.rename(self._path, self._path.with_suffix(".spool"))
            sync_directory(self._directory)
        except OSError as error:
            self._abandon_file()
            raise SpoolError(f"stream {self._stream}: {error.strerror}", code="spool_write") from error
        self._dropped_written = dict(self._dropped)
        descriptor, self._descriptor = self._descriptor, -1
        _close_quietly(descriptor)
        self._durable_ticket = self._next_ticket - 1
        self._changed.notify_all()

    def _abandon_file(self) -> None:
        """After a failed write or sync: leave the file to the sealer (its lock goes with it), fail the waiters."""
        if self._next_ticket - 1 > self._durable_ticket:
            self._failed_tickets.append((self._durable_ticket + 1, self._next_ticket - 1))
            del self._failed_tickets[:-MAX_FAILED_RANGES]
        descriptor, self._descriptor = self._descriptor, -1
        _close_quietly(descriptor)
        self._changed.notify_all()

    def _sync_file(self, descriptor: int, sequence: int) -> None:
        """fdatasync, one at a time: the kernel tells an error once, and a second call on that file would succeed."""
        with self._syncing:
            if self._failed_sequence == sequence:
                raise OSError(errno.EIO, "an earlier sync of this file failed")
            try:
                os.fdatasync(descriptor)
            except OSError:
                self._failed_sequence = sequence
                raise

    def _commit_forever(self) -> None:
        while True:
            with self._changed:
                # `close` may have notified while this thread was between two turns: it must not sleep on.
                if self._durable_ticket >= self._next_ticket - 1 and not self._closing:
                    self._idle = True
                    self._changed.wait(IDLE_SECONDS)
                    self._idle = False
                if not self._waiters and not self._closing and self._durable_ticket < self._next_ticket - 1:
                    self._changed.wait(COMMIT_INTERVAL_SECONDS)
                if self._closing:
                    return
                if self._descriptor < 0:
                    continue
                ticket, size, sequence = self._next_ticket - 1, self._size, self._sequence - 1
                dirty = size > self._synced_size
                try:
                    descriptor = os.dup(self._descriptor) if dirty else -1
                except OSError:
                    # No free descriptor: the records stay waiting, and the next turn tries again.
                    self._changed.wait(COMMIT_INTERVAL_SECONDS)
                    continue
            if dirty:
                self._sync(descriptor, ticket, sequence, size)
                _close_quietly(descriptor)
            with self._changed:
                self._close_if_due()

    def _sync(self, descriptor: int, ticket: int, sequence: int, size: int) -> None:
        """fdatasync outside the lock, so that receiving goes on meanwhile."""
        try:
            self._sync_file(descriptor, sequence)
        except OSError:
            with self._changed:
                if self._descriptor >= 0 and sequence == self._sequence - 1:
                    self._abandon_file()
            return
        with self._changed:
            self._durable_ticket = max(self._durable_ticket, ticket)
            if sequence == self._sequence - 1:
                self._synced_size = size
                # The mark is for `status` alone; a full disk that refuses it must not end this thread.
                with suppress(OSError):
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


def _close_quietly(descriptor: int) -> None:
    """What matters was synced before; an error of close itself tells nothing and the descriptor is gone."""
    with suppress(OSError):
        os.close(descriptor)
