"""What retention never goes below, and what it never touches. Pure."""

import re
from typing import Any

from archive.errors import ArchiveError

RETENTION_FLOOR_DAYS = 90
"""The least that Thai law asks for (Computer Crime Act, section 26), counted from receipt."""
LONG_LIVED_STREAMS = frozenset({"identity", "cases"})
"""Streams that no purge takes: names as of any time, and what was done under which order."""
LONG_LIVED_TABLES = frozenset({"identity", "cases"})
"""Tables of the index made from those streams."""
NS = 1_000_000_000
NS_PER_DAY = 86_400 * NS
MAX_RETENTION_DAYS = 36_500
"""A hundred years: a number beyond it is a mistake."""
MAX_HELD_UNITS = 400_000
"""Of one day: each is a line of a kilobyte in its held file, and has to be in memory when that is written."""
MAX_HOLDS = 2_000
"""Hold ids of one purge leaf, which has at most 65,535 bytes: 20 bytes each, beside the streams."""
DAY = re.compile(r"[0-9]{8}", re.ASCII)
HOLD_ID = re.compile(r"hold-[0-9]{4}-[0-9]{4,6}", re.ASCII)


class RetentionError(ArchiveError):
    """A purge that is not done; the message says why in one sentence."""

    code = "retention"


def check_retention_days(days: Any) -> int:
    """`days` if records may be kept for so long. Raises RetentionError."""
    if type(days) is not int or not RETENTION_FLOOR_DAYS <= days <= MAX_RETENTION_DAYS:
        raise RetentionError(
            f"records are to be kept for {days} days; a whole number from {RETENTION_FLOOR_DAYS} to "
            f"{MAX_RETENTION_DAYS} is needed",
            code="retention_floor",
        )
    return days
