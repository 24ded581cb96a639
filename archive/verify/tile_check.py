"""The lowest tiles against the leaves: which of the two was changed where they disagree."""

from archive.errors import ArchiveFormatError
from archive.verify.merkle import compute_root, hash_leaf
from archive.verify.report import Findings
from archive.verify.tiles import HASH_BYTES, TILE_WIDTH, TileStore, bundle_path, decode_bundle, split_hashes, tile_path


def read_tile(store: TileStore, path: str, width: int, findings: Findings) -> bytes | None:
    """The bytes of a tile of `width` hashes; None, with a defect, when it is not there as such."""
    try:
        tile = store.read(path)
    except FileNotFoundError:
        findings.add_defect("tile_missing", f"log/{path}")
        return None
    except OSError as error:
        findings.add_defect("unreadable", f"log/{path}", detail=error.strerror)
        return None
    if len(tile) != width * HASH_BYTES:
        findings.add_defect("tile_damaged", f"log/{path}", detail=f"{len(tile)} bytes long")
        return None
    return tile


class TileCheck:
    """Where a bundle and its tile disagree, the hash above them (the next level's, or the signed root for the
    rightmost) decides which of the two was changed, and the other one is used further.

    `nodes` are the roots of all full bundles, needed for the partial one alone; None when one of them is unknown.
    """

    def __init__(self, store: TileStore, root: bytes, findings: Findings, nodes: list[bytes] | None = None) -> None:
        self._store = store
        self._root = root
        self._findings = findings
        self._nodes = nodes

    def check_bundle(self, index: int, width: int, leaf_hashes: list[bytes] | None) -> list[bytes] | None:
        """The hashes to go on with; `leaf_hashes` is None where the bundle could not be read, and its tile stands in
        for it.
        """
        path = tile_path(0, index, width)
        tile = read_tile(self._store, path, width, self._findings)
        if leaf_hashes is None or tile is None:
            return leaf_hashes or (None if tile is None else split_hashes(tile))
        if b"".join(leaf_hashes) == tile:
            return leaf_hashes
        return self._decide(index, width, path, leaf_hashes, split_hashes(tile))

    def check_tile(self, index: int) -> bytes | None:
        """The node above full bundle `index`, from its tile alone while the node agrees; else the leaves decide."""
        try:
            hashes = split_hashes(self._store.read(tile_path(0, index)))
        except OSError:
            hashes = []
        if len(hashes) == TILE_WIDTH and (node := compute_root(hashes)) == self._stored_parent(index):
            return node
        try:
            leaves = decode_bundle(self._store.read(bundle_path(index)), TILE_WIDTH)
        except (OSError, ArchiveFormatError):
            return self.node(index, self.check_bundle(index, TILE_WIDTH, None))
        return self.node(index, self.check_bundle(index, TILE_WIDTH, [hash_leaf(leaf) for leaf in leaves]))

    def node(self, index: int, hashes: list[bytes] | None) -> bytes | None:
        """Root of full bundle `index`; None where neither it nor any tile can tell."""
        return self._stored_parent(index) if hashes is None else compute_root(hashes)

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
                self._findings.add_defect("tile_damaged", f"log/{path}", detail=detail, offset=offset, leaf=leaf)
            elif by_tile:
                self._findings.add_defect("leaf_changed", f"log/{bundle_path(index, width)}", leaf=leaf)
            else:
                bundle = f"log/{bundle_path(index, width)}"
                self._findings.add_defect("leaf_disputed", bundle, detail=f"log/{path}", leaf=leaf)
        return tile_hashes if by_tile else leaf_hashes

    def _confirmed(self, index: int, width: int, hashes: list[bytes]) -> bool:
        """Whether the hash above says that these are the leaves' hashes."""
        computed = compute_root(hashes)
        if width == TILE_WIDTH:
            return computed == self._stored_parent(index)
        return self._nodes is not None and compute_root([*self._nodes, computed]) == self._root

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
