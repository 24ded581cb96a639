"""The anchor process: one thread for each witness and authority, so that one that stalls delays no other. It has a
network and no key."""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from archive.anchor.outside_heads import CopySource, HeadSource, WitnessSource, answer_wanted
from archive.anchor.published import PublishedLog
from archive.anchor.stamp_queue import StampQueue
from archive.anchor.stamp_request import StampDesk
from archive.anchor.store import AnchorStore
from archive.anchor.target import NS, POLL_SECONDS
from archive.anchor.witness_feed import WitnessFeed
from archive.clock import Clock, SystemClock
from archive.cosignature import WitnessKey
from archive.errors import ArchiveError, ArchiveStateError
from archive.origin import ArchivePaths
from archive.run_report import write_run_report
from archive.timestamp.token import Authority
from archive.witness.client import WitnessClient

REPORT_SECONDS = 2.0
WANTED_SECONDS = 0.25
"""How often it is looked whether the sealer wants heads: its start waits for them."""
THIN_OUT_SECONDS = 3600.0
ENDING_SECONDS = 5.0
"""For the last head to be cosigned. A thread that still waits for a peer then is left to end with the process; what it
has done is durable."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnchorSettings:
    """What to anchor with. `witnesses`: address, key and the file of its certificate's authority, if any."""

    witnesses: Sequence[tuple[str, WitnessKey, Path | None]] = ()
    authorities: Sequence[Authority] = ()
    copies: Sequence[Path] = ()
    timestamp_interval_seconds: int = 3600


class Target(Protocol):
    """A WitnessFeed or a StampQueue."""

    kind: str

    @property
    def name(self) -> str: ...

    def step(self) -> float: ...

    def finish(self) -> None: ...

    def fail(self, error: Exception) -> None: ...

    def report(self) -> dict[str, Any]: ...


@dataclass
class AnchorService:
    """Targets and sources of heads, and their threads."""

    paths: ArchivePaths
    published: PublishedLog
    store: AnchorStore
    witnesses: list[WitnessFeed]
    authorities: list[StampQueue]
    sources: list[HeadSource]
    clock: Clock
    stamps: StampDesk | None = None
    copies: Sequence[Target] = ()
    _thinned_monotonic_ns: int | None = field(default=None, init=False)

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; then threads have a moment to end. Raises ArchiveStateError `log_changed` when another log was
        begun in the directory: what is remembered is of the former one, and the process has to start again."""
        targets: list[Target] = [*self.witnesses, *self.authorities, *self.copies]
        threads = [
            threading.Thread(target=run_target, args=(target, stop), name=target.name, daemon=True)
            for target in targets
        ]
        threads.append(threading.Thread(target=self._answer, args=(stop,), name="heads", daemon=True))
        threads.append(threading.Thread(target=self._stamp, args=(stop,), name="stamps", daemon=True))
        for thread in threads:
            thread.start()
        while True:
            self.keep_house()
            if stop.wait(REPORT_SECONDS):
                break
            self._check_log()
        ending = self.clock.monotonic_ns() + int(ENDING_SECONDS * NS)
        for thread in threads:
            thread.join(max(0.0, (ending - self.clock.monotonic_ns()) / NS))

    def keep_house(self) -> None:
        """Write the run report; once an hour remove copies that are too many."""
        now = self.clock.monotonic_ns()
        due = self._thinned_monotonic_ns is None or now - self._thinned_monotonic_ns >= THIN_OUT_SECONDS * NS
        if due:
            self._thinned_monotonic_ns = now
            try:
                self.store.thin_out()
            except OSError as error:
                log.warning("anchors cannot be thinned out: %s", error)
        write_run_report(self.paths.run, "anchor", self.report())

    def _check_log(self) -> None:
        with suppress(OSError):
            if self.published.is_begun_anew():
                raise ArchiveStateError(
                    "another log was begun here; the anchor process starts again", code="log_changed"
                )

    def report(self) -> dict[str, Any]:
        """The object of `run/anchor.json`."""
        tree_size, problem = None, None
        try:
            tree_size = self.published.newest().checkpoint.size
        except (ArchiveError, OSError) as error:
            problem = f"the published checkpoint cannot be read: {error}"
        return {
            "tree_size": tree_size,
            "problem": problem,
            "witnesses": [target.report() for target in self.witnesses],
            "authorities": [target.report() for target in self.authorities],
            "copies": [target.report() for target in self.copies],
            "not_handed_over": self.store.not_handed_over,
        }

    def _answer(self, stop: threading.Event) -> None:
        while not stop.wait(WANTED_SECONDS):
            try:
                answer_wanted(self.paths, self.sources)
            except OSError as error:
                log.warning("heads that are wanted cannot be answered: %s", error)

    def _stamp(self, stop: threading.Event) -> None:
        while self.stamps is not None and not stop.wait(WANTED_SECONDS):
            try:
                self.stamps.answer_requests()
            except OSError as error:
                log.warning("requests for time stamps cannot be answered: %s", error)


def run_target(target: Target, stop: threading.Event) -> None:
    """Call `step` until `stop`. A fault of ours in it is said and costs a pause, not the thread."""
    while not stop.is_set():
        try:
            seconds = target.step()
        except Exception as error:
            log.exception("%s %s", target.kind, target.name)
            target.fail(error)
            seconds = POLL_SECONDS
        stop.wait(min(seconds, POLL_SECONDS))
    try:
        target.finish()
    except Exception:
        log.exception("%s %s", target.kind, target.name)


def head_sources(settings: AnchorSettings) -> list[HeadSource]:
    """Where heads of ours are kept outside. Raises WitnessError for an address that is none."""
    witnesses: list[HeadSource] = [
        WitnessSource(key.name, WitnessClient(url, key, ca_file=ca_file)) for url, key, ca_file in settings.witnesses
    ]
    return [*witnesses, *(CopySource(path) for path in settings.copies)]


def make_anchor_service(paths: ArchivePaths, settings: AnchorSettings, clock: Clock | None = None) -> AnchorService:
    """The service over the published log of `paths`. Raises OSError, or ArchiveError where there is no log."""
    clock = clock or SystemClock()
    paths.origin()
    published = PublishedLog(paths)
    store = AnchorStore(paths, clock)
    store.open(published.key)
    clients = [(key, WitnessClient(url, key, ca_file=ca_file)) for url, key, ca_file in settings.witnesses]
    return AnchorService(
        paths=paths,
        published=published,
        store=store,
        witnesses=[WitnessFeed(client, key, published, store, clock) for key, client in clients],
        authorities=[
            StampQueue(authority, published, store, clock, settings.timestamp_interval_seconds)
            for authority in settings.authorities
        ],
        sources=head_sources(settings),
        clock=clock,
        stamps=StampDesk(paths.directory / "stamps", settings.authorities, clock),
    )
