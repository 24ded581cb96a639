"""Everything that needs the leaves of a log: ranges in one process or several, then the units of the records."""

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archive.verify.anchors import Anchor
from archive.verify.coverage import Coverage, slices
from archive.verify.pool import WorkerPool, count_cores
from archive.verify.purge_ranges import PurgedRanges
from archive.verify.quick import find_last_day
from archive.verify.range_check import LogJob, RangeCheck, RangeResult
from archive.verify.report import Report
from archive.verify.retention_facts import Missing, RetentionFacts
from archive.verify.segments import ChunkCheck
from archive.verify.statements import Observations
from archive.verify.streams import Continuity
from archive.verify.tile_check import TileCheck
from archive.verify.tiles import TILE_WIDTH

Progress = Callable[[int, int], None]

RANGE_BUNDLES = 64
"""A task of one process: 16,384 leaves, about a quarter of a second."""
MIN_PARALLEL_BUNDLES = 256
"""Below 65,536 leaves starting more processes costs more than it saves."""
RECORDS_LEAVES_A_TASK = 64
MIN_PARALLEL_RECORDS_LEAVES = 256


class Gathered:
    """The ranges of a log, put together in order."""

    def __init__(self, report: Report, size: int) -> None:
        self._report = report
        self.continuity = Continuity(report)
        self.observations = Observations()
        self.nodes: list[bytes | None] = []
        self.rightmost: list[bytes] | None = None
        self.anchors: list[Anchor] = []
        self.records_leaves = array("Q")
        self.coverage = Coverage(size)
        self.retention = RetentionFacts()
        self.missing: list[Missing] = []
        self.successors: list[tuple[int, dict[str, Any]]] = []

    def add(self, result: RangeResult) -> None:
        self.continuity.absorb(result.continuity)
        self.observations.absorb(result.observations)
        self.nodes += result.nodes
        self.rightmost = result.rightmost
        self.anchors += result.anchors
        self.records_leaves += result.records_leaves
        self.coverage.add(result, self._report)
        self.retention.absorb(result.retention)
        self.missing += result.missing
        self.successors += result.successors

    def known_nodes(self) -> list[bytes] | None:
        """All of them, or None."""
        return None if None in self.nodes else [node for node in self.nodes if node is not None]


class LeavesCheck:
    """`quick`: of leaves before the last day only the hash tiles, and of no record its units."""

    def __init__(
        self, job: LogJob, report: Report, *, quick: bool, records_roots: bool, progress: Progress | None
    ) -> None:
        self._job = job
        self._report = report
        self._quick = quick
        self._records_roots = records_roots
        self._progress = progress
        self._done = 0

    def run(self) -> Gathered:
        """Raises OSError where this user may not read a file."""
        job, store = self._job, self._job.store
        gathered = Gathered(self._report, store.size)
        full = store.size // TILE_WIDTH
        first = self._check_old_tiles(job, gathered) if self._quick else 0
        bundles = full - first
        processes = count_cores() if bundles >= MIN_PARALLEL_BUNDLES else 1
        with WorkerPool(job, processes) as pool:
            if processes > 1:
                starts = range(first, full, RANGE_BUNDLES)
                tasks = (("range", (start, min(start + RANGE_BUNDLES, full))) for start in starts)
                for result in pool.run(tasks):
                    self._report.absorb(result.findings)
                    gathered.add(result)
                    self._show((result.end - result.first) * TILE_WIDTH)
                first = full
            self._check_here(job, gathered, first, full)
            if self._records_roots and not self._quick:
                self._check_records(pool, gathered)
        return gathered

    def _check_here(self, job: LogJob, gathered: Gathered, first: int, full: int) -> None:
        """In this process, chunks on all cores: what is left of the full bundles, and the partial one, which is judged
        by all that is before it.
        """
        segments = job.log / "segments"
        chunk_check = ChunkCheck(segments, self._report, cores=count_cores(), reads_chunks=job.reads_chunks)
        check = RangeCheck(job, chunk_check, self._report, self._show)
        try:
            for start in range(first, full, RANGE_BUNDLES):
                gathered.add(check.check(start, min(start + RANGE_BUNDLES, full)))
            if job.store.size % TILE_WIDTH:
                gathered.add(check.check(full, full + 1, gathered.known_nodes()))
        finally:
            chunk_check.finish()
        gathered.missing += chunk_check.missing

    def _check_old_tiles(self, job: LogJob, gathered: Gathered) -> int:
        """Hash tiles in place of leaves, up to the bundle with which the last day begins; returns its number."""
        first = find_last_day(job.store)
        tiles = TileCheck(job.store, job.root, self._report)
        for index in range(first):
            gathered.nodes.append(tiles.check_tile(index))
            self._show(TILE_WIDTH)
        if first:
            gathered.continuity.skip_leaves()
        self._report.add_statement("quick", first * TILE_WIDTH)
        return first

    def _check_records(self, pool: WorkerPool, gathered: Gathered) -> None:
        known: set[tuple[str, str]] = set()
        files: set[str] = set()
        ranges = PurgedRanges(gathered.retention)
        parts = slices(gathered.records_leaves, RECORDS_LEAVES_A_TASK)
        for result in pool.run(("records", part) for part in parts):
            gathered.missing += ranges.unexplained(result.missing)
            # A key that is damaged is found by everyone who looks for it, and is one defect.
            defects = result.findings.defects
            repeated = [d for d in defects if d.code.startswith("salt_") and (d.code, d.file) in known]
            result.findings.defects = [d for d in defects if d not in repeated]
            result.findings.defect_count -= len(repeated)
            known |= {(d.code, d.file) for d in defects}
            self._report.absorb(result.findings)
            self._report.units += result.units
            files |= result.files
        surplus = count_surplus_units(self._job.log / "segments", files)
        if surplus:
            self._report.add_statement("units_beyond_head", surplus)

    def _show(self, leaves: int) -> None:
        self._done += leaves
        if self._progress is not None:
            self._progress(self._done, self._job.store.size)


def count_surplus_units(segments: Path, named: set[str]) -> int:
    """Units files that no leaf names."""
    found = (path.relative_to(segments).as_posix() for path in segments.glob("*/*/*.units"))
    return sum(1 for name in found if name not in named)
