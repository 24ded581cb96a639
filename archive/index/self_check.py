"""The index compared with the journal while both grow: rows of every leaf counted, some leaves decoded again, some
questions asked twice. The journal is right; `verify` says whether it is whole."""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from archive.errors import ArchiveError
from archive.index.carry_reader import CarryReader
from archive.index.check_content import ContentCheck, SampleSizes
from archive.index.check_counts import CountCheck
from archive.index.check_findings import Findings
from archive.index.check_held import HeldCheck
from archive.index.check_leaves import LeafCheck
from archive.index.check_queries import QueryCheck
from archive.index.check_run import CheckRun
from archive.index.engine import Engine
from archive.index.indexer import Indexer
from archive.index.leaf_reader import LeafReader
from archive.index.worker import DecodeWorker
from archive.origin import ArchivePaths

CHECKED, NOT_CHECKED = "checked", "not checked"
BUDGET_SECONDS = 600.0
"""After that a run reports what it has compared so far; it began at night beside the verification of the journal."""


class SelfCheck:
    """`hold` is the lock that the indexing loop takes for each turn; it is taken only for a second look at what seemed
    to differ. `make_worker` gives a decode worker beside the one in use."""

    def __init__(
        self,
        paths: ArchivePaths,
        engine: Engine,
        indexer: Indexer,
        hold: threading.Lock,
        make_worker: Callable[[], DecodeWorker],
        *,
        sizes: SampleSizes = SampleSizes(),  # noqa: B008 - a tuple
        budget_seconds: float = BUDGET_SECONDS,
    ) -> None:
        self._paths, self._engine, self._indexer, self._hold = paths, engine, indexer, hold
        self._make_worker = make_worker
        self._carries = CarryReader(paths)
        self._sizes = sizes
        self._budget_seconds = budget_seconds

    def run(self, stop: threading.Event) -> dict[str, Any]:
        """The result as JSON (docs/CONTRACT.md, "Verify"). What could not be compared is in `problem`."""
        started = time.monotonic()
        findings = Findings()
        run = CheckRun(
            paths=self._paths,
            engine=self._engine,
            indexer=self._indexer,
            hold=self._hold,
            leaves=LeafReader(self._paths),
            findings=findings,
            next_leaf=self._indexer.next_leaf,
            seed=secrets.randbits(63),
            deadline_monotonic=started + self._budget_seconds,
            stop=stop,
        )
        parts: list[Callable[[], bool]] = [
            LeafCheck(run).check,
            CountCheck(run).check,
            HeldCheck(run).check,
            QueryCheck(run).check,
            lambda: self._check_content(run),
        ]
        done, failed = [], 0
        for part in parts:
            try:
                done.append(part())
            except (ArchiveError, OSError) as error:
                findings.problems.append(str(error))
                failed += 1
        return {
            "state": CHECKED if failed < len(parts) else NOT_CHECKED,
            "is_complete": not failed and all(done),
            **findings.values(),
            "problem": "; ".join(findings.problems[:3]),
            "seconds": round(time.monotonic() - started, 3),
        }

    def _check_content(self, run: CheckRun) -> bool:
        worker = self._make_worker()
        try:
            return ContentCheck(run, worker, self._carries, self._sizes).check()
        finally:
            worker.close()
