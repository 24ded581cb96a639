"""The tree above the bundles: its upper tiles, the signed root, and the root of any earlier size."""

from archive.errors import ArchiveFormatError
from archive.verify.merkle import compute_root, hash_leaf, hash_node
from archive.verify.report import Report
from archive.verify.tile_check import read_tile
from archive.verify.tiles import (
    HASH_BYTES,
    TILE_WIDTH,
    TileStore,
    bundle_path,
    decode_bundle,
    level_widths,
    split_hashes,
    tile_path,
)

UNKNOWN = bytes(HASH_BYTES)
"""Stands for a hash that neither bundle, tile nor the tile above could give; no SHA-256 anyone knows is all
zero."""


class TreeCheck:
    """Keeps two hashes per 256 leaves, from which the root of every earlier size follows with one more file read.

    `nodes` are the roots of the full bundles, None where unknown; `rightmost` the leaf hashes of the partial one.
    """

    def __init__(
        self, store: TileStore, root: bytes, report: Report, nodes: list[bytes | None], rightmost: list[bytes] | None
    ) -> None:
        self._store = store
        self._root = root
        self._report = report
        self._rightmost = rightmost
        self._known = nodes.index(None) if None in nodes else len(nodes)
        self._levels = [[node or UNKNOWN for node in nodes]]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            self._levels.append([hash_node(a, b) for a, b in zip(below[0::2], below[1::2], strict=False)])
        self._last: tuple[int, bytes | None] = (0, compute_root([]))

    @property
    def size(self) -> int:
        return self._store.size

    def check_upper(self) -> None:
        """Compare the upper tiles and the signed root."""
        level_hashes = self._levels[0]
        for level, nodes in level_widths(self._store.size):
            if level == 0:
                continue
            parents = []
            for start in range(0, nodes, TILE_WIDTH):
                computed = level_hashes[start : start + TILE_WIDTH]
                self._compare_tile(level, start // TILE_WIDTH, computed)
                if len(computed) == TILE_WIDTH:
                    parents.append(compute_root(computed))
            level_hashes = parents
        root = self.root_at(self._store.size)
        if root is not None and root != self._root:
            self._report.add_defect("root_differs", self._report.head_file)

    def root_at(self, size: int) -> bytes | None:
        """Root of the first `size` leaves; None where that cannot be told. Sizes asked one after the other in order
        cost one tile each.
        """
        if self._last[0] != size:
            self._last = size, self._compute_root_at(size)
        return self._last[1]

    def _compute_root_at(self, size: int) -> bytes | None:
        full, width = divmod(size, TILE_WIDTH)
        if size > self._store.size or full > self._known:
            return None
        peaks = []
        for level in reversed(range(len(self._levels))):
            if full >> level & 1:
                peaks.append(self._levels[level][(full >> level + 1) * 2])
        root = None
        if width:
            hashes = self._leaf_hashes(full)
            if hashes is None:
                return None
            root = compute_root(hashes[:width])
        for peak in reversed(peaks):
            root = peak if root is None else hash_node(peak, root)
        return compute_root([]) if root is None else root

    def _leaf_hashes(self, index: int) -> list[bytes] | None:
        """Of a full bundle from its tile or, where that was changed, from its leaves; both as the node above has
        it.
        """
        if index == len(self._levels[0]):
            return self._rightmost
        for read in (self._read_tile_hashes, self._hash_leaves):
            hashes = read(index)
            if hashes is not None and compute_root(hashes) == self._levels[0][index]:
                return hashes
        return None

    def _read_tile_hashes(self, index: int) -> list[bytes] | None:
        try:
            return split_hashes(self._store.read(tile_path(0, index)))
        except OSError:
            return None

    def _hash_leaves(self, index: int) -> list[bytes] | None:
        try:
            return [hash_leaf(leaf) for leaf in decode_bundle(self._store.read(bundle_path(index)), TILE_WIDTH)]
        except (OSError, ArchiveFormatError):
            return None

    def _compare_tile(self, level: int, index: int, computed: list[bytes]) -> None:
        path = tile_path(level, index, len(computed))
        tile = read_tile(self._store, path, len(computed), self._report)
        if tile is None or tile == b"".join(computed):
            return
        for position, (stored, expected) in enumerate(zip(split_hashes(tile), computed, strict=True)):
            if stored != expected and expected != UNKNOWN:
                detail = f"hash {position}"
                offset = position * HASH_BYTES
                self._report.add_defect("tile_damaged", f"log/{path}", detail=detail, offset=offset)
