"""Records roots: from reports of units to units files and `records` leaves, one a stream and quarter hour."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from archive.chunk import decode_chunk
from archive.clock import Clock
from archive.durable import replace_file
from archive.errors import ArchiveError, ArchiveFormatError, ArchiveIntegrityError, ArchiveStateError
from archive.index.leaf_reader import LeafReader
from archive.index.worker import stored_chunk
from archive.origin import ArchivePaths
from archive.records_root import (
    SALT_KEY_BYTES,
    Cuts,
    check_cuts,
    chunk_payloads,
    compute_records_root,
    decode_parts,
    encode_part,
    make_salts,
    part_places,
)
from archive.sealing.inbox import InboxFolder, PreparedLeaf, read_handed_in
from archive.segment import read_stored_chunk
from archive.unit_report import SUFFIX, UnitReport, parse_unit_report

NS = 1_000_000_000
LEAF_INTERVAL_SECONDS = 900.0
"""A `records` leaf a stream and quarter hour: roots cost 120 bytes a chunk in it, a leaf of its own would cost 400."""
MAX_ROOTS = 400
"""Of one leaf, which has at most 65,535 bytes."""
TURN_SECONDS = 0.2
"""Roots are computed for so long before the sealer looks at its spool again."""
SALT_KEY_FILE = "salt.key"
UNITS_SUFFIX = ".units"
MAX_REPORT_BYTES = 64 * 1024 * 1024
"""Two numbers a unit of a chunk of 4 MiB, which may have a unit a byte."""
MAX_DAYS_KEPT = 32
"""Folders whose leaves' cuts are remembered: today's and yesterday's of every stream."""


@dataclass(frozen=True)
class _Root:
    """A root that no leaf names yet: its cuts as a part of a units file, and the report they came from."""

    cuts: Cuts
    root: bytes
    part: bytes
    report: Path

    def values(self) -> dict[str, object]:
        cuts = self.cuts
        return {
            "leaf": cuts.leaf_index, "generation": cuts.generation, "units": len(cuts.lengths), "root": self.root.hex(),
        }  # fmt: skip


@dataclass(frozen=True)
class _Known:
    """Newest cuts of a leaf that are in a units file: which, and where its part lies there."""

    file: Path
    offset: int
    length: int


@dataclass
class _Day:
    """One stream's day folder."""

    folder: str
    begun_ns: int = 0
    pending: dict[int, _Root] = field(default_factory=dict)
    known: dict[int, _Known] = field(default_factory=dict)

    def newest_cuts(self, leaf_index: int) -> Cuts | None:
        if leaf_index in self.pending:
            return self.pending[leaf_index].cuts
        known = self.known.get(leaf_index)
        if known is None:
            return None
        with known.file.open("rb") as file:
            file.seek(known.offset)
            return next(decode_parts(file.read(known.length)))

    def learn(self, file: Path) -> None:
        """Take note of the parts of a units file."""
        for leaf_index, offset, length in part_places(file.read_bytes()):
            self.known[leaf_index] = _Known(file, offset, length)


class RecordRoots:
    """A source of `records` leaves (archive.sealing.inbox). `next_leaf` is the number the next leaf gets: it is the
    name of the units file, so that a start can tell which of them no head covers."""

    def __init__(self, paths: ArchivePaths, clock: Clock, next_leaf: Callable[[], int]) -> None:
        self._paths = paths
        self._clock = clock
        self._next_leaf = next_leaf
        self._inbox = InboxFolder(paths.inbox / "units", SUFFIX)
        self._leaves = LeafReader(paths)
        self._days: dict[str, _Day] = {}
        self._is_forced = False
        self.waiting = 0

    @property
    def refused(self) -> int:
        return self._inbox.refused

    def force(self) -> None:
        """Seal what there is at the next turn: a hold or a package needs it."""
        self._is_forced = True

    def is_pending(self, folder: str) -> bool:
        """Whether a root of `<stream>/<day>` waits for its leaf."""
        day = self._days.get(folder)
        return day is not None and bool(day.pending)

    def forget(self, folder: str) -> None:
        """`<stream>/<day>` is purged: what is known of its units, and reports of them, are no more."""
        day = self._days.pop(folder, None)
        for root in day.pending.values() if day else ():
            root.report.unlink(missing_ok=True)

    def prepare(self, taken: set[Path]) -> Iterator[PreparedLeaf]:
        """Compute roots for a while; then the leaves that are due."""
        forced, self._is_forced = self._is_forced, False
        in_hand = {root.report for day in self._days.values() for root in day.pending.values()}
        files = self._inbox.files(taken | in_hand)
        # Counted from here on, and one is always taken: listing a long queue takes longer than a turn.
        deadline = time.monotonic() + TURN_SECONDS
        try:
            for position, path in enumerate(files):
                self.waiting = len(files) - position
                if position and time.monotonic() >= deadline and not forced:
                    self._inbox.look_again()
                    break
                yield from self._take(path)
            else:
                self.waiting = 0
        except OSError:
            self._inbox.look_again()
            raise
        now = self._clock.monotonic_ns()
        for day in list(self._days.values()):
            if day.pending and (forced or now - day.begun_ns >= LEAF_INTERVAL_SECONDS * NS):
                yield self._leaf(day, forced)
            elif not day.pending and len(self._days) > MAX_DAYS_KEPT:
                del self._days[day.folder]

    def _take(self, path: Path) -> Iterator[PreparedLeaf]:
        try:
            report = parse_unit_report(path.stem, read_handed_in(path, MAX_REPORT_BYTES))
            leaf = self._leaves.leaf(report.leaf_index)
            if "segment" not in leaf:
                raise ArchiveIntegrityError(f"leaf {report.leaf_index} has no chunk")
            chunk = stored_chunk(leaf)
            payloads, lengths = chunk_payloads(decode_chunk(read_stored_chunk(self._paths.segments, chunk)))
            day = self._day(str(Path(chunk.segment).parent))
            cuts = merge_cuts(day.newest_cuts(report.leaf_index), report, lengths)
            key = b"" if cuts is None else self._salt_key(day)
        except ArchiveError as error:
            if error.code == "segment_missing":
                # Purged meanwhile; there is nothing left to prove.
                path.unlink(missing_ok=True)
            else:
                self._inbox.refuse(path, error)
            return
        if cuts is None:
            path.unlink(missing_ok=True)
            return
        if cuts.leaf_index in day.pending or len(day.pending) >= MAX_ROOTS:
            yield self._leaf(day, False)
        salts = make_salts(key, cuts.leaf_index, cuts.generation, len(cuts.lengths))
        if not day.pending:
            day.begun_ns = self._clock.monotonic_ns()
        root = compute_records_root(cuts, payloads, salts)
        day.pending[cuts.leaf_index] = _Root(cuts, root, encode_part(cuts), path)

    def _day(self, folder: str) -> _Day:
        day = self._days.get(folder)
        if day is None:
            day = self._days[folder] = _Day(folder)
            for path in sorted((self._paths.segments / folder).glob(f"*{UNITS_SUFFIX}")):
                day.learn(path)
        return day

    def _salt_key(self, day: _Day) -> bytes:
        """The folder's key, made for its first root. Raises ArchiveStateError where roots are there and their key is
        not: another key would make every one of them look falsified."""
        path = self._paths.segments / day.folder / SALT_KEY_FILE
        key = b""
        with suppress(FileNotFoundError):
            key = path.read_bytes()
        if len(key) == SALT_KEY_BYTES:
            return key
        if key or day.known:
            raise ArchiveStateError(f"{path} is lost; bring it back from a copy", code="salt_key")
        key = os.urandom(SALT_KEY_BYTES)
        replace_file(path, key, mode=0o600)
        return key

    def _leaf(self, day: _Day, forced: bool) -> PreparedLeaf:
        roots = list(day.pending.values())
        data = b"".join(root.part for root in roots)
        file = f"{day.folder}/{self._next_leaf():012d}{UNITS_SUFFIX}"
        path = self._paths.segments / file
        replace_file(path, data, mode=0o640)
        day.learn(path)
        day.pending.clear()
        fields = {
            "stream": day.folder.partition("/")[0],
            "file": file,
            "sha256": hashlib.sha256(data).hexdigest(),
            "roots": [root.values() for root in roots],
        }
        return PreparedLeaf("records", fields, tuple(root.report for root in roots), urgent=forced)


def merge_cuts(before: Cuts | None, report: UnitReport, payload_lengths: np.ndarray) -> Cuts | None:
    """The units of a leaf after a report, in the next generation; None where they are known already. Records that the
    report does not speak of keep the cuts they have. Raises ArchiveFormatError where they do not add up. Pure."""
    rows = np.arange(len(payload_lengths))
    if report.row.size and report.row[-1] >= len(rows):
        raise ArchiveFormatError(f"leaf {report.leaf_index} has no record {report.row[-1]}")
    counts, lengths = np.ones(len(rows), np.uint32), payload_lengths.astype(np.uint32)
    if before is not None:
        check_cuts(before, payload_lengths)
        counts, lengths = before.counts, before.lengths
    is_kept = np.repeat(~np.isin(rows, report.row), counts)
    row = np.concatenate([np.repeat(rows, counts)[is_kept], report.row])
    length = np.concatenate([lengths[is_kept], report.length])[np.argsort(row, kind="stable")]
    counts = np.bincount(row, minlength=len(rows)).astype(np.uint32)
    cuts = Cuts(report.leaf_index, 0 if before is None else before.generation + 1, counts, length)
    check_cuts(cuts, payload_lengths)
    return None if before is not None and cuts.has_same_units(before) else cuts


def remove_uncovered_units(paths: ArchivePaths, size: int) -> None:
    """At a start: units files of leaves that no head covers."""
    for path in paths.segments.glob(f"*/*/*{UNITS_SUFFIX}"):
        if path.stem.isdecimal() and int(path.stem) >= size:
            path.unlink()
