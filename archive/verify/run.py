"""The steps of `phayan verify`, from the files of a data directory and its head alone; also while the sealer
works.
"""

import base64
import time
from collections.abc import Callable
from pathlib import Path

from archive.errors import ArchiveFormatError
from archive.verify.heads import CHECKPOINT_FILE, Heads, parse_anchor, read_heads, read_key
from archive.verify.leaf_check import LeafCheck
from archive.verify.note import Checkpoint, VerifierKey
from archive.verify.report import Report
from archive.verify.segments import ChunkCheck, check_ends
from archive.verify.statements import state_surroundings
from archive.verify.tiles import TILE_WIDTH, TileStore
from archive.verify.tree_check import TreeCheck

Progress = Callable[[int, int], None]

SNAPSHOT_ATTEMPTS = 10
SNAPSHOT_PAUSE_SECONDS = 0.05
"""The sealer publishes at most every ten seconds and then removes older partial tiles; ten attempts see one
whole head unless files are really missing."""


def verify_archive(
    directory: Path,
    head_path: Path,
    *,
    progress: Progress | None = None,
    checkpoint: bytes | None = None,
) -> Report:
    """Verify everything under `directory/log` against the head at `head_path`.

    `checkpoint` is a signed checkpoint kept outside, e.g. printed on a morning report: it must be the
    beginning of this log. `progress` is called with leaves done and leaves in all. Reads only; needs no lock
    and no running process. Never raises for what it finds: the report's `exit_code` is 0 intact, 1 defects, 2
    could not run.
    """
    report = Report(str(directory), _shown_path(directory, head_path))
    if not (directory / "log").is_dir():
        report.could_not_run = f"{directory} holds no log"
        return report
    try:
        _Verification(directory, head_path, report, progress, checkpoint).run()
    except ArchiveFormatError as error:
        report.could_not_run = f"the given checkpoint cannot be read: {error}"
    except OSError as error:
        report.could_not_run = f"{error.filename or directory}: {error.strerror}"
    return report


def _shown_path(directory: Path, head_path: Path) -> str:
    return str(head_path.relative_to(directory.parent)) if head_path.parent == directory.parent else str(head_path)


class _Verification:
    def __init__(
        self,
        directory: Path,
        head_path: Path,
        report: Report,
        progress: Progress | None,
        anchor_bytes: bytes | None,
    ) -> None:
        self._directory = directory
        self._head_path = head_path
        self._report = report
        self._progress = progress or (lambda done, total: None)
        self._anchor_bytes = anchor_bytes
        self._signed_root = b""

    def run(self) -> None:
        report, log = self._report, self._directory / "log"

        # 1. Whose log is it: name and key, each checked against itself and the other.
        key, key_text = read_key(self._directory, report)
        if key is None:
            report.add_statement("signatures_not_checked")

        # 2. Which tree is to be verified: the signed head, the published checkpoint, and a checkpoint kept
        # outside.
        anchor = None
        if self._anchor_bytes is not None:
            anchor = parse_anchor(self._anchor_bytes, key, report)
        heads, store = self._take_snapshot(key)
        tree = heads.tree
        if tree is None or store is None:
            return
        self._signed_root = tree.root
        report.origin, report.tree_size = tree.origin, tree.size
        report.root = base64.b64encode(tree.root).decode()

        # 3. Every leaf: canonical, right fields, next of its stream; its hash in its tile; its chunk in place.
        kept = {c.size // TILE_WIDTH for c in (heads.checkpoint, anchor) if c is not None}
        tree_check = TreeCheck(store, tree.root, report, kept)
        chunk_check = ChunkCheck(log / "segments", report)
        leaf_check = LeafCheck(tree.origin, key_text, chunk_check, report)
        try:
            for index in range(-(-tree.size // TILE_WIDTH)):
                width = min(tree.size - index * TILE_WIDTH, TILE_WIDTH)
                tree_check.add_bundle(index, width, leaf_check.check_bundle(store, index, width))
                self._progress(index * TILE_WIDTH + width, tree.size)
        finally:
            # 4. Every chunk's SHA-256 (hashed meanwhile on all cores).
            chunk_check.finish()

        # 5. Upper tiles, and the root that was signed.
        tree_check.finish()

        # 6. Nothing slipped in between the chunks that leaves cover.
        check_ends(log / "segments", leaf_check.continuity, report)

        # 7. Older heads are beginnings of this tree; what a reader must know besides.
        self._check_older(tree_check, heads, anchor)
        state_surroundings(self._directory, store, leaf_check.observations, report)

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

    def _check_older(self, tree_check: TreeCheck, heads: Heads, anchor: Checkpoint | None) -> None:
        report = self._report
        if heads.checkpoint is not None and heads.head is not None:
            self._check_beginning(tree_check, heads.checkpoint, "checkpoint_inconsistent", CHECKPOINT_FILE)
            if heads.checkpoint.size < report.tree_size:
                report.add_statement("checkpoint_behind", heads.checkpoint.size)
        if anchor is None:
            report.add_statement("freshness_not_judged" if report.defect_count else "freshness_unproven")
        elif anchor.size > report.tree_size:
            report.add_defect("anchor_ahead", report.head_file, detail=anchor.size)
        elif self._check_beginning(tree_check, anchor, "anchor_inconsistent", report.head_file):
            report.freshness = f"unchanged up to leaf {anchor.size}"
            report.add_statement("anchored", anchor.size)

    def _check_beginning(self, tree_check: TreeCheck, older: Checkpoint, code: str, file: str) -> bool:
        same_size = older.size == self._report.tree_size
        root = self._signed_root if same_size else tree_check.root_at(older.size)
        if root is not None and root != older.root:
            self._report.add_defect(code, file, detail=older.size)
        return root == older.root
