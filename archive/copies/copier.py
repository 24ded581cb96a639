"""One pass of copying to one target: what came since the last one, in an order that keeps the copy a consistent log
after every step: what leaves name, tiles and bundles, then the head and the checkpoint, then what is to go."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from archive.clock import Clock
from archive.copies.arrival import Sender
from archive.copies.memory import Memory, MemoryFile
from archive.copies.others import copy_anchors, copy_former, copy_state
from archive.copies.purged import remove_purged
from archive.copies.state_bundle import StateSource
from archive.copies.target import FOREIGN, MARK_FILE, MISSING, CopyError, Target, read_whole
from archive.copies.wanted import (
    SMALL_FILES,
    HeadReplacedError,
    LogFiles,
    Snapshot,
    Window,
    full_names,
    partial_names,
    take_snapshot,
)
from archive.errors import ArchiveError
from archive.merkle import tree_root
from archive.note import MAX_NOTE_BYTES, Checkpoint, open_checkpoint, parse_verifier_key
from archive.origin import ArchivePaths
from archive.succession import former_folders, read_origin
from archive.tree import TreeReader

COPY_FORMAT = 1
MAX_MARK_BYTES = 64 * 1024
SNAPSHOT_ATTEMPTS = 5
"""A head comes every ten seconds and its files are read in a moment."""


class StoppedError(Exception):
    """The process ends; the next pass goes on where this one stopped."""


def mark_target(target: Target, clock: Clock) -> None:
    """Say that a copy may be kept there. Raises CopyError where something else lies there."""
    if read_mark(target) is not None:
        return
    if target.list("log/") or target.list("head"):
        raise CopyError(f"{target.address} holds an archive that is no copy", code=FOREIGN)
    _write_mark(target, "", 0, clock)


def read_mark(target: Target) -> dict[str, object] | None:
    """What `phayan-copy.json` says; None where there is none. Raises CopyError for one that is none of ours."""
    try:
        found = json.loads(read_whole(target, MARK_FILE, MAX_MARK_BYTES))
    except CopyError as error:
        if error.code != MISSING:
            raise
        return None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("format") != COPY_FORMAT or not isinstance(found.get("origin"), str):
        raise CopyError(f"{MARK_FILE} at {target.address} is none of this program", code=FOREIGN)
    return found


def _write_mark(target: Target, origin: str, tree_size: int, clock: Clock) -> None:
    values = {"format": COPY_FORMAT, "origin": origin, "tree_size": tree_size, "unix_ns": str(clock.unix_ns())}
    target.put(MARK_FILE, json.dumps(values).encode() + b"\n")


class Copier:
    """Copies `paths` to `target`. `folder` is where it remembers how far it is, `state` what goes into the encrypted
    bundle (None: no recovery key). `is_stopped` ends a pass early."""

    def __init__(
        self,
        name: str,
        paths: ArchivePaths,
        target: Target,
        clock: Clock,
        *,
        retention_days: int,
        state: StateSource | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name, self.target, self.sent_bytes = name, target, 0
        self._paths, self._clock, self._state_source = paths, clock, state
        self._retention_days, self._is_stopped = retention_days, is_stopped
        self._file = MemoryFile(paths.directory / "copies", name, target.address)
        self.memory = self._file.load()

    def run(self) -> Checkpoint:
        """One pass. Returns the head that is at the copy then. Raises CopyError (`busy` while another process makes
        one), OSError, ArchiveError, StoppedError."""
        with self._file.locked():
            self.memory = self._file.load()
            return self._run()

    def _run(self) -> Checkpoint:
        self._check_mark()
        self._sender = Sender(self.target, self._paths.log, self._retention_days, self._count)
        snapshot = self._snapshot()
        self._recall(snapshot)
        copy_former(self._paths, self.target, self._sender, self.memory.former)
        self._save()
        for attempt in range(SNAPSHOT_ATTEMPTS):
            try:
                self._copy_log(snapshot)
                break
            except HeadReplacedError:
                if attempt == SNAPSHOT_ATTEMPTS - 1:
                    raise
                snapshot = self._snapshot()
        copy_anchors(self._paths, self.target, self._sender, snapshot.checkpoint.size)
        copy_state(self._state_source, self._paths, self.target, self._sender, self.memory, self._clock)
        remove_purged(self.target, self._paths.log, self.memory, self._count_file, self._save)
        _write_mark(self.target, snapshot.checkpoint.origin, snapshot.checkpoint.size, self._clock)
        self.memory.last_success_unix_ns = self._clock.unix_ns()
        self._save()
        return snapshot.checkpoint

    # How far the copy is

    def _check_mark(self) -> None:
        mark = read_mark(self.target)
        if mark is None and self.target.needs_mark:
            raise CopyError(
                f"{self.target.address} holds no {MARK_FILE}: the disk is not mounted, or was not prepared with "
                f"`phayan copies prepare {self.name}`",
                code=FOREIGN,
            )
        if mark is None:
            mark_target(self.target, self._clock)
            return
        known = {"", self._paths.origin(), *(read_origin(path) for path in former_folders(self._paths))}
        if mark["origin"] not in known:
            raise CopyError(
                f"{self.target.address} holds a copy of {mark['origin']}, which is no log of this archive", code=FOREIGN
            )

    def _recall(self, snapshot: Snapshot) -> None:
        """Go on where the last pass ended; where that is forgotten or another log was begun, by what is there."""
        vkey = (self._paths.log / "key.vkey").read_text(encoding="utf-8").strip()
        at_copy = self._head_at_copy()
        if at_copy is not None and at_copy[0] != snapshot.checkpoint.origin:
            self._put_former_aside(at_copy[0])
            at_copy = None
        size, checkpoint = 0, None
        if at_copy is not None:
            # One that does not verify was damaged on its way: then all is looked at, and what is right there stays.
            with suppress(ArchiveError):
                checkpoint = open_checkpoint(at_copy[1], parse_verifier_key(vkey))
        if checkpoint is not None:
            size = checkpoint.size
            tree = TreeReader(self._paths.log, snapshot.checkpoint.size).node
            if size > snapshot.checkpoint.size or tree_root(size, tree) != checkpoint.root:
                raise CopyError(
                    f"the copy at {self.target.address} has a head of {size} leaves that this log does not have",
                    code=FOREIGN,
                )
        if self.memory.vkey == vkey and self.memory.head_size == size:
            self._known: dict[str, int] | None = None if self.memory.leaves == size else {}
        else:
            self.memory = Memory(vkey=vkey, head_size=size, leaves=size)
            # What this copy has to remove is not remembered any more.
            files = LogFiles(self._paths.log, snapshot)
            self.memory.purges = [one.values() for one in files.purges(0) if one.leaf < size]
            self._known = {}
        if self._known is not None:
            self._known = self.target.list("log/")

    def _head_at_copy(self) -> tuple[str, bytes] | None:
        try:
            note = read_whole(self.target, "head", MAX_NOTE_BYTES)
        except CopyError as error:
            if error.code != MISSING:
                raise
            return None
        return note.split(b"\n", 1)[0].decode("utf-8", "replace"), note

    def _put_former_aside(self, origin: str) -> None:
        """Another log was begun here: what the copy has of the one before takes its place under `former/`."""
        folder = next(path for path in former_folders(self._paths) if read_origin(path) == origin)
        # The head last: while it is there, this is done again.
        self.target.rename("log", f"former/{folder.name}/log")
        self.target.rename("head", f"former/{folder.name}/head")

    # The log

    def _copy_log(self, snapshot: Snapshot) -> None:
        size, memory = snapshot.checkpoint.size, self.memory
        files = LogFiles(self._paths.log, snapshot)
        for purge in files.purges(memory.head_size):
            if all(one["leaf"] != purge.leaf for one in memory.purges):
                memory.purges.append(purge.values())
        for name in SMALL_FILES if not memory.head_size else ():
            self._sender.send_file(name, None, known_bytes=None)
        for window in files.windows(memory.leaves):
            self._copy_window(window)
            memory.leaves = window.end
            self._save()
        if size > memory.head_size or self._known is not None:
            self._copy_tree(snapshot)

    def _copy_window(self, window: Window) -> None:
        for run in window.runs:
            self._go_on()
            self._sender.send_run(run, (self._known or {}).get(f"log/{run.segment}", 0))
        for name, sha256 in window.files.items():
            self._go_on()
            known = (self._known or {}).get(f"log/{name}") if name.endswith(".units") else None
            self._sender.send_file(name, sha256, known_bytes=known)

    def _copy_tree(self, snapshot: Snapshot) -> None:
        old, size = self.memory.head_size, snapshot.checkpoint.size
        for name in full_names(old, size):
            self._go_on()
            self._sender.send_file(name, None, known_bytes=(self._known or {}).get(f"log/{name}"))
        for name, data in snapshot.partials.items():
            self._sender.put(f"log/{name}", data)
        self._go_on()
        # In the order of the sealer: a checkpoint ahead of its head would mean that the head was put back.
        self._sender.put("head", snapshot.note)
        self._sender.put("log/checkpoint", snapshot.note)
        older = {f"log/{name}" for name in partial_names(old)}
        older |= {name for name in self._known or () if name.startswith("log/tile/") and ".p/" in name}
        for name in older - {f"log/{name}" for name in snapshot.partials}:
            self.target.remove(name)
        self.memory.head_size = size
        self._save()

    def _snapshot(self) -> Snapshot:
        key = parse_verifier_key((self._paths.log / "key.vkey").read_text(encoding="utf-8").strip())
        for _ in range(SNAPSHOT_ATTEMPTS):
            with suppress(HeadReplacedError):
                return take_snapshot(self._paths.log, (self._paths.log / "checkpoint").read_bytes(), key)
        raise HeadReplacedError("heads come faster than they can be copied")

    # Keeping count

    def _count(self, sent: int) -> None:
        self.sent_bytes += sent
        self._go_on()

    def _count_file(self) -> None:
        self._go_on()

    def _go_on(self) -> None:
        if self._is_stopped():
            raise StoppedError

    def _save(self) -> None:
        self._file.save(self.memory)


def lengths_between(log: Path, snapshot: Snapshot, first: int, end: int) -> Iterator[int]:
    """Bytes of the chunks of these leaves, for what a copy is behind by."""
    with suppress(ArchiveError, OSError):
        for _, leaf in LogFiles(log, snapshot).leaves(first, end):
            start = leaf.find(b'"length":')
            if start >= 0 and b'"segment":' in leaf:
                yield int(leaf[start + 9 :].split(b",", 1)[0].rstrip(b"}"))
