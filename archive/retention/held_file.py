"""Held files: the units that a hold keeps of a purged day with what proves them, and the index rows made from them
(docs/FORMAT.md, "Held files"). Pure."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from archive.errors import ArchiveFormatError
from archive.retention.frames import TABLE, decode_frame, decode_tables, encode_frame, encode_tables
from archive.retention.limits import DAY
from archive.unit_proof import UnitProof, decode_unit_proof

HELD_VERSION = 1
HELD_FOLDER = "held"
"""Below `log/`."""
HELD_SUFFIX, ROWS_SUFFIX = ".held", ".rows"
_RECORD: dict[str, type] = {
    "leaf": int, "row": int, "received_unix_ns": str, "source_address": str, "source_port": int, "transport": str,
    "listener": str, "truncated": bool, "length": int,
}  # fmt: skip


@dataclass(frozen=True)
class HeldRecord:
    """Row `row` of data leaf `leaf`: its columns in the chunk, the length of its payload, and its units that are kept,
    in order. `log` is the origin of its log where that is an earlier one of the archive."""

    leaf: int
    row: int
    received_unix_ns: int
    source_address: str
    source_port: int
    transport: str
    listener: str
    truncated: bool
    length: int
    units: tuple[UnitProof, ...]
    log: str | None = None

    def values(self) -> dict[str, Any]:
        """As its line has it."""
        values = {name: getattr(self, name) for name in _RECORD}
        values["received_unix_ns"] = str(self.received_unix_ns)
        return values if self.log is None else values | {"log": self.log}


@dataclass(frozen=True)
class HeldFile:
    """Of `day` of log `log` (origin), sealed by purge leaf `leaf`; records in order of leaf and row."""

    day: str
    log: str
    leaf: int
    records: tuple[HeldRecord, ...]

    def unit_count(self) -> int:
        return sum(len(record.units) for record in self.records)


def held_name(day: str, leaf: int, suffix: str = HELD_SUFFIX) -> str:
    """Path below `log/` of the file that purge leaf `leaf` seals."""
    return f"{HELD_FOLDER}/{day}/{leaf:012d}{suffix}"


def encode_held(held: HeldFile) -> bytes:
    """The bytes of a held file."""
    return encode_frame(b"".join(_lines(held)))


def _lines(held: HeldFile) -> Iterator[bytes]:
    yield _line({"v": HELD_VERSION, "day": held.day, "log": held.log, "leaf": held.leaf})
    for record in held.records:
        yield _line({"record": record.values()})
        for unit in record.units:
            yield unit.encode()


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def decode_held(data: bytes) -> HeldFile:
    """What a held file holds. Raises ArchiveFormatError for any other spelling than `encode_held`'s."""
    content = decode_frame(data)
    lines = content.splitlines(keepends=True)
    try:
        head = json.loads(lines[0]) if lines else {}
        records = tuple(_records(lines[1:]))
        held = HeldFile(head["day"], head["log"], head["leaf"], records)
        if type(held.leaf) is not int or type(held.log) is not str or not DAY.fullmatch(held.day):
            raise ValueError("its first line")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArchiveFormatError(f"not a held file: {error!r}") from error
    if b"".join(_lines(held)) != content:
        raise ArchiveFormatError("not a held file: another spelling")
    places = [(record.leaf, record.row) for record in records]
    if places != sorted(set(places)):
        raise ArchiveFormatError("not a held file: its records are not in order")
    return held


def _records(lines: list[bytes]) -> Iterator[HeldRecord]:
    at = 0
    while at < len(lines):
        begin, at = json.loads(lines[at])["record"], at + 1
        if any(type(begin[name]) is not kind for name, kind in _RECORD.items()):
            raise ValueError("a field of a record has another type")
        end = at
        while end < len(lines) and not lines[end].startswith(b'{"record":'):
            end += 1
        units = tuple(decode_unit_proof(line) for line in lines[at:end])
        _check_units(begin, units)
        values = begin | {"received_unix_ns": int(begin["received_unix_ns"])}
        yield HeldRecord(**values, units=units)
        at = end


def _check_units(record: dict[str, Any], units: tuple[UnitProof, ...]) -> None:
    if not units:
        raise ValueError("a record without a unit")
    if any((unit.leaf, unit.row) != (record["leaf"], record["row"]) for unit in units):
        raise ValueError("a unit of another record")
    end = 0
    for unit in units:
        if unit.offset < end:
            raise ValueError("units that overlap or are not in order")
        end = unit.offset + len(unit.data)
    if end > record["length"]:
        raise ValueError("a unit beyond its record")


def encode_rows(tables: dict[str, pa.Table]) -> bytes:
    """The bytes of a rows file: index rows made from held units, by table."""
    return encode_frame(encode_tables([({TABLE: name.encode()}, rows) for name, rows in sorted(tables.items())]))


def decode_rows(data: bytes) -> dict[str, pa.Table]:
    """The rows of a rows file, typed as its tables were when it was written. Raises ArchiveFormatError."""
    tables: dict[str, pa.Table] = {}
    for metadata, rows in decode_tables(decode_frame(data)):
        name = metadata.get(TABLE, b"").decode("ascii", "replace")
        if not name or name in tables:
            raise ArchiveFormatError("a rows file has a table twice or one without a name")
        tables[name] = rows
    return tables


def merge_records(*parts: Iterable[HeldRecord]) -> tuple[HeldRecord, ...]:
    """Records of several sources in order of leaf and row; none is in two of them."""
    return tuple(sorted((one for part in parts for one in part), key=lambda one: (one.log or "", one.leaf, one.row)))
