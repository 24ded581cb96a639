"""Spool files that may be sealed: closed ones, and open ones whose writer is dead, in sequence order."""

import fcntl
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from archive.clock import Clock
from archive.spool_read import is_spool_file

NS = 1_000_000_000
TIMESTAMP_TICK_NS = 20_000_000
"""File times advance by a timer tick, at most 10 ms; twice that."""
FULL_LOOK_SECONDS = 1
"""Spool folders are looked through at least this often."""


class SpoolWatch:
    """Remembers when each folder of `spool` last changed: a look costs one system call a stream instead of one a file,
    so that waiting costs next to nothing."""

    def __init__(self, spool: Path, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._folder_times: dict[Path, int] = {}
        self._looked_monotonic_ns = clock.monotonic_ns() - FULL_LOOK_SECONDS * NS

    def changed_folders(self, full_look: bool) -> list[Path]:
        """Folders in which a file was begun or closed since the last look, and now and then all of them: a writer that
        dies changes nothing but gives its lock up."""
        now = self._clock.monotonic_ns()
        if full_look or now - self._looked_monotonic_ns >= FULL_LOOK_SECONDS * NS:
            self._looked_monotonic_ns = now
            folders = [path for path in self._spool.glob("*") if path.is_dir()]
            self._folder_times = dict.fromkeys(folders, 0)
        found = []
        for folder, seen_ns in sorted(self._folder_times.items()):
            changed_ns = folder.stat().st_mtime_ns
            if changed_ns != seen_ns:
                # Within one tick of the file system's clock another change leaves the same time.
                settled = time.time_ns() - changed_ns > TIMESTAMP_TICK_NS
                self._folder_times[folder] = changed_ns if settled else 0
                found.append(folder)
        return found

    def look_again(self, folder: Path) -> None:
        """A file of the folder could not be sealed."""
        self._folder_times[folder] = 0

    def ready_files(self, folder: Path, taken: Collection[Path]) -> Iterator[Path]:
        """Files of one stream to be sealed, but for those of `taken`."""
        for path in sorted(filter(is_spool_file, folder.iterdir()), key=lambda p: (p.stem, p.suffix)):
            if path in taken:
                continue
            if path.suffix == ".open" and not _is_abandoned(path):
                break
            if path.exists():
                yield path


def _is_abandoned(path: Path) -> bool:
    """Whether no writer holds the lock of an `.open` file any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return path.exists()
