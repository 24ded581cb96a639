"""In which unit of its record an index row lies: flow leaves are decoded again, because a datagram holds many records
and the index keeps no offsets. Lines and events are one unit a record."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from archive.index.carry_reader import CarryReader
from archive.index.engine import Engine
from archive.index.leaf_reader import LeafReader
from archive.index.restore import STATEFUL_KINDS, StateRestorer
from archive.index.worker import DecodeWorker, wait_result
from archive.origin import ArchivePaths

TOLD_APART_BY = {
    "flows": (
        "leaf_index", "row", "source_address", "source_port", "destination_address", "destination_port", "protocol",
        "start", "end", "bytes", "packets",
    ),
    "options": ("leaf_index", "row", "elements"),
    "nat": (
        "leaf_index", "row", "outside_address", "outside_port_low", "inside_address", "inside_port", "protocol",
        "destination_address", "destination_port", "event", "time",
    ),
}  # fmt: skip
"""Columns whose values tell rows of one record apart; rows alike in all of them say the same."""
PLACE = "place"
"""Column of the offset; null where the unit is not known: its template is not, or another decoder made the row."""


class RowPlaces:
    """Finds the units of rows of one log. `make_worker` gives a decode worker for this alone."""

    def __init__(self, paths: ArchivePaths, engine: Engine, make_worker: Callable[[], DecodeWorker]) -> None:
        self._paths, self._engine, self._make_worker = paths, engine, make_worker
        self._leaves = LeafReader(paths)

    def find(self, rows: dict[str, pa.Table]) -> dict[str, pa.Table]:
        """The tables with one more column, PLACE. Equal rows of one record have the place of one of them."""
        wanted: dict[int, set[int]] = {}
        for table in TOLD_APART_BY.keys() & rows.keys():
            columns = (rows[table].column(name).to_pylist() for name in ("leaf_index", "row"))
            for leaf, row in zip(*columns, strict=True):
                wanted.setdefault(leaf, set()).add(row)
        flow_leaves = self._flow_leaves(sorted(wanted)) if wanted else set()
        decoded = self._decode_again(flow_leaves, wanted) if flow_leaves else []
        return {table: self._with_places(table, chosen, flow_leaves, decoded) for table, chosen in rows.items()}

    def _with_places(
        self, table: str, rows: pa.Table, flow_leaves: set[int], decoded: list[tuple[str, pa.Table]]
    ) -> pa.Table:
        places: list[int | None] = [0] * rows.num_rows
        if table in TOLD_APART_BY:
            known: dict[tuple[Any, ...], int] = {}
            for name, found in decoded:
                if name == table:
                    known.update(zip(_keys_of(table, found), found.column(PLACE).to_pylist(), strict=True))
            keys = _keys_of(table, rows)
            places = [known.get(key) if key[0] in flow_leaves else 0 for key in keys]
        return rows.append_column(PLACE, pa.array(places, pa.uint32()))

    def _flow_leaves(self, leaves: list[int]) -> set[int]:
        """Those of the leaves that hold flow datagrams."""
        rows = self._engine.query(
            "SELECT leaf_index FROM {db}.leaves WHERE leaf_index IN {leaves:Array(UInt64)} "
            "AND hasAny(listener_kinds, {kinds:Array(String)})",
            {"leaves": leaves, "kinds": [*STATEFUL_KINDS]},
        )
        return {int(row["leaf_index"]) for row in rows}

    def _decode_again(self, flow_leaves: set[int], wanted: dict[int, set[int]]) -> list[tuple[str, pa.Table]]:
        """Rows of the wanted records, with their places, in order of decoding; late ones of later leaves too."""
        decoded_in = flow_leaves | self._told_late(flow_leaves)
        path = self._path(min(flow_leaves), max(decoded_in))
        worker = self._make_worker()
        try:
            restorer = StateRestorer(self._paths, self._engine, CarryReader(self._paths))
            restorer.restore(worker, path[0])
            result: list[tuple[str, pa.Table]] = []
            for index in path:
                leaf = self._leaves.leaf(index)
                if restorer.is_missing(leaf):
                    restorer.note_missing(index)
                    continue
                restorer.go_on_over_gap(worker, index)
                if index not in decoded_in:
                    wait_result(worker.replay(index, leaf, frozenset(STATEFUL_KINDS)))
                    continue
                records = [(one, row) for one in sorted(wanted) for row in sorted(wanted[one])]
                result += wait_result(worker.decode_places(index, leaf, records)).items()
            return result
        finally:
            worker.close()

    def _told_late(self, leaves: set[int]) -> set[int]:
        """Later leaves, with which templates came that records of these had waited for."""
        rows = self._engine.query(
            "SELECT leaf_index FROM {db}.leaves WHERE notEmpty(late_leaves) "
            "AND hasAny(late_leaves, {leaves:Array(UInt64)})",
            {"leaves": sorted(leaves)},
        )
        return {int(row["leaf_index"]) for row in rows}

    def _path(self, first: int, last: int) -> list[int]:
        rows = self._engine.query(
            "SELECT leaf_index FROM {db}.leaves WHERE leaf_index >= {first:UInt64} AND leaf_index <= {last:UInt64} "
            "AND records > 0 AND hasAny(listener_kinds, {kinds:Array(String)}) ORDER BY leaf_index",
            {"first": first, "last": last, "kinds": [*STATEFUL_KINDS]},
        )
        return [int(row["leaf_index"]) for row in rows]


def _keys_of(table: str, rows: pa.Table) -> list[tuple[Any, ...]]:
    columns = []
    for name in TOLD_APART_BY[table]:
        column = rows.column(name)
        columns.append(column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column)
    return list(zip(*(column.to_pylist() for column in columns), strict=True))
