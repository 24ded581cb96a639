"""Session and identity events (JSON records) as rows. Pure, and raises PacketDropped only."""

import hashlib
import ipaddress
import json
from typing import Any

from archive.errors import ArchiveFormatError
from archive.event_record import decode_event
from archive.schema import UNKNOWN_ADDRESS
from authgw.errors import PacketDropped
from authgw.names import account_key

SESSION_EVENTS = frozenset({"open", "update", "close", "reject", "nas_on", "nas_off"})
_MAX_TIME_UNIX_NS = (1 << 63) - 1

Row = dict[str, Any]


def decode_session_event(payload: bytes) -> tuple[Row, Row | None]:
    """The `sessions` row of one event, and an `identity` row when the event states who a directory account
    is.

    The directory's people have no account here, so the login itself, sealed, is the evidence of their name.
    """
    record, time_unix_ns = _read(payload)
    if record["event"] not in SESSION_EVENTS:
        raise PacketDropped("unknown_session_event")
    details = record.get("details")
    details = details if isinstance(details, dict) else {}
    account = account_key(_text(record, "account"))
    address = _address(record.get("address"))
    row: Row = {
        "address": UNKNOWN_ADDRESS if address is None else address,
        "time": time_unix_ns,
        "event": record["event"],
        "kind": _text(record, "kind"),
        "session_id": _text(record, "session_id"),
        "account": account,
        "station": _text(record, "station"),
        "nas_address": _address(record.get("nas_address")),
        "nas_identifier": _text(record, "nas_identifier"),
        "login_id": _text(record, "login_id"),
        "ended_why": _text(record, "ended_why"),
        "quality": _text(record, "quality") or "exact",
        "input_octets": _count(record.get("input_octets", details.get("input_octets"))),
        "output_octets": _count(record.get("output_octets", details.get("output_octets"))),
        "session_seconds": _count(record.get("session_seconds", details.get("session_seconds"))),
        "dedup_key": hashlib.sha256(payload).hexdigest()[:32],
        "details": _dump(details),
    }
    person = details.get("person")
    if not account or not isinstance(person, str) or not person:
        return row, None
    seen: Row = {
        "time": time_unix_ns,
        "event": "account_seen",
        "account": account,
        "person": _clean(person),
        "actor": str(details.get("source") or row["kind"]),
        "details": _dump({"login_id": row["login_id"], "identified_how": "directory"}),
    }
    return row, seen


def decode_identity_event(payload: bytes) -> Row:
    """The `identity` row of one event."""
    record, time_unix_ns = _read(payload)
    details = record.get("details")
    return {
        "time": time_unix_ns,
        "event": _clean(record["event"]),
        "account": account_key(_text(record, "account")),
        "person": _text(record, "person"),
        "actor": _text(record, "actor"),
        "details": _dump(details if isinstance(details, dict) else {}),
    }


def _read(payload: bytes) -> tuple[dict[str, Any], int]:
    try:
        record = decode_event(payload)
        time_unix_ns = int(record["time_unix_ns"])
    except (
        ArchiveFormatError,
        ValueError,
        RecursionError,
        AttributeError,
        TypeError,
        OverflowError,
    ) as error:
        raise PacketDropped("not_an_event") from error
    if not isinstance(record, dict) or not 0 <= time_unix_ns <= _MAX_TIME_UNIX_NS:
        raise PacketDropped("not_an_event")
    return record, time_unix_ns


def _clean(text: str) -> str:
    """Lone surrogates, which JSON allows, cannot be stored; they become `?`."""
    return text.encode("utf-8", "replace").decode()


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    return _clean(value) if isinstance(value, str) else ""


def _dump(details: dict[str, Any]) -> str:
    return _clean(json.dumps(details, ensure_ascii=False, sort_keys=True))


def _count(value: Any) -> int | None:
    valid = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64
    return value if valid else None


def _address(value: Any) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        return None
    return parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed
