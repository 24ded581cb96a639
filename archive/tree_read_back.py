"""What was stored of the tree, read again before its head is signed.

A bit that flips in memory between a leaf's hash and its bundle, or in the edge of the tree that stays in memory for
weeks, would be signed for good: the log could never be proven again. So the files themselves must lead to both roots.
"""

from pathlib import Path

from archive.errors import ArchiveFormatError, ArchiveIntegrityError
from archive.merkle import HASH_BYTES, leaf_hash, perfect_root, tree_root
from archive.note import Checkpoint
from archive.tile_layout import TILE_HEIGHT, TILE_WIDTH, bundle_path, decode_bundle, tile_path
from archive.tree import TreeReader


def check_stored_tree(log_directory: Path, before: Checkpoint, following: Checkpoint) -> None:
    """Return if the files below `log_directory` hold the tree of `following`, and the one of `before`, the head signed
    last, as its beginning: the leaves lead to their tile, each tile filled since then to the one above it, and the
    tiles to both roots.

    Raises ArchiveIntegrityError `tree_read_back`; nothing may then be signed. Reads a bundle and a tile a level, and
    those that were filled since `before`.
    """
    try:
        place = _find_disagreement(log_directory, before, following)
    except (OSError, ArchiveFormatError, IndexError) as error:
        raise ArchiveIntegrityError(f"the stored tree cannot be read back: {error}", code="tree_read_back") from error
    if place is not None:
        raise ArchiveIntegrityError(
            f"the stored tree of {following.size} leaves does not read back as it was hashed ({place})",
            code="tree_read_back",
        )


def _find_disagreement(log: Path, before: Checkpoint, following: Checkpoint) -> str | None:
    size = following.size
    for number in range(before.size // TILE_WIDTH, -(-size // TILE_WIDTH)):
        path = bundle_path(number, min(size - number * TILE_WIDTH, TILE_WIDTH))
        leaves = decode_bundle((log / path).read_bytes())
        if [leaf_hash(leaf) for leaf in leaves] != _read_tile(log, 0, number, size):
            return path
    level = 0
    while full := size >> TILE_HEIGHT * (level + 1):
        for number in range(before.size >> TILE_HEIGHT * (level + 1), full):
            above, position = divmod(number, TILE_WIDTH)
            if perfect_root(_read_tile(log, level, number, size)) != _read_tile(log, level + 1, above, size)[position]:
                return tile_path(level, number)
        level += 1
    read_node = TreeReader(log, size).node
    return next(
        (f"root of {one.size}" for one in (before, following) if tree_root(one.size, read_node) != one.root), None
    )


def _read_tile(log: Path, level: int, number: int, size: int) -> list[bytes]:
    nodes = size >> TILE_HEIGHT * level
    data = (log / tile_path(level, number, min(nodes - number * TILE_WIDTH, TILE_WIDTH))).read_bytes()
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]
