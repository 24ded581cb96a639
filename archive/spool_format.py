"""Bytes of a spool file: frames of columns. Pure: no file, no clock (docs/FORMAT.md, "Spool").

A frame is `magic(4) length(u32) count(u32) crc32c(u32) body`, little-endian; the CRC covers the first twelve bytes
and the body. Records are framed by the batch, not one by one, so that no Python runs per datagram and one checksum
covers a whole `recvmmsg`; each record keeps its own arrival time, source and length in the columns.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from archive.errors import ArchiveFormatError

FRAME_HEADER = struct.Struct("<4sIII")
HEADER_FRAME, DATA_FRAME, NOTE_FRAME = b"PYSH", b"PYSD", b"PYSN"
MAX_FRAME_BODY_BYTES = 64 * 1024 * 1024
"""A batch is at most 512 datagrams of 65,535 bytes; anything longer is damage."""

_NAMES = struct.Struct("<BB")
_PER_RECORD_BYTES = 8 + 16 + 2 + 1 + 4


@dataclass
class Batch:
    """Records that arrived together at one listener.

    `received_unix_ns` int64[n]; `source_address` uint8[n,16], IPv4 as ::ffff:a.b.c.d; `source_port` uint16[n];
    `truncated` uint8[n]; `payload_lengths` uint32[n]; `payload` all payloads one after another.
    """

    listener: str
    transport: str
    received_unix_ns: NDArray[np.int64]
    source_address: NDArray[np.uint8]
    source_port: NDArray[np.uint16]
    truncated: NDArray[np.uint8]
    payload_lengths: NDArray[np.uint32]
    payload: bytes | memoryview

    def __len__(self) -> int:
        return len(self.received_unix_ns)

    def take(self, wanted: NDArray[np.bool_]) -> "Batch":
        """The records where `wanted` is true, in the same order."""
        ends = np.cumsum(self.payload_lengths, dtype=np.int64)
        starts = ends - self.payload_lengths
        parts = [self.payload[starts[i] : ends[i]] for i in np.flatnonzero(wanted)]
        return Batch(
            self.listener,
            self.transport,
            self.received_unix_ns[wanted],
            self.source_address[wanted],
            self.source_port[wanted],
            self.truncated[wanted],
            self.payload_lengths[wanted],
            b"".join(parts),
        )


@dataclass(frozen=True)
class SpoolFile:
    """A spool file read back. `torn_bytes` is the length of a half-written tail, cut off."""

    path: Path
    stream: str
    sequence: int
    header: dict[str, Any]
    closing: dict[str, Any]
    batches: list[Batch]
    torn_bytes: int

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


def _encode_frame(magic: bytes, count: int, parts: Sequence[bytes]) -> bytes:
    """A frame of a body in parts; the checksum runs over them in turn, so that they are copied once."""
    start = struct.pack("<4sII", magic, sum(len(part) for part in parts), count)
    crc = google_crc32c.value(start)
    for part in parts:
        crc = google_crc32c.extend(crc, part)
    return b"".join((start, struct.pack("<I", crc), *parts))


def encode_json_frame(magic: bytes, values: dict[str, Any]) -> bytes:
    """A header or note frame; its body is a JSON object."""
    return _encode_frame(magic, 0, [json.dumps(values, sort_keys=True).encode()])


def encode_batch_frame(batch: Batch) -> bytes:
    """A data frame. Cost: one copy of the payload."""
    transport, listener = batch.transport.encode(), batch.listener.encode()
    parts = (
        _NAMES.pack(len(transport), len(listener)) + transport + listener,
        batch.received_unix_ns.astype("<i8", copy=False).tobytes(),
        np.ascontiguousarray(batch.source_address).tobytes(),
        batch.source_port.astype("<u2", copy=False).tobytes(),
        batch.truncated.astype(np.uint8, copy=False).tobytes(),
        batch.payload_lengths.astype("<u4", copy=False).tobytes(),
        bytes(batch.payload),
    )
    return _encode_frame(DATA_FRAME, len(batch), parts)


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
        if magic not in (HEADER_FRAME, DATA_FRAME, NOTE_FRAME) or length > MAX_FRAME_BODY_BYTES or end > len(view):
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
        if magic == DATA_FRAME and offset <= len(view):
            records += count
    return records


def decode_batch(frame: Frame) -> Batch:
    """The columns of a data frame; the arrays are views of the frame's bytes.

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
        received = np.frombuffer(body, "<i8", count, position)
        address = np.frombuffer(body, np.uint8, count * 16, position + 8 * count).reshape(count, 16)
        port = np.frombuffer(body, "<u2", count, position + 24 * count)
        truncated = np.frombuffer(body, np.uint8, count, position + 26 * count)
        lengths = np.frombuffer(body, "<u4", count, position + 27 * count)
    except (ValueError, struct.error) as error:
        raise ArchiveFormatError(f"data frame of {len(body)} bytes does not hold {count} records") from error
    payload = body[position + _PER_RECORD_BYTES * count :]
    if int(lengths.sum(dtype=np.int64)) != len(payload):
        raise ArchiveFormatError("payload lengths of a data frame do not add up")
    return Batch(listener, transport, received, address, port, truncated, lengths, payload)


def decode_json_frame(frame: Frame) -> dict[str, Any]:
    """The object in a header or note frame."""
    value = json.loads(bytes(frame.body))
    if not isinstance(value, dict):
        raise ArchiveFormatError("header frame is not a JSON object")
    return value
