"""Purge, as the sealer does it: a file of `inbox/purge/` says what holds keep of a day; whether the day is due, the
sealer decides from its own log and clock alone.

Order, which recovery relies on: 1 verify the day, 2 held files, durable and read back, 3 `purge` leaf, covered by a
published head, 4 remove what it lists. A start repeats 4, and takes a request that was not sealed anew.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from archive.clock import Clock
from archive.errors import ArchiveError
from archive.origin import ArchivePaths
from archive.retention.held_file import ROWS_SUFFIX, HeldFile, encode_held, encode_rows, held_name
from archive.retention.limits import NS
from archive.retention.purge_leaf import HeldFiles, PurgeLeaf
from archive.retention.request import SUFFIX
from archive.sealing.inbox import InboxFolder, PreparedLeaf
from archive.sealing.purge_day import Kept, RootMissingError
from archive.sealing.purge_decision import TAKEN_SUFFIX, PurgeDecision, PurgeSettings, Ready
from archive.sealing.purge_removal import bar_folder, remove_day, write_held

PURGE_KIND = "purge"
ROOTS_SECONDS = 120.0
"""A records root that was asked for is sealed at the next turn, once its report is there."""
RETRY_SECONDS = 30.0
"""After an input or output error."""
REMOVED_A_TURN = 8
"""Files, of up to 256 MiB, before the sealer looks at its spool again."""
log = logging.getLogger(__name__)


class Roots(Protocol):
    """What a purge needs of the source of `records` leaves."""

    def force(self) -> None: ...

    def is_pending(self, folder: str) -> bool: ...

    def forget(self, folder: str) -> None: ...


@dataclass
class _Removal:
    leaf: int
    purge: PurgeLeaf
    is_repeated: bool
    files: Iterator[Path] | None = None


@dataclass
class PurgeState:
    """For the run report: the day at hand, what is done with it, and why it was not."""

    day: str = ""
    state: str = "idle"
    problem: str = ""


class PurgeSource:
    """A source of `purge` leaves (archive.sealing.inbox), to be asked before that of the records roots.

    Raises RetentionError for fewer days than the law allows. `executor` runs steps 1 and 2; one thread of its own."""

    def __init__(
        self,
        paths: ArchivePaths,
        clock: Clock,
        roots: Roots,
        settings: PurgeSettings,
        executor: Executor | None = None,
    ) -> None:
        self.decision = PurgeDecision(paths, clock, settings)
        self._paths, self._clock, self._roots, self._settings = paths, clock, roots, settings
        self._inbox = InboxFolder(paths.inbox / "purge", SUFFIX)
        self._executor = executor or ThreadPoolExecutor(1, "purge")
        self._started: Future[list[tuple[int, PurgeLeaf]]] | None = None
        self._is_started = False
        self._work: Future[Ready] | None = None
        self._path: Path | None = None
        self._since_ns = 0
        self._not_before_ns = 0
        self._removals: list[_Removal] = []
        self._covering: _Removal | None = None
        self.state = PurgeState()

    @property
    def refused(self) -> int:
        return self._inbox.refused

    def report(self) -> dict[str, str]:
        """`purge` of `run/sealer.json`."""
        return {"day": self.state.day, "state": self.state.state, "problem": self.state.problem}

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def prepare(self, taken: set[Path]) -> Iterator[PreparedLeaf]:
        """One step on. Raises OSError from the removal of files, which is tried again."""
        if self._clock.monotonic_ns() < self._not_before_ns or not self._has_started():
            return
        if self._covering is not None:
            if self._settings.head().size <= self._covering.leaf:
                return
            self._removals.append(self._covering)
            self._covering = None
        if self._removals:
            self._remove()
        elif self._work is not None:
            yield from self._finish_work()
        else:
            self._begin_work(taken)

    # A start

    def _has_started(self) -> bool:
        """Read the log, find what an earlier run left. In the thread: a long log takes half a minute."""
        if self._is_started:
            return True
        if self._started is None:
            self._started = self._executor.submit(self.decision.read_unfinished)
        if not self._started.done():
            return False
        future, self._started = self._started, None
        try:
            self._removals = [_Removal(leaf, purge, True) for leaf, purge in future.result()]
        except (ArchiveError, OSError) as error:
            self._wait_after(error)
            return False
        self._is_started = True
        return True

    # Steps 1 and 2

    def _begin_work(self, taken: set[Path]) -> None:
        if self._path is None:
            paths = self._inbox.files(taken)
            if not paths:
                return
            self._inbox.look_again()
            taken_path = paths[0].with_suffix(TAKEN_SUFFIX)
            os.replace(paths[0], taken_path)
            self._path = taken_path
            self._since_ns = self._clock.monotonic_ns()
            self.state = PurgeState(self._path.stem, "checking")
        self._work = self._executor.submit(self.decision.decide, self._path)

    # Step 3

    def _finish_work(self) -> Iterator[PreparedLeaf]:
        work, path = self._work, self._path
        if work is None or path is None or not work.done():
            return
        self._work = None
        try:
            ready = work.result()
            if self._has_changed(ready):
                return
            purge = self._seal(ready)
        except RootMissingError as error:
            self._await_root(path, error)
            return
        except (ArchiveError, ValueError, KeyError, TypeError) as error:
            self._refuse(path, error)
            return
        except OSError as error:
            self._wait_after(error)
            return
        leaf = self._settings.next_leaf()
        self._path = None
        self._covering = _Removal(leaf, purge, False)
        self.state = PurgeState(purge.day, "sealed")
        yield PreparedLeaf(PURGE_KIND, purge.fields(), (path,))

    def _has_changed(self, ready: Ready) -> bool:
        """Whether something was sealed for the day while it was checked; then it is checked again. Nothing is appended
        to a segment while this runs, which is in the sealer's own thread."""
        for segment, end in ready.kept.segment_ends.items():
            if (self._paths.segments / segment).stat().st_size != end:
                return True
        for folder in ready.plan.folders if ready.plan else ():
            name = f"{folder.stream}/{folder.day}"
            known = {Path(one).name for one in ready.kept.segment_ends if str(Path(one).parent) == name}
            if {path.name for path in (self._paths.segments / name).glob("*.seg")} - known:
                return True
            if self._roots.is_pending(name):
                self._roots.force()
                return True
        return False

    def _seal(self, ready: Ready) -> PurgeLeaf:
        """The held files on disk, the folders barred, and the fields of the leaf."""
        leaf, request, plan = self._settings.next_leaf(), ready.request, ready.plan
        held = self._write_held(leaf, request.day, ready.kept) if ready.kept.records else None
        for segment in ready.kept.segment_ends:
            path = Path(segment)
            bar_folder(self._paths, str(path.parent), int(path.stem) + 1)
        return PurgeLeaf(
            request.day,
            ready.now.unix_ns,
            self._settings.retention_days,
            ready.age.unix_ns,
            ready.age.leaf,
            ready.now.leaf,
            tuple(folder.purged() for folder in plan.folders) if plan else (),
            request.holds,
            held,
            ready.previous,
        )

    def _write_held(self, leaf: int, day: str, kept: Kept) -> HeldFiles:
        file, rows_file = held_name(day, leaf), held_name(day, leaf, ROWS_SUFFIX)
        data = encode_held(HeldFile(day, self._paths.origin(), leaf, kept.records))
        rows = encode_rows(kept.rows)
        write_held(self._paths, file, data)
        write_held(self._paths, rows_file, rows)
        count = sum(len(table) for table in kept.rows.values())
        sums = hashlib.sha256(data).hexdigest(), hashlib.sha256(rows).hexdigest()
        return HeldFiles(file, sums[0], kept.unit_count(), rows_file, sums[1], count)

    # Step 4

    def _remove(self) -> None:
        """Some files of the first purge that is not finished."""
        removal = self._removals[0]
        try:
            self._remove_some(removal)
        except OSError:
            removal.files = None
            self._not_before_ns = self._clock.monotonic_ns() + int(RETRY_SECONDS * NS)
            raise

    def _remove_some(self, removal: _Removal) -> None:
        if removal.files is None:
            if not self._is_held(removal.leaf, removal.purge):
                self._removals.pop(0)
                return
            for folder in removal.purge.streams:
                if not removal.is_repeated:
                    self._roots.forget(f"{folder.stream}/{removal.purge.day}")
            removal.files = remove_day(self._paths, removal.leaf, removal.purge, is_repeated=removal.is_repeated)
        for _ in range(REMOVED_A_TURN):
            if next(removal.files, None) is None:
                self._removals.pop(0)
                if not removal.is_repeated:
                    self.state = PurgeState(removal.purge.day, "done")
                return

    def _is_held(self, leaf: int, purge: PurgeLeaf) -> bool:
        """Whether what the leaf says was kept is there; what it lists is not removed before. A later purge of the day
        has made it anew."""
        if purge.held is None:
            return True
        if any(later.previous == leaf for _, later in self.decision.journal.facts.purges.get(purge.day, [])):
            return True
        for name, sha256 in ((purge.held.file, purge.held.sha256), (purge.held.rows_file, purge.held.rows_sha256)):
            path = self._paths.log / name
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                problem = f"{name} is not what leaf {leaf} says: nothing of {purge.day} is removed"
                log.error("%s", problem)
                self.state = PurgeState(purge.day, "refused", problem)
                return False
        return True

    # What goes wrong

    def _await_root(self, path: Path, error: RootMissingError) -> None:
        """Ask for the records roots, and try again for a while."""
        if self._clock.monotonic_ns() - self._since_ns > ROOTS_SECONDS * NS:
            self._refuse(path, error)
            return
        self._roots.force()
        self.state.state = "waiting_for_roots"

    def _refuse(self, path: Path, error: Exception) -> None:
        self._path = None
        self.state = PurgeState(path.stem, "refused", str(error))
        self._inbox.refuse(path, error if isinstance(error, ArchiveError) else ValueError(str(error)))

    def _wait_after(self, error: ArchiveError | OSError) -> None:
        self._not_before_ns = self._clock.monotonic_ns() + int(RETRY_SECONDS * NS)
        self.state.state, self.state.problem = "waiting", str(error)
        log.error("purge waits: %s", error)
