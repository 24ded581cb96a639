"""What the index process asks of the sealer: which units and rows of a day holds keep when it is purged. One file
`inbox/purge/<YYYYMMDD>.request`. The sealer believes nothing in it but that choice."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from archive.durable import make_directory, replace_file
from archive.errors import ArchiveFormatError
from archive.retention.frames import TABLE, decode_frame, decode_tables, encode_frame, encode_tables
from archive.retention.limits import DAY, HOLD_ID, LONG_LIVED_TABLES, MAX_HOLDS
from archive.schema import SCHEMAS

SUFFIX = ".request"
MAX_REQUEST_BYTES = 512 * 1024 * 1024
PLACE = "place"
_UNITS = pa.schema([("leaf", pa.uint64()), ("row", pa.uint32()), ("offset", pa.uint32())])


def _none(kind: type) -> np.ndarray:
    return np.empty(0, kind)


@dataclass(frozen=True)
class PurgeRequest:
    """Of `day`, YYYYMMDD: `holds`, ids in force; the units that stay, `leaf` uint64, `row` and `offset` uint32 [units],
    in no order and once each; `rows`, those of each table (types of archive.schema, and `place`) that were read from
    them."""

    day: str
    holds: tuple[str, ...] = ()
    leaf: np.ndarray = field(default_factory=lambda: _none(np.uint64))
    row: np.ndarray = field(default_factory=lambda: _none(np.uint32))
    offset: np.ndarray = field(default_factory=lambda: _none(np.uint32))
    rows: dict[str, pa.Table] = field(default_factory=dict)


def rows_schema(table: str) -> pa.Schema:
    """Columns of a table, and `place`, the offset in its record of the unit that a row was read from."""
    return SCHEMAS[table].append(pa.field(PLACE, pa.uint32(), nullable=False))


def _placed(table: str, rows: pa.Table) -> pa.Table:
    """Rows without places are of whole records."""
    if PLACE not in rows.column_names:
        rows = rows.append_column(PLACE, pa.array(np.zeros(len(rows), np.uint32)))
    return rows.cast(rows_schema(table))


def encode_request(request: PurgeRequest) -> bytes:
    """The bytes of a request file."""
    units = pa.table([pa.array(column) for column in (request.leaf, request.row, request.offset)], schema=_UNITS)
    head = {TABLE: b"", b"day": request.day.encode(), b"holds": json.dumps(sorted(request.holds)).encode()}
    rows = [({TABLE: name.encode()}, _placed(name, table)) for name, table in sorted(request.rows.items())]
    return encode_frame(encode_tables([(head, units), *rows]))


def decode_request(data: bytes) -> PurgeRequest:
    """The request in a file. Raises ArchiveFormatError for anything `encode_request` does not make."""
    streams = list(decode_tables(decode_frame(data)))
    if not streams or streams[0][1].schema != _UNITS or streams[0][0].get(TABLE) != b"":
        raise ArchiveFormatError("a purge request begins with the units that are to stay")
    head, units = streams[0]
    try:
        day, holds = head[b"day"].decode("ascii"), json.loads(head[b"holds"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ArchiveFormatError("a purge request names no day or no holds") from error
    if not DAY.fullmatch(day):
        raise ArchiveFormatError("the day of a purge request is not YYYYMMDD")
    if type(holds) is not list or len(holds) > MAX_HOLDS or holds != sorted(set(map(str, holds))):
        raise ArchiveFormatError(f"holds of a purge request are not up to {MAX_HOLDS} ids in order")
    if not all(HOLD_ID.fullmatch(one) for one in holds):
        raise ArchiveFormatError("a hold of a purge request has an id that is none")
    if any(column.null_count for column in units.columns):
        raise ArchiveFormatError("a unit of a purge request is null")
    leaf, row, offset = (column.to_numpy() for column in units.columns)
    return PurgeRequest(day, tuple(holds), leaf, row, offset, _rows(streams[1:]))


def _rows(streams: list[tuple[dict[bytes, bytes], pa.Table]]) -> dict[str, pa.Table]:
    rows: dict[str, pa.Table] = {}
    for metadata, table in streams:
        name = metadata.get(TABLE, b"").decode("ascii", "replace")
        if name in rows or name in LONG_LIVED_TABLES or name not in SCHEMAS or table.schema != rows_schema(name):
            raise ArchiveFormatError(f"rows of a purge request are of no table that a purge takes from: {name}")
        rows[name] = table
    return rows


def write_request(inbox: Path, request: PurgeRequest) -> Path:
    """Hand a request over, durably; one of the same day that the sealer has not taken is replaced. Returns the file.
    Raises OSError."""
    folder = inbox / "purge"
    make_directory(folder)
    path = folder / f"{request.day}{SUFFIX}"
    replace_file(path, encode_request(request))
    return path


def read_request(path: Path) -> PurgeRequest:
    """The request in `path`. Raises ArchiveFormatError, OSError."""
    request = decode_request(path.read_bytes())
    if path.stem != request.day:
        raise ArchiveFormatError(f"{path.name} is a request for {request.day}")
    return request
