"""Syslog decoder: one sealed line in, one `logs` row out, and a `nat` row where the line states a
translation.
"""

from collections.abc import Hashable
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from archive.decoder import Decoded, Imported
from archive.schema import SCHEMAS, UNKNOWN_ADDRESS
from collector.wire.addresses import AddressCache
from collector.wire.chunk_rows import column_array, common_columns, rows_of_kinds
from collector.wire.connection_fields import Translation
from collector.wire.conntrack import ConntrackReader
from collector.wire.device_time import DeviceTimeReader
from collector.wire.netfilter import NetfilterReader
from collector.wire.payload_units import whole_payloads
from collector.wire.relp_repeats import Connections, Sender, mark_repeats
from collector.wire.sequence_gaps import Stream
from collector.wire.syslog_carry import export_syslog_state, import_syslog_state
from collector.wire.syslog_header import parse_header
from collector.wire.syslog_sequences import follow_sequences
from collector.wire.text_encoding import decode_text

_PARSED_COLUMNS = (
    "format", "facility", "severity", "device_time", "hostname", "app_name", "process_id", "message_id",
    "structured_data", "message", "encoding", "source_address", "source_port", "destination_address",
    "destination_port", "protocol", "action", "user",
)  # fmt: skip
_NO_CONNECTION = (None, None, None, None, None, "", "")


class SyslogState(NamedTuple):
    """Numbers expected next from senders that number their lines, and the last messages of RELP senders."""

    sequences: dict[Hashable, Stream]
    relp: dict[Sender, Connections]


class SyslogDecoder:
    """Decoder of listeners of kind `syslog`. Never raises on any payload. Numbers skipped by a sender that numbers its
    lines become rows of `losses`; what a RELP sender may have sent again is `repeated`.

    `zone` names the time zone of lines that carry local time without offset. `format` of a row is the most
    specific form understood: `netfilter`, `conntrack`, `ulogd`, else `rfc5424` or `rfc3164`, else `unknown`
    with the whole line in `message`. A trailing newline or NUL is not part of `message`. With `units`, the byte range
    of each line is told too: the whole payload.
    """

    kinds = frozenset({"syslog"})

    def __init__(self, zone: str = "Asia/Bangkok", *, units: bool = False) -> None:
        self._zone = ZoneInfo(zone)
        self._with_units = units

    def initial_state(self) -> SyslogState:
        return SyslogState({}, {})

    def use_zone(self, zone: str) -> None:
        """Read local times of further lines as those of `zone`."""
        self._zone = ZoneInfo(zone)

    def export_state(self, state: Any) -> list[dict[str, Any]]:
        return export_syslog_state(state.sequences, state.relp)

    def import_state(self, state: Any, items: list[dict[str, Any]]) -> Imported:
        sequences, relp, refused = import_syslog_state(items)
        return Imported(SyslogState(sequences, relp), refused)

    def decode(self, state: Any, leaf_index: int, chunk: pa.Table) -> Decoded:
        rows = rows_of_kinds(chunk, self.kinds)
        before: SyslogState = state or self.initial_state()
        if rows.num_rows == 0:
            return Decoded({}, before)
        payloads = column_array(rows, "payload", pa.binary()).to_pylist()
        arrivals = column_array(rows, "received_unix_ns", pa.int64()).to_pylist()
        lines, translations = self._parse_lines(payloads, arrivals)
        sequences, losses = follow_sequences(before.sequences, rows, lines, leaf_index)
        relp, repeated = mark_repeats(before.relp, rows, payloads)
        columns = common_columns(rows, leaf_index)
        logs = _logs_table(rows, columns, lines, pa.array(repeated))
        tables = {"logs": logs}
        if losses is not None:
            tables["losses"] = losses
        counters = {"syslog_lines": rows.num_rows}
        _count(counters, "syslog_unknown_lines", sum(line[0] == "unknown" for line in lines))
        _count(counters, "syslog_escaped_lines", sum(line[10] == "escaped" for line in lines))
        if translations:
            tables["nat"] = _nat_table(rows, columns, translations, arrivals)
            counters["nat_events"] = len(translations)
        _count(counters, "relp_repeated_messages", int(repeated.sum()))
        units = whole_payloads(rows) if self._with_units else None
        return Decoded(tables, SyslogState(sequences, relp), 0, counters, units)

    def _parse_lines(
        self, payloads: list[bytes], arrivals: list[int]
    ) -> tuple[list[tuple[Any, ...]], list[tuple[int, Translation]]]:
        addresses = AddressCache()
        times = DeviceTimeReader(self._zone)
        netfilter = NetfilterReader(addresses)
        conntrack = ConntrackReader(addresses)
        lines: list[tuple[Any, ...]] = []
        translations: list[tuple[int, Translation]] = []
        for position, payload in enumerate(payloads):
            text, encoding = decode_text(payload.rstrip(b"\r\n\x00"))
            (form, priority, device_time, hostname, app_name, process_id, message_id, data, start) = parse_header(
                text, arrivals[position], times
            )
            message = text[start:] if start else text
            found = _NO_CONNECTION
            connection = netfilter.read(message)
            if connection is None:
                tracked = conntrack.read(message)
                if tracked is not None:
                    connection, translation = tracked
                    if translation is not None:
                        translations.append((position, translation))
            if connection is not None:
                form = connection.format
                found = (*connection[1:], "")
            facility, severity = (None, None) if priority is None else (priority >> 3, priority & 7)
            lines.append(
                (form, facility, severity, device_time, hostname, app_name, process_id, message_id, data, message,
                 encoding, *found)
            )  # fmt: skip
        return lines, translations


def _logs_table(
    rows: pa.Table, common: dict[str, pa.Array], lines: list[tuple[Any, ...]], repeated: pa.Array
) -> pa.Table:
    schema = SCHEMAS["logs"]
    columns = dict(common)
    columns["sender_address"] = column_array(rows, "source_address", pa.binary(16))
    columns["sender_port"] = column_array(rows, "source_port", pa.uint16())
    columns["transport"] = column_array(rows, "transport", pa.string())
    columns["listener"] = column_array(rows, "listener", pa.string())
    columns["truncated"] = column_array(rows, "truncated", pa.bool_())
    columns["repeated"] = repeated
    for name, values in zip(_PARSED_COLUMNS, zip(*lines, strict=True), strict=True):
        kind = schema.field(name).type
        columns[name] = pa.array(values, pa.int64()).cast(kind) if name == "device_time" else pa.array(values, kind)
    return pa.Table.from_arrays([columns[field.name] for field in schema], schema=schema)


def _nat_table(
    rows: pa.Table,
    common: dict[str, pa.Array],
    translations: list[tuple[int, Translation]],
    arrivals: list[int],
) -> pa.Table:
    """`nat` rows of kind session. Ports 0 to 0 and a null inside port: the protocol has no ports (ICMP)."""
    schema = SCHEMAS["nat"]
    positions = pa.array(np.fromiter((position for position, _ in translations), "int64", len(translations)))
    found = [translation for _, translation in translations]
    columns: dict[str, Any] = {name: array.take(positions) for name, array in common.items()}
    columns["sender_address"] = column_array(rows, "source_address", pa.binary(16)).take(positions)
    columns["outside_address"] = [one.outside_address for one in found]
    columns["outside_port_low"] = columns["outside_port_high"] = [one.outside_port or 0 for one in found]
    columns["protocol"] = [one.protocol for one in found]
    columns["destination_address"] = [
        None if one.destination_address == UNKNOWN_ADDRESS else one.destination_address for one in found
    ]
    columns["destination_port"] = [one.destination_port for one in found]
    columns["inside_address"] = [one.inside_address for one in found]
    columns["inside_port"] = [one.inside_port for one in found]
    columns["event"] = [one.event for one in found]
    times = [arrivals[position] if one.time_unix_ns is None else one.time_unix_ns for position, one in translations]
    columns["time"] = pa.array(times, pa.int64()).cast(schema.field("time").type)
    columns["kind"] = ["session"] * len(found)
    columns["quality"] = ["arrival" if one.time_unix_ns is None else "exact" for one in found]
    columns["mapping_id"] = [one.mapping_id for one in found]
    arrays = [
        values if isinstance(values, pa.Array) else pa.array(values, field.type)
        for field, values in ((field, columns.get(field.name, [None] * len(found))) for field in schema)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _count(counters: dict[str, int], name: str, number: int) -> None:
    if number:
        counters[name] = number
