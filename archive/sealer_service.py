"""The sealer process: seals in a loop, signs packages against a sealed approval. No network."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archive.anchor.check import AnchorTrust, check_anchor
from archive.clock import Clock, SystemClock
from archive.errors import AnchorError, ArchiveError, AskError
from archive.index.checkpoint import read_checkpoint
from archive.key_source import KeySource
from archive.keys import LogKeys
from archive.local_rpc import LocalServer
from archive.merkle import tree_root
from archive.note import VerifierKey, open_checkpoint
from archive.origin import ArchivePaths
from archive.package.signer import sign_package
from archive.run_report import write_run_report
from archive.sealer import Sealer
from archive.sealing.day_mover import DayMover
from archive.sealing.first_head import FirstHead
from archive.sealing.inbox import LeafSource
from archive.sealing.json_leaves import JsonLeaves, check_clock_fields
from archive.sealing.purge import PurgeSource
from archive.sealing.purge_decision import PurgeSettings
from archive.sealing.record_roots import RecordRoots
from archive.storage.levels import DEFAULT_RESERVE_BYTES
from archive.storage.watch import StorageWatch
from archive.tree import TreeReader

IDLE_SECONDS = 0.2
RETRY_SECONDS = 5.0
"""After an input or output error: a disk that is full or gone does not recover faster."""
REPORT_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SealerSettings:
    """`trust` says whose anchors are sealed; `has_outside_heads`, whether one is to be asked for before signing;
    `retention_days`, after how many days a request for a purge is granted; `second_directory`, where sealed days move
    to as the disk fills."""

    head_interval_seconds: float
    keys: KeySource
    trust: AnchorTrust = field(default_factory=AnchorTrust)
    has_outside_heads: bool = False
    retention_days: int = 92
    second_directory: Path | None = None
    reserve_bytes: int = DEFAULT_RESERVE_BYTES


def run_sealer(paths: ArchivePaths, settings: SealerSettings, stop: threading.Event) -> None:
    """Seal until `stop`, then publish what is pending. Raises ArchiveStateError where it may not sign."""
    keys = settings.keys.load(paths.origin())
    clock = SystemClock()
    gate = FirstHead(paths, keys.verifier_key(paths.origin()), clock, has_sources=settings.has_outside_heads)
    service = _Service(paths, settings, keys, clock)
    server = LocalServer(
        paths.run / "sealer.sock",
        {"sign_package": service.sign_package, "seal_records_roots": service.seal_records_roots},
        on_failure=lambda op, error: log.exception("request %s failed", op, exc_info=error),
    )
    server.start()
    try:
        while not stop.is_set() and not _is_allowed(gate):
            service.report(gate.problem, gate.code)
            stop.wait(IDLE_SECONDS)
        if not stop.is_set():
            service.seal(stop)
    finally:
        server.shutdown()
        service.close()


def _is_allowed(gate: FirstHead) -> bool:
    try:
        return gate.is_allowed()
    except OSError as error:
        gate.problem = f"{error.strerror}: {error.filename}"
        return False


class _Service:
    """The sealer, what feeds it, and what others may ask of it."""

    def __init__(self, paths: ArchivePaths, settings: SealerSettings, keys: LogKeys, clock: Clock) -> None:
        self._paths, self._settings, self._keys, self._clock = paths, settings, keys, clock
        self._sealer: Sealer | None = None
        self._roots = RecordRoots(paths, clock, lambda: self._sealer.tree_size if self._sealer else 0)
        self._anchors = JsonLeaves("anchor", paths.inbox / "anchors", self._check_anchor)
        self._samples = JsonLeaves("clock", paths.inbox / "clock", check_clock_fields)
        self._is_stopped: Callable[[], bool] = lambda: False
        settings_of_purge = PurgeSettings(
            settings.retention_days,
            lambda: self._sealer.checkpoint if self._sealer else read_checkpoint(paths),
            lambda: self._sealer.tree_size if self._sealer else 0,
            lambda: self._is_stopped(),
        )
        self._purge = PurgeSource(paths, clock, self._roots, settings_of_purge)
        self._writing = threading.Lock()
        self._mover: DayMover | None = None
        if settings.second_directory is not None:
            watch = StorageWatch(paths.directory, settings.reserve_bytes, clock)
            self._mover = DayMover(
                paths, settings.second_directory, watch, clock, settings.retention_days, self._writing
            )
        self._reported = 0.0

    def seal(self, stop: threading.Event) -> None:
        self._is_stopped = stop.is_set
        if self._mover is not None:
            self._mover.start(stop)
        sources: Sequence[LeafSource] = (self._anchors, self._samples, self._purge, self._roots)
        sealer = self._sealer = Sealer(
            self._paths,
            self._keys,
            clock=self._clock,
            head_interval_seconds=self._settings.head_interval_seconds,
            sources=sources,
        )
        problem = ""
        while not stop.is_set():
            try:
                with self._writing:
                    worked = sealer.run_once()
                problem = ""
            except OSError as error:
                problem = f"{error.strerror}: {error.filename or 'segment'}"
                log.error("sealing waits: %s", problem)
                stop.wait(RETRY_SECONDS)
                worked = 0
            if time.monotonic() - self._reported >= REPORT_SECONDS:
                self.report(problem)
            if not worked:
                stop.wait(IDLE_SECONDS)
        # Writers close their files when they stop; what they left is sealed before the sealer goes.
        try:
            sealer.run_once(full_look=True)
        except OSError as error:
            log.error("the last files were not sealed: %s", error)

    def report(self, problem: str, signing_refused: str = "") -> None:
        """Write the counters of this process. `signing_refused` is the code of the reason, empty while it signs."""
        self._reported = time.monotonic()
        sealer = self._sealer
        values = {
            "tree_size": sealer.checkpoint.size if sealer else None,
            "pending_leaves": sealer.pending_leaves if sealer else None,
            "sealed_records_since_start": sealer.sealed_records if sealer else 0,
            "leaves_waiting_for_records_root": self._roots.waiting,
            "inbox_refused": self._roots.refused + self._anchors.refused + self._samples.refused + self._purge.refused,
            "purge": self._purge.report(),
            "second_disk_problem": self._mover.problem if self._mover else "",
            "signing_refused": signing_refused,
            "problem": problem,
        }
        write_run_report(self._paths.run, "sealer", values)

    def close(self) -> None:
        self._purge.close()
        if self._sealer is None:
            return
        try:
            self._sealer.close()
        except (ArchiveError, OSError) as error:
            log.error("the last head was not published: %s", error)

    # What others ask for

    def sign_package(self, peer: Any, arguments: dict[str, Any]) -> dict[str, str]:
        if self._sealer is None:
            raise AskError("nothing is signed until the heads kept outside are compared", code="signing_refused")
        return sign_package(self._paths, self._keys, self._clock, arguments)

    def seal_records_roots(self, peer: Any, arguments: dict[str, Any]) -> dict[str, int]:
        """Seal the records roots of all reported units at the next turn."""
        waiting = self._roots.waiting
        self._roots.force()
        return {"waiting": waiting}

    def _check_anchor(self, fields: dict[str, Any]) -> None:
        key: VerifierKey = self._keys.verifier_key(self._paths.origin())
        check_anchor(fields, key, self._settings.trust)
        seen = open_checkpoint(fields["checkpoint"].encode(), key)
        assert self._sealer is not None  # noqa: S101 - sources are asked by the sealer alone
        own = self._sealer.checkpoint
        if seen.size > own.size or tree_root(seen.size, TreeReader(self._paths.log, own.size).node) != seen.root:
            raise AnchorError(f"a head of {seen.size} leaves was anchored that is not the beginning of this log")
