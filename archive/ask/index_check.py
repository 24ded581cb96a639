"""The index compares itself with the journal on request, one run at a time, and not while it is rebuilt."""

import threading
from typing import Any

from archive.ask.reindexing import ReindexDesk
from archive.errors import AskError
from archive.index.self_check import NOT_CHECKED, SelfCheck

REBUILDING = {"state": NOT_CHECKED, "problem": "the index is being rebuilt; `phayan reindex` shows how far"}


class IndexCheckDesk:
    """`check` runs in the thread that asks."""

    def __init__(self, check: SelfCheck, reindexing: ReindexDesk) -> None:
        self._check, self._reindexing = check, reindexing
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def check(self) -> dict[str, Any]:
        """The result of a run (docs/CONTRACT.md, "Verify"). Raises AskError `busy` while one goes on."""
        if not self._lock.acquire(blocking=False):
            raise AskError("the index is being compared with the journal already", code="busy")
        try:
            runs = self._reindexing.runs
            if self._reindexing.is_running:
                return dict(REBUILDING)
            result = self._check.run(self._stop)
            # Days were put in place meanwhile: what was counted before and after is of two indexes.
            return result if self._reindexing.runs == runs else dict(REBUILDING)
        finally:
            self._lock.release()

    def stop(self) -> None:
        """End a run soon."""
        self._stop.set()
