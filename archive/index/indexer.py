"""Sealed leaves, in order, into the index. Progress is read from the index itself (table `leaves`), never from
a side file."""

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from archive.errors import SpoolError
from archive.index.blocks import Block, LeafBlocks, missing_blocks
from archive.index.carry_open import EVIDENCE_KINDS
from archive.index.carry_reader import CarryReader
from archive.index.carry_writer import CarryWriter
from archive.index.checkpoint import read_checkpoint
from archive.index.engine import Engine, IndexUnavailableError
from archive.index.leaf_rows import leaf_row
from archive.index.purged import PURGE, apply_purge
from archive.index.restore import StateRestorer
from archive.index.worker import DecodeWorker, WorkerLostError, wait_result
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths
from archive.segment import utc_day
from archive.tree import TreeReader

OPEN_RETRY_SECONDS = 3_600.0
"""After a carry of what is open failed: what was written of it stays in the journal, and on a full disk evidence goes
before it. Indexing goes on meanwhile."""
INSERTERS = 2
"""Files of a leaf that the engine reads at once; more would only wait for a core."""
DECODE_AHEAD = 3
"""Leaves given to the worker: the one whose rows are inserted, the next, and one that waits; 40 MB of rows each."""

log = logging.getLogger(__name__)


class _Decoding(NamedTuple):
    """A leaf on its way; `blocks` are there already for one without records to decode."""

    index: int
    leaf: dict[str, Any]
    blocks: "Future[LeafBlocks] | LeafBlocks"


class Indexer:
    """Feeds the index. One instance per log; `run_once` is called in a loop by the index process.

    `carry_writer` takes the decoders' state at each day's start; without one, none is written. `history` gives the
    engine that knows what was opened in earlier logs too; while it is None, what is open is not carried yet.
    `is_between_leaves` is false while the engine may hold a part of a leaf's rows.
    """

    def __init__(
        self,
        paths: ArchivePaths,
        engine: Engine,
        make_worker: Callable[[], DecodeWorker],
        *,
        carries: CarryReader | None = None,
        carry_writer: CarryWriter | None = None,
        history: Callable[[], Engine | None] | None = None,
    ) -> None:
        self._paths = paths
        self._engine = engine
        self._make_worker = make_worker
        self._worker: DecodeWorker | None = None
        self._carry_writer = carry_writer
        self._history = history or (lambda: engine)
        self._restorer = StateRestorer(paths, engine, carries or CarryReader(paths))
        self.next_leaf = self._read_progress()
        self.sealed_size = self.next_leaf
        self._caught_up_monotonic = time.monotonic()
        self._ahead: deque[_Decoding] = deque()
        self._open_again_monotonic = 0.0
        self._inserters = ThreadPoolExecutor(INSERTERS, "insert")
        self._days: set[str] = set()
        self.is_between_leaves = True

    def run_once(self, *, at_most: int = 64) -> int:
        """Index up to `at_most` sealed leaves. Returns how many; raises IndexUnavailableError when the engine fails,
        and then repeats the same leaf at the next call."""
        checkpoint = read_checkpoint(self._paths)
        self.sealed_size = checkpoint.size
        reader = TreeReader(self._paths.log, checkpoint.size)
        done = 0
        while self.next_leaf < checkpoint.size and done < at_most:
            try:
                blocks = self._next_blocks(reader, checkpoint.size)
            except WorkerLostError:
                self._lose_worker()
                raise
            if blocks is None:
                return done
            current = self._ahead[0]
            # When the engine fails here, the rows stay where they are: decoding twice would move the state twice.
            self.is_between_leaves = False
            self._write_leaf(current.index, current.leaf, blocks)
            self.is_between_leaves = True
            blocks.discard()
            self._ahead.popleft()
            self.next_leaf += 1
            done += 1
        if self.next_leaf == checkpoint.size:
            self._caught_up_monotonic = time.monotonic()
        return done

    def lag_seconds(self) -> float:
        """How long ago every sealed leaf was indexed."""
        return time.monotonic() - self._caught_up_monotonic

    def close(self) -> None:
        """End the worker. The carry writer stays its owner's."""
        self._inserters.shutdown()
        if self._worker is not None:
            self._worker.close()

    def _read_progress(self) -> int:
        rows = self._engine.query("SELECT count() AS n, max(leaf_index) AS last FROM {db}.leaves")
        return int(rows[0]["last"]) + 1 if rows[0]["n"] else 0

    def _next_blocks(self, reader: TreeReader, size: int) -> LeafBlocks | None:
        """Of the leaf that is first in `_ahead`. None where a newer head has removed the tiles being read."""
        try:
            self._decode_ahead(reader, size)
        except FileNotFoundError:
            if not self._ahead:
                return None
        blocks = self._ahead[0].blocks
        if isinstance(blocks, LeafBlocks):
            return blocks
        try:
            return wait_result(blocks)
        except Exception:
            # The state may have moved on without its rows, and that of the leaves after it: begin anew.
            self._lose_worker()
            raise

    def _decode_ahead(self, reader: TreeReader, size: int) -> None:
        """Keep the worker busy with the leaves after the one that is being inserted."""
        following = self._ahead[-1].index + 1 if self._ahead else self.next_leaf
        while len(self._ahead) < DECODE_AHEAD and following < size:
            leaf = decode_leaf(reader.leaf(following))
            self._ahead.append(_Decoding(following, leaf, self._submit(following, leaf)))
            following += 1

    def _submit(self, index: int, leaf: dict[str, Any]) -> "Future[LeafBlocks] | LeafBlocks":
        if "segment" not in leaf:
            return LeafBlocks()
        worker = self._ready_worker()
        if self._restorer.is_missing(leaf):
            if self._restorer.note_missing(index):
                log.warning("from leaf %d on segments are missing, first %s", index, leaf["segment"])
            return missing_blocks(leaf)
        self._restorer.go_on_over_gap(worker, index)
        return worker.submit(index, leaf)

    def _lose_worker(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._worker = None
        self._ahead.clear()

    def _insert_block(self, block: Block) -> None:
        token = f"{self._engine.origin}/{block.leaf_index}/{block.table}/{block.generation}"
        self._engine.insert_block(block, token)

    def _write_leaf(self, index: int, leaf: dict[str, Any], decoded: LeafBlocks) -> None:
        if leaf["kind"] == PURGE:
            decoded.counters["held_rows"] = apply_purge(self._engine, self._paths.log, leaf)
        if decoded.carry is not None and self._carry_writer is not None:
            # Before the leaf is in the index: whoever starts after it never meets its day's first flows again.
            self._carry_writer.write(decoded.carry)
        if self._carry_writer is not None and not EVIDENCE_KINDS.isdisjoint(decoded.listener_kinds):
            day = utc_day(int(leaf["first_unix_ns"]))
            history = self._history() if day not in self._days else None
            if history is not None and time.monotonic() >= self._open_again_monotonic:
                # Before its rows are in the index, which thus tells of all leaves before this one.
                try:
                    self._carry_writer.write_open(day, index, history)
                    self._days.add(day)
                except (SpoolError, IndexUnavailableError) as error:
                    self._open_again_monotonic = time.monotonic() + OPEN_RETRY_SECONDS
                    log.warning("what is open at the start of %s is not carried yet: %s", day, error)
        # The engine reads a file on one core; a leaf of translated flows has two large ones. What says that a carry is
        # complete comes after its rows.
        list(self._inserters.map(self._insert_block, [one for one in decoded.blocks if one.table != "events"]))
        for block in decoded.blocks:
            if block.table == "events":
                self._insert_block(block)
        self._engine.insert("leaves", leaf_row(index, leaf, decoded), f"{self._engine.origin}/{index}")

    def _ready_worker(self) -> DecodeWorker:
        """The worker, with its state restored from the journal if it is new."""
        if self._worker is None:
            worker = self._make_worker()
            self._restorer.restore(worker, self.next_leaf)
            self._worker = worker
        return self._worker
