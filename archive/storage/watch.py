"""The level of the disk that holds a directory, looked at once a second at most. Each process looks for itself, so that
none depends on another to know that it has to stop."""

import os
import threading
from pathlib import Path

from archive.clock import Clock
from archive.storage.levels import Level, Space, level_at, next_level

LOOK_NS = 1_000_000_000
"""In a second the fastest sender brings 100 MB, a fifth of the reserve."""


def read_space(directory: Path) -> Space:
    """Raises OSError. What only root may fill does not count."""
    found = os.statvfs(directory)
    free = found.f_bavail * found.f_frsize
    return Space(free + (found.f_blocks - found.f_bfree) * found.f_frsize, free)


class StorageWatch:
    """Thread-safe. A disk that cannot be asked keeps its level: what does not work is then told by whoever writes."""

    def __init__(self, directory: Path, reserve_bytes: int, clock: Clock) -> None:
        self._directory, self._reserve_bytes, self._clock = directory, reserve_bytes, clock
        self._lock = threading.Lock()
        self._looked_ns: int | None = None
        self._level: Level | None = None
        self._space = Space(0, 0)

    @property
    def reserve_bytes(self) -> int:
        return self._reserve_bytes

    def level(self) -> Level:
        """The level now, or of less than a second ago."""
        now = self._clock.monotonic_ns()
        with self._lock:
            if self._looked_ns is None or now - self._looked_ns >= LOOK_NS or self._level is None:
                self._looked_ns = now
                self._look()
            return self._level or Level.NORMAL

    def space(self) -> Space:
        """As of the last look."""
        self.level()
        return self._space

    def _look(self) -> None:
        try:
            self._space = read_space(self._directory)
        except OSError:
            return
        is_first = self._level is None
        self._level = (
            level_at(self._space, self._reserve_bytes)
            if is_first
            else next_level(self._level or Level.NORMAL, self._space, self._reserve_bytes)
        )
