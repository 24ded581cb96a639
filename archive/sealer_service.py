"""The sealer process: seals in a loop, signs packages against a sealed approval. No network."""

import logging
import threading
import time

from archive.clock import SystemClock
from archive.errors import ArchiveError
from archive.keys import load_keys
from archive.local_rpc import LocalServer
from archive.origin import ArchivePaths
from archive.package.signer import sign_package
from archive.run_report import write_run_report
from archive.sealer import Sealer

IDLE_SECONDS = 0.2
RETRY_SECONDS = 5.0
"""After an input or output error: a disk that is full or gone does not recover faster."""
REPORT_SECONDS = 1.0

log = logging.getLogger(__name__)


def run_sealer(paths: ArchivePaths, head_interval_seconds: float, stop: threading.Event) -> None:
    """Seal until `stop`, then publish what is pending. Raises ArchiveStateError where it may not sign."""
    keys = load_keys(paths.keys)
    sealer = Sealer(paths, keys, head_interval_seconds=head_interval_seconds)
    clock = SystemClock()
    server = LocalServer(
        paths.run / "sealer.sock",
        {"sign_package": lambda peer, arguments: sign_package(paths, keys, clock, arguments)},
        on_failure=lambda op, error: log.exception("request %s failed", op, exc_info=error),
    )
    server.start()
    reported = 0.0
    problem = ""
    try:
        while not stop.is_set():
            try:
                worked = sealer.run_once()
                problem = ""
            except OSError as error:
                problem = f"{error.strerror}: {error.filename or 'segment'}"
                log.error("sealing waits: %s", problem)
                stop.wait(RETRY_SECONDS)
                worked = 0
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                write_run_report(
                    paths.run,
                    "sealer",
                    {
                        "tree_size": sealer.checkpoint.size,
                        "pending_leaves": sealer.pending_leaves,
                        "sealed_records_since_start": sealer.sealed_records,
                        "problem": problem,
                    },
                )
            if not worked:
                stop.wait(IDLE_SECONDS)
        # Writers close their files when they stop; what they left is sealed before the sealer goes.
        try:
            sealer.run_once(full_look=True)
        except OSError as error:
            log.error("the last files were not sealed: %s", error)
    finally:
        server.shutdown()
        _close(sealer)


def _close(sealer: Sealer) -> None:
    try:
        sealer.close()
    except (ArchiveError, OSError) as error:
        log.error("the last head was not published: %s", error)
