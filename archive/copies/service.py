"""A copy as the anchor process keeps it: a pass every so many minutes, again sooner after a failure, and what it
says of itself."""

from dataclasses import dataclass
from typing import Any

from archive.anchor.target import POLL_SECONDS, Backoff
from archive.clock import Clock
from archive.copies.copier import Copier, StoppedError, lengths_between
from archive.copies.wanted import HeadReplacedError, take_snapshot
from archive.errors import ArchiveError
from archive.note import parse_verifier_key
from archive.origin import ArchivePaths

COUNT_LEAVES = 20_000
"""Looked at in one step to tell by how many bytes a copy is behind: a tenth of a second."""


@dataclass
class _Behind:
    """`counted` is up to which leaf `bytes` is the sum from `first` on."""

    first: int = 0
    counted: int = 0
    bytes: int = 0


class CopyTask:
    """One target in a thread of its own (archive.anchor.service.Target)."""

    kind = "copy"

    def __init__(self, copier: Copier, paths: ArchivePaths, clock: Clock, interval_seconds: int) -> None:
        self._copier, self._paths, self._clock = copier, paths, clock
        self._interval_seconds = interval_seconds
        self._backoff = Backoff()
        self._behind = _Behind()
        self._tree_size: int | None = None
        self._problem = ""

    @property
    def name(self) -> str:
        return self._copier.name

    def step(self) -> float:
        """Make a pass if one is due. Returns the seconds until the next look."""
        now = self._clock.monotonic_ns()
        if self._backoff.seconds_left(now) <= 0:
            try:
                self._copier.run()
            except StoppedError:
                return POLL_SECONDS
            except (ArchiveError, OSError) as error:
                self.fail(error)
            else:
                self._problem = ""
                self._backoff.succeed(self._clock.monotonic_ns(), self._interval_seconds)
        self._count()
        return POLL_SECONDS

    def finish(self) -> None:
        """A pass that is cut off goes on after the next start."""
        self._copier.target.close()

    def fail(self, error: Exception) -> None:
        if isinstance(error, OSError):
            self._problem = f"{error.strerror or error}: {error.filename}"
        else:
            self._problem = str(error) or type(error).__name__
        self._backoff.fail(self._clock.monotonic_ns())

    def report(self) -> dict[str, Any]:
        memory = self._copier.memory
        return {
            "name": self.name,
            "address": self._copier.target.address,
            "last_success_unix_ns": str(memory.last_success_unix_ns) if memory.last_success_unix_ns else None,
            "tree_size": memory.head_size,
            "behind_leaves": None if self._tree_size is None else max(0, self._tree_size - memory.head_size),
            "behind_bytes": self._behind.bytes,
            "purges_waiting": len(memory.purges),
            "sent_bytes": self._copier.sent_bytes,
            "interval_seconds": self._interval_seconds,
            "problem": self._problem,
        }

    def _count(self) -> None:
        """By how much the copy is behind, a part of the leaves at a time."""
        log = self._paths.log
        try:
            key = parse_verifier_key((log / "key.vkey").read_text(encoding="utf-8").strip())
            note = (log / "checkpoint").read_bytes()
            snapshot = take_snapshot(log, note, key)
        except (HeadReplacedError, ArchiveError, OSError):
            return
        self._tree_size = snapshot.checkpoint.size
        first = self._copier.memory.leaves
        if self._behind.first != first:
            self._behind = _Behind(first, first)
        end = min(self._tree_size, self._behind.counted + COUNT_LEAVES)
        self._behind.bytes += sum(lengths_between(log, snapshot, self._behind.counted, end))
        self._behind.counted = end
