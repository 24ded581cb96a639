"""`sequenceId` of RFC 5424 section 7.3.1: lines numbered by their sender, from 1 to 2^31-1 and then from 1 again."""

import re
from collections.abc import Hashable
from typing import Any

import pyarrow as pa

from collector.wire.chunk_rows import column_array
from collector.wire.sequence_gaps import Arrival, GapFinder, Stream

MAX_SEQUENCE_ID = 2**31 - 1
HOSTNAME, STRUCTURED_DATA = 4, 8
"""Places in a parsed line (collector.wire.syslog)."""
# Only after a structured-data element was found valid, so a quote inside a value is escaped and cannot end it.
_SEQUENCE_ID = re.compile(r'\[meta(?: [^ =\]"]+="(?:[^"\\]|\\.)*")*? sequenceId="([0-9]{1,10})"')


def follow_sequences(
    streams: dict[Hashable, Stream], rows: pa.Table, lines: list[tuple[Any, ...]], leaf_index: int
) -> tuple[dict[Hashable, Stream], pa.Table | None]:
    """The streams moved on by these lines, and rows of `losses`. A stream is a sender and the host it names."""
    found = []
    for position, line in enumerate(lines):
        data = line[STRUCTURED_DATA]
        if "sequenceId=" in data and (match := _SEQUENCE_ID.search(data)):
            number = int(match[1])
            if 1 <= number <= MAX_SEQUENCE_ID:
                found.append((position, number, line[HOSTNAME]))
    if not found:
        return streams, None
    streams = dict(streams)
    finder = GapFinder(streams, MAX_SEQUENCE_ID)
    columns = [
        column_array(rows, name, kind).to_pylist()
        for name, kind in (
            ("row", pa.uint32()),
            ("realm", pa.string()),
            ("received_unix_ns", pa.int64()),
            ("source_address", pa.binary(16)),
            ("listener", pa.string()),
        )
    ]
    for position, number, hostname in found:
        arrival = Arrival(*(column[position] for column in columns))
        details = {"unit": "messages", "hostname": hostname}
        key = (arrival.sender_address, arrival.listener, hostname)
        # Counted from 0, so that the numbers wrap like those of exporters.
        finder.follow(key, number - 1, (1, 1), arrival, details)
    return streams, finder.table(leaf_index)
