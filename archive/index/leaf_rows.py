"""The row of table `leaves` that says a leaf is in the index: what the journal states of it, and what was written."""

from collections import Counter
from typing import Any

import pyarrow as pa

from archive.index.blocks import LeafBlocks
from archive.index.purged import PURGE, purged_values

LEAVES_SCHEMA = pa.schema(
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
        ("late_tables", pa.list_(pa.string())),
        ("late_leaves", pa.list_(pa.uint64())),
        ("late_counts", pa.list_(pa.uint64())),
        ("counters", pa.map_(pa.string(), pa.uint64())),
        ("decoder", pa.string()),
    ]
)


def sealed_values(leaf: dict[str, Any]) -> dict[str, Any]:
    """Columns that follow from the sealed leaf alone. Those of a purge leaf speak of the day it purged."""
    values = {
        "log": leaf["log"],
        "kind": leaf["kind"],
        "stream": leaf.get("stream", ""),
        "spool_sequence": leaf.get("spool_sequence", 0),
        "records": leaf.get("records", 0),
        "first_unix_ns": int(leaf.get("first_unix_ns", leaf.get("unix_ns", 0))),
        "last_unix_ns": int(leaf.get("last_unix_ns", leaf.get("unix_ns", 0))),
    }
    return values | purged_values(leaf) if leaf["kind"] == PURGE else values


def sealed_counters(leaf: dict[str, Any]) -> dict[str, int]:
    """Counters that follow from the sealed leaf alone; those of zero too."""
    return {"torn_bytes": leaf.get("torn_bytes", 0), "dropped": sum(leaf.get("dropped", {}).values())}


def leaf_row(index: int, leaf: dict[str, Any], decoded: LeafBlocks) -> pa.Table:
    """One row of LEAVES_SCHEMA. `rows_written` has all rows, of earlier leaves too; those are told apart in `late_*`,
    one entry for each table and leaf, so that the rows of each leaf can be counted. `decoder` made all of them."""
    written: Counter[str] = Counter()
    for block in decoded.blocks:
        written[block.table] += block.rows
    late = [block for block in decoded.blocks if block.leaf_index != index]
    counters = {**decoded.counters, **sealed_counters(leaf)}
    row = {
        **sealed_values(leaf),
        "leaf_index": index,
        "listener_kinds": decoded.listener_kinds,
        "waiting": decoded.waiting,
        "rows_written": list(written.items()),
        "late_tables": [block.table for block in late],
        "late_leaves": [block.leaf_index for block in late],
        "late_counts": [block.rows for block in late],
        "counters": [item for item in counters.items() if item[1]],
        "decoder": decoded.decoder,
    }
    return pa.Table.from_pylist([row], schema=LEAVES_SCHEMA)
