"""Decoding of files for `phayan decode`: raw payloads, text and captures to one dictionary per record.

The edge that opens files; everything it reads goes through the same decoders as sealed chunks.
"""

import json
import mmap
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from archive.schema import ADDRESS, SCHEMAS, TIME, UNKNOWN_ADDRESS
from collector.errors import CollectorError, InputFileError
from collector.wire.addresses import format_address
from collector.wire.capture import is_capture, read_frames
from collector.wire.datagram_kind import kind_of_datagram
from collector.wire.datagram_split import split_datagrams, starts_message
from collector.wire.flows import FlowDecoder
from collector.wire.packets import read_datagram
from collector.wire.sflow import SFlowDecoder
from collector.wire.sflow_split import split_sflow_datagrams, starts_sflow
from collector.wire.syslog import SyslogDecoder

KINDS = ("auto", "netflow", "sflow", "syslog")
BATCH_BYTES = 4 * 1024 * 1024
"""Payload decoded at once, the size of a spool file."""
BATCH_RECORDS = 20_000
"""Bounds the rows held in memory when lines are short."""
_JSON_COLUMNS = {"flows": "extra", "options": "elements"}
_NS_PER_SECOND = 1_000_000_000


class _Record(NamedTuple):
    kind: str
    received_unix_ns: int
    source_address: bytes
    source_port: int
    truncated: bool
    payload: bytes


def decode_files(
    paths: Iterable[str | Path],
    kind: str = "auto",
    *,
    zone: str = "Asia/Bangkok",
    counters: Counter[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Records of the files, read as one stream in the given order: `{"table": name, ...columns}`.

    Addresses and times are text (IPv4-mapped as IPv4; ISO 8601 UTC with nanoseconds), `extra` and `elements`
    objects, absent values None. Templates and data may come in either order; a record that waits is given
    when its template comes. `leaf_index` counts decoded batches, `row` the datagrams or lines of one. Raw and
    text files have no arrival time of their own: the file's modification time stands for it.

    `counters` is filled with what was read, skipped and left waiting (`waiting_sets`).
    Raises: InputFileError for a file that cannot be read, CollectorError for an unknown kind; nothing for
    content.
    """
    if kind not in KINDS:
        raise CollectorError(f"Unknown kind {kind!r}; choose one of {', '.join(KINDS)}.", code="collector_unknown_kind")
    counters = Counter() if counters is None else counters
    decoders = (FlowDecoder(), SFlowDecoder(), SyslogDecoder(zone))
    states: list[Any] = [decoder.initial_state() for decoder in decoders]
    waiting = 0
    for leaf_index, batch in enumerate(_batches(_records(paths, kind, counters))):
        chunk = _chunk(batch)
        tables: dict[str, pa.Table] = {}
        for number, decoder in enumerate(decoders):
            decoded = decoder.decode(states[number], leaf_index, chunk)
            states[number] = decoded.state
            counters.update(decoded.counters)
            for name, table in decoded.tables.items():
                tables[name] = pa.concat_tables([tables[name], table]) if name in tables else table
            if "netflow" in decoder.kinds:
                waiting = decoded.waiting
        yield from _rows(tables)
    counters["waiting_sets"] = waiting


def _records(paths: Iterable[str | Path], kind: str, counters: Counter[str]) -> Iterator[_Record]:
    for path in paths:
        try:
            content, modified_unix_ns = _open(Path(path))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise InputFileError(f"Cannot read {path}: {reason}.") from error
        if is_capture(bytes(content[:4])):
            yield from _capture_records(content, kind, counters)
        elif kind == "sflow" or (kind == "auto" and starts_sflow(content)):
            for datagram in split_sflow_datagrams(content):
                yield _Record("sflow", modified_unix_ns, UNKNOWN_ADDRESS, 0, False, datagram)
        elif kind == "netflow" or (kind == "auto" and starts_message(content)):
            for datagram in split_datagrams(content):
                yield _Record("netflow", modified_unix_ns, UNKNOWN_ADDRESS, 0, False, datagram)
        else:
            for line in _lines(content):
                yield _Record("syslog", modified_unix_ns, UNKNOWN_ADDRESS, 0, False, line)


def _open(path: Path) -> tuple[Any, int]:
    """Content as bytes or a read-only map, and the modification time. A pipe is read to its end."""
    with path.open("rb") as file:
        modified_unix_ns = path.stat().st_mtime_ns
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), modified_unix_ns
        except (ValueError, OSError):  # empty, or not a regular file
            return file.read(), modified_unix_ns


def _lines(content: Any) -> Iterator[bytes]:
    start = 0
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        if end > start:
            yield bytes(content[start:end])
        start = end + 1


def _capture_records(content: Any, kind: str, counters: Counter[str]) -> Iterator[_Record]:
    for frame in read_frames(content, counters):
        datagram = read_datagram(frame, counters)
        if datagram is None:
            continue
        found = kind_of_datagram(datagram) if kind == "auto" else kind
        if found is None:
            counters["other_packets"] += 1
            continue
        unix_ns = min(frame.unix_ns, 2**63 - 1)
        yield _Record(
            found,
            unix_ns,
            datagram.source_address,
            datagram.source_port,
            datagram.truncated,
            datagram.payload,
        )


def _batches(records: Iterator[_Record]) -> Iterator[list[_Record]]:
    batch: list[_Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.payload)
        if size >= BATCH_BYTES or len(batch) >= BATCH_RECORDS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _chunk(batch: list[_Record]) -> pa.Table:
    count = len(batch)
    return pa.table(
        {
            "row": pa.array(range(count), pa.uint32()),
            "received_unix_ns": pa.array([one.received_unix_ns for one in batch], pa.int64()),
            "source_address": pa.array([one.source_address for one in batch], ADDRESS),
            "source_port": pa.array([one.source_port for one in batch], pa.uint16()),
            "transport": pa.array(["file"] * count, pa.string()),
            "listener": pa.array([f"{one.kind}/file" for one in batch], pa.string()),
            "truncated": pa.array([one.truncated for one in batch], pa.bool_()),
            "payload": pa.array([one.payload for one in batch], pa.binary()),
            "realm": pa.array(["main"] * count, pa.string()),
        }
    )


def _rows(tables: dict[str, pa.Table]) -> Iterator[dict[str, Any]]:
    """Rows of one batch: tables in the order of the schema, except that a line's `nat` row follows its own."""
    for name in ("options", "flows", "logs", "nat"):
        if name in tables:
            yield from _table_rows(name, tables[name])


def _table_rows(name: str, table: pa.Table) -> Iterator[dict[str, Any]]:
    columns: dict[str, list[Any]] = {}
    for field in SCHEMAS[name]:
        column = table.column(field.name)
        if field.type == ADDRESS:
            columns[field.name] = [None if one is None else format_address(one) for one in column.to_pylist()]
        elif field.type == TIME:
            columns[field.name] = [_time_text(one) for one in column.cast(pa.int64()).to_pylist()]
        elif field.name == _JSON_COLUMNS.get(name):
            columns[field.name] = [json.loads(one) for one in column.to_pylist()]
        else:
            columns[field.name] = column.to_pylist()
    names = list(columns)
    for values in zip(*columns.values(), strict=True):
        yield {"table": name, **dict(zip(names, values, strict=True))}


def _time_text(unix_ns: int | None) -> str | None:
    if unix_ns is None:
        return None
    seconds, fraction = divmod(unix_ns, _NS_PER_SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
