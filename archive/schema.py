"""Columns of every table of the index, in one place: decoders produce them, the index stores them.

An address is 16 bytes, IPv4 as ::ffff:a.b.c.d; `::` means the source did not carry it. A time is UTC with
nanoseconds. `null` means unknown, never zero. `leaf_index` and `row` name the sealed record a row comes from.
"""

import pyarrow as pa

ADDRESS = pa.binary(16)
TIME = pa.timestamp("ns", tz="UTC")
UNKNOWN_ADDRESS = bytes(16)


def _field(name: str, kind: pa.DataType, *, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null)


_U8, _U16, _U32, _U64, _TEXT = pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.string()

_COMMON = [
    _field("leaf_index", _U64),
    _field("row", _U32),
    _field("realm", _TEXT),
    _field("received", TIME),
]

# Of a row with `event` carry: the record that opened what is carried, when that was (null: not recorded), and the last
# recorded sign of it. `opened_log`: origin of the record's log where that is an earlier one. Null in every other row.
_CARRIED = [
    _field("opened", TIME, null=True),
    _field("last_seen", TIME, null=True),
    _field("opened_leaf", _U64, null=True),
    _field("opened_row", _U32, null=True),
    _field("opened_log", _TEXT, null=True),
]

_EXPORTER = [
    _field("exporter_address", ADDRESS),
    _field("exporter_port", _U16),
    _field("version", _TEXT),
    _field("observation_domain", _U32),
    _field("template_id", _U16),
    _field("sequence", _U32),
]

SCHEMAS: dict[str, pa.Schema] = {
    # One flow record. `extra` is a JSON object of every element that has no column, by IANA name or
    # `e<enterprise>.<id>`; numbers as numbers, addresses as text, the rest as hex.
    "flows": pa.schema(
        [
            *_COMMON,
            *_EXPORTER,
            _field("source_address", ADDRESS),
            _field("source_port", _U16, null=True),
            _field("destination_address", ADDRESS),
            _field("destination_port", _U16, null=True),
            _field("protocol", _U8, null=True),
            _field("tcp_flags", _U16, null=True),
            _field("tos", _U8, null=True),
            _field("start", TIME, null=True),
            _field("end", TIME, null=True),
            _field("bytes", _U64, null=True),
            _field("packets", _U64, null=True),
            _field("input_interface", _U32, null=True),
            _field("output_interface", _U32, null=True),
            _field("next_hop", ADDRESS, null=True),
            _field("postnat_source_address", ADDRESS, null=True),
            _field("postnat_source_port", _U16, null=True),
            _field("postnat_destination_address", ADDRESS, null=True),
            _field("postnat_destination_port", _U16, null=True),
            _field("extra", _TEXT),
        ]
    ),
    # One record described by an options template: what an exporter says of itself.
    "options": pa.schema([*_COMMON, *_EXPORTER, _field("elements", _TEXT)]),
    # One syslog line, always, whether understood or not. `source_*`/`destination_*` are extracted from the line.
    # `repeated`: may be the same message as an earlier row, which its RELP sender saw unanswered and sent again.
    "logs": pa.schema(
        [
            *_COMMON,
            _field("sender_address", ADDRESS),
            _field("sender_port", _U16),
            _field("transport", _TEXT),
            _field("listener", _TEXT),
            _field("format", _TEXT),
            _field("facility", _U8, null=True),
            _field("severity", _U8, null=True),
            _field("device_time", TIME, null=True),
            _field("hostname", _TEXT),
            _field("app_name", _TEXT),
            _field("process_id", _TEXT),
            _field("message_id", _TEXT),
            _field("structured_data", _TEXT),
            _field("message", _TEXT),
            _field("encoding", _TEXT),
            _field("source_address", ADDRESS, null=True),
            _field("source_port", _U16, null=True),
            _field("destination_address", ADDRESS, null=True),
            _field("destination_port", _U16, null=True),
            _field("protocol", _U8, null=True),
            _field("action", _TEXT),
            _field("user", _TEXT),
            _field("truncated", pa.bool_()),
            _field("repeated", pa.bool_()),
        ]
    ),
    # One event of a translation. `event`: open, update, close, carry (open at the start of a UTC day, `time`, as the
    # events before tell). `kind`: session, binding, block, flow.
    # `quality`: exact (the device states this moment), arrival (taken from our receipt time), derived (computed).
    "nat": pa.schema(
        [
            *_COMMON,
            _field("sender_address", ADDRESS),
            _field("outside_address", ADDRESS),
            _field("outside_port_low", _U16),
            _field("outside_port_high", _U16),
            _field("protocol", _U8),
            _field("destination_address", ADDRESS, null=True),
            _field("destination_port", _U16, null=True),
            _field("inside_address", ADDRESS),
            _field("inside_port", _U16, null=True),
            _field("event", _TEXT),
            _field("time", TIME),
            _field("kind", _TEXT),
            _field("quality", _TEXT),
            _field("mapping_id", _TEXT),
            *_CARRIED,
        ]
    ),
    # One event of a session. `event`: open, update, close, reject, nas_on, nas_off, carry (as in `nat`). `dedup_key` is
    # equal for retransmissions of one packet.
    "sessions": pa.schema(
        [
            *_COMMON,
            _field("address", ADDRESS),
            _field("time", TIME),
            _field("event", _TEXT),
            _field("kind", _TEXT),
            _field("session_id", _TEXT),
            _field("account", _TEXT),
            _field("station", _TEXT),
            _field("nas_address", ADDRESS, null=True),
            _field("nas_identifier", _TEXT),
            _field("login_id", _TEXT),
            _field("ended_why", _TEXT),
            _field("quality", _TEXT),
            _field("input_octets", _U64, null=True),
            _field("output_octets", _U64, null=True),
            _field("session_seconds", _U64, null=True),
            _field("dedup_key", _TEXT),
            _field("details", _TEXT),
            *_CARRIED,
        ]
    ),
    "identity": pa.schema(
        [
            *_COMMON,
            _field("time", TIME),
            _field("event", _TEXT),
            _field("account", _TEXT),
            _field("person", _TEXT),
            _field("actor", _TEXT),
            _field("details", _TEXT),
        ]
    ),
    # One change of a case or a hold. `case` and `hold` are empty where it is about none; `details` is a JSON object of
    # `number`, `role` and `values`.
    "cases": pa.schema(
        [
            *_COMMON,
            _field("time", TIME),
            _field("event", _TEXT),
            _field("case", _TEXT),
            _field("hold", _TEXT),
            _field("actor", _TEXT),
            _field("details", _TEXT),
        ]
    ),
    "losses": pa.schema(
        [
            *_COMMON,
            _field("start", TIME),
            _field("end", TIME),
            _field("sender_address", ADDRESS, null=True),
            _field("listener", _TEXT),
            _field("count", _U64, null=True),
            _field("how", _TEXT),
            _field("details", _TEXT),
        ]
    ),
    "audit": pa.schema(
        [
            *_COMMON,
            _field("time", TIME),
            _field("actor", _TEXT),
            _field("role", _TEXT),
            _field("action", _TEXT),
            _field("question", _TEXT),
            _field("reason", _TEXT),
        ]
    ),
    # What the appliance says of itself: restarts, alarms, results of verification.
    "events": pa.schema(
        [
            *_COMMON,
            _field("time", TIME),
            _field("process", _TEXT),
            _field("code", _TEXT),
            _field("details", _TEXT),
        ]
    ),
}
