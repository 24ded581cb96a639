# pyright: reportAttributeAccessIssue=false
"""Rows on their way from the decode worker to the engine: Arrow streams in files, so that they cross from process to
process, and into an embedded engine, without being copied through a pipe."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from archive.index.carry import Carry
from archive.index.decoding import DecodedLeaf
from archive.index.tables import LOW_CARDINALITY

SEGMENT_MISSING = "segment_missing"
"""Counter of a leaf whose segment is gone; `verify` says whether it may be."""


@dataclass(frozen=True)
class Block:
    """Rows of one table that come from one leaf. `generation` is 0 for the rows of the leaf that was decoded, that
    leaf's number for late rows of an earlier one; it is part of the token that makes the insert happen once."""

    table: str
    leaf_index: int
    generation: int
    rows: int
    columns: tuple[str, ...]
    path: Path


@dataclass
class LeafBlocks:
    """What one leaf decoded to. `decoder` is the fingerprint of what decoded it, empty where nothing did."""

    blocks: list[Block] = field(default_factory=list)
    waiting: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    listener_kinds: list[str] = field(default_factory=list)
    carry: Carry | None = None
    decoder: str = ""

    def discard(self) -> None:
        """Remove the files, whether they were inserted or not."""
        for block in self.blocks:
            block.path.unlink(missing_ok=True)


def missing_blocks(leaf: dict[str, Any]) -> LeafBlocks:
    """Of a data leaf whose segment is gone: its records are counted."""
    return LeafBlocks(counters={SEGMENT_MISSING: leaf["records"]})


def write_blocks(decoded: DecodedLeaf, leaf_index: int, scratch: Path) -> LeafBlocks:
    """Write the rows into files of `scratch`. Raises OSError.

    Columns of which nothing is known in any row are left out, for the table's default is unknown too; names that
    repeat are written once. Together a third of the bytes of NetFlow rows.
    """
    result = LeafBlocks([], decoded.waiting, decoded.counters, decoded.listener_kinds, decoded.carry, decoded.decoder)
    for table, parts in decoded.tables.items():
        for origin_leaf, generation, rows in _generations(pa.concat_tables(parts), leaf_index):
            rows = _without_repetition(rows)
            path = scratch / f"{leaf_index}-{table}-{origin_leaf}.arrow"
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
                stream.write_table(rows)
            result.blocks.append(Block(table, origin_leaf, generation, rows.num_rows, tuple(rows.column_names), path))
    return result


def _without_repetition(rows: pa.Table) -> pa.Table:
    columns = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if column.null_count == len(column) and len(column):
            continue
        if name in LOW_CARDINALITY and column.type == pa.string():
            column = column.dictionary_encode()
        columns[name] = column
    return pa.table(columns)


def _generations(rows: pa.Table, index: int) -> list[tuple[int, int, pa.Table]]:
    """Rows grouped by the leaf they come from."""
    leaves = pc.unique(rows.column("leaf_index")).to_pylist()
    if leaves == [index]:
        return [(index, 0, rows)]
    groups = []
    for leaf in leaves:
        part = rows.filter(pc.equal(rows.column("leaf_index"), pa.scalar(leaf, pa.uint64())))
        groups.append((leaf, 0 if leaf == index else index, part))
    return groups
