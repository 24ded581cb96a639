"""Leaves of the newest published tree, while newer heads come out."""

from typing import Any

from archive.errors import ArchiveStateError
from archive.index.checkpoint import read_checkpoint
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths
from archive.tree import TreeReader

READ_ATTEMPTS = 5
"""A newer head may remove the partial tiles being read; then the newer head is used."""


class LeafReader:
    """Reads leaves by number. Keeps the tree it reads until a newer one has taken its place."""

    def __init__(self, paths: ArchivePaths) -> None:
        self._paths = paths
        self._tree = TreeReader(paths.log, 0)

    def newest_size(self) -> int:
        """Size of the published tree, which further leaves are read from."""
        size = read_checkpoint(self._paths).size
        if size != self._tree.size:
            self._tree = TreeReader(self._paths.log, size)
        return size

    def raw(self, index: int) -> bytes:
        """Bytes of a leaf. Raises ArchiveStateError when the log changes faster than it is read."""
        for _ in range(READ_ATTEMPTS):
            try:
                if index >= self._tree.size:
                    self.newest_size()
                return self._tree.leaf(index)
            except FileNotFoundError:
                self.newest_size()
        raise ArchiveStateError(f"leaf {index} cannot be read: its tile is gone")

    def leaf(self, index: int) -> dict[str, Any]:
        """Fields of a leaf."""
        return decode_leaf(self.raw(index))
