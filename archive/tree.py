"""The tree on disk: appending leaves as tiles, reading leaves and nodes. One writer, the sealer; any number of
readers."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from archive.durable import make_directory, replace_file
from archive.errors import ArchiveFormatError, ArchiveStateError
from archive.merkle import EMPTY_ROOT, HASH_BYTES, leaf_hash, node_hash, perfect_root
from archive.tile_layout import (
    MAX_LEAF_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    bundle_path,
    decode_bundle,
    encode_bundle,
    tile_path,
)


def _split_size(size: int) -> tuple[int, int]:
    return size // TILE_WIDTH, size % TILE_WIDTH


@dataclass
class TreeWriter:
    """The growing right edge of the tree below `log_directory`.

    `append` only collects; `store` makes every tile of the new size durable without touching any tile an earlier
    head needs; `remove_stale_partials` follows once the new head is published. A crash in between leaves both
    sizes readable.
    """

    log_directory: Path
    size: int = 0
    _edge: list[list[bytes]] = field(default_factory=lambda: [[]])
    _bundle: list[bytes] = field(default_factory=list)
    _full: list[tuple[str, bytes]] = field(default_factory=list)
    _partials: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, log_directory: Path, size: int) -> "TreeWriter":
        """The edge of a tree of `size` leaves read from its tiles. Raises ArchiveStateError if one is missing."""
        writer = cls(log_directory, size)
        writer._edge = []
        remaining, level = size, 0
        try:
            while remaining or level == 0:
                full, width = _split_size(remaining)
                hashes: list[bytes] = []
                if width:
                    data = (log_directory / tile_path(level, full, width)).read_bytes()
                    hashes = [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]
                    if len(hashes) != width:
                        raise ArchiveStateError(f"tile {tile_path(level, full, width)} has a wrong length")
                    writer._partials.add(tile_path(level, full, width))
                writer._edge.append(hashes)
                remaining, level = full, level + 1
            full, width = _split_size(size)
            if width:
                writer._bundle = decode_bundle((log_directory / bundle_path(full, width)).read_bytes())
                writer._partials.add(bundle_path(full, width))
        except (FileNotFoundError, ArchiveFormatError) as error:
            raise ArchiveStateError(f"the tree of {size} leaves cannot be read: {error}") from error
        return writer

    def append(self, leaf: bytes) -> tuple[int, bytes]:
        """Add a leaf; returns its index and hash. Nothing is written yet."""
        if len(leaf) > MAX_LEAF_BYTES:
            raise ArchiveFormatError(f"leaf of {len(leaf)} bytes; at most {MAX_LEAF_BYTES} fit a bundle")
        index, digest = self.size, leaf_hash(leaf)
        self._bundle.append(leaf)
        if len(self._bundle) == TILE_WIDTH:
            self._full.append((bundle_path(index // TILE_WIDTH), encode_bundle(self._bundle)))
            self._bundle = []
        self._push(0, digest)
        self.size += 1
        return index, digest

    def _push(self, level: int, digest: bytes) -> None:
        if level == len(self._edge):
            self._edge.append([])
        tile = self._edge[level]
        tile.append(digest)
        if len(tile) == TILE_WIDTH:
            number = self.size >> (TILE_HEIGHT * (level + 1))
            self._full.append((tile_path(level, number), b"".join(tile)))
            self._edge[level] = []
            self._push(level + 1, perfect_root(tile))

    def root(self) -> bytes:
        """Root over all appended leaves."""
        peaks: list[bytes] = []
        for hashes in reversed(self._edge):
            position = 0
            while position < len(hashes):
                width = 1 << ((len(hashes) - position).bit_length() - 1)
                peaks.append(perfect_root(hashes[position : position + width]))
                position += width
        if not peaks:
            return EMPTY_ROOT
        root = peaks[-1]
        for peak in reversed(peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def store(self) -> None:
        """Write new full tiles and the present partial ones, each durable on return."""
        partials: set[str] = set()
        files = list(self._full)
        for level, hashes in enumerate(self._edge):
            if hashes:
                number = self.size >> (TILE_HEIGHT * (level + 1))
                files.append((tile_path(level, number, len(hashes)), b"".join(hashes)))
                partials.add(files[-1][0])
        if self._bundle:
            files.append((bundle_path(self.size // TILE_WIDTH, len(self._bundle)), encode_bundle(self._bundle)))
            partials.add(files[-1][0])
        for name, data in files:
            path = self.log_directory / name
            make_directory(path.parent)
            replace_file(path, data)
        self._full = []
        self._stale = self._partials - partials
        self._partials = partials

    def remove_stale_partials(self) -> None:
        """Remove what the head before the last `store` needed. Losing this to a crash only leaves files behind."""
        for name in getattr(self, "_stale", set()):
            path = self.log_directory / name
            path.unlink(missing_ok=True)
            if not any(path.parent.iterdir()):
                shutil.rmtree(path.parent, ignore_errors=True)

    def remove_foreign_partials(self) -> None:
        """At start: remove partial tiles of any size but ours, left by a crash between head and removal."""
        for path in (self.log_directory / "tile").rglob("*.p/*"):
            if os.path.relpath(path, self.log_directory) not in self._partials:
                path.unlink()
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()


class TreeReader:
    """Leaves and nodes of a published tree of `size` leaves."""

    def __init__(self, log_directory: Path, size: int) -> None:
        self._log_directory = log_directory
        self.size = size
        self._bundles: dict[int, list[bytes]] = {}

    def leaf(self, index: int) -> bytes:
        """Bytes of one leaf. Raises ArchiveFormatError, or FileNotFoundError when a newer head removed the
        partial bundle."""
        number, position = _split_size(index)
        if number not in self._bundles:
            full, width = _split_size(self.size)
            path = bundle_path(number, width if number == full else TILE_WIDTH)
            if len(self._bundles) > 64:
                self._bundles.clear()
            self._bundles[number] = decode_bundle((self._log_directory / path).read_bytes())
        return self._bundles[number][position]

    def node(self, height: int, index: int) -> bytes:
        """Hash of a perfect subtree (archive.merkle.NodeReader)."""
        level, rise = divmod(height, TILE_HEIGHT)
        first = index << rise
        number, start = _split_size(first)
        full, width = _split_size(self.size >> (TILE_HEIGHT * level))
        path = self._log_directory / tile_path(level, number, width if number == full else TILE_WIDTH)
        data = path.read_bytes()
        hashes = [data[(start + i) * HASH_BYTES : (start + i + 1) * HASH_BYTES] for i in range(1 << rise)]
        return perfect_root(hashes)
