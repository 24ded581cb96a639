# pyright: reportAttributeAccessIssue=false
"""The rows of one leaf in one table, decoded and as the index has them, as multisets of all columns."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from archive.index.blocks import LeafBlocks
from archive.index.engine import Engine
from archive.schema import SCHEMAS

SEQUENCE_GAPS = ("sequence_gap", "sequence_unusable")
"""`how` of losses that follow from the numbers of senders, and so from leaves before."""
OF_LEAVES_BEFORE = {"logs": {"repeated"}}
"""Columns that follow from leaves before."""

_OF_LEAF = (
    "leaf_index = {leaf:UInt64} AND received >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') "
    "AND received <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')"
)


class Difference(NamedTuple):
    """Rows that only the journal tells of, and rows that only the index has, its late ones left out."""

    missing: int
    extra: int

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra)


class RowComparison:
    """Compares the rows of leaves. `gaps_of` are the kinds of listener whose sequence gaps are compared too."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._schemas = {table: _compared_schema(table) for table in SCHEMAS}

    def decoded(self, table: str, leaf_index: int, blocks: LeafBlocks, gaps_of: tuple[str, ...]) -> pa.Table:
        """The leaf's own rows of what was decoded, without late rows of other leaves."""
        schema = self._schemas[table]
        parts = [schema.empty_table()]
        for block in blocks.blocks:
            if block.table == table and block.leaf_index == leaf_index:
                with pa.memory_map(str(block.path)) as file:
                    rows = pa.ipc.open_stream(file).read_all()
                origin = pa.repeat(pa.scalar(self._engine.origin), rows.num_rows)
                parts.append(_as_schema(rows.append_column("log", origin), schema))
        return _without_gaps(pa.concat_tables(parts), table, gaps_of)

    def tables_of(self, leaf_index: int, leaf: dict[str, Any]) -> set[str]:
        """Tables in which the index has rows of the leaf."""
        rows = self._engine.query(
            " UNION ALL ".join(
                f"SELECT '{table}' AS name FROM {{db}}.{table} WHERE {_OF_LEAF} LIMIT 1" for table in SCHEMAS
            ),
            _place(leaf_index, leaf),
        )
        return {row["name"] for row in rows}

    def difference(
        self, table: str, leaf_index: int, leaf: dict[str, Any], decoded: pa.Table, gaps_of: tuple[str, ...]
    ) -> Difference:
        """What the index has now, against `decoded`."""
        schema = self._schemas[table]
        names = ", ".join(f"`{name}`" for name in schema.names)
        place = _place(leaf_index, leaf)
        stored = self._engine.query_table(f"SELECT {names} FROM {{db}}.{table} WHERE {_OF_LEAF}", place)
        missing, extra = _count_differences(decoded, _without_gaps(_as_schema(stored, schema), table, gaps_of))
        return Difference(missing, extra - self._late(table, leaf_index) if extra else 0)

    def _late(self, table: str, leaf_index: int) -> int:
        """Rows that leaves after it brought."""
        (late,) = self._engine.query(
            "SELECT sum(arraySum(arrayMap((t, l, n) -> if(t = {table:String} AND l = {leaf:UInt64}, n, 0), "
            "late_tables, late_leaves, late_counts))) AS n FROM {db}.leaves "
            "WHERE leaf_index > {leaf:UInt64} AND has(late_leaves, {leaf:UInt64})",
            {"table": table, "leaf": leaf_index},
        )
        return int(late["n"] or 0)


def _place(leaf_index: int, leaf: dict[str, Any]) -> dict[str, int]:
    return {"leaf": leaf_index, "first": int(leaf["first_unix_ns"]), "last": int(leaf["last_unix_ns"])}


def _compared_schema(table: str) -> pa.Schema:
    without = OF_LEAVES_BEFORE.get(table, set())
    fields = [pa.field(one.name, one.type) for one in SCHEMAS[table] if one.name not in without]
    return pa.schema([pa.field("log", pa.string()), *fields])


def _as_schema(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns of the schema; one that is left out is unknown in every row."""
    names = set(rows.column_names)
    columns = [
        rows.column(one.name).cast(one.type) if one.name in names else pa.nulls(rows.num_rows, one.type)
        for one in schema
    ]
    return pa.table(columns, schema=schema)


def _without_gaps(rows: pa.Table, table: str, gaps_of: tuple[str, ...]) -> pa.Table:
    if table != "losses" or not rows.num_rows:
        return rows
    is_gap = pc.is_in(rows.column("how"), pa.array(SEQUENCE_GAPS))
    for kind in gaps_of:
        is_gap = pc.and_not(is_gap, pc.starts_with(rows.column("listener"), f"{kind}/"))
    return rows.filter(pc.invert(is_gap))


def _count_differences(decoded: pa.Table, stored: pa.Table) -> tuple[int, int]:
    """Rows that are only in the first, and only in the second; equal ones count as often as they are there."""
    if not decoded.num_rows and not stored.num_rows:
        return 0, 0
    sign = np.repeat(np.array([1, -1], np.int64), [decoded.num_rows, stored.num_rows])
    both = pa.concat_tables([decoded, stored]).append_column("sign", pa.array(sign))
    sums = both.group_by(decoded.column_names).aggregate([("sign", "sum")]).column("sign_sum").to_numpy()
    return int(sums[sums > 0].sum()), int(-sums[sums < 0].sum())
