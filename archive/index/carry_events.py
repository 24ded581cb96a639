# pyright: reportAttributeAccessIssue=false
"""Decoder of the index process's own stream: one row of `events` for each carry and each change of settings. Pure."""

import json
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from archive.decoder import Decoded
from archive.errors import ArchiveFormatError
from archive.event_record import decode_event
from archive.index.carry import CARRY_LISTENER, END, SETTINGS_LISTENER
from archive.index.open_records import OPEN_CARRIED, OPEN_END, OPEN_ITEM, OPEN_LISTENER, decode_items
from archive.index.settings import SETTINGS_EVENT
from archive.schema import SCHEMAS

CARRY_WRITTEN = "carry_written"
_CODES = {END: CARRY_WRITTEN, SETTINGS_EVENT: SETTINGS_EVENT, OPEN_END: OPEN_CARRIED}
_COMMON = ("v", "event", "time_unix_ns", "process")


class CarryEventsDecoder:
    """Kinds `carry`, `carry-open` and `settings`. What was open at a day's start makes rows of `nat` and `sessions`;
    the other items of a carry make none."""

    kinds = frozenset({CARRY_LISTENER, OPEN_LISTENER, SETTINGS_LISTENER})

    def initial_state(self) -> None:
        return None

    def decode(self, state: None, leaf_index: int, chunk: pa.Table) -> Decoded:
        rows = []
        payloads = chunk.column("payload")
        marked = {event: pc.match_substring(payloads, f'"event":"{event}"') for event in (*_CODES, OPEN_ITEM)}
        is_open = pc.and_(pc.equal(chunk.column("listener").cast(pa.string()), OPEN_LISTENER), marked.pop(OPEN_ITEM))
        items = chunk.filter(is_open).select(["row", "received_unix_ns", "payload"]).to_pylist()
        tables, malformed = decode_items(items, leaf_index)
        is_event = reduce(pc.or_, marked.values())
        for record in chunk.filter(is_event).select(["row", "received_unix_ns", "payload", "realm"]).to_pylist():
            try:
                event = decode_event(record["payload"])
                rows.append(_row(event, record, leaf_index))
            except (ArchiveFormatError, KeyError):
                malformed += 1
        if rows:
            tables["events"] = pa.Table.from_pylist(rows, schema=SCHEMAS["events"])
        return Decoded(tables, state, 0, {"own_events_malformed": malformed})


def _row(event: dict[str, Any], record: dict[str, Any], leaf_index: int) -> dict[str, Any]:
    details = {name: value for name, value in event.items() if name not in _COMMON}
    return {
        "leaf_index": leaf_index,
        "row": record["row"],
        "realm": record["realm"],
        "received": record["received_unix_ns"],
        "time": int(event["time_unix_ns"]),
        "process": "ask",
        "code": _CODES[event["event"]],
        "details": json.dumps(details, ensure_ascii=False, sort_keys=True),
    }
