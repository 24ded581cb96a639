"""Checks the leaves of one bundle after the other, and hands on what each of them says."""

from typing import Any

from archive.errors import ArchiveFormatError
from archive.verify.heads import KEY_FILE
from archive.verify.leaf import check_fields, parse_leaf, parse_leaves
from archive.verify.merkle import hash_leaf
from archive.verify.report import Report
from archive.verify.segments import ChunkCheck
from archive.verify.statements import Observations
from archive.verify.streams import Continuity
from archive.verify.tiles import TILE_WIDTH, TileStore, bundle_path, decode_bundle


class LeafCheck:
    """`key_text` is the log's verifier key as its file has it, None when that is unusable."""

    def __init__(self, origin: str, key_text: str | None, chunk_check: ChunkCheck, report: Report) -> None:
        self._origin = origin
        self._key_text = key_text
        self._chunk_check = chunk_check
        self._report = report
        self.continuity = Continuity(report)
        self.observations = Observations()

    def check_bundle(self, store: TileStore, index: int, width: int) -> list[bytes] | None:
        """The leaf hashes of bundle `index`; None, with a defect, when it cannot be read.

        Raises PermissionError where this user may not read it: that is no defect of the archive.
        """
        path = bundle_path(index, width)
        file = f"log/{path}"
        first = index * TILE_WIDTH
        try:
            leaves = decode_bundle(store.read(path), width)
        except PermissionError:
            raise
        except FileNotFoundError:
            self._report.add_defect("bundle_missing", file, leaf=first)
        except OSError as error:
            self._report.add_defect("unreadable", file, detail=error.strerror, leaf=first)
        except ArchiveFormatError as error:
            self._report.add_defect("bundle_damaged", file, detail=error, leaf=first)
        else:
            return self._check_leaves(leaves, first, file)
        self.continuity.skip_leaves()
        return None

    def _check_leaves(self, leaves: list[bytes], first: int, file: str) -> list[bytes]:
        hashes = [hash_leaf(leaf) for leaf in leaves]
        parsed = parse_leaves(leaves)
        for position, leaf in enumerate(leaves):
            number = first + position
            fields = parsed[position] if parsed is not None else self._parse_one(leaf, number, file)
            if fields is not None:
                self._check_leaf(number, hashes[position], fields, file)
        return hashes

    def _parse_one(self, leaf: bytes, number: int, file: str) -> dict[str, Any] | None:
        try:
            return parse_leaf(leaf)
        except ArchiveFormatError:
            self._report.add_defect("leaf_format", file, leaf=number)
            self.continuity.skip_leaves()
            return None

    def _check_leaf(self, number: int, leaf_hash: bytes, fields: dict[str, Any], file: str) -> None:
        wrong = check_fields(fields, self._origin)
        if wrong is not None:
            self._report.add_defect("leaf_fields", file, detail=wrong, leaf=number)
            self.continuity.skip_leaves()
            return
        kind = fields["kind"]
        if (kind == "key") != (number == 0):
            self._report.add_defect("leaf_key", file, leaf=number)
        if kind == "key" and self._key_text is not None and fields["vkey"] != self._key_text:
            self._report.add_defect("key_differs", KEY_FILE, leaf=number)
        self.observations.add_leaf(fields)
        if kind in ("data", "empty"):
            chunk = self.continuity.add_leaf(number, leaf_hash, fields, file)
            if chunk is not None:
                self._chunk_check.add(chunk)
