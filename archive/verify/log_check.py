"""The steps of verifying one log: heads, leaves, chunks, tree, units."""

import base64
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archive.verify.anchors import Anchor, Trust
from archive.verify.heads import CHECKPOINT_FILE, Heads, read_heads, read_key
from archive.verify.leaves_check import LeavesCheck, Progress
from archive.verify.note import Checkpoint, VerifierKey
from archive.verify.purge_ranges import PurgedRanges, report_missing
from archive.verify.range_check import LogJob
from archive.verify.report import Report
from archive.verify.retention import RetentionCheck
from archive.verify.seam import check_successor
from archive.verify.segments import check_ends
from archive.verify.statements import state_surroundings
from archive.verify.tiles import TileStore
from archive.verify.tree_check import TreeCheck

SNAPSHOT_ATTEMPTS = 10
SNAPSHOT_PAUSE_SECONDS = 0.05
"""The sealer publishes at most every ten seconds and then removes older partial tiles; ten attempts see one
whole head unless files are really missing."""


@dataclass(frozen=True)
class Options:
    """How much is checked. `quick`: of leaves before the last day only the hash tiles, and no chunk's bytes."""

    quick: bool = False
    records_roots: bool = True
    trust: Trust | None = None
    progress: Progress | None = None


@dataclass
class LogResult:
    """What the whole verification needs of one log. `tree` is None when no head was usable."""

    key: VerifierKey | None
    key_text: str | None
    heads: Heads | None = None
    tree: TreeCheck | None = None
    anchors: list[Anchor] = field(default_factory=list)
    former: dict[str, str] | None = None
    begun_unix_ns: int | None = None
    successor: dict[str, Any] | None = None

    def root_at(self, size: int) -> bytes | None:
        return None if self.tree is None else self.tree.root_at(size)


class LogCheck:
    """`directory` holds `log`."""

    def __init__(self, directory: Path, head_path: Path, report: Report, options: Options) -> None:
        self._directory = directory
        self._head_path = head_path
        self._report = report
        self._options = options

    def run(self) -> LogResult:
        """Raises OSError where this user may not read a file."""
        report = self._report

        # 1. Whose log is it: name and key, each checked against itself and the other.
        key, key_text = read_key(self._directory, report)
        result = LogResult(key, key_text)
        if key is None:
            report.add_statement("signatures_not_checked")

        # 2. Which tree is to be verified: the signed head, or the published checkpoint.
        result.heads, store = self._take_snapshot(key)
        signed = result.heads.tree
        if signed is None or store is None:
            return result
        report.origin, report.tree_size = signed.origin, signed.size
        report.root = base64.b64encode(signed.root).decode()
        job = LogJob(
            self._directory / "log",
            store,
            signed.root,
            signed.origin,
            key_text,
            key,
            self._options.trust,
            reads_chunks=not self._options.quick,
        )

        # 3. Every leaf: canonical, right fields, next of its stream; its hash in its tile; its chunk's SHA-256. Then,
        # with all leaves known, the units of the records.
        options = self._options
        leaves = LeavesCheck(
            job, report, quick=options.quick, records_roots=options.records_roots, progress=options.progress
        )
        gathered = leaves.run()
        ranges = PurgedRanges(gathered.retention)
        report_missing(ranges.unexplained(gathered.missing), report)

        # 4. Upper tiles, and the root that was signed.
        result.tree = TreeCheck(store, signed.root, report, gathered.nodes, gathered.rightmost)
        result.tree.check_upper()

        # 5. Nothing slipped in between the chunks that leaves cover.
        check_ends(job.log / "segments", gathered.continuity, report)

        # 6. What is gone was purged by policy, and what holds kept of it is there.
        RetentionCheck(job, gathered.retention, ranges, report).check(gathered.continuity)

        # 7. The published checkpoint is a beginning of this tree; what a reader must know besides.
        result.anchors, result.former = gathered.anchors, gathered.observations.former
        result.begun_unix_ns = gathered.observations.begun_unix_ns
        result.successor = check_successor(gathered.successors, signed.size, report)
        self._check_published(result.tree, result.heads, signed)
        report.streams = gathered.continuity.summaries()
        report.leaves_without_root = gathered.coverage.count_uncovered()
        backwards = gathered.continuity.times_backwards
        state_surroundings(self._directory, store, gathered.observations, backwards, report)
        if report.leaves_without_root:
            report.add_statement("leaves_without_root", report.leaves_without_root)
        return result

    def _take_snapshot(self, key: VerifierKey | None) -> tuple[Heads, TileStore | None]:
        """Head, checkpoint and the partial tiles of the head, all of one moment.

        A partial tile that is gone means a newer head, which is then taken; if the head is still the same,
        the tile is missing, and the reading of it will say so.
        """
        report = self._report
        before = len(report.defects), report.defect_count
        last_head: bytes | None = None
        for _ in range(SNAPSHOT_ATTEMPTS):
            del report.defects[before[0] :]
            report.defect_count = before[1]
            heads = read_heads(self._directory, self._head_path, key, report)
            if heads.tree is None:
                return heads, None
            store = TileStore(self._directory / "log", heads.tree.size)
            if not store.load_partial() or heads.head_bytes == last_head:
                break
            last_head = heads.head_bytes
            time.sleep(SNAPSHOT_PAUSE_SECONDS)
        return heads, store

    def _check_published(self, tree: TreeCheck, heads: Heads, signed: Checkpoint) -> None:
        older, report = heads.checkpoint, self._report
        if older is None or heads.head is None:
            return
        root = signed.root if older.size == signed.size else tree.root_at(older.size)
        if root is not None and root != older.root:
            report.add_defect("checkpoint_inconsistent", CHECKPOINT_FILE, detail=older.size)
        if older.size < signed.size:
            report.add_statement("checkpoint_behind", older.size)
