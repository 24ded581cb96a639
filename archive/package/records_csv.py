"""data/records.csv: every index row that the package rests on, with the file that holds its bytes and the command that
prints them. Pure."""

import csv
import io
import json
from typing import Any

from archive.addresses import format_address
from archive.package.content import CARRIED_TEMPLATE, TEMPLATE, CitedRecord, IndexRow
from archive.package.names import capture_name, raw_name
from archive.package.verify_package import RECORD_COLUMNS
from archive.schema import ADDRESS, SCHEMAS, TIME
from archive.time_text import format_iso

KINDS = {
    "logs": "line", "sessions": "session", "identity": "identity", "nat": "nat", "flows": "flow", "losses": "loss",
}  # fmt: skip
LARGEST_JSON_NUMBER = 2**53
_NOT_SHOWN = frozenset({"leaf_index", "row", "received", "repeated", "dedup_key"})
"""In columns of their own, or said of other records than this one."""
_NOT_OF_PACKETS = frozenset({"details"})
"""Of an accounting packet: what is left over of it. Its bytes are beside it."""
_NOT_OF_LOSSES = frozenset({"details"})
_BOM = b"\xef\xbb\xbf"


def records_csv(records: list[CitedRecord], zone: str) -> bytes:
    """UTF-8 with BOM, as spreadsheets want it. `fields` is canonical JSON of the row's columns that are not empty:
    times as decimal strings under `<column>_unix_ns`, numbers from 2^53 on as decimal strings, addresses as text."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(RECORD_COLUMNS)
    for record in records:
        for offset, kind, fields in _rows(record):
            place, file = record.place, raw_name(record)
            received = format_iso(record.received_unix_ns, zone)
            shown = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            writer.writerow(
                [place.log, place.leaf, place.row, offset, kind, file, show_command(record), received, shown]
            )
    return _BOM + sink.getvalue().encode()


def records_rows(record: CitedRecord) -> list[IndexRow | None]:
    """What the record's lines in the table are made of, in order; None for that of a template."""
    return [None] if record.role in (TEMPLATE, CARRIED_TEMPLATE) else list(record.rows)


def _rows(record: CitedRecord) -> list[tuple[int, str, dict[str, Any]]]:
    if record.role in (TEMPLATE, CARRIED_TEMPLATE):
        target = raw_name_of_target(record)
        fields: dict[str, Any] = {"for": target, "template_id": record.template_id}
        if record.template_is_options:
            fields["options"] = True
        return [(record.template_offset, record.role, fields)]
    return [(row.offset, KINDS[row.table], row_fields(record, row)) for row in record.rows]


def raw_name_of_target(record: CitedRecord) -> str:
    """The capture that a template is for."""
    return capture_name(record.template_for or record.place)


def row_fields(record: CitedRecord, row: IndexRow) -> dict[str, Any]:
    """The columns of a row that are not empty, as JSON values."""
    hidden = _NOT_SHOWN
    if row.table == "sessions" and record.listener.startswith("radius-acct"):
        hidden |= _NOT_OF_PACKETS
    if row.table == "losses":
        hidden |= _NOT_OF_LOSSES
    fields = {}
    for column in SCHEMAS[row.table]:
        value = row.values.get(column.name)
        if column.name in hidden or value is None or value == "" or value is False:
            continue
        if column.type == ADDRESS:
            value = format_address(value)
            if not value:
                continue
        name = column.name
        if column.type == TIME:
            name, value = f"{name}_unix_ns", str(value)
        elif isinstance(value, int) and value >= LARGEST_JSON_NUMBER:
            value = str(value)
        fields[name] = value
    return fields


def show_command(record: CitedRecord) -> str:
    """The command that prints a record's bytes, in the package's folder; empty where they are withheld."""
    file = raw_name(record)
    if not file:
        return ""
    if record.is_datagram:
        kind, _, port = record.listener.partition("/")
        number = port.rpartition("-")[2]
        protocol = "sflow" if kind == "sflow" else "cflow"
        return f"tshark -V -O {protocol} -d udp.port=={number if number.isdigit() else 2055},{protocol} -r {file}"
    return f"od -An -tx1z {file}" if record.listener.startswith("radius") else f"cat {file}"
