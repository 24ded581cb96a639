"""The payloads of a stored chunk; the only part of the verifier that needs pyarrow. Pure."""

from typing import NamedTuple

import pyarrow as pa

from archive.errors import ArchiveFormatError
from archive.verify.units import decode_frame

MAX_CHUNK_BYTES = 512 * 1024 * 1024
"""Most a chunk may hold decompressed; bounds a decompression bomb."""
PAYLOAD = "payload"


class Payloads(NamedTuple):
    """All payloads one after another, and where each ends."""

    data: bytes
    ends: list[int]


def read_payloads(frame: bytes) -> Payloads:
    """Of the stored bytes of a chunk. Raises ArchiveFormatError."""
    try:
        table = pa.ipc.open_stream(decode_frame(frame, MAX_CHUNK_BYTES)).read_all()
        column = table.column(PAYLOAD)
        if column.type != pa.binary() or column.null_count:
            raise ArchiveFormatError("a chunk's payloads are not of the type docs/FORMAT.md gives")
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise ArchiveFormatError(f"not a chunk: {error}") from error
    parts: list[bytes] = []
    ends: list[int] = []
    size = 0
    for batch in column.chunks:
        _, offsets_buffer, data = batch.buffers()
        if not len(batch):
            continue
        offsets = memoryview(offsets_buffer).cast("i")[batch.offset : batch.offset + len(batch) + 1]
        first, last = offsets[0], offsets[-1]
        parts.append(b"" if data is None else memoryview(data)[first:last].tobytes())
        shift = size - first
        ends += [offset + shift for offset in offsets[1:]] if shift else offsets[1:].tolist()
        size += last - first
    return Payloads(b"".join(parts), ends)
