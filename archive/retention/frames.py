"""One zstd frame, and Arrow streams one after another in it: the form of held files and requests. Pure."""

import io
from collections.abc import Iterator, Sequence

import pyarrow as pa
import zstandard

from archive.errors import ArchiveFormatError

FRAME_LEVEL = 3
MAX_CONTENT_BYTES = 1024 * 1024 * 1024
"""Of what is held of one day. A day of 20 million records has about 4 GB, and a hold is of few persons."""
TABLE = b"table"


def encode_frame(content: bytes) -> bytes:
    """One zstd frame with content size and checksum. Raises ArchiveFormatError for what could not be read again."""
    if len(content) > MAX_CONTENT_BYTES:
        raise ArchiveFormatError(f"{len(content)} bytes of one day are held; at most {MAX_CONTENT_BYTES} can be")
    return zstandard.ZstdCompressor(level=FRAME_LEVEL, write_checksum=True, write_content_size=True).compress(content)


def decode_frame(data: bytes) -> bytes:
    """The content of exactly one such frame. Raises ArchiveFormatError."""
    try:
        frame = zstandard.get_frame_parameters(data)
        if not frame.has_checksum or frame.content_size > MAX_CONTENT_BYTES:
            raise ArchiveFormatError(f"a frame without a checksum, or of more than {MAX_CONTENT_BYTES} bytes")
        reader = zstandard.ZstdDecompressor().decompressobj()
        content = reader.decompress(data)
    except zstandard.ZstdError as error:
        raise ArchiveFormatError("not a zstd frame") from error
    if not reader.eof or reader.unused_data or len(content) != frame.content_size:
        raise ArchiveFormatError("not exactly one zstd frame")
    return content


def encode_tables(tables: Sequence[tuple[dict[bytes, bytes], pa.Table]]) -> bytes:
    """Arrow IPC streams one after another, each with the metadata given, and no other."""
    sink = io.BytesIO()
    for metadata, table in tables:
        marked = table.replace_schema_metadata(metadata)
        with pa.ipc.new_stream(sink, marked.schema) as writer:
            writer.write_table(marked)
    return sink.getvalue()


def decode_tables(content: bytes) -> Iterator[tuple[dict[bytes, bytes], pa.Table]]:
    """Metadata and rows of each stream. Raises ArchiveFormatError."""
    source = pa.BufferReader(content)
    try:
        while source.tell() < source.size():
            table = pa.ipc.open_stream(source).read_all()
            table.validate(full=True)
            yield dict(table.schema.metadata or {}), table.replace_schema_metadata(None)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ArchiveFormatError(f"not Arrow streams one after another: {error}") from error
