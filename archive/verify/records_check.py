"""Checks `records` leaves: their units files, and the root of every chunk over its units."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, BinaryIO

from archive.errors import ArchiveFormatError
from archive.verify.leaf_source import LeafSource
from archive.verify.range_check import LogJob
from archive.verify.report import Findings
from archive.verify.retention_facts import Missing
from archive.verify.spool_leaf import SpoolLeaf
from archive.verify.streams import SEGMENT_NAME
from archive.verify.tiles import TILE_WIDTH, bundle_path
from archive.verify.units import (
    PART_LENGTH,
    SALT_KEY_BYTES,
    Part,
    check_cuts,
    compute_units_root,
    decode_part,
    make_salts,
)

UNITS_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})/([0-9]{8})/([0-9]{12})\.units")
SALT_FILE = "salt.key"
BLOCK_BYTES = 1024 * 1024
FOLDERS_KEPT = 64
"""Keys of salts; a task speaks of one stream and few days."""


@dataclass
class RecordsResult:
    """`units` whose root was computed, over all generations."""

    findings: Findings = field(default_factory=Findings)
    units: int = 0
    missing: list[Missing] = field(default_factory=list)
    files: set[str] = field(default_factory=set)


class RecordsCheck:
    """Reads leaves again, a few bundles at a time; those that cannot be read are known as defects already."""

    def __init__(self, job: LogJob) -> None:
        self._job = job
        self._segments = job.log / "segments"
        self._result = RecordsResult()
        self._leaves = LeafSource(job)
        self._salt_key = lru_cache(maxsize=FOLDERS_KEPT)(self._read_salt_key)

    def check(self, numbers: list[int]) -> RecordsResult:
        """The `records` leaves with these numbers."""
        for number in numbers:
            fields = self._leaves.leaf(number)
            if fields is not None:
                self._check_leaf(number, fields)
        return self._result

    def _check_leaf(self, number: int, fields: dict[str, Any]) -> None:
        name: str = fields["file"]
        match = UNITS_NAME.fullmatch(name)
        if match is None or match[1] != fields["stream"] or int(match[3]) != number:
            self._defect("records_leaf", number, fields, detail=f"file {name}", file=self._bundle_file(number))
            return
        self._result.files.add(name)
        try:
            with (self._segments / name).open("rb") as file:
                if _hash_file(file) != fields["sha256"]:
                    self._defect("units_changed", number, fields)
                    return
                self._check_parts(number, fields, file)
        except PermissionError:
            raise
        except FileNotFoundError:
            leaves = [root["leaf"] for root in fields["roots"]]
            self._miss("units_missing", f"log/segments/{name}", min(leaves), max(leaves), number)
        except OSError as error:
            self._defect("unreadable", number, fields, detail=error.strerror)

    def _check_parts(self, number: int, fields: dict[str, Any], file: BinaryIO) -> None:
        file.seek(0)
        left = os.fstat(file.fileno()).st_size
        for root in fields["roots"]:
            offset = file.tell()
            header = file.read(PART_LENGTH.size)
            length = PART_LENGTH.unpack(header)[0] if len(header) == PART_LENGTH.size else left + 1
            if offset + len(header) + length > left:
                self._defect("units_structure", number, fields, detail="it ends inside a part", offset=offset)
                return
            self._check_root(number, fields, root, file.read(length), offset)
        if file.tell() != left:
            self._defect("units_structure", number, fields, detail="more parts than roots", offset=file.tell())

    def _check_root(self, number: int, fields: dict[str, Any], root: dict[str, Any], frame: bytes, offset: int) -> None:
        data = self._leaves.spool_leaf(root["leaf"]) if root["leaf"] < number else None
        if data is None or data.segment is None or data.stream != fields["stream"]:
            return  # Told where all leaves are known: the leaf is none of this stream, or cannot be read.
        try:
            part = decode_part(frame, data.records, root["units"])
            if (part.leaf, part.generation) != (root["leaf"], root["generation"]):
                raise ArchiveFormatError(f"a part of leaf {part.leaf}, generation {part.generation}")
        except ArchiveFormatError as error:
            self._defect("units_structure", number, fields, detail=error, offset=offset)
            return
        stored = self._read_chunk(data)
        if stored is None:
            return  # Told where the chunk is hashed.
        self._check_units(number, fields, root, part, data, stored, offset)

    def _check_units(
        self,
        number: int,
        fields: dict[str, Any],
        root: dict[str, Any],
        part: Part,
        data: SpoolLeaf,
        stored: bytes,
        offset: int,
    ) -> None:
        from archive.verify.chunk_payloads import read_payloads

        try:
            payloads = read_payloads(stored)
            check_cuts(part, payloads.ends)
        except ArchiveFormatError as error:
            self._defect("units_structure", number, fields, detail=f"leaf {root['leaf']}: {error}", offset=offset)
            return
        folder = (data.segment or "").rpartition("/")[0]
        key = self._salt_key(folder)
        if key is None:
            self._miss("salt_missing", f"log/segments/{folder}/{SALT_FILE}", root["leaf"], root["leaf"], number)
        if not key:
            return
        salts = make_salts(key, part.leaf, part.generation, len(part.lengths))
        if compute_units_root(salts, payloads.data, part.lengths).hex() != root["root"]:
            detail = f"leaf {root['leaf']}, generation {root['generation']}"
            self._defect("records_root", number, fields, detail=detail, offset=offset)
        self._result.units += len(part.lengths)

    def _read_chunk(self, data: SpoolLeaf) -> bytes | None:
        """The stored bytes of a chunk; None where they are missing or changed."""
        if data.segment is None or not SEGMENT_NAME.fullmatch(data.segment):
            return None
        try:
            with (self._segments / data.segment).open("rb") as file:
                file.seek(data.offset)
                stored = file.read(data.length)
        except PermissionError:
            raise
        except OSError:
            return None
        return stored if hashlib.sha256(stored).hexdigest() == data.sha256 else None

    def _read_salt_key(self, folder: str) -> bytes | None:
        """The key of a folder of segments; None where there is none, empty, with a defect, where it is damaged."""
        path = self._segments / folder / SALT_FILE
        file = f"log/segments/{folder}/{SALT_FILE}"
        stream = folder.partition("/")[0]
        try:
            key = path.read_bytes()
        except PermissionError:
            raise
        except FileNotFoundError:
            return None
        except OSError as error:
            self._result.findings.add_defect("unreadable", file, detail=error.strerror, stream=stream)
            return b""
        if len(key) != SALT_KEY_BYTES:
            self._result.findings.add_defect("salt_damaged", file, detail=len(key), stream=stream)
            return b""
        return key

    def _miss(self, code: str, file: str, first: int, last: int, number: int) -> None:
        """A file below `log/segments` that is not there; whether its records were purged, is told where all leaves are
        known."""
        folder = file.removeprefix("log/segments/").rpartition("/")[0]
        self._result.missing.append(Missing(code, file, folder, first, last, None, number))

    def _bundle_file(self, number: int) -> str:
        index = number // TILE_WIDTH
        return f"log/{bundle_path(index, min(self._job.store.size - index * TILE_WIDTH, TILE_WIDTH))}"

    def _defect(
        self,
        code: str,
        number: int,
        fields: dict[str, Any],
        *,
        detail: object = "",
        file: str | None = None,
        offset: int | None = None,
    ) -> None:
        place = file or f"log/segments/{fields['file']}"
        stream = fields["stream"]
        self._result.findings.add_defect(code, place, detail=detail, stream=stream, offset=offset, leaf=number)


def _hash_file(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
