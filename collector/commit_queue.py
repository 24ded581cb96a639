"""Answers that wait until what they acknowledge is durable. One thread waits, so that receiving goes on."""

import os
import threading
import time
from collections import deque
from typing import NamedTuple

from archive.errors import SpoolError
from collector.receivers import RecordWriter
from collector.tcp_connection import Connection

DURABLE_SECONDS = 10.0
"""A commit that takes longer is not waited for: the connection is closed and its sender sends again."""


class Settled(NamedTuple):
    """Answers of one connection. They may be sent if `durable`; otherwise they never may."""

    connection: Connection
    answers: bytes
    durable: bool


class _Waiting(NamedTuple):
    ticket: int
    deadline: float
    owed: list[tuple[Connection, bytes]]


class CommitQueue:
    """`put` and `take` belong to the receiver's thread; the descriptor is readable when `take` has something."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._settled: list[Settled] = []
        self._busy = False
        self._ending = False
        self._thread: threading.Thread | None = None
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._descriptor

    def start(self, writer: RecordWriter) -> None:
        self._thread = threading.Thread(target=self._run, args=(writer,), name="relp-commit", daemon=True)
        self._thread.start()

    def put(self, ticket: int, owed: list[tuple[Connection, bytes]]) -> None:
        """Settle these answers once `ticket` is durable."""
        with self._changed:
            self._waiting.append(_Waiting(ticket, time.monotonic() + DURABLE_SECONDS, owed))
            self._changed.notify_all()

    def take(self) -> list[Settled]:
        """What was settled since the last call, in the order of `put`."""
        with self._changed:
            settled, self._settled = self._settled, []
            try:
                os.eventfd_read(self._descriptor)
            except BlockingIOError:
                pass
            return settled

    def finish(self) -> list[Settled]:
        """Wait until everything put is settled, at most DURABLE_SECONDS, and end the thread."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy, DURABLE_SECONDS)
            self._ending = True
            self._changed.notify_all()
        return self.take()

    def close(self) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(DURABLE_SECONDS)
        os.close(self._descriptor)

    def _run(self, writer: RecordWriter) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ending)
                if not self._waiting:
                    return
                batch = list(self._waiting)
                self._waiting.clear()
                self._busy = True
            # Each ticket on its own: a file that failed makes its own records doubtful and no others.
            settled = [
                Settled(connection, answers, durable)
                for one in batch
                for durable in (_is_durable(writer, one),)
                for connection, answers in one.owed
            ]
            with self._changed:
                self._busy = False
                self._settled += settled
                os.eventfd_write(self._descriptor, 1)
                self._changed.notify_all()


def _is_durable(writer: RecordWriter, waiting: _Waiting) -> bool:
    try:
        writer.wait_durable(waiting.ticket, max(waiting.deadline - time.monotonic(), 0.0))
    except (SpoolError, OSError):
        return False
    return True
