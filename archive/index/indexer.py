"""Sealed leaves, in order, into the index. Progress is read from the index itself (table `leaves`), never from
a side file."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import pyarrow as pa

from archive.index.blocks import LeafBlocks
from archive.index.engine import Engine
from archive.index.worker import DecodeWorker, WorkerLostError, wait_blocks
from archive.leaf import decode_leaf
from archive.note import Checkpoint, open_checkpoint, parse_verifier_key
from archive.origin import ArchivePaths
from archive.tree import TreeReader

LOOK_BACK_NS = 86_400 * 1_000_000_000
"""Decoder state (templates, waiting records) is rebuilt from this much of the log before the first new leaf."""
_LEAVES_SCHEMA = pa.schema(
    [
        ("log", pa.string()),
        ("leaf_index", pa.uint64()),
        ("kind", pa.string()),
        ("stream", pa.string()),
        ("spool_sequence", pa.uint64()),
        ("records", pa.uint64()),
        ("first_unix_ns", pa.int64()),
        ("last_unix_ns", pa.int64()),
        ("listener_kinds", pa.list_(pa.string())),
        ("waiting", pa.uint64()),
        ("rows_written", pa.map_(pa.string(), pa.uint64())),
        ("counters", pa.map_(pa.string(), pa.uint64())),
    ]
)
DECODE_AHEAD = 3
"""Leaves given to the worker: the one whose rows are inserted, the next, and one that waits; 40 MB of rows each."""
STATEFUL_KINDS = ("netflow", "sflow")
"""Listener kinds whose decoding depends on earlier records."""


class _Decoding(NamedTuple):
    """A leaf on its way; `blocks` is None for one without records."""

    index: int
    leaf: dict[str, Any]
    blocks: "Future[LeafBlocks] | None"


def read_checkpoint(paths: ArchivePaths) -> Checkpoint:
    """The published checkpoint, its signature verified."""
    return read_checkpoint_note(paths)[1]


def read_checkpoint_note(paths: ArchivePaths) -> tuple[bytes, Checkpoint]:
    """The published checkpoint as bytes and as what they say, its signature verified."""
    key = parse_verifier_key((paths.log / "key.vkey").read_text(encoding="utf-8").strip())
    note = (paths.log / "checkpoint").read_bytes()
    return note, open_checkpoint(note, key)


class Indexer:
    """Feeds the index. One instance per log; `run_once` is called in a loop by the index process."""

    def __init__(self, paths: ArchivePaths, engine: Engine, make_worker: Callable[[], DecodeWorker]) -> None:
        self._paths = paths
        self._engine = engine
        self._make_worker = make_worker
        self._worker: DecodeWorker | None = None
        self.next_leaf = self._read_progress()
        self.sealed_size = self.next_leaf
        self._caught_up_monotonic = time.monotonic()
        self._ahead: deque[_Decoding] = deque()

    def run_once(self, *, at_most: int = 64) -> int:
        """Index up to `at_most` sealed leaves. Returns how many; raises IndexUnavailableError when the engine fails,
        and then repeats the same leaf at the next call."""
        checkpoint = read_checkpoint(self._paths)
        self.sealed_size = checkpoint.size
        reader = TreeReader(self._paths.log, checkpoint.size)
        done = 0
        while self.next_leaf < checkpoint.size and done < at_most:
            try:
                self._decode_ahead(reader, checkpoint.size)
            except FileNotFoundError:
                if not self._ahead:
                    return done
            current = self._ahead[0]
            try:
                blocks = wait_blocks(current.blocks) if current.blocks else LeafBlocks()
            except WorkerLostError:
                self._lose_worker()
                raise
            # When the engine fails here, the rows stay where they are: decoding twice would move the state twice.
            self._write_leaf(current.index, current.leaf, blocks)
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
        if self._worker is not None:
            self._worker.close()

    def _read_progress(self) -> int:
        rows = self._engine.query("SELECT count() AS n, max(leaf_index) AS last FROM {db}.leaves")
        return int(rows[0]["last"]) + 1 if rows[0]["n"] else 0

    def _decode_ahead(self, reader: TreeReader, size: int) -> None:
        """Keep the worker busy with the leaves after the one that is being inserted."""
        following = self._ahead[-1].index + 1 if self._ahead else self.next_leaf
        while len(self._ahead) < DECODE_AHEAD and following < size:
            leaf = decode_leaf(reader.leaf(following))
            blocks = self._ready_worker().submit(following, leaf) if "segment" in leaf else None
            self._ahead.append(_Decoding(following, leaf, blocks))
            following += 1

    def _lose_worker(self) -> None:
        self._worker = None
        self._ahead.clear()

    def _write_leaf(self, index: int, leaf: dict[str, Any], decoded: LeafBlocks) -> None:
        written: dict[str, int] = {}
        for block in decoded.blocks:
            written[block.table] = written.get(block.table, 0) + block.rows
            token = f"{self._engine.origin}/{block.leaf_index}/{block.table}/{block.generation}"
            self._engine.insert_block(block, token)
        self._engine.insert("leaves", self._leaf_row(index, leaf, decoded, written), f"{self._engine.origin}/{index}")

    def _leaf_row(self, index: int, leaf: dict[str, Any], decoded: LeafBlocks, written: dict[str, int]) -> pa.Table:
        counters = {
            **decoded.counters,
            "torn_bytes": leaf.get("torn_bytes", 0),
            "dropped": sum(leaf.get("dropped", {}).values()),
        }
        return pa.Table.from_pylist(
            [
                {
                    "log": self._engine.origin,
                    "leaf_index": index,
                    "kind": leaf["kind"],
                    "stream": leaf.get("stream", ""),
                    "spool_sequence": leaf.get("spool_sequence", 0),
                    "records": leaf.get("records", 0),
                    "first_unix_ns": int(leaf.get("first_unix_ns", leaf.get("unix_ns", 0))),
                    "last_unix_ns": int(leaf.get("last_unix_ns", leaf.get("unix_ns", 0))),
                    "listener_kinds": decoded.listener_kinds,
                    "waiting": decoded.waiting,
                    "rows_written": list(written.items()),
                    "counters": [item for item in counters.items() if item[1]],
                }
            ],
            schema=_LEAVES_SCHEMA,
        )

    def _ready_worker(self) -> DecodeWorker:
        """The worker, with its state rebuilt from the journal if it is new."""
        if self._worker is None:
            worker = self._make_worker()
            for index in self._leaves_to_replay():
                leaf = decode_leaf(TreeReader(self._paths.log, read_checkpoint(self._paths).size).leaf(index))
                wait_blocks(worker.submit(index, leaf, discard=True))
            self._worker = worker
        return self._worker

    def _leaves_to_replay(self) -> list[int]:
        rows = self._engine.query(
            "SELECT leaf_index FROM {db}.leaves WHERE leaf_index < {next:UInt64} "
            "AND hasAny(listener_kinds, {kinds:Array(String)}) "
            "AND last_unix_ns >= (SELECT max(last_unix_ns) FROM {db}.leaves) - {look_back:Int64} ORDER BY leaf_index",
            {"next": self.next_leaf, "kinds": list(STATEFUL_KINDS), "look_back": LOOK_BACK_NS},
        )
        return [int(row["leaf_index"]) for row in rows]
