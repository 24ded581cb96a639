"""Sequences that are followed, as items of a carry (docs/FORMAT.md, "Carry"), and back. Pure."""

from collections.abc import Callable, Hashable
from typing import Any

from archive.errors import ArchiveFormatError
from collector.wire.addresses import format_address, parse_address
from collector.wire.sequence_gaps import ALL_CONVENTIONS, MAX_STREAMS, Stream

SEQUENCE = "sequence"
UNREADABLE = (KeyError, ValueError, TypeError, ArchiveFormatError)
"""What reading an item raises that is none."""
_MAX_UNIX_NS_BITS = 63


def export_streams(
    streams: dict[Hashable, Stream], values_from_key: Callable[[Any], dict[str, Any]]
) -> list[dict[str, Any]]:
    """One item for each sequence, the one heard longest ago first."""
    return [
        {
            "what": SEQUENCE,
            **values_from_key(key),
            **stream._asdict(),
            "received_unix_ns": str(stream.received_unix_ns),
        }
        for key, stream in streams.items()
    ]


def import_streams(
    items: list[dict[str, Any]], key_from_values: Callable[[dict[str, Any]], Hashable]
) -> tuple[dict[Hashable, Stream], int]:
    """The sequences among the items, and how many could not be read."""
    streams: dict[Hashable, Stream] = {}
    refused = 0
    for item in items:
        if item.get("what") != SEQUENCE:
            continue
        try:
            key, stream = key_from_values(item), _stream(item)
        except UNREADABLE:
            refused += 1
            continue
        if len(streams) < MAX_STREAMS:
            streams[key] = stream
        else:
            refused += 1
    return streams, refused


def exporter_values(exporter: tuple[bytes, int, int, int]) -> dict[str, Any]:
    """JSON values of exporter address, source port, version and observation domain."""
    address, port, version, domain = exporter
    return {
        "exporter_address": format_address(address),
        "source_port": port,
        "version": version,
        "observation_domain": domain,
    }


def read_exporter(values: dict[str, Any]) -> tuple[bytes, int, int, int]:
    """The exporter of these values. Raises one of UNREADABLE."""
    return (
        read_address(values["exporter_address"]),
        read_number(values["source_port"], 16),
        read_number(values["version"], 16),
        read_number(values["observation_domain"], 32),
    )


def read_number(value: Any, bits: int) -> int:
    """An unsigned number of so many bits. Raises ValueError."""
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise ValueError(f"{value!r} is not a number of {bits} bits")
    return value


def read_address(value: Any) -> bytes:
    """The 16 bytes of an address in text. Raises ValueError."""
    address = parse_address(value) if isinstance(value, str) else None
    if address is None:
        raise ValueError(f"{value!r} is not an address")
    return address


def read_text(value: Any) -> str:
    """Text. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _stream(item: dict[str, Any]) -> Stream:
    units, uptime_ms = item["units"], item["uptime_ms"]
    if units is not None:
        first, second = units
        units = read_number(first, 32), read_number(second, 32)
    return Stream(
        read_number(item["sequence"], 32),
        units,
        read_number(int(item["received_unix_ns"]), _MAX_UNIX_NS_BITS),
        None if uptime_ms is None else read_number(uptime_ms, 32),
        read_number(item["conventions"], ALL_CONVENTIONS.bit_length()),
        read_number(item["late"], 16),
        read_number(item["gaps"], 16),
    )
