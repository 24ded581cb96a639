"""What earlier logs have in their journal and not in the index: brought in oldest first, a few leaves at a time, beside
the newest log."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archive.errors import ArchiveError
from archive.index.checkpoint import read_checkpoint
from archive.index.indexer import Indexer
from archive.index.logs import LogIndex

LEAVES_A_TURN = 8
"""The newest log waits for so many leaves between two of its own turns: about a second of rows."""
RETRY_SECONDS = 60.0
"""After a failure. What failed is the index or a disk that the newest log needs too, or a chunk that was changed."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FormerProgress:
    """An earlier log that is not indexed whole. `problem` is empty while it goes on; `tree_size` is `next_leaf` where
    its head cannot be read."""

    log: LogIndex
    next_leaf: int
    tree_size: int
    problem: str


class FormerIndexing:
    """`make_indexer` gives an indexer that has a decode worker of its own. One thread calls `run_once`, any may ask."""

    def __init__(self, logs: Sequence[LogIndex], make_indexer: Callable[[LogIndex], Indexer]) -> None:
        self._make_indexer = make_indexer
        self._behind = [one for one in map(_progress, logs) if one.next_leaf < one.tree_size or one.problem]
        self._indexer: Indexer | None = None
        self._again_monotonic = 0.0

    @property
    def behind(self) -> tuple[FormerProgress, ...]:
        """Logs that are not indexed whole, oldest first."""
        return tuple(self._behind)

    @property
    def is_complete(self) -> bool:
        return not self._behind

    def run_once(self) -> int:
        """Index a few leaves of the oldest log that is behind. Returns how many; a failure is noted and tried again
        RETRY_SECONDS later."""
        if not self._behind or time.monotonic() < self._again_monotonic:
            return 0
        first = self._behind[0]
        try:
            if self._indexer is None:
                self._indexer = self._make_indexer(first.log)
            done = self._indexer.run_once(at_most=LEAVES_A_TURN)
        except (ArchiveError, OSError) as error:
            self._again_monotonic = time.monotonic() + RETRY_SECONDS
            log.warning("indexing of log %s stopped at leaf %d: %s", first.log.origin, first.next_leaf, error)
            self._behind[0] = FormerProgress(first.log, first.next_leaf, first.tree_size, str(error))
            return 0
        if self._indexer.next_leaf < self._indexer.sealed_size:
            self._behind[0] = FormerProgress(first.log, self._indexer.next_leaf, self._indexer.sealed_size, "")
        else:
            log.info("the earlier log %s is indexed", first.log.origin)
            self.close()
            del self._behind[0]
        return done

    def close(self) -> None:
        """End the worker."""
        if self._indexer is not None:
            self._indexer.close()
        self._indexer = None


def _progress(one: LogIndex) -> FormerProgress:
    rows = one.engine.query("SELECT count() AS n, max(leaf_index) AS last FROM {db}.leaves")
    next_leaf = int(rows[0]["last"]) + 1 if rows[0]["n"] else 0
    try:
        return FormerProgress(one, next_leaf, read_checkpoint(one.paths).size, "")
    except (ArchiveError, OSError) as error:
        return FormerProgress(one, next_leaf, next_leaf, str(error))
