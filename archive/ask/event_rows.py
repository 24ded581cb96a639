"""Rows of `nat` and `sessions` in the shape that `archive.attribution` folds, and the signs of what is still open that
came long after the asked window."""

import json
from typing import Any

from archive.addresses import format_endpoint
from archive.attribution.folding import Interval, Row
from archive.index.carry_open import OPENED_LOG_NUMBER
from archive.index.engine import LOG_NUMBER, Engine

MAX_LATER = 50
"""Open translations, and open sessions, whose next event is looked for; a port has a few holders at once."""

_COMMON = f"log, {LOG_NUMBER} AS log_number, leaf_index, row, realm, event, toUnixTimestamp64Nano(time) AS time_unix_ns"
_CARRIED = (
    "toUnixTimestamp64Nano(opened) AS opened_unix_ns, toUnixTimestamp64Nano(last_seen) AS last_seen_unix_ns, "
    f"opened_log, {OPENED_LOG_NUMBER} AS opened_log_number, opened_leaf, opened_row"
)
NAT_ROWS = (
    f"SELECT {_COMMON}, sender_address, outside_address, outside_port_low, outside_port_high, protocol, "
    "destination_address, destination_port, inside_address, inside_port, kind, quality, mapping_id, "
    f"{_CARRIED} FROM {{db}}.nat WHERE "
)
SESSION_ROWS = (
    f"SELECT {_COMMON}, address, kind, session_id, account, station, nas_address, nas_identifier, login_id, ended_why, "
    f"quality, dedup_key, details, {_CARRIED} FROM {{db}}.sessions WHERE "
)
_AFTER = "realm = {realm:String} AND time > fromUnixTimestamp64Nano({after:Int64}, 'UTC') AND event != 'carry' AND "
_SAME_ADDRESSES = ("outside_address", "inside_address", "sender_address")
_SAME = ("realm", "outside_port_low", "outside_port_high", "protocol", "mapping_id")
_LATER_TRANSLATION = (
    f"{NAT_ROWS}{_AFTER}outside_address = {{outside_address:IPv6}} AND protocol = {{protocol:UInt8}} "
    "AND outside_port_low = {outside_port_low:UInt16} AND outside_port_high = {outside_port_high:UInt16} "
    "AND inside_address = {inside_address:IPv6} AND sender_address = {sender_address:IPv6} "
    "AND mapping_id = {mapping_id:String} "
    "ORDER BY time, log_number, leaf_index, row LIMIT 1 BY destination_address, destination_port, inside_port LIMIT 100"
)
_LATER_SESSION = (
    f"{SESSION_ROWS}{_AFTER}address IN ({{address:IPv6}}, toIPv6('::')) AND session_id = {{session_id:String}} "
    "AND kind = {kind:String} AND coalesce(nas_address, toIPv6('::')) = {nas_address:IPv6} "
    "ORDER BY time, log_number, leaf_index, row LIMIT 1"
)


def later_translations(engine: Engine, found: list[Interval], after_ns: int) -> list[Row]:
    """The next event of each translation that is not known to have ended, however much later than `after_ns` it came: a
    block may be held for weeks."""
    rows: list[Row] = []
    for mapping in _still_open(found):
        row = mapping.first
        same = {name: row[name] for name in _SAME} | {name: ipv6_text(row[name]) for name in _SAME_ADDRESSES}
        rows += engine.query(_LATER_TRANSLATION, same | {"after": after_ns})
    return rows


def later_sessions(engine: Engine, found: list[Interval], after_ns: int) -> list[Row]:
    """The same of sessions that have an identifier."""
    rows: list[Row] = []
    for session in _still_open(found):
        row = session.first
        if row["session_id"]:
            same = {name: row[name] for name in ("realm", "session_id", "kind")}
            same |= {"address": ipv6_text(row["address"]), "nas_address": ipv6_text(row["nas_address"] or bytes(16))}
            rows += engine.query(_LATER_SESSION, same | {"after": after_ns})
    return with_details(rows)


def _still_open(found: list[Interval]) -> list[Interval]:
    return [one for one in found if one.end_ns is None][:MAX_LATER]


def with_details(rows: list[Row]) -> list[Row]:
    """Rows of `sessions` with `details` as an object."""
    for row in rows:
        row["details_object"] = _object(row["details"])
    return rows


def ipv6_text(address: bytes) -> str:
    """16 bytes as the text of a parameter of type IPv6."""
    text = format_endpoint(address, None) or "::"
    return text if ":" in text else f"::ffff:{text}"


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
