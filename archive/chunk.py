"""A chunk: the records of one spool file as one Arrow IPC stream in one zstd frame. Pure."""

from typing import Any

import numpy as np
import pyarrow as pa
import zstandard

from archive.errors import ArchiveFormatError
from archive.gather import gather_pieces
from archive.spool_batch import Batch

ZSTD_LEVEL = 1
"""About 1 GB/s on firewall lines at ratio 6.8 to 8.3; level 3 costs twice the time for a tenth of the size. A smaller
match table is a tenth faster on lines of one kind and makes mixed logs a quarter larger; the negative levels cost a
third."""
MAX_CHUNK_BYTES = 512 * 1024 * 1024
"""A spool file is closed at 4 MiB, but one batch of 512 datagrams of 65,535 bytes may follow; more is damage."""
MAX_KEPT_BYTES = 8 * 1024 * 1024
"""Buffer kept between chunks; a chunk is rarely larger."""

_NAME = pa.dictionary(pa.int8(), pa.string())
CHUNK_SCHEMA = pa.schema(
    [
        pa.field("received_unix_ns", pa.int64(), nullable=False),
        pa.field("source_address", pa.binary(16), nullable=False),
        pa.field("source_port", pa.uint16(), nullable=False),
        pa.field("transport", _NAME, nullable=False),
        pa.field("listener", _NAME, nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)


def _names(values: list[str], counts: list[int]) -> pa.DictionaryArray:
    distinct = list(dict.fromkeys(values))
    indices = np.repeat(np.array([distinct.index(v) for v in values], np.int8), counts)
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(distinct, pa.string()))


def batches_to_table(data: Any, batches: list[Batch]) -> pa.Table:
    """Join batches, whose payloads are views of `data` in ascending order, into the chunk's columns.

    Cost: one copy of the payload, which also leaves out the bytes between records.
    """
    counts = [len(batch) for batch in batches]
    base, offset = _address_of(data), 0
    begins, ends = [], []
    for batch in batches:
        if len(batch.payload):
            offset = _address_of(batch.payload) - base
        starts, stops = batch.bounds()
        begins.append(starts + offset)
        ends.append(stops + offset)
    addresses = np.concatenate([np.ascontiguousarray(b.source_address) for b in batches])
    columns = [
        pa.array(np.concatenate([b.received_unix_ns for b in batches])),
        pa.Array.from_buffers(pa.binary(16), sum(counts), [None, pa.py_buffer(addresses)]),
        pa.array(np.concatenate([b.source_port for b in batches])),
        _names([b.transport for b in batches], counts),
        _names([b.listener for b in batches], counts),
        pa.array(np.concatenate([b.truncated for b in batches]).astype(bool)),
        gather_pieces(data, np.concatenate(begins), np.concatenate(ends)),
    ]
    return pa.Table.from_arrays(columns, schema=CHUNK_SCHEMA)


def _address_of(data: Any) -> int:
    return np.frombuffer(data, np.uint8).ctypes.data if len(memoryview(data)) else 0


class ChunkEncoder:
    """Keeps its buffer and its tables from chunk to chunk: fresh memory costs the kernel a page fault per 4 KiB,
    together a fifth of the sealer's CPU."""

    def __init__(self) -> None:
        self._room = bytearray(0)
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True, write_content_size=True)

    def encode(self, table: pa.Table) -> bytes:
        """The stored frame: Arrow IPC stream, zstd with content size and checksum."""
        measure = pa.MockOutputStream()
        _write_stream(measure, table)
        size = measure.size()
        room = self._room if size <= len(self._room) else bytearray(size)
        if len(self._room) < size <= MAX_KEPT_BYTES:
            self._room = room
        _write_stream(pa.FixedSizeBufferWriter(pa.py_buffer(room)), table)
        return self._compressor.compress(memoryview(room)[:size])


def _write_stream(sink: pa.NativeFile, table: pa.Table) -> None:
    with pa.ipc.new_stream(sink, CHUNK_SCHEMA) as writer:
        writer.write_table(table)


def decode_chunk(stored: bytes) -> pa.Table:
    """The columns of a stored frame. Raises ArchiveFormatError for anything `encode_chunk` does not make."""
    try:
        parameters = zstandard.get_frame_parameters(stored)
        if parameters.content_size > MAX_CHUNK_BYTES:
            raise ArchiveFormatError(f"chunk of {parameters.content_size} bytes; at most {MAX_CHUNK_BYTES}")
        plain = zstandard.ZstdDecompressor().decompress(stored, max_output_size=MAX_CHUNK_BYTES)
        table = pa.ipc.open_stream(plain).read_all()
    except (zstandard.ZstdError, pa.ArrowInvalid, OSError) as error:
        raise ArchiveFormatError(f"not a chunk: {error}") from error
    if table.schema != CHUNK_SCHEMA:
        raise ArchiveFormatError("chunk has other columns than docs/FORMAT.md")
    return table
