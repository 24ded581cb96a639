"""Session events as JSON records for listener `session`. Pure: the time is handed in."""

import ipaddress
import secrets
from typing import Any, Literal

from archive.event_record import encode_event

SessionEvent = Literal["open", "update", "close", "reject", "nas_on", "nas_off"]


def new_login_id() -> str:
    """A random name of one login, 128 bits as 32 hex digits; it goes out as Class and comes back in
    accounting."""
    return secrets.token_hex(16)


def address_text(address: bytes | None) -> str | None:
    """16 bytes as text, IPv4-mapped ones as IPv4; None for None."""
    if address is None:
        return None
    parsed = ipaddress.IPv6Address(address)
    return str(parsed.ipv4_mapped or parsed)


def encode_session_event(
    event: SessionEvent,
    time_unix_ns: int,
    *,
    kind: Literal["radius", "portal"],
    account: str,
    session_id: str = "",
    address: str | None = None,
    station: str = "",
    nas_address: str | None = None,
    nas_identifier: str = "",
    login_id: str = "",
    ended_why: str = "",
    quality: Literal["exact", "arrival", "derived"] = "exact",
    details: dict[str, Any] | None = None,
) -> bytes:
    """One record. Addresses are numeric text. `details` must hold no password; `details.person` is a
    directory's display name of the account and makes the decoder state the person."""
    return encode_event(
        event,
        time_unix_ns,
        {
            "kind": kind,
            "session_id": session_id,
            "account": account,
            "address": address,
            "station": station,
            "nas_address": nas_address,
            "nas_identifier": nas_identifier,
            "login_id": login_id,
            "ended_why": ended_why,
            "quality": quality,
            "details": details or {},
        },
    )
