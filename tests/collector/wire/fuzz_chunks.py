"""Chunks of fuzzed cases, each from an exporter of its own, between datagrams of well-behaved neighbours."""

from struct import unpack_from
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from wire_chunks import ARRIVAL_UNIX_NS

MAPPED = bytes(10) + b"\xff\xff"
NEIGHBOUR_PORT = 2055
FIRST_CASE_PORT = 10_000


class FuzzChunk(NamedTuple):
    """`case_rows[n]` are the rows of case n, which came from port FIRST_CASE_PORT + n."""

    table: pa.Table
    neighbour: bytes
    case_rows: list[list[int]]
    payload_bytes: int


def fuzz_chunk(number: int, cases: list[list[bytes]], neighbours: list[bytes], listener: str) -> FuzzChunk:
    """Cases and neighbours evenly mixed; addresses are of this chunk alone."""
    address = MAPPED + bytes([10, *number.to_bytes(3, "big")])
    neighbour = MAPPED + bytes([172, *number.to_bytes(3, "big")])
    payloads: list[bytes] = []
    sources: list[tuple[bytes, int]] = []
    case_rows: list[list[int]] = []
    step = max(len(cases) // max(len(neighbours), 1), 1)
    waiting = list(neighbours)
    for place, case in enumerate(cases):
        case_rows.append(list(range(len(payloads), len(payloads) + len(case))))
        payloads += case
        sources += [(address, FIRST_CASE_PORT + place)] * len(case)
        if place % step == 0 and waiting:
            payloads.append(waiting.pop(0))
            sources.append((neighbour, NEIGHBOUR_PORT))
    payloads += waiting
    sources += [(neighbour, NEIGHBOUR_PORT)] * len(waiting)
    return FuzzChunk(
        wire_table(payloads, sources, listener), neighbour, case_rows, sum(len(payload) for payload in payloads)
    )


def wire_table(payloads: list[bytes], sources: list[tuple[bytes, int]], listener: str) -> pa.Table:
    count = len(payloads)
    return pa.table(
        {
            "row": pa.array(range(count), pa.uint32()),
            "received_unix_ns": pa.array(np.full(count, ARRIVAL_UNIX_NS)),
            "source_address": pa.array([address for address, _ in sources], pa.binary(16)),
            "source_port": pa.array([port for _, port in sources], pa.uint16()),
            "transport": pa.array(["udp"] * count, pa.string()),
            "listener": pa.array([listener] * count, pa.string()),
            "truncated": pa.array([False] * count, pa.bool_()),
            "payload": pa.array(payloads, pa.binary()),
            "realm": pa.array(["main"] * count, pa.string()),
        }
    )


def rows_from(table: pa.Table, address: bytes) -> pa.Table:
    """Rows of one exporter without what names the chunk, for comparison with those of another chunk."""
    column = "exporter_address" if "exporter_address" in table.column_names else "sender_address"
    if column not in table.column_names:
        column = "source_address"
    mine = table.filter(pa.compute.equal(table.column(column), pa.scalar(address, pa.binary(16))))
    return mine.drop_columns([column, "row", *(["mapping_id"] if "mapping_id" in table.column_names else [])])


class Told(NamedTuple):
    """What a plain walk of one export datagram finds: an oracle of the decoder's counters."""

    malformed: bool
    cut_datagram: bool
    malformed_set: bool
    cut_set: bool
    skipped_sets: int
    trailing_bytes: int
    data_sets: list[tuple[int, int]]


def told_of(payload: bytes) -> Told:
    """RFC 3954 section 5, RFC 7011 section 3, written apart from the decoder. `data_sets`: body's first byte, end."""
    nothing = Told(True, False, False, False, 0, 0, [])
    size = len(payload)
    version = unpack_from(">H", payload)[0] if size >= 2 else 0
    if version in (5, 7):
        record, most = (48, 30) if version == 5 else (52, 28)
        count = unpack_from(">H", payload, 2)[0] if size >= 24 else 0
        if not 1 <= count <= most:
            return nothing
        length = 24 + record * count
        return Told(False, length > size, False, False, 0, max(size - length, 0), [])
    if version not in (9, 10) or size < (20 if version == 9 else 16):
        return nothing
    end, cut_datagram, trailing = size, False, 0
    if version == 10:
        length = unpack_from(">H", payload, 2)[0]
        if length < 16:
            return nothing
        cut_datagram, trailing, end = length > size, max(size - length, 0), min(length, size)
    position, templates = (20, (0, 1)) if version == 9 else (16, (2, 3))
    skipped, malformed_set, cut_set, data_sets = 0, False, False, []
    while position + 4 <= end:
        set_id, length = unpack_from(">HH", payload, position)
        if length < 4:
            malformed_set = (set_id, length) != (0, 0)
            return Told(False, cut_datagram, malformed_set, cut_set, skipped, trailing, data_sets)
        stop = position + length
        if stop > end:
            cut_set, stop = True, end
        if set_id > 255:
            data_sets.append((position + 4, stop))
        elif set_id not in templates:
            skipped += 1
        position = stop
    return Told(False, cut_datagram, False, cut_set, skipped, trailing + end - position, data_sets)
