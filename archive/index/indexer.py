# pyright: reportAttributeAccessIssue=false
"""Sealed leaves, in order, into the index. Progress is read from the index itself (table `leaves`), never from
a side file."""

import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from archive.index.decoding import DecodedLeaf
from archive.index.engine import Engine
from archive.index.worker import DecodeWorker, WorkerLostError
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
STATEFUL_KINDS = ("netflow",)
"""Listener kinds whose decoding depends on earlier records."""


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

    def run_once(self, *, at_most: int = 64) -> int:
        """Index up to `at_most` sealed leaves. Returns how many; raises IndexUnavailableError when the engine fails,
        and then repeats the same leaf at the next call."""
        checkpoint = read_checkpoint(self._paths)
        self.sealed_size = checkpoint.size
        reader = TreeReader(self._paths.log, checkpoint.size)
        done = 0
        while self.next_leaf < checkpoint.size and done < at_most:
            try:
                leaf = decode_leaf(reader.leaf(self.next_leaf))
            except FileNotFoundError:
                return done
            try:
                self._index_leaf(self.next_leaf, leaf)
            except WorkerLostError:
                self._worker = None
                raise
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

    def _index_leaf(self, index: int, leaf: dict[str, Any]) -> None:
        decoded = DecodedLeaf()
        if "segment" in leaf:
            decoded = self._ready_worker().decode(index, leaf)
        written: dict[str, int] = {}
        for table, parts in decoded.tables.items():
            rows = pa.concat_tables(parts)
            written[table] = rows.num_rows
            for origin_leaf, generation, group in _generations(rows, index):
                token = f"{self._engine.origin}/{origin_leaf}/{table}/{generation}"
                log = pa.repeat(pa.scalar(self._engine.origin), group.num_rows)
                self._engine.insert(table, group.add_column(0, "log", log), token)
        self._engine.insert("leaves", self._leaf_row(index, leaf, decoded, written), f"{self._engine.origin}/{index}")

    def _leaf_row(self, index: int, leaf: dict[str, Any], decoded: DecodedLeaf, written: dict[str, int]) -> pa.Table:
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
                worker.decode(index, leaf, discard=True)
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


def _generations(rows: pa.Table, index: int) -> list[tuple[int, int, pa.Table]]:
    """Rows grouped by the leaf they come from: generation 0 for this leaf, this leaf's number for late rows."""
    leaves = pc.unique(rows.column("leaf_index")).to_pylist()
    if leaves == [index]:
        return [(index, 0, rows)]
    groups = []
    for leaf in leaves:
        part = rows.filter(pc.equal(rows.column("leaf_index"), pa.scalar(leaf, pa.uint64())))
        groups.append((leaf, 0 if leaf == index else index, part))
    return groups
