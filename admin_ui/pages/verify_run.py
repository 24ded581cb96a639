"""One verification, run beside the requests: reading a large archive takes longer than a page may."""

import threading
import time
from dataclasses import dataclass
from typing import Any

from admin_ui.ask_client import AskClient
from archive.errors import AskError

RUN_TIMEOUT_SECONDS = 4 * 3600.0
"""Longer than the service itself waits; then the page says that it took too long."""


@dataclass(frozen=True)
class RunState:
    """`started_unix_ns` while one runs; `failure` of the newest one, until the next begins."""

    started_unix_ns: int | None = None
    result: dict[str, Any] | None = None
    finished_unix_ns: int | None = None
    failure: AskError | None = None


class VerifyRun:
    """At most one at a time, for the whole process."""

    def __init__(self, ask: AskClient) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._state = RunState()

    @property
    def state(self) -> RunState:
        with self._lock:
            return self._state

    def start(self, token: str) -> None:
        """Begin, unless one runs already."""
        with self._lock:
            if self._state.started_unix_ns is not None:
                return
            self._state = RunState(started_unix_ns=time.time_ns())
        threading.Thread(target=self._run, args=(token,), name="verify", daemon=True).start()

    def _run(self, token: str) -> None:
        try:
            result = self._ask.call("verify_now", token, timeout_seconds=RUN_TIMEOUT_SECONDS)
            state = RunState(result=result, finished_unix_ns=time.time_ns())
        except AskError as error:
            state = RunState(failure=error, finished_unix_ns=time.time_ns())
        with self._lock:
            self._state = state
