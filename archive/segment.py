"""Segments: files of sealed chunks, one row per stream and UTC day, owned by the sealer."""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from archive.durable import make_directory, open_descriptor, sync_directory, write_all
from archive.errors import ArchiveIntegrityError
from archive.leaf import StoredChunk

SEGMENT_BYTES = 256 * 1024 * 1024
"""A segment is closed at this size: small enough to copy to a USB disk or over a slow line in one piece."""
NS = 1_000_000_000


def utc_day(unix_ns: int) -> str:
    """`YYYYMMDD` of a moment."""
    return datetime.fromtimestamp(unix_ns // NS, UTC).strftime("%Y%m%d")


def segment_numbers(directory: Path) -> list[int]:
    """Numbers of the segment files in one stream's day folder, ascending."""
    if not directory.is_dir():
        return []
    return sorted(int(path.stem) for path in directory.glob("*.seg"))


PURGED_SUFFIX = ".purged"
"""`<stream>/<YYYYMMDD>.purged` beside a purged folder: the number of the segment that may follow there, and a
newline."""


def first_number(folder: Path) -> int:
    """The number that a segment of this folder may have at least: never that of one that was purged."""
    try:
        return int(folder.with_name(folder.name + PURGED_SUFFIX).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


class SegmentWriter:
    """Appends chunks of every stream. After a failed write or sync a segment is never written again."""

    def __init__(self, segments_directory: Path) -> None:
        self._root = segments_directory
        self._numbers: dict[tuple[str, str], int] = {}
        self._to_cut: dict[Path, int] = {}

    def append(self, stream: str, day: str, frame: bytes) -> StoredChunk:
        """Append a stored frame, make it durable, read it back and compare. Raises OSError or ArchiveIntegrityError."""
        self._cut_back()
        folder = self._root / stream / day
        key = (stream, day)
        make_directory(folder)
        if key not in self._numbers:
            self._numbers[key] = max(segment_numbers(folder), default=0)
        # A purge that is under way takes what lies before this number.
        self._numbers[key] = max(self._numbers[key], first_number(folder))
        path = folder / f"{self._numbers[key]:06d}.seg"
        if path.exists() and path.stat().st_size + len(frame) > SEGMENT_BYTES and path.stat().st_size:
            self._numbers[key] += 1
            path = folder / f"{self._numbers[key]:06d}.seg"
        created = not path.exists()
        offset = 0 if created else path.stat().st_size
        try:
            with open_descriptor(path, os.O_RDWR | os.O_CREAT, 0o640) as descriptor:
                offset = os.lseek(descriptor, 0, os.SEEK_END)
                write_all(descriptor, frame)
                os.fdatasync(descriptor)
                stored = os.pread(descriptor, len(frame), offset)
            if created:
                sync_directory(folder)
        except OSError:
            self._numbers[key] += 1
            self._to_cut[path] = offset
            with suppress(OSError):
                self._cut_back()
            raise
        if stored != frame:
            self._numbers[key] += 1
            raise ArchiveIntegrityError(f"segment {path.name} does not read back as written", code="read_back")
        return StoredChunk(f"{stream}/{day}/{path.name}", offset, len(frame), hashlib.sha256(stored).hexdigest())

    def _cut_back(self) -> None:
        """Take back what failed appends left. Raises OSError while the disk refuses: nothing is appended before, so
        that bytes without a leaf never lie before a sealed chunk, where no start would look for them."""
        for path, size in list(self._to_cut.items()):
            if path.exists():
                os.truncate(path, size)
            del self._to_cut[path]


def read_stored_chunk(segments_directory: Path, chunk: StoredChunk) -> bytes:
    """The stored frame of a leaf. Raises ArchiveIntegrityError if it is not what the leaf says."""
    path = segments_directory / chunk.segment
    try:
        with open_descriptor(path, os.O_RDONLY) as descriptor:
            stored = os.pread(descriptor, chunk.length, chunk.offset)
    except FileNotFoundError as error:
        raise ArchiveIntegrityError(f"segment {chunk.segment} is missing", code="segment_missing") from error
    if hashlib.sha256(stored).hexdigest() != chunk.sha256:
        raise ArchiveIntegrityError(
            f"segment {chunk.segment}, offset {chunk.offset}: bytes differ from the leaf",
            code="chunk_changed",
        )
    return stored


def cut_segments(segments_directory: Path, folders: Iterable[str], sealed_ends: dict[str, int]) -> int:
    """Cut what no leaf covers in `folders` (`<stream>/<day>`): beyond `sealed_ends` (segment name -> end), which must
    hold each folder's newest sealed segment, and segments after that one. Returns the bytes cut. Part of every start.

    Bytes without a leaf come from spool files that are still there, so only their folders need to be named. A folder
    is touched no further back than its newest sealed segment.
    """
    cut = 0
    for folder in sorted(folders):
        known = [int(Path(name).stem) for name in sealed_ends if str(Path(name).parent) == folder]
        for number in segment_numbers(segments_directory / folder):
            name = f"{folder}/{number:06d}.seg"
            path = segments_directory / name
            size = path.stat().st_size
            if name in sealed_ends and size > sealed_ends[name]:
                cut += size - sealed_ends[name]
                os.truncate(path, sealed_ends[name])
            elif number > max(known, default=-1):
                cut += size
                path.unlink()
    return cut
