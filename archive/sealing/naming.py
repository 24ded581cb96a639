"""The last leaf of a log that moves to another machine."""

from collections.abc import Iterator
from pathlib import Path

from archive.clock import Clock
from archive.note import VerifierKey
from archive.sealing.inbox import PreparedLeaf


class SuccessorSource:
    """archive.sealing.inbox.LeafSource: one leaf, at the first turn, after all that was received."""

    def __init__(self, key: VerifierKey, clock: Clock) -> None:
        self._key, self._clock = key, clock
        self._is_named = False

    def prepare(self, taken: set[Path]) -> Iterator[PreparedLeaf]:
        if self._is_named:
            return
        self._is_named = True
        fields = {"origin": self._key.name, "vkey": self._key.text(), "unix_ns": str(self._clock.unix_ns())}
        yield PreparedLeaf("successor", fields)
