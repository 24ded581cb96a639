"""The settings decoding depends on, and their record in the journal (docs/FORMAT.md, "Carry"). Pure."""

import ipaddress
import zoneinfo
from dataclasses import dataclass
from typing import Any

from archive.errors import ArchiveFormatError
from archive.event_record import decode_event, encode_event

SETTINGS_EVENT = "decoding_settings"


@dataclass(frozen=True)
class DecodingSettings:
    """`zone` of local times; `networks` (network of sources, realm) and `listeners` (listener name, realm)."""

    zone: str
    networks: tuple[tuple[str, str], ...] = ()
    listeners: tuple[tuple[str, str], ...] = ()

    def values(self) -> dict[str, Any]:
        """JSON values of a record."""
        return {
            "zone": self.zone,
            "networks": [list(one) for one in self.networks],
            "listeners": [list(one) for one in self.listeners],
        }


def encode_settings(settings: DecodingSettings, time_unix_ns: int) -> bytes:
    """The record of these settings."""
    return encode_event(SETTINGS_EVENT, time_unix_ns, {"process": "ask", **settings.values()})


def decode_settings(payload: bytes) -> DecodingSettings:
    """The settings of a record. Raises ArchiveFormatError."""
    record = decode_event(payload)
    if record["event"] != SETTINGS_EVENT:
        raise ArchiveFormatError("not a record of settings")
    return settings_from(record)


def settings_from(values: dict[str, Any]) -> DecodingSettings:
    """The settings of JSON values that could be used. Raises ArchiveFormatError."""
    try:
        zone = values["zone"]
        zoneinfo.ZoneInfo(zone)
        networks, listeners = (
            tuple((_text(name), _text(realm)) for name, realm in values[part]) for part in ("networks", "listeners")
        )
        for network, _ in networks:
            ipaddress.ip_network(network)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ArchiveFormatError(f"not settings of decoding: {error}") from error
    return DecodingSettings(zone, networks, listeners)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is not text")
    return value
