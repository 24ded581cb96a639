"""What holds keep of a day that is purged: the rows of their scopes, and the units that these were read from."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from archive.ask.held_templates import HeldTemplates, wanted_templates
from archive.ask.scope_rows import rows_in_scope
from archive.cases.register import Hold
from archive.decoder import listener_kind
from archive.index.engine import Engine
from archive.index.leaf_reader import LeafReader
from archive.index.restore import STATEFUL_KINDS
from archive.index.row_places import PLACE, RowPlaces
from archive.origin import ArchivePaths
from archive.package.source_log import SourceLog
from archive.reduced_datagram import companions
from archive.retention.held_file import HeldFile
from archive.retention.limits import RetentionError
from archive.retention.request import PurgeRequest, rows_schema

Units = dict[int, dict[int, set[int]]]
"""Leaf -> row -> offsets of units."""


class HeldChoice:
    """Of one log. `history` reads the rows of every log, which tell who had an address."""

    def __init__(self, paths: ArchivePaths, engine: Engine, history: Engine, places: RowPlaces) -> None:
        self._paths, self._engine, self._history, self._places = paths, engine, history, places
        self._log = SourceLog(0, paths, engine, is_newest=True)

    def choose(self, day: str, holds: Iterable[Hold]) -> PurgeRequest:
        """The request for `day`, of which nothing was purged before. Raises RetentionError where a row's unit cannot be
        told: then the day stays as it is."""
        held = _sorted(holds)
        placed = self._placed(self._rows(day, held))
        units = _units_of(placed)
        self._add_companions(units)
        return _request(day, held, placed, units)

    def choose_again(
        self,
        day: str,
        holds: Iterable[Hold],
        kept: HeldFile,
        kept_rows: dict[str, pa.Table],
        *,
        has_more: bool = False,
    ) -> PurgeRequest:
        """The request for a day that was purged before: a part of `kept` with `kept_rows`, and, with `has_more`, what
        came late for the day."""
        held = _sorted(holds)
        wanted = self._rows(day, held)
        late = self._late(kept, wanted) if has_more else {}
        placed = {table: _of_kept(rows, kept_rows[table]) for table, rows in wanted.items() if table in kept_rows}
        units = _units_of(placed)
        rows_of = _units_of(kept_rows)
        headers = _headers_of(kept, rows_of)
        for leaf, records in units.items():
            for row, places in records.items():
                known = headers.get((leaf, row), [])
                places.update(max(one for one in known if one < place) for place in list(places) if place and known)
                places.update(one for one in known if one == 0)
        if any(record.leaf in units and listener_kind(record.listener) in STATEFUL_KINDS for record in kept.records):
            # Records that no row was read from taught the templates of others.
            for record in kept.records:
                if record.row not in rows_of.get(record.leaf, {}):
                    units.setdefault(record.leaf, {})[record.row] = {unit.offset for unit in record.units}
        if late:
            of_late = _units_of(late)
            self._add_companions(of_late)
            for leaf, records in of_late.items():
                for row, places in records.items():
                    units.setdefault(leaf, {}).setdefault(row, set()).update(places)
            placed = {
                table: pa.concat_tables(
                    [part[table].cast(rows_schema(table)) for part in (placed, late) if table in part]
                )
                for table in placed.keys() | late.keys()
            }
        return _request(day, held, placed, units)

    def _late(self, kept: HeldFile, wanted: dict[str, pa.Table]) -> dict[str, pa.Table]:
        """Rows of records that no earlier purge took."""
        known = {record.leaf for record in kept.records}
        leaves = LeafReader(self._paths)
        later: dict[str, pa.Table] = {}
        for table, rows in wanted.items():
            numbers = [
                number
                for number, leaf in enumerate(rows.column("leaf_index").to_pylist())
                if leaf not in known and (self._paths.segments / leaves.leaf(leaf)["segment"]).exists()
            ]
            if numbers:
                later[table] = rows.take(pa.array(numbers, pa.int64()))
        return self._placed(later)

    def _placed(self, rows: dict[str, pa.Table]) -> dict[str, pa.Table]:
        """Raises RetentionError where a row's unit cannot be told."""
        placed = self._places.find(rows)
        for table, chosen in placed.items():
            if chosen.column(PLACE).null_count:
                raise RetentionError(
                    f"of {chosen.column(PLACE).null_count} rows of table {table} that are held it cannot be told which "
                    "bytes they were read from; `phayan reindex`, then try again"
                )
        return placed

    def _rows(self, day: str, held: list[Hold]) -> dict[str, pa.Table]:
        return _joined(rows_in_scope(self._engine, hold.scope, day, history=self._history) for hold in held)

    def _add_companions(self, units: Units) -> None:
        """Headers and templates without which a flow record cannot be read."""
        templates = HeldTemplates(self._log)
        needed: set[tuple[int, int, int]] = set()
        for index, records in units.items():
            chunk = self._log.chunk(index)
            for row, places in records.items():
                if listener_kind(chunk.column("listener")[row].as_py()) not in STATEFUL_KINDS:
                    continue
                payload = chunk.column("payload")[row].as_py()
                for number in wanted_templates(payload, places):
                    if (taught := templates.find(index, row, number)) is not None:
                        needed.add(taught)
                places.update(companions(payload, sorted(places)))
        for index, row, place in needed:
            payload = self._log.record(index, row)["payload"]
            more = companions(payload, [place]) if place else []
            units.setdefault(index, {}).setdefault(row, set()).update({place, *more})


def _joined(parts: Iterable[dict[str, pa.Table]]) -> dict[str, pa.Table]:
    """Rows of several holds, each once."""
    tables: dict[str, list[pa.Table]] = {}
    for part in parts:
        for table, rows in part.items():
            tables.setdefault(table, []).append(rows)
    return {table: _each_once(pa.concat_tables(rows)) if len(rows) > 1 else rows[0] for table, rows in tables.items()}


def _each_once(rows: pa.Table) -> pa.Table:
    """A row that two holds keep is alike in every column."""
    seen: dict[tuple[object, ...], int] = {}
    for number, values in enumerate(_tuples(rows)):
        seen.setdefault(values, number)
    return rows.take(pa.array(seen.values(), pa.int64()))


def _of_kept(rows: pa.Table, kept: pa.Table) -> pa.Table:
    """The kept rows, which have their places, that are alike to one of `rows`."""
    wanted = set(_tuples(rows))
    chosen = [number for number, values in enumerate(_tuples(kept.select(rows.column_names))) if values in wanted]
    return kept.take(pa.array(chosen, pa.int64()))


def _headers_of(kept: HeldFile, places: Units) -> dict[tuple[int, int], list[int]]:
    """Offsets of the kept units of a record that no row was read from."""
    headers: dict[tuple[int, int], list[int]] = {}
    for record in kept.records:
        of_rows = places.get(record.leaf, {}).get(record.row, set())
        headers[record.leaf, record.row] = [unit.offset for unit in record.units if unit.offset not in of_rows]
    return headers


def _tuples(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Times as integers: Python's have no nanoseconds."""
    columns = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in rows.columns)
    return zip(*(column.to_pylist() for column in columns), strict=True)


def _sorted(holds: Iterable[Hold]) -> list[Hold]:
    return sorted(holds, key=lambda hold: hold.id)


def _request(day: str, held: list[Hold], placed: dict[str, pa.Table], units: Units) -> PurgeRequest:
    leaf, row, offset = _columns(units)
    rows = {table: chosen for table, chosen in placed.items() if chosen.num_rows}
    return PurgeRequest(day, tuple(hold.id for hold in held), leaf, row, offset, rows)


def _units_of(placed: dict[str, pa.Table]) -> Units:
    units: Units = {}
    for rows in placed.values():
        columns = (rows.column(name).to_pylist() for name in ("leaf_index", "row", PLACE))
        for leaf, row, place in zip(*columns, strict=True):
            units.setdefault(leaf, {}).setdefault(row, set()).add(place)
    return units


def _columns(units: Units) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places = [(leaf, row, at) for leaf, records in units.items() for row, found in records.items() for at in found]
    columns = list(zip(*sorted(places), strict=True)) or [(), (), ()]
    return np.array(columns[0], np.uint64), np.array(columns[1], np.uint32), np.array(columns[2], np.uint32)
