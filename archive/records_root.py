# pyright: reportAttributeAccessIssue=false
"""Records roots: an RFC 6962 root over the salted units of one chunk, and the file that says where the units lie
(docs/FORMAT.md, "Records roots"). Pure."""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight
import zstandard
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

from archive.errors import ArchiveFormatError
from archive.merkle import EMPTY_ROOT, HASH_BYTES

SALT_BYTES = 16
SALT_KEY_BYTES = 32
MAX_UNITS = 2**24
"""Of one chunk: a spool file is closed at 4 MiB and a unit has a byte, but for empty records."""
PART_LEVEL = 3
"""Units are mostly equal numbers in a row; zstd makes little of them at any level."""
_HEAD = struct.Struct("<QIII")
_LENGTH = struct.Struct("<I")
_MAX_PART_BYTES = _HEAD.size + 2 * 4 * MAX_UNITS


@dataclass(frozen=True)
class Cuts:
    """Where the units of a chunk lie: `counts` uint32 [records], units of each record; `lengths` uint32 [units]."""

    leaf_index: int
    generation: int
    counts: np.ndarray
    lengths: np.ndarray

    def has_same_units(self, other: "Cuts") -> bool:
        return np.array_equal(self.counts, other.counts) and np.array_equal(self.lengths, other.lengths)


def make_salts(key: bytes, leaf_index: int, generation: int, count: int) -> bytes:
    """Salts of units 0 to `count` - 1, 16 bytes each, one after another."""
    blocks = np.empty((count, 4), dtype=">u4")
    blocks[:, 0], blocks[:, 1] = divmod(leaf_index, 2**32)
    blocks[:, 2] = generation
    blocks[:, 3] = np.arange(count)
    # One block a salt, each encrypted once and never decrypted: AES as a keyed function, not as a cipher of messages.
    encryptor = Cipher(AES256(key), ECB()).encryptor()  # noqa: S305
    return encryptor.update(blocks.tobytes()) + encryptor.finalize()


def compute_records_root(cuts: Cuts, payloads: pa.Buffer, salts: bytes) -> bytes:
    """Root over `salt || unit`; `payloads` are those of the chunk one after another. 32 bytes.

    What is hashed is laid out in columns first: of a second a million units, two thirds are then SHA-256 itself.
    """
    if not len(cuts.lengths):
        return EMPTY_ROOT
    sha256 = hashlib.sha256
    level = [sha256(entry).digest() for entry in _leaf_entries(cuts, payloads, salts)]
    while len(level) > 1:
        pairs = len(level) // 2
        nodes = np.empty((pairs, 1 + 2 * HASH_BYTES), np.uint8)
        nodes[:, 0] = 1
        nodes[:, 1:] = np.frombuffer(b"".join(level), np.uint8, pairs * 2 * HASH_BYTES).reshape(pairs, -1)
        odd = level[-1:] if len(level) % 2 else []
        level = [sha256(node).digest() for node in nodes.reshape(-1).view(f"V{nodes.shape[1]}").tolist()] + odd
    return level[0]


def _leaf_entries(cuts: Cuts, payloads: pa.Buffer, salts: bytes) -> list[bytes]:
    """`00 || salt || unit` of each unit."""
    count = len(cuts.lengths)
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(cuts.lengths, out=offsets[1:])
    units = pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), payloads])
    heads = np.zeros((count, 1 + SALT_BYTES), np.uint8)
    heads[:, 1:] = np.frombuffer(salts, np.uint8).reshape(count, SALT_BYTES)
    starts = pa.Array.from_buffers(pa.binary(1 + SALT_BYTES), count, [None, pa.py_buffer(heads)]).cast(pa.binary())
    return pc.binary_join_element_wise(starts, units, pa.scalar(b"", pa.binary())).to_pylist()


def chunk_payloads(chunk: pa.Table) -> tuple[pa.Buffer, np.ndarray]:
    """All payloads of a chunk one after another, not copied, and the length of each, int64 [records]."""
    column = chunk.column("payload").combine_chunks()
    array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    if not len(array):
        return pa.py_buffer(b""), np.empty(0, np.int64)
    offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    data = array.buffers()[2]
    if data is None:
        return pa.py_buffer(b""), np.diff(offsets)
    return data.slice(int(offsets[0]), int(offsets[-1] - offsets[0])), np.diff(offsets)


def check_cuts(cuts: Cuts, payload_lengths: np.ndarray) -> None:
    """Raises ArchiveFormatError unless the units cut every payload without gap or overlap."""
    counts = cuts.counts.astype(np.int64)
    if len(counts) != len(payload_lengths) or counts.sum() != len(cuts.lengths) or not (counts > 0).all():
        raise ArchiveFormatError(f"units of leaf {cuts.leaf_index} are not of its {len(payload_lengths)} records")
    if not len(counts):
        return
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    if not np.array_equal(np.add.reduceat(cuts.lengths.astype(np.int64), starts), payload_lengths):
        raise ArchiveFormatError(f"units of leaf {cuts.leaf_index} do not add up to its payloads")
    if ((cuts.lengths == 0) & (np.repeat(payload_lengths, counts) > 0)).any():
        raise ArchiveFormatError(f"leaf {cuts.leaf_index} has an empty unit beside others")


def encode_part(cuts: Cuts) -> bytes:
    """One part of a units file."""
    head = _HEAD.pack(cuts.leaf_index, cuts.generation, len(cuts.counts), len(cuts.lengths))
    plain = head + cuts.counts.astype("<u4").tobytes() + cuts.lengths.astype("<u4").tobytes()
    frame = zstandard.ZstdCompressor(level=PART_LEVEL, write_checksum=True, write_content_size=True).compress(plain)
    return _LENGTH.pack(len(frame)) + frame


def decode_parts(data: bytes) -> Iterator[Cuts]:
    """The parts of a units file. Raises ArchiveFormatError."""
    for frame in _frames(data):
        yield _decode_part(_decompress(frame))


def part_places(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Leaf, offset and length of each part of a units file. Raises ArchiveFormatError."""
    offset = 0
    for frame in _frames(data):
        head = zstandard.ZstdDecompressor().stream_reader(frame).read(_HEAD.size)
        if len(head) != _HEAD.size:
            raise ArchiveFormatError("a part of a units file is too short")
        leaf_index, _, _, _ = _HEAD.unpack(head)
        length = _LENGTH.size + len(frame)
        yield leaf_index, offset, length
        offset += length


def _frames(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        if position + _LENGTH.size > len(data):
            raise ArchiveFormatError("units file ends inside a length")
        (length,) = _LENGTH.unpack_from(data, position)
        frame = data[position + _LENGTH.size : position + _LENGTH.size + length]
        if len(frame) != length:
            raise ArchiveFormatError("units file ends inside a part")
        yield frame
        position += _LENGTH.size + length


def _decompress(frame: bytes) -> bytes:
    try:
        if not 0 <= zstandard.frame_content_size(frame) <= _MAX_PART_BYTES:
            raise ArchiveFormatError("a part of a units file is too long")
        return zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError as error:
        raise ArchiveFormatError("a part of a units file is no zstd frame") from error


def _decode_part(plain: bytes) -> Cuts:
    if len(plain) < _HEAD.size:
        raise ArchiveFormatError("a part of a units file is too short")
    leaf_index, generation, records, units = _HEAD.unpack_from(plain)
    if len(plain) != _HEAD.size + 4 * (records + units):
        raise ArchiveFormatError("a part of a units file has a wrong length")
    numbers = np.frombuffer(plain, "<u4", offset=_HEAD.size)
    return Cuts(leaf_index, generation, numbers[:records], numbers[records:])
