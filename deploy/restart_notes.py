"""Ends and restarts of processes as sealed records: kept until the process that writes them has taken them."""

import collections
import threading
from pathlib import Path
from typing import Any

from archive.clock import Clock, SystemClock
from archive.errors import AskError
from archive.local_rpc import call_local

MAX_WAITING_NOTES = 1000
"""More deaths than this while the timers process is away are a crash loop whose beginning is told by the first ones."""
RETRY_SECONDS = 0.5
CALL_SECONDS = 5.0
REFUSED = "bad_request"
"""The one answer that asking again does not change."""


class RestartNotes:
    """A queue of notes and the thread that hands them on. A note may be sealed twice if its writer dies between
    writing and answering, never not at all while the supervisor lives."""

    def __init__(self, socket_path: Path, stop: threading.Event, clock: Clock | None = None) -> None:
        self._socket_path = socket_path
        self._stop = stop
        self._clock = clock or SystemClock()
        self._waiting: collections.deque[dict[str, Any]] = collections.deque()
        self._added = threading.Semaphore(0)
        threading.Thread(target=self._hand_on, name="restart-notes", daemon=True).start()

    def add(self, event: str, process: str, exit_code: int | None, pid: int | None) -> None:
        """Keep a note of something that happened now."""
        if len(self._waiting) >= MAX_WAITING_NOTES:
            return
        happened = str(self._clock.unix_ns())
        self._waiting.append(
            {"event": event, "process": process, "exit_code": exit_code, "pid": pid, "happened_unix_ns": happened}
        )
        self._added.release()

    def _hand_on(self) -> None:
        while not self._stop.is_set():
            if not self._added.acquire(timeout=RETRY_SECONDS):
                continue
            note = self._waiting[0]
            while not self._is_taken(note):
                if self._stop.wait(RETRY_SECONDS):
                    return
            self._waiting.popleft()

    def _is_taken(self, note: dict[str, Any]) -> bool:
        try:
            call_local(self._socket_path, "note", timeout_seconds=CALL_SECONDS, **note)
        except AskError as error:
            return error.code == REFUSED
        return True
