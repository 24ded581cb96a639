"""Paths and bytes of the tree on disk (C2SP tlog-tiles). Pure."""

import hashlib
import struct

import zstandard

from archive.errors import ArchiveFormatError

TILE_HEIGHT = 8
TILE_WIDTH = 256
MAX_LEAF_BYTES = 65_535
"""An entry's length is two bytes in a bundle."""
MAX_BUNDLE_BYTES = TILE_WIDTH * (MAX_LEAF_BYTES + 2)
BUNDLE_LEVEL = 3
_SKIPPABLE = struct.pack("<II", 0x184D2A50, 32)


def _number_path(number: int) -> str:
    """`1234567` -> `x001/x234/567`."""
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.append(f"x{number % 1000:03d}")
    return "/".join(reversed(parts))


def tile_path(level: int, number: int, width: int = TILE_WIDTH) -> str:
    """Path of a hash tile below `log/`; `width` below 256 names a partial one."""
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{_number_path(number)}{partial}"


def bundle_path(number: int, width: int = TILE_WIDTH) -> str:
    """Path of an entry bundle below `log/`."""
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/entries/{_number_path(number)}{partial}.zst"


def encode_bundle(leaves: list[bytes]) -> bytes:
    """Entries with two-byte big-endian lengths, as a zstd frame and a skippable frame holding its SHA-256."""
    plain = b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in leaves)
    frame = zstandard.ZstdCompressor(level=BUNDLE_LEVEL, write_checksum=True, write_content_size=True).compress(plain)
    return frame + _SKIPPABLE + hashlib.sha256(frame).digest()


def decode_bundle(stored: bytes) -> list[bytes]:
    """The leaves of a bundle at rest. Raises ArchiveFormatError if any byte of it is not as written."""
    frame, mark, digest = stored[:-40], stored[-40:-32], stored[-32:]
    if mark != _SKIPPABLE or hashlib.sha256(frame).digest() != digest:
        raise ArchiveFormatError("entry bundle does not match its checksum")
    try:
        plain = zstandard.ZstdDecompressor().decompress(frame, max_output_size=MAX_BUNDLE_BYTES)
    except zstandard.ZstdError as error:
        raise ArchiveFormatError("entry bundle is not a zstd frame") from error
    leaves: list[bytes] = []
    position = 0
    while position < len(plain):
        (length,) = struct.unpack_from(">H", plain, position)
        leaves.append(plain[position + 2 : position + 2 + length])
        position += 2 + length
    if position != len(plain) or len(leaves) > TILE_WIDTH:
        raise ArchiveFormatError("entry bundle has a wrong length")
    return leaves
