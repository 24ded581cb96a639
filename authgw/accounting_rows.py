"""One accounting packet (RFC 2866) as rows of table `sessions`. Pure, and raises PacketDropped only.

The meaning of a NAS's clock and counters is decided here, in one place; the raw packet stays in the journal.
"""

import hashlib
import json
from typing import Any

from archive.schema import UNKNOWN_ADDRESS
from authgw.errors import PacketDropped
from authgw.names import account_key, decode_text
from authgw.radius.attributes import (
    ACCT_DELAY_TIME,
    ACCT_INPUT_GIGAWORDS,
    ACCT_INPUT_OCTETS,
    ACCT_MULTI_SESSION_ID,
    ACCT_OUTPUT_GIGAWORDS,
    ACCT_OUTPUT_OCTETS,
    ACCT_SESSION_ID,
    ACCT_SESSION_TIME,
    ACCT_STATUS_TYPE,
    ACCT_TERMINATE_CAUSE,
    CALLED_STATION_ID,
    CALLING_STATION_ID,
    CLASS,
    EVENT_TIMESTAMP,
    FRAMED_IP_ADDRESS,
    FRAMED_IPV6_ADDRESS,
    FRAMED_IPV6_PREFIX,
    LOGIN_MARKER,
    NAS_IDENTIFIER,
    NAS_IP_ADDRESS,
    NAS_IPV6_ADDRESS,
    NAS_PORT_ID,
    USER_NAME,
    is_randomised_station,
    normalise_station,
    split_attributes,
)

NS = 1_000_000_000
MAX_CLOCK_BEHIND_SECONDS = 7 * 86_400
"""A NAS that kept records through an outage sends them days later; an older time is a clock that was never
set."""
MAX_CLOCK_AHEAD_SECONDS = 300
"""More than any drift of a synchronised NAS; a record cannot be received before its event."""
MAX_DELAY_SECONDS = MAX_CLOCK_BEHIND_SECONDS
DEDUP_START_SECONDS = 3600
DEDUP_NAS_SECONDS = 60
"""Without a time of the NAS, two equal Starts of one session id within the hour are one, and two restarts of
a NAS within the minute. A retransmission across such a boundary becomes a second, harmless row."""

_EVENTS = {1: "open", 2: "close", 3: "update", 7: "nas_on", 8: "nas_off"}
_ACCOUNTING_REQUEST = 4
_IPV4_PREFIX = bytes(10) + b"\xff\xff"
_NO_IPV4 = (bytes(4), b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe")
"""Not addresses: unset, chosen by the user, chosen by the NAS (RFC 2865 section 5.8)."""

TERMINATE_CAUSES = {
    1: "User-Request",
    2: "Lost-Carrier",
    3: "Lost-Service",
    4: "Idle-Timeout",
    5: "Session-Timeout",
    6: "Admin-Reset",
    7: "Admin-Reboot",
    8: "Port-Error",
    9: "NAS-Error",
    10: "NAS-Request",
    11: "NAS-Reboot",
    12: "Port-Unneeded",
    13: "Port-Preempted",
    14: "Port-Suspended",
    15: "Service-Unavailable",
    16: "Callback",
    17: "User-Error",
    18: "Host-Request",
    19: "Supplicant-Restart",
    20: "Reauthentication-Failure",
    21: "Port-Reinitialized",
    22: "Port-Disabled",
}
"""RFC 2866 section 5.10 and RFC 3580 section 3."""

Row = dict[str, Any]


class _Values:
    """First value of each attribute type, read with its type's size; a value of another size is absent."""

    def __init__(self, packet: bytes) -> None:
        self._values: dict[int, list[bytes]] = {}
        for kind, offset, length in split_attributes(packet):
            self._values.setdefault(kind, []).append(packet[offset : offset + length])

    def all(self, kind: int) -> list[bytes]:
        return self._values.get(kind, [])

    def text(self, kind: int) -> str:
        values = self._values.get(kind)
        return decode_text(values[0]) if values else ""

    def number(self, kind: int) -> int | None:
        values = self._values.get(kind)
        return int.from_bytes(values[0], "big") if values and len(values[0]) == 4 else None

    def sized(self, kind: int, size: int) -> bytes | None:
        values = self._values.get(kind)
        return values[0] if values and len(values[0]) == size else None


def decode_accounting(
    packet: bytes, received_unix_ns: int, source_address: bytes, counters: dict[str, int]
) -> list[Row]:
    """Rows of one packet, one for each address the session has; without `leaf_index`, `row`, `realm`,
    `received`.

    `source_address` is the 16-byte address the packet came from. Counts what is odd but usable. Raises
    PacketDropped for what is no accounting packet; a status type that is no event of a session gives no row
    and is counted.
    """
    if len(packet) < 20 or packet[0] != _ACCOUNTING_REQUEST or packet[2] << 8 | packet[3] != len(packet):
        raise PacketDropped("not_accounting")
    values = _Values(packet)
    status = values.number(ACCT_STATUS_TYPE)
    if status is None:
        raise PacketDropped("no_status_type")
    event = _EVENTS.get(status)
    if event is None:
        _count(counters, "accounting_other_status")
        return []
    details: dict[str, Any] = {}
    time_unix_ns, quality = _event_time(values, received_unix_ns, details, counters)
    nas_address = _nas_address(values, source_address, details)
    name, station = values.text(USER_NAME), normalise_station(values.text(CALLING_STATION_ID))
    _add_details(values, name, station, details)
    row: Row = {
        "time": time_unix_ns,
        "event": event,
        "kind": "radius",
        "session_id": values.text(ACCT_SESSION_ID),
        "account": account_key(name),
        "station": station,
        "nas_address": nas_address,
        "nas_identifier": values.text(NAS_IDENTIFIER),
        "login_id": _login_id(values.all(CLASS), details),
        "ended_why": _ended_why(values) if event == "close" else "",
        "quality": quality,
        "input_octets": _octets(values, ACCT_INPUT_OCTETS, ACCT_INPUT_GIGAWORDS),
        "output_octets": _octets(values, ACCT_OUTPUT_OCTETS, ACCT_OUTPUT_GIGAWORDS),
        "session_seconds": values.number(ACCT_SESSION_TIME),
    }
    if not row["session_id"] and event in ("open", "update", "close"):
        _count(counters, "accounting_without_session_id")
    rows = []
    for address in _addresses(values, details):
        basis = _dedup_basis(row, address, source_address, values, received_unix_ns)
        rows.append(row | {"address": address, "dedup_key": basis})
    text = json.dumps(details, ensure_ascii=False, sort_keys=True)
    return [r | {"details": text} for r in rows]


def _count(counters: dict[str, int], name: str) -> None:
    counters[name] = counters.get(name, 0) + 1


def _delay_seconds(values: _Values) -> int:
    delay = values.number(ACCT_DELAY_TIME) or 0
    return delay if delay <= MAX_DELAY_SECONDS else 0


def _event_time(
    values: _Values, received_unix_ns: int, details: dict[str, Any], counters: dict[str, int]
) -> tuple[int, str]:
    """When it happened: the NAS's own statement if plausible (`exact`), else arrival less Acct-Delay-Time
    (`arrival`). The NAS's clock error is visible as the difference of `time` and `received`."""
    stated = values.number(EVENT_TIMESTAMP)
    if stated is not None:
        behind_seconds = received_unix_ns // NS - stated
        if -MAX_CLOCK_AHEAD_SECONDS <= behind_seconds <= MAX_CLOCK_BEHIND_SECONDS:
            return stated * NS, "exact"
        _count(counters, "event_timestamp_implausible")
        details["implausible_event_timestamp"] = stated
    delay_seconds = _delay_seconds(values)
    if delay_seconds:
        details["delay_seconds"] = delay_seconds
    return received_unix_ns - delay_seconds * NS, "arrival"


def _nas_address(values: _Values, source_address: bytes, details: dict[str, Any]) -> bytes:
    """NAS-IP-Address or NAS-IPv6-Address, else the source. A source that differs (a proxy, address
    translation, or a NAS that names another) is stated."""
    v4, v6 = values.sized(NAS_IP_ADDRESS, 4), values.sized(NAS_IPV6_ADDRESS, 16)
    address = _IPV4_PREFIX + v4 if v4 and v4 != bytes(4) else v6 or source_address
    if address != source_address:
        details["source_address"] = source_address.hex()
    return address


def _addresses(values: _Values, details: dict[str, Any]) -> list[bytes]:
    """Every address of the session; `::` when the packet carries none."""
    found: list[bytes] = []
    v4 = values.sized(FRAMED_IP_ADDRESS, 4)
    if v4 and v4 not in _NO_IPV4:
        found.append(_IPV4_PREFIX + v4)
    found += [v for v in values.all(FRAMED_IPV6_ADDRESS) if len(v) == 16]
    for value in values.all(FRAMED_IPV6_PREFIX):  # reserved, prefix length, up to 16 bytes (RFC 3162 section 2.3)
        if 2 < len(value) <= 18 and value[1] <= 128:
            prefix = value[2:].ljust(16, b"\0")
            details.setdefault("prefix_bits", {})[prefix.hex()] = value[1]
            found.append(prefix)
    unique = list(dict.fromkeys(a for a in found if a != UNKNOWN_ADDRESS))
    return unique or [UNKNOWN_ADDRESS]


def _octets(values: _Values, low: int, high: int) -> int | None:
    """Octets with Gigawords as the upper 32 bits (RFC 2869 section 5.1); None when the NAS counts none."""
    octets = values.number(low)
    return None if octets is None else (values.number(high) or 0) << 32 | octets


def _ended_why(values: _Values) -> str:
    cause = values.number(ACCT_TERMINATE_CAUSE)
    return "" if cause is None else TERMINATE_CAUSES.get(cause, f"cause-{cause}")


def _login_id(classes: list[bytes], details: dict[str, Any]) -> str:
    for value in classes:
        if value.startswith(LOGIN_MARKER):
            return decode_text(value[len(LOGIN_MARKER) :])
    if classes:
        details["class_hex"] = [value.hex() for value in classes]
    return ""


def _add_details(values: _Values, name: str, station: str, details: dict[str, Any]) -> None:
    if name != account_key(name):
        details["user_name"] = name
    if is_randomised_station(station):
        details["station_randomised"] = True
    for key, kind in (
        ("called_station", CALLED_STATION_ID),
        ("nas_port_id", NAS_PORT_ID),
        ("multi_session_id", ACCT_MULTI_SESSION_ID),
    ):
        if text := values.text(kind):
            details[key] = text


def _dedup_basis(row: Row, address: bytes, source_address: bytes, values: _Values, received_unix_ns: int) -> str:
    """Equal for retransmissions, which change Identifier, authenticator and Acct-Delay-Time only."""
    stated = values.number(EVENT_TIMESTAMP)
    if stated is not None:
        moment = f"event {stated}"
    elif row["session_seconds"] is not None:
        moment = f"session {row['session_seconds']}"
    else:
        width = DEDUP_NAS_SECONDS if row["event"] in ("nas_on", "nas_off") else DEDUP_START_SECONDS
        moment = f"about {(received_unix_ns // NS - _delay_seconds(values)) // width}"
    parts = (
        source_address.hex(),
        row["nas_address"].hex(),
        row["nas_identifier"],
        row["session_id"],
        row["event"],
        moment,
        row["input_octets"],
        row["output_octets"],
        row["account"],
        row["station"],
        address.hex(),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
