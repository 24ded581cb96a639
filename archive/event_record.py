"""Records the appliance writes about itself: JSON objects with an event name and a time. Pure."""

import json
from typing import Any

from archive.errors import ArchiveFormatError

EVENT_VERSION = 1


def encode_event(event: str, time_unix_ns: int, values: dict[str, Any]) -> bytes:
    """A JSON object with `v`, `event`, `time_unix_ns` (a decimal string: it exceeds 2^53) and `values`."""
    record = {"v": EVENT_VERSION, "event": event, "time_unix_ns": str(time_unix_ns), **values}
    return json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def decode_event(payload: bytes) -> dict[str, Any]:
    """The object of an event record. Raises ArchiveFormatError if it is not one."""
    try:
        record = json.loads(payload)
        int(record["time_unix_ns"])
        if not isinstance(record["event"], str):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveFormatError("not an event record") from error
    return record
