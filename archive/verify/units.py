"""Units files and records roots (docs/FORMAT.md, "Records roots"). Pure."""

import hashlib
import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import zstandard
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from archive.errors import ArchiveFormatError
from archive.verify.merkle import compute_root

PART_LENGTH = struct.Struct("<I")
PART_HEADER = struct.Struct("<QIII")
SALT_BYTES = 16
SALT_KEY_BYTES = 32
_SIZE_NOT_STATED = (zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR)
_SALT_BLOCK = struct.Struct(">QII")
_sha256 = hashlib.sha256


class Part(NamedTuple):
    """The units of one data leaf in one generation: how many each record has, and how long each is."""

    leaf: int
    generation: int
    counts: "array[int]"
    lengths: "array[int]"


def decode_part(frame: bytes, records: int, units: int) -> Part:
    """A part that is to have `records` records and `units` units. Raises ArchiveFormatError."""
    size = PART_HEADER.size + 4 * (records + units)
    plain = decode_frame(frame, size)
    if len(plain) < PART_HEADER.size:
        raise ArchiveFormatError("a part ends inside its header")
    leaf, generation, has_records, has_units = PART_HEADER.unpack_from(plain)
    if (has_records, has_units) != (records, units):
        raise ArchiveFormatError(
            f"a part of {has_records} records and {has_units} units; {records} and {units} expected"
        )
    if len(plain) != size:
        raise ArchiveFormatError("a part is not as long as its header says")
    numbers = array("I", plain[PART_HEADER.size :])
    if sys.byteorder == "big":
        numbers.byteswap()
    return Part(leaf, generation, numbers[:records], numbers[records:])


def decode_frame(frame: bytes, most_bytes: int) -> bytes:
    """The content of exactly one zstd frame with content checksum, of at most `most_bytes`. Raises
    ArchiveFormatError.
    """
    try:
        parameters = zstandard.get_frame_parameters(frame)
        if not parameters.has_checksum:
            raise ArchiveFormatError("a zstd frame has no content checksum")
        if parameters.content_size not in _SIZE_NOT_STATED and parameters.content_size > most_bytes:
            raise ArchiveFormatError(
                f"a zstd frame holds {parameters.content_size} bytes; at most {most_bytes} expected"
            )
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=most_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ArchiveFormatError("not exactly one zstd frame of the expected size") from error


def check_cuts(part: Part, ends: list[int]) -> None:
    """Every payload is cut without gap or overlap, and only an empty one has a unit of length 0. `ends` are where the
    payloads end, the first beginning at 0. Raises ArchiveFormatError.
    """
    if len(part.counts) != len(ends):
        raise ArchiveFormatError(f"units of {len(part.counts)} records, and the chunk has {len(ends)}")
    unit_ends = list(accumulate(part.lengths))
    if unit_ends == ends and len(part.counts) == part.counts.count(1):
        return  # Each record is one unit, as lines are.
    if ends and min(part.counts) < 1:
        raise ArchiveFormatError("a record has no unit")
    records_end = list(accumulate(part.counts))
    if (records_end[-1] if records_end else 0) != len(unit_ends):
        raise ArchiveFormatError("the records have another number of units than there are")
    if [unit_ends[end - 1] for end in records_end] != ends:
        row = next(n for n, end in enumerate(records_end) if unit_ends[end - 1] != ends[n])
        raise ArchiveFormatError(f"the units of record {row} do not cut its payload")
    if 0 in part.lengths:
        empty = sum(1 for length in part.lengths if not length)
        begins = [0, *ends[:-1]]
        payloads = zip(part.counts, begins, ends, strict=True)
        if empty != sum(1 for count, begin, end in payloads if begin == end and count == 1):
            raise ArchiveFormatError("a unit of length 0 in a payload that is not empty")


def make_salts(key: bytes, leaf: int, generation: int, count: int) -> bytes:
    """`count` salts of 16 bytes in a row.

    Blocks that count up by one, each encrypted in ECB mode, are the key stream of CTR mode from the first block on:
    one call for a chunk.
    """
    encryptor = Cipher(AES(key), CTR(_SALT_BLOCK.pack(leaf, generation, 0))).encryptor()
    return encryptor.update(bytes(SALT_BYTES * count))


def compute_units_root(salts: bytes, payloads: bytes, lengths: Sequence[int]) -> bytes:
    """RFC 6962 root over `salt || unit`; `payloads` are the payloads one after another, which the units cut."""
    sha256 = _sha256
    hashes = []
    begin = salt = 0
    for end in accumulate(lengths):
        hashes.append(sha256(b"\x00" + salts[salt : salt + SALT_BYTES] + payloads[begin:end]).digest())
        begin = end
        salt += SALT_BYTES
    return compute_root(hashes)
