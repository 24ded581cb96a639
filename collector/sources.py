"""Sources of one listener: who is active, who sent regularly and has gone silent. No Python per record."""

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from archive.clock import Clock

MAX_SOURCES = 4_096
"""Watched sources of a listener, about 250 KiB. Forged sources can fill it only until they are seen to be no
regular ones; then the places are free again."""
ACTIVE_SECONDS = 60.0
"""A source heard within this time is named where a loss cannot be told apart by source."""
NS = 1_000_000_000
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""Odd constant (2^64 over the golden ratio) that mixes both halves of an address into one key."""


class Silence(NamedTuple):
    """A regular source stopped (`returned` false) or came back. `since_unix_ns`: last record before the silence."""

    source: bytes
    returned: bool
    since_unix_ns: int
    until_unix_ns: int


class SourceTable:
    """Shared by the receivers of one listener. A source is regular once it was heard for `silence_seconds` without
    a gap that long; it is then missed after the same time. With 0 nobody is missed."""

    def __init__(self, listener: str, silence_seconds: float, clock: Clock) -> None:
        self.listener = listener
        self.unwatched_records = 0
        self._clock = clock
        self._silence_ns = int(silence_seconds * NS)
        self._lock = threading.Lock()
        self._returned: list[Silence] = []
        # Rows in the order of their keys.
        self._keys = np.empty(0, np.uint64)
        self._addresses = np.empty((0, 16), np.uint8)
        self._first_ns = np.empty(0, np.int64)
        self._last_ns = np.empty(0, np.int64)
        self._last_unix_ns = np.empty(0, np.int64)
        self._silent = np.empty(0, np.bool_)

    def __len__(self) -> int:
        return len(self._keys)

    def observe(self, addresses: NDArray[np.uint8]) -> None:
        """Records of these sources, uint8[n,16], came in now."""
        words = np.ascontiguousarray(addresses).view(np.uint64)
        keys = (words[:, 0] * _MIX) ^ words[:, 1]
        now_ns, now_unix_ns = self._clock.monotonic_ns(), self._clock.unix_ns()
        with self._lock:
            places, known = self._find(keys)
            if not known.all():
                self._add(keys[~known], addresses[~known], now_ns, now_unix_ns)
                places, known = self._find(keys)
                self.unwatched_records += int(len(keys) - known.sum())
                places = places[known]
            if self._silent[places].any():
                self._note_returned(np.unique(places[self._silent[places]]), now_ns, now_unix_ns)
            self._last_ns[places] = now_ns
            self._last_unix_ns[places] = now_unix_ns

    def check(self) -> list[Silence]:
        """Sources that fell silent or came back since the last call. What is no regular source is forgotten."""
        now_ns, now_unix_ns = self._clock.monotonic_ns(), self._clock.unix_ns()
        with self._lock:
            found, self._returned = self._returned, []
            quiet = now_ns - self._last_ns > (self._silence_ns or int(ACTIVE_SECONDS * NS))
            quiet &= ~self._silent
            if not quiet.any():
                return found
            regular = self._last_ns - self._first_ns >= self._silence_ns if self._silence_ns else np.zeros_like(quiet)
            for row in np.flatnonzero(quiet & regular):
                since = int(self._last_unix_ns[row])
                found.append(Silence(self._addresses[row].tobytes(), False, since, now_unix_ns))
            self._silent |= quiet & regular
            self._keep(~(quiet & ~regular))
            return found

    def active(self) -> list[bytes]:
        """Sources heard within ACTIVE_SECONDS, the latest first."""
        with self._lock:
            rows = np.flatnonzero(self._clock.monotonic_ns() - self._last_ns <= ACTIVE_SECONDS * NS)
            rows = rows[np.argsort(-self._last_ns[rows], kind="stable")]
            return [self._addresses[row].tobytes() for row in rows]

    def _find(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        if not len(self._keys):
            return np.zeros(len(keys), np.int64), np.zeros(len(keys), np.bool_)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return places, self._keys[places] == keys

    def _add(self, keys: NDArray[np.uint64], addresses: NDArray[np.uint8], now_ns: int, now_unix_ns: int) -> None:
        """New sources as far as there is room; the one silent longest makes room for another."""
        keys, first = np.unique(keys, return_index=True)
        addresses = addresses[first]
        missing = len(self._keys) + len(keys) - MAX_SOURCES
        if missing > 0 and self._silent.any():
            silent = np.flatnonzero(self._silent)
            oldest = silent[np.argsort(self._last_ns[silent], kind="stable")[:missing]]
            kept = np.ones(len(self._keys), np.bool_)
            kept[oldest] = False
            self._keep(kept)
        room = MAX_SOURCES - len(self._keys)
        keys, addresses = keys[:room], addresses[:room]
        at = np.searchsorted(self._keys, keys)
        self._keys = np.insert(self._keys, at, keys)
        self._addresses = np.insert(self._addresses, at, addresses, axis=0)
        self._first_ns = np.insert(self._first_ns, at, now_ns)
        self._last_ns = np.insert(self._last_ns, at, now_ns)
        self._last_unix_ns = np.insert(self._last_unix_ns, at, now_unix_ns)
        self._silent = np.insert(self._silent, at, False)

    def _note_returned(self, rows: NDArray[np.int64], now_ns: int, now_unix_ns: int) -> None:
        for row in rows:
            since = int(self._last_unix_ns[row])
            self._returned.append(Silence(self._addresses[row].tobytes(), True, since, now_unix_ns))
        self._silent[rows] = False
        self._first_ns[rows] = now_ns

    def _keep(self, rows: NDArray[np.bool_]) -> None:
        self._keys, self._addresses = self._keys[rows], self._addresses[rows]
        self._first_ns, self._last_ns = self._first_ns[rows], self._last_ns[rows]
        self._last_unix_ns, self._silent = self._last_unix_ns[rows], self._silent[rows]
