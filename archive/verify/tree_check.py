"""Recomputes the tree from the leaves, tile by tile, and says which file is wrong where they disagree."""

from archive.verify.merkle import compute_root
from archive.verify.report import Report
from archive.verify.tiles import (
    HASH_BYTES,
    TILE_WIDTH,
    TileStore,
    bundle_path,
    level_widths,
    split_hashes,
    tile_path,
)

UNKNOWN = bytes(HASH_BYTES)
"""Stands for a hash that neither bundle, tile nor the tile above could give; no SHA-256 anyone knows is all
zero."""


class TreeCheck:
    """Fed the leaf hashes of one bundle after the other; keeps one hash per 256 leaves.

    Where a bundle and its tile disagree, the hash above them (the next level's, or the signed root for the
    rightmost) decides which of the two was changed, and the other one is used further.
    """

    def __init__(self, store: TileStore, root: bytes, report: Report, kept_bundles: set[int]) -> None:
        self._store = store
        self._root = root
        self._report = report
        self._kept = kept_bundles
        self._hashes_kept: dict[int, list[bytes]] = {}
        self._level1: list[bytes] = []
        self._rightmost: list[bytes] = []
        self._incomplete = False

    def add_bundle(self, index: int, width: int, leaf_hashes: list[bytes] | None) -> None:
        """`leaf_hashes` is None where the bundle could not be read; its tile stands in for it."""
        path = tile_path(0, index, width)
        tile = self._read_tile(path, width)
        tile_hashes = None if tile is None else split_hashes(tile)
        if leaf_hashes is None or tile_hashes is None:
            hashes = leaf_hashes or tile_hashes
        elif b"".join(leaf_hashes) == tile:
            hashes = leaf_hashes
        else:
            hashes = self._decide(index, width, path, leaf_hashes, tile_hashes)
        if index in self._kept and hashes is not None:
            self._hashes_kept[index] = hashes
        if width < TILE_WIDTH:
            self._rightmost = hashes or []
            self._incomplete |= hashes is None
            return
        computed = compute_root(hashes) if hashes is not None else self._stored_parent(index)
        self._incomplete |= computed is None
        self._level1.append(computed or UNKNOWN)

    def finish(self) -> None:
        """Compare the upper tiles and the signed root."""
        level_hashes = self._level1
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
        if not self._incomplete and self.root_at(self._store.size) != self._root:
            self._report.add_defect("root_differs", self._report.head_file)

    def root_at(self, size: int) -> bytes | None:
        """Root of the first `size` leaves; None where leaves are missing. `size` is the tree's or lies in a
        kept bundle.
        """
        full, width = divmod(size, TILE_WIDTH)
        if self._incomplete:
            return None
        nodes = self._level1[:full]
        if width:
            hashes = self._hashes_kept.get(full, self._rightmost if size == self._store.size else [])[:width]
            if len(hashes) < width:
                return None
            nodes = [*nodes, compute_root(hashes)]
        return compute_root(nodes)

    def _read_tile(self, path: str, width: int) -> bytes | None:
        try:
            tile = self._store.read(path)
        except FileNotFoundError:
            self._report.add_defect("tile_missing", f"log/{path}")
            return None
        except OSError as error:
            self._report.add_defect("unreadable", f"log/{path}", detail=error.strerror)
            return None
        if len(tile) != width * HASH_BYTES:
            self._report.add_defect("tile_damaged", f"log/{path}", detail=f"{len(tile)} bytes long")
            return None
        return tile

    def _decide(
        self, index: int, width: int, path: str, leaf_hashes: list[bytes], tile_hashes: list[bytes]
    ) -> list[bytes]:
        positions = [n for n, pair in enumerate(zip(leaf_hashes, tile_hashes, strict=True)) if pair[0] != pair[1]]
        by_leaves, by_tile = (
            self._confirmed(index, width, leaf_hashes),
            self._confirmed(index, width, tile_hashes),
        )
        for position in positions:
            leaf = index * TILE_WIDTH + position
            offset = position * HASH_BYTES
            if by_leaves:
                detail = f"hash of leaf {leaf}"
                self._report.add_defect("tile_damaged", f"log/{path}", detail=detail, offset=offset, leaf=leaf)
            elif by_tile:
                self._report.add_defect("leaf_changed", f"log/{bundle_path(index, width)}", leaf=leaf)
            else:
                bundle = f"log/{bundle_path(index, width)}"
                self._report.add_defect("leaf_disputed", bundle, detail=f"log/{path}", leaf=leaf)
        return tile_hashes if by_tile else leaf_hashes

    def _confirmed(self, index: int, width: int, hashes: list[bytes]) -> bool:
        """Whether the hash above says that these are the leaves' hashes."""
        computed = compute_root(hashes)
        if width == TILE_WIDTH:
            return computed == self._stored_parent(index)
        return not self._incomplete and compute_root([*self._level1, computed]) == self._root

    def _stored_parent(self, index: int) -> bytes | None:
        """The hash of full tile `index` as the tile above it has it."""
        nodes = self._store.size // TILE_WIDTH
        above, position = divmod(index, TILE_WIDTH)
        width = min(nodes - above * TILE_WIDTH, TILE_WIDTH)
        try:
            tile = self._store.read(tile_path(1, above, width))
        except OSError:
            return None
        found = tile[position * HASH_BYTES : (position + 1) * HASH_BYTES]
        return found if len(found) == HASH_BYTES else None

    def _compare_tile(self, level: int, index: int, computed: list[bytes]) -> None:
        path = tile_path(level, index, len(computed))
        tile = self._read_tile(path, len(computed))
        if tile is None or tile == b"".join(computed):
            return
        for position, (stored, expected) in enumerate(zip(split_hashes(tile), computed, strict=True)):
            if stored != expected and expected != UNKNOWN:
                detail = f"hash {position}"
                offset = position * HASH_BYTES
                self._report.add_defect("tile_damaged", f"log/{path}", detail=detail, offset=offset)
