"""Decoder of records of cases and holds -> table `cases`. Pure."""

import pyarrow as pa

from archive.cases.events import LISTENER, decode_case_event
from archive.decoder import Decoded, listener_kind
from archive.errors import ArchiveFormatError
from archive.schema import SCHEMAS


class CasesDecoder:
    """Kind `cases`; what is no record of a case stays raw and is counted."""

    kinds = frozenset({LISTENER})

    def initial_state(self) -> None:
        return None

    def decode(self, state: None, leaf_index: int, chunk: pa.Table) -> Decoded:
        rows = []
        malformed = 0
        for record in chunk.select(["row", "received_unix_ns", "listener", "payload", "realm"]).to_pylist():
            if listener_kind(record["listener"]) != LISTENER:
                continue
            try:
                event = decode_case_event(record["payload"])
                details = event.details()
                # Half a surrogate pair is JSON and no text of a column.
                "".join((event.event, event.case, event.hold, event.actor, details)).encode()
            except (ArchiveFormatError, UnicodeEncodeError, RecursionError):
                malformed += 1
                continue
            rows.append(
                {
                    "leaf_index": leaf_index,
                    "row": record["row"],
                    "realm": record["realm"],
                    "received": record["received_unix_ns"],
                    "time": event.time_unix_ns,
                    "event": event.event,
                    "case": event.case,
                    "hold": event.hold,
                    "actor": event.actor,
                    "details": details,
                }
            )
        tables = {"cases": pa.Table.from_pylist(rows, schema=SCHEMAS["cases"])} if rows else {}
        return Decoded(tables, state, 0, {"cases_malformed": malformed} if malformed else {})
