"""What the parts of a comparison of index and journal share: engine, journal, findings, time, and a moment of quiet."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from archive.index.check_findings import Findings
from archive.index.engine import Engine
from archive.index.indexer import Indexer
from archive.index.leaf_reader import LeafReader
from archive.origin import ArchivePaths

QUIET_ATTEMPTS = 30
QUIET_PAUSE_SECONDS = 1.0
"""Between two looks whether the indexer is between two leaves: its loop holds the lock for at most 64 leaves."""


class NotQuietError(Exception):
    """The engine holds a part of a leaf's rows, for longer than is waited for."""


@dataclass
class CheckRun:
    """One run. `next_leaf` is where the index was when it began: nothing from there on is compared. `hold` is the lock
    that the indexing loop takes for each turn."""

    paths: ArchivePaths
    engine: Engine
    indexer: Indexer
    hold: threading.Lock
    leaves: LeafReader
    findings: Findings
    next_leaf: int
    seed: int
    deadline_monotonic: float
    stop: threading.Event

    def is_over(self) -> bool:
        return self.stop.is_set() or time.monotonic() >= self.deadline_monotonic

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """No rows come while it lasts, and none of a leaf are half there. For a look at what seemed to differ, so that
        it is short. Raises NotQuietError."""
        for _ in range(QUIET_ATTEMPTS):
            with self.hold:
                if self.indexer.is_between_leaves:
                    yield
                    return
            time.sleep(QUIET_PAUSE_SECONDS)
        raise NotQuietError

    def is_missing(self, leaf_index: int, leaf: dict[str, Any]) -> bool:
        """Whether the segment of a leaf is gone; then it is counted, unless its whole day is, which is counted once."""
        if "segment" not in leaf or (segment := self.paths.segments / leaf["segment"]).exists():
            return False
        if segment.parent.exists():
            self.findings.missing.add(leaf_index)
        return True
