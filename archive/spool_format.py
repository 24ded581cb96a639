"""Bytes of a spool file: frames of columns. Pure: no file, no clock (docs/FORMAT.md, "Spool").

A frame is `magic(4) length(u32) count(u32) crc32c(u32) body`, little-endian; the CRC covers the first twelve bytes
and the body. Records are framed by the batch, not one by one, so that no Python runs per datagram and one checksum
covers a whole `recvmmsg`; each record keeps its own arrival time, source and length in the columns. What streams
brought is framed as read: one arrival and source for all records of a read, the bytes of the framing between them. So
the receiver copies no payload and writes 6 bytes of columns a line instead of 31.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from archive.errors import ArchiveFormatError
from archive.spool_batch import Batch, ReadBatch

FRAME_HEADER = struct.Struct("<4sIII")
HEADER_FRAME, DATA_FRAME, READS_FRAME, NOTE_FRAME = b"PYSH", b"PYSD", b"PYSR", b"PYSN"
RECORD_FRAMES = (DATA_FRAME, READS_FRAME)
MAX_FRAME_BODY_BYTES = 64 * 1024 * 1024
"""A batch is at most 512 datagrams of 65,535 bytes; anything longer is damage."""

_FRAMES = (HEADER_FRAME, *RECORD_FRAMES, NOTE_FRAME)
_NAMES = struct.Struct("<BB")
_READS = struct.Struct("<I")


@dataclass(frozen=True)
class SpoolFile:
    """A spool file read back. `torn_bytes` is the length of a half-written tail, cut off; `data` all its bytes, which
    the payloads of `batches` are views of."""

    path: Path
    stream: str
    sequence: int
    header: dict[str, Any]
    closing: dict[str, Any]
    batches: list[Batch]
    torn_bytes: int
    data: Any = b""

    @property
    def records(self) -> int:
        return sum(len(batch) for batch in self.batches)


@dataclass(frozen=True)
class Frame:
    """One whole frame. `end_offset` is the file offset behind it."""

    magic: bytes
    count: int
    body: memoryview
    end_offset: int


def _frame_parts(magic: bytes, count: int, parts: Sequence[Any]) -> list[Any]:
    """A frame of a body in parts, its header first; the checksum runs over them in turn, so that none is copied."""
    start = struct.pack("<4sII", magic, sum(map(len, parts)), count)
    crc = google_crc32c.value(start)
    for part in parts:
        # An array over the memory goes to the checksum as it is; a memoryview would not.
        crc = google_crc32c.extend(crc, part if isinstance(part, bytes) else np.frombuffer(part, np.uint8))
    return [start + struct.pack("<I", crc), *parts]


def encode_json_frame(magic: bytes, values: dict[str, Any]) -> bytes:
    """A header or note frame; its body is a JSON object."""
    return b"".join(_frame_parts(magic, 0, [json.dumps(values, sort_keys=True).encode()]))


def batch_frame_parts(batch: Batch | ReadBatch) -> list[Any]:
    """A frame of records as bytes-like parts to be written one after another. Copies no payload."""
    transport, listener = batch.transport.encode(), batch.listener.encode()
    names = _NAMES.pack(len(transport), len(listener)) + transport + listener
    arrivals = (
        batch.received_unix_ns.astype("<i8", copy=False).tobytes(),
        np.ascontiguousarray(batch.source_address).tobytes(),
        batch.source_port.astype("<u2", copy=False).tobytes(),
    )
    truncated = batch.truncated.astype(np.uint8, copy=False).tobytes()
    lengths = batch.payload_lengths.astype("<u4", copy=False).tobytes()
    if isinstance(batch, ReadBatch):
        reads = batch.read_records.astype("<u4", copy=False).tobytes()
        gaps = batch.gaps.astype(np.uint8, copy=False).tobytes()
        columns = b"".join((names, _READS.pack(len(batch.read_records)), *arrivals, reads, truncated, gaps, lengths))
        return _frame_parts(READS_FRAME, len(batch), [columns, *batch.payload])
    columns = b"".join((names, *arrivals, truncated, lengths))
    return _frame_parts(DATA_FRAME, len(batch), [columns, batch.payload])


def encode_batch_frame(batch: Batch | ReadBatch) -> bytes:
    """The same in one piece."""
    return b"".join(batch_frame_parts(batch))


def iterate_frames(data: bytes | memoryview) -> Iterator[Frame]:
    """Whole frames from the start of `data`; stops silently before the first damaged or unfinished one.

    The caller compares the last `end_offset` with the length of the data to learn of a half-written tail.
    """
    view = memoryview(data)
    offset = 0
    while offset + FRAME_HEADER.size <= len(view):
        magic, length, count, crc = FRAME_HEADER.unpack_from(view, offset)
        body_start = offset + FRAME_HEADER.size
        end = body_start + length
        if magic not in _FRAMES or length > MAX_FRAME_BODY_BYTES or end > len(view):
            return
        body = view[body_start:end]
        # An array over the view goes to the checksum as it is; bytes would be a copy.
        expected = google_crc32c.extend(
            google_crc32c.value(bytes(view[offset : offset + 12])), np.frombuffer(body, np.uint8)
        )
        if expected != crc:
            return
        yield Frame(magic, count, body, end)
        offset = end


def count_records(data: bytes | memoryview) -> int:
    """Records in the whole frames of `data`, by frame headers alone (no checksum)."""
    view = memoryview(data)
    offset = records = 0
    while offset + FRAME_HEADER.size <= len(view):
        magic, length, count, _ = FRAME_HEADER.unpack_from(view, offset)
        offset += FRAME_HEADER.size + length
        if magic in RECORD_FRAMES and offset <= len(view):
            records += count
    return records


def decode_batch(frame: Frame) -> Batch:
    """The columns of a frame of records; payload and most arrays are views of the frame's bytes.

    Raises ArchiveFormatError if the columns do not fill the frame exactly, which a correct writer cannot produce.
    """
    body, count = frame.body, frame.count
    try:
        transport_bytes, listener_bytes = _NAMES.unpack_from(body, 0)
        position = _NAMES.size
        transport = bytes(body[position : position + transport_bytes]).decode()
        position += transport_bytes
        listener = bytes(body[position : position + listener_bytes]).decode()
        position += listener_bytes
        arrivals, gaps = count, None
        if frame.magic == READS_FRAME:
            (arrivals,) = _READS.unpack_from(body, position)
            position += _READS.size
        received, position = _column(body, "<i8", arrivals, position)
        address, position = _column(body, "V16", arrivals, position)
        port, position = _column(body, "<u2", arrivals, position)
        if frame.magic == READS_FRAME:
            records, position = _column(body, "<u4", arrivals, position)
            if int(records.sum(dtype=np.int64)) != count:
                raise ValueError("reads hold other records")
            received, address, port = (np.repeat(column, records) for column in (received, address, port))
        truncated, position = _column(body, np.uint8, count, position)
        if frame.magic == READS_FRAME:
            gaps, position = _column(body, np.uint8, count, position)
        lengths, position = _column(body, "<u4", count, position)
    except (ValueError, struct.error) as error:
        raise ArchiveFormatError(f"data frame of {len(body)} bytes does not hold {count} records") from error
    payload = body[position:]
    if int(lengths.sum(dtype=np.int64)) + (0 if gaps is None else int(gaps.sum(dtype=np.int64))) != len(payload):
        raise ArchiveFormatError("payload lengths of a data frame do not add up")
    address = address.view(np.uint8).reshape(count, 16)
    return Batch(listener, transport, received, address, port, truncated, lengths, payload, gaps)


def _column(body: memoryview, kind: Any, count: int, position: int) -> tuple[Any, int]:
    values = np.frombuffer(body, kind, count, position)
    return values, position + values.nbytes


def decode_json_frame(frame: Frame) -> dict[str, Any]:
    """The object in a header or note frame."""
    value = json.loads(bytes(frame.body))
    if not isinstance(value, dict):
        raise ArchiveFormatError("header frame is not a JSON object")
    return value
