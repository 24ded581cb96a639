"""Single leaves of a log, read again after all of them were checked."""

from functools import lru_cache
from typing import Any

from archive.errors import ArchiveFormatError
from archive.verify.leaf import check_fields, parse_leaf
from archive.verify.range_check import LogJob
from archive.verify.spool_leaf import SpoolLeaf, compile_reader, from_fields
from archive.verify.tiles import TILE_WIDTH, bundle_path, decode_bundle

BUNDLES_KEPT = 64
"""A `records` leaf comes soon after the data leaves it speaks of: these hold 16,384 leaves."""


class LeafSource:
    """Keeps the bundles read last. What cannot be read is None: it is known as a defect already. Raises
    PermissionError.
    """

    def __init__(self, job: LogJob) -> None:
        self._job = job
        self._read_usual = compile_reader(job.origin)
        self._bundle = lru_cache(maxsize=BUNDLES_KEPT)(self._read_bundle)

    def spool_leaf(self, number: int) -> SpoolLeaf | None:
        leaf = self._leaf_bytes(number)
        usual = None if leaf is None else self._read_usual(leaf)
        if usual is not None:
            return usual
        fields = self.leaf(number)
        return None if fields is None or fields["kind"] not in ("data", "empty") else from_fields(fields)

    def leaf(self, number: int) -> dict[str, Any] | None:
        """Fields of a leaf; None where it cannot be read, which is known as a defect."""
        leaf = self._leaf_bytes(number)
        if leaf is None:
            return None
        try:
            fields = parse_leaf(leaf)
        except ArchiveFormatError:
            return None
        return fields if check_fields(fields, self._job.origin) is None else None

    def _leaf_bytes(self, number: int) -> bytes | None:
        index, position = divmod(number, TILE_WIDTH)
        bundle = self._bundle(index) if number < self._job.store.size else None
        return None if bundle is None else bundle[position]

    def _read_bundle(self, index: int) -> list[bytes] | None:
        store = self._job.store
        width = min(store.size - index * TILE_WIDTH, TILE_WIDTH)
        try:
            return decode_bundle(store.read(bundle_path(index, width)), width)
        except PermissionError:
            raise
        except (OSError, ArchiveFormatError):
            return None
