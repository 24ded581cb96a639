"""How full the disk is, in the levels that decide who still writes. Pure.

Percentages are of what may be filled: the file system without the reserve, which is kept for sessions, the audit,
losses and purges, and for sealing them.
"""

from dataclasses import dataclass
from enum import IntEnum

FILLING_PERCENT, TIGHT_PERCENT, FULL_PERCENT = 70, 85, 95
BACK_PERCENT = 2
"""So far below its threshold a level ends, else receivers would start and stop with every file that is sealed."""
DEFAULT_RESERVE_BYTES = 512 * 1024 * 1024
"""A week of log-ins and accounting of a large school, 60,000 records of 300 bytes a day sealed, and a night's purge."""
SPENT_SHARE = 8
"""An eighth of the reserve is the sealer's: until its head is signed a chunk lies in spool and segment at once."""


class Level(IntEnum):
    """From the first that somebody should know of, to the one at which nothing is written but what is there already."""

    NORMAL = 0
    FILLING = 1
    TIGHT = 2
    FULL = 3
    SPENT = 4


@dataclass(frozen=True)
class Space:
    """Of a file system, in bytes: all that this user may have, and what is left of it."""

    total_bytes: int
    free_bytes: int

    def used_percent(self, reserve_bytes: int) -> float:
        """0 to 100 of what may be filled; more once the reserve is used."""
        room = max(1, self.total_bytes - reserve_bytes)
        return 100.0 * (1.0 - (self.free_bytes - reserve_bytes) / room)


def level_at(space: Space, reserve_bytes: int) -> Level:
    """The level of a moment, whatever was before. Without a reserve nobody stops: the disk itself will say so."""
    if space.free_bytes < reserve_bytes // SPENT_SHARE:
        return Level.SPENT
    percent = space.used_percent(reserve_bytes)
    for threshold, level in (
        (FULL_PERCENT, Level.FULL),
        (TIGHT_PERCENT, Level.TIGHT),
        (FILLING_PERCENT, Level.FILLING),
    ):
        if percent >= threshold:
            return level if reserve_bytes else min(level, Level.TIGHT)
    return Level.NORMAL


def next_level(before: Level, space: Space, reserve_bytes: int) -> Level:
    """A level is entered at its threshold and left a little below it."""
    now = level_at(space, reserve_bytes)
    if now >= before:
        return now
    room = max(1, space.total_bytes - reserve_bytes)
    worse = Space(space.total_bytes, space.free_bytes - room * BACK_PERCENT // 100)
    return max(now, min(before, level_at(worse, reserve_bytes)))
