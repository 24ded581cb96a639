"""Reindex on request: one run at a time, in a thread of the index process, which owns the engine."""

import threading
from collections.abc import Callable
from typing import Any

from archive.ask.audit import Actor, Auditor
from archive.errors import AskError
from archive.index.engine import Engine
from archive.index.indexer import Indexer
from archive.index.reindex import Reindex

EVENT_FINISHED = "reindex_finished"


class ReindexDesk:
    """`hold` is the lock that the indexing loop takes for each turn. `runs` were begun since the process started."""

    def __init__(
        self,
        engine: Engine,
        indexer: Indexer,
        hold: threading.Lock,
        make_indexer: Callable[[Engine], Indexer],
        auditor: Auditor,
    ) -> None:
        self._engine, self._indexer, self._hold, self._make_indexer = engine, indexer, hold, make_indexer
        self._auditor = auditor
        self._lock = threading.Lock()
        self._run: Reindex | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.runs = 0

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, actor: Actor) -> dict[str, Any]:
        """Begin a run. Raises AskError `busy` while one goes on."""
        with self._lock:
            if self.is_running:
                raise AskError("the index is being rebuilt already; `phayan reindex` shows how far", code="busy")
            self._stop.clear()
            self._run = Reindex(self._engine, self._indexer, self._hold, self._make_indexer)
            self._thread = threading.Thread(target=self._work, args=(self._run, actor), name="reindex", daemon=True)
            self.runs += 1
            self._thread.start()
            return self._run.progress.values()

    def progress(self) -> dict[str, Any]:
        """Of the run that goes on, or the last one since the start of this process; state `none` without any."""
        return self._run.progress.values() if self._run is not None else {"state": "none"}

    def stop(self) -> dict[str, Any]:
        """End the run; days that are in place stay. Returns when it has ended."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        return self.progress()

    def _work(self, run: Reindex, actor: Actor) -> None:
        run.run(self._stop)
        self._auditor.record(actor, EVENT_FINISHED, run.progress.values())
