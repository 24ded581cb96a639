"""Tiles and entry bundles of the log as they lie on disk (C2SP tlog-tiles; docs/FORMAT.md, "Tree")."""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

import zstandard

from archive.errors import ArchiveFormatError

TILE_WIDTH = 256
TILE_HEIGHT = 8
HASH_BYTES = 32
MAX_LEVEL = 8
"""tlog-tiles allows levels up to 63; 256^7 leaves are beyond 2^53."""
MAX_LEAF_BYTES = 65_535
MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + MAX_LEAF_BYTES)
"""Most a bundle may hold decompressed; bounds a decompression bomb."""
TRAILER = struct.Struct("<4sI32s")
TRAILER_MAGIC = bytes.fromhex("502a4d18")
_LENGTH = struct.Struct(">H")


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Path below `log/` of the tile of hashes of `level` * 8."""
    return f"tile/{level}/{_index_path(index)}{_partial(width)}"


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """Path below `log/` of the bundle of leaves `index` * 256 and up."""
    return f"tile/entries/{_index_path(index)}{_partial(width)}.zst"


def _index_path(index: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups)


def _partial(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"


def level_widths(size: int) -> Iterator[tuple[int, int]]:
    """For each tile level of a tree of `size` leaves: level and number of hashes it holds."""
    for level in range(MAX_LEVEL):
        nodes = size >> (TILE_HEIGHT * level)
        if not nodes:
            return
        yield level, nodes


def split_hashes(tile: bytes) -> list[bytes]:
    return [tile[start : start + HASH_BYTES] for start in range(0, len(tile), HASH_BYTES)]


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The `width` leaves of a stored bundle. Raises ArchiveFormatError.

    The last 40 bytes are a skippable frame with the SHA-256 of all before, so that no byte changes unseen.
    """
    frame, trailer = data[: -TRAILER.size], data[-TRAILER.size :]
    if len(data) <= TRAILER.size:
        raise ArchiveFormatError("bundle is shorter than its trailer")
    if trailer != TRAILER.pack(TRAILER_MAGIC, HASH_BYTES, hashlib.sha256(frame).digest()):
        raise ArchiveFormatError("bundle does not match the SHA-256 in its trailer")
    return split_entries(_decompress(frame), width)


def _decompress(frame: bytes) -> bytes:
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 <= size <= MAX_BUNDLE_BYTES:
            raise ArchiveFormatError("bundle does not state a size within its limit")
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        content = decompressor.decompress(frame)
    except zstandard.ZstdError as error:
        raise ArchiveFormatError("bundle is not a zstd frame") from error
    if not decompressor.eof or decompressor.unused_data or len(content) != size:
        raise ArchiveFormatError("bundle is not exactly one zstd frame")
    return content


def split_entries(content: bytes, width: int) -> list[bytes]:
    """Entries of a decompressed bundle, each behind its length (2 bytes, big-endian). Raises
    ArchiveFormatError.
    """
    entries: list[bytes] = []
    position, end = 0, len(content)
    while position < end:
        if position + _LENGTH.size > end:
            raise ArchiveFormatError("bundle ends inside a length")
        (length,) = _LENGTH.unpack_from(content, position)
        start = position + _LENGTH.size
        position = start + length
        if position > end:
            raise ArchiveFormatError("bundle ends inside a leaf")
        entries.append(content[start:position])
    if len(entries) != width:
        raise ArchiveFormatError(f"bundle holds {len(entries)} leaves instead of {width}")
    return entries


class TileStore:
    """Reads the tree of one head. The rightmost, partial files are taken into memory by `load_partial` at
    once, because the sealer removes them when it publishes the next head; full ones never change.
    """

    def __init__(self, log_directory: Path, size: int) -> None:
        self._directory = log_directory
        self.size = size
        self._partial: dict[str, bytes] = {}

    def load_partial(self) -> list[str]:
        """Returns the paths below `log/` of partial files that are not there. Raises OSError."""
        missing = []
        for path in self.partial_paths():
            try:
                self._partial[path] = (self._directory / path).read_bytes()
            except FileNotFoundError:
                missing.append(path)
        return missing

    def partial_paths(self) -> list[str]:
        """Partial tiles and the partial bundle the tree of this size has."""
        paths = []
        for level, nodes in level_widths(self.size):
            if width := nodes % TILE_WIDTH:
                paths.append(tile_path(level, nodes // TILE_WIDTH, width))
                if level == 0:
                    paths.append(bundle_path(nodes // TILE_WIDTH, width))
        return paths

    def read(self, path: str) -> bytes:
        """Bytes of a tile or bundle. Raises FileNotFoundError, OSError."""
        kept = self._partial.get(path)
        return (self._directory / path).read_bytes() if kept is None else kept
