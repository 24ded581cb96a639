"""Decoder of the appliance's own records: audit, system, loss, restart. Pure."""

import json
from typing import Any

import pyarrow as pa

from archive.addresses import parse_address
from archive.decoder import Decoded, listener_kind
from archive.errors import ArchiveFormatError
from archive.event_record import decode_event, parse_moment
from archive.schema import SCHEMAS

MAX_COUNT = 2**64 - 1


def _text(value: Any) -> str:
    """Text of any JSON value; half a surrogate pair, which UTF-8 cannot hold, is escaped."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text.encode("utf-8", "backslashreplace").decode()


def _audit_row(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "actor": _text(record.get("actor", "")),
        "role": _text(record.get("role", "")),
        "action": record["event"],
        "question": _text(record.get("question", {})),
        "reason": _text(record.get("reason", "")),
    }


def _address(value: Any) -> bytes | None:
    """16 bytes of the source a record names; None where it names none or says that it is unknown."""
    try:
        return parse_address(value) if isinstance(value, str) else None
    except ArchiveFormatError:
        return None


def _loss_row(record: dict[str, Any]) -> dict[str, Any]:
    count = record.get("count")
    moments = [parse_moment(record.get(name, record["time_unix_ns"])) for name in ("from_unix_ns", "to_unix_ns")]
    return {
        # Turned round where the wall clock was set back in between, so that the loss still covers an interval.
        "start": min(moments),
        "end": max(moments),
        "sender_address": _address(record.get("source")),
        "listener": _text(record.get("listener", "")),
        "count": count if type(count) is int and 0 <= count <= MAX_COUNT else None,
        "how": _text(record.get("how", "")),
        "details": _text({k: v for k, v in record.items() if k not in ("v", "event")}),
    }


def _event_row(record: dict[str, Any]) -> dict[str, Any]:
    known = ("v", "event", "time_unix_ns", "process")
    return {
        "process": _text(record.get("process", record.get("stream", ""))),
        "code": record["event"],
        "details": _text({k: v for k, v in record.items() if k not in known}),
    }


def _restart_loss_row(record: dict[str, Any]) -> dict[str, Any] | None:
    """Between the last sign of the writer before and this start nothing could be received on its stream."""
    before = record.get("previous_alive_unix_ns")
    if record["event"] != "writer_started" or not before:
        return None
    return _loss_row(
        {**record, "from_unix_ns": before, "listener": record.get("stream", ""), "how": "writer_restart", "count": None}
    )


_ROWS = {"audit": ("audit", _audit_row), "loss": ("losses", _loss_row)}


class OwnEventsDecoder:
    """Kinds audit -> `audit`, loss -> `losses`, system and restart -> `events`."""

    kinds = frozenset({"audit", "system", "loss", "restart"})

    def initial_state(self) -> None:
        return None

    def decode(self, state: None, leaf_index: int, chunk: pa.Table) -> Decoded:
        rows: dict[str, list[dict[str, Any]]] = {}
        malformed = 0
        for record in chunk.select(["row", "received_unix_ns", "listener", "payload", "realm"]).to_pylist():
            table, make_row = _ROWS.get(listener_kind(record["listener"]), ("events", _event_row))
            try:
                event = decode_event(record["payload"])
                values = make_row(event)
                loss = _restart_loss_row(event) if table == "events" else None
            except (ArchiveFormatError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
                malformed += 1
                continue
            common = {
                "leaf_index": leaf_index,
                "row": record["row"],
                "realm": record["realm"],
                "received": record["received_unix_ns"],
            }
            if "time" in SCHEMAS[table].names:
                common["time"] = int(event["time_unix_ns"])
            rows.setdefault(table, []).append(common | values)
            if loss is not None:
                rows.setdefault("losses", []).append({k: v for k, v in common.items() if k != "time"} | loss)
        tables = {name: pa.Table.from_pylist(values, schema=SCHEMAS[name]) for name, values in rows.items()}
        return Decoded(tables, state, 0, {"own_events_malformed": malformed})
