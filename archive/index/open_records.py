# pyright: reportAttributeAccessIssue=false
"""Records of what is open at a UTC day's start (docs/FORMAT.md, "Carry"): items, and the rows they become. Pure.

An item has a column's value under the column's name: addresses as text, times as decimal strings under `_unix_ns`.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from archive.addresses import format_address, parse_address
from archive.errors import ArchiveFormatError
from archive.event_record import decode_event, encode_event, parse_moment
from archive.schema import ADDRESS, SCHEMAS, TIME, UNKNOWN_ADDRESS

OPEN_LISTENER = "carry-open"
OPEN_ITEM, OPEN_END = "open", "open_end"
OPEN_CARRIED = "open_carried"
"""`code` of the row of table `events` that a complete carry of open records makes."""
CARRY_EVENT = "carry"
"""`event` of the rows that items become."""
_TABLES = ("nat", "sessions")
_OF_THE_RECORD = ("leaf_index", "row", "received", "event")
OPENED_LOG = "opened_log"
KEPT_ADDRESSES = 65_536
"""Addresses whose text is kept: those of a carry repeat."""

Row = dict[str, Any]


def _columns(table: str) -> tuple[list[str], list[str], list[str]]:
    """Names of the columns of an item: times, addresses, others."""
    fields = [field for field in SCHEMAS[table] if field.name not in _OF_THE_RECORD]
    times = [field.name for field in fields if field.type == TIME]
    addresses = [field.name for field in fields if field.type == ADDRESS]
    return times, addresses, [field.name for field in fields if field.type not in (TIME, ADDRESS)]


_COLUMNS = {table: _columns(table) for table in _TABLES}
_REQUIRED = {
    table: [f.name for f in SCHEMAS[table] if not f.nullable and f.name not in _OF_THE_RECORD] for table in _TABLES
}


@lru_cache(KEPT_ADDRESSES)
def _text_of(address: bytes) -> str:
    return format_address(address)


@lru_cache(KEPT_ADDRESSES)
def _address_of(text: str) -> bytes:
    return parse_address(text) if text else UNKNOWN_ADDRESS


def encode_item(table: str, row: Row, run: str, time_unix_ns: int) -> bytes:
    """The record of one open mapping (`nat`) or session (`sessions`): a row with times as `<column>_unix_ns`."""
    times, addresses, others = _COLUMNS[table]
    values: Row = {name: row.get(name) for name in others}
    for name in times:
        moment = row.get(f"{name}_unix_ns")
        values[f"{name}_unix_ns"] = None if moment is None else str(moment)
    for name in addresses:
        address = row.get(name)
        values[name] = None if address is None else _text_of(address)
    return encode_event(OPEN_ITEM, time_unix_ns, {"run": run, "what": table, "values": values})


def encode_end(
    day: str, before_leaf: int, items: int, not_carried: int | None, *, run: str, time_unix_ns: int
) -> bytes:
    """The record after the last item. `not_carried`: how many open ones have no item; None where that is not known."""
    values = {"run": run, "day": day, "before_leaf": before_leaf, "items": items, "not_carried": not_carried}
    return encode_event(OPEN_END, time_unix_ns, values)


def open_days_of(payloads: pa.ChunkedArray) -> set[str]:
    """Days whose last record is among those of one chunk."""
    days = set()
    for payload in payloads.filter(pc.match_substring(payloads, f'"event":"{OPEN_END}"')).to_pylist():
        try:
            days.add(str(decode_event(payload).get("day")))
        except ArchiveFormatError:
            continue
    return days


def decode_items(records: Iterable[Row], leaf_index: int) -> tuple[dict[str, pa.Table], int]:
    """Rows of records (`row`, `received_unix_ns`, `payload`) that are items, and how many could not be read."""
    found: dict[str, list[Row]] = {}
    malformed = 0
    for record in records:
        try:
            item = decode_event(record["payload"])
            table, values = item["what"], _values(item["what"], item["values"])
        except (ArchiveFormatError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
            malformed += 1
            continue
        place = {"leaf_index": leaf_index, "row": record["row"], "received": record["received_unix_ns"]}
        found.setdefault(table, []).append({**values, **place, "event": CARRY_EVENT})
    tables = {}
    for table, rows in found.items():
        good = list(_as_tables(rows, SCHEMAS[table]))
        if good:
            tables[table] = pa.concat_tables(good)
        malformed += len(rows) - sum(one.num_rows for one in good)
    return tables, malformed


def _values(table: str, item: Row) -> Row:
    if table not in _TABLES:
        raise ArchiveFormatError(f"{table!r} is not carried; valid are {', '.join(_TABLES)}")
    times, addresses, others = _COLUMNS[table]
    # Records from before there were earlier logs do not have it.
    item.setdefault(OPENED_LOG, None)
    values: Row = {name: item[name] for name in others}
    for name in times:
        moment = item[f"{name}_unix_ns"]
        values[name] = None if moment is None else parse_moment(moment)
    for name in addresses:
        text = item[name]
        values[name] = None if text is None else _address_of(text)
    if any(values[name] is None for name in _REQUIRED[table]):
        raise ArchiveFormatError("a column is missing")
    if values["opened_leaf"] is None or values["opened_row"] is None or values["last_seen"] is None:
        raise ArchiveFormatError("an item names its original record")
    return values


def _as_tables(rows: list[Row], schema: pa.Schema) -> Iterator[pa.Table]:
    """All rows at once; one by one where a value of some row fits no column, without those."""
    try:
        yield pa.Table.from_pylist(rows, schema=schema)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        for row in rows:
            try:
                yield pa.Table.from_pylist([row], schema=schema)
            except (pa.ArrowException, ValueError, TypeError, OverflowError):
                continue
