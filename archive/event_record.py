"""Records the appliance writes about itself: JSON objects with an event name and a time. Pure."""

import json
from typing import Any

from archive.errors import ArchiveFormatError

EVENT_VERSION = 1
MAX_MOMENT_NS = 2**63 - 1
"""The index keeps times as 64-bit nanoseconds."""


def encode_event(event: str, time_unix_ns: int, values: dict[str, Any]) -> bytes:
    """A JSON object with `v`, `event`, `time_unix_ns` (a decimal string: it exceeds 2^53) and `values`."""
    record = {"v": EVENT_VERSION, "event": event, "time_unix_ns": str(time_unix_ns), **values}
    return json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def parse_moment(value: Any) -> int:
    """Nanoseconds since 1970 that fit a row. Raises ValueError, TypeError or OverflowError."""
    moment = int(value)
    if not -MAX_MOMENT_NS <= moment <= MAX_MOMENT_NS:
        raise ValueError("a time beyond 64 bits")
    return moment


def decode_event(payload: bytes) -> dict[str, Any]:
    """The object of an event record. Raises ArchiveFormatError if it is not one."""
    try:
        record = json.loads(payload)
        parse_moment(record["time_unix_ns"])
        record["event"].encode()
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ArchiveFormatError("not an event record") from error
    return record
