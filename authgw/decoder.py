"""SessionDecoder: sealed accounting packets, session events and identity events as rows of the index.
Pure."""

from typing import Any

import pyarrow as pa

from archive.decoder import Decoded, listener_kind
from archive.schema import SCHEMAS
from authgw.accounting_rows import decode_accounting
from authgw.errors import PacketDropped
from authgw.event_rows import decode_identity_event, decode_session_event

_INPUT_COLUMNS = ("row", "received_unix_ns", "source_address", "listener", "payload", "realm")


class SessionDecoder:
    """Decoder of kinds `radius-acct`, `session` and `identity`; keeps no state. Never raises on any payload:
    a record that cannot be read is counted as `malformed_<kind>` and `malformed_reason_<reason>`, and stays
    raw."""

    kinds = frozenset({"radius-acct", "session", "identity"})

    def initial_state(self) -> None:
        return None

    def decode(self, state: Any, leaf_index: int, chunk: pa.Table) -> Decoded:
        """Rows in the order of the chunk. Records of other kinds are left alone."""
        counters: dict[str, int] = {}
        rows: dict[str, list[dict[str, Any]]] = {"sessions": [], "identity": []}
        columns = [chunk.column(name).to_pylist() for name in _INPUT_COLUMNS]
        for row, received_unix_ns, source_address, listener, payload, realm in zip(*columns, strict=True):
            kind = listener_kind(listener)
            if kind not in self.kinds:
                continue
            common = {"leaf_index": leaf_index, "row": row, "realm": realm, "received": received_unix_ns}
            try:
                found = _decode_record(kind, payload, received_unix_ns, source_address, counters)
            except PacketDropped as error:
                _count(counters, f"malformed_{kind}")
                _count(counters, f"malformed_reason_{error.code}")
                continue
            _count(counters, f"{kind}_records")
            for table, values in found:
                rows[table].append(common | values)
        tables = {name: _table(name, found) for name, found in rows.items() if found}
        return Decoded(tables, state, 0, counters)


def _decode_record(
    kind: str, payload: bytes, received_unix_ns: int, source_address: bytes, counters: dict[str, int]
) -> list[tuple[str, dict[str, Any]]]:
    if kind == "radius-acct":
        found = decode_accounting(payload, received_unix_ns, source_address, counters)
        return [("sessions", row) for row in found]
    if kind == "identity":
        return [("identity", decode_identity_event(payload))]
    session, identity = decode_session_event(payload)
    return [("sessions", session)] + ([("identity", identity)] if identity else [])


def _count(counters: dict[str, int], name: str) -> None:
    counters[name] = counters.get(name, 0) + 1


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows in the schema's columns. Times are given as nanoseconds, which Arrow takes as integers."""
    schema = SCHEMAS[name]
    arrays = []
    for field in schema:
        values = [row.get(field.name) if field.nullable else row[field.name] for row in rows]
        if pa.types.is_timestamp(field.type):
            arrays.append(pa.array(values, pa.int64()).cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
