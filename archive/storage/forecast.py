"""How long the disk lasts, from what whole days took. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from archive.storage.levels import Space

DAYS_AVERAGED = 7
"""A week: schools are quiet on two days of it."""


@dataclass(frozen=True)
class Forecast:
    """`bytes_per_day` of journal and index; `days_left` until receiving stops, while nothing is purged; None where no
    whole day was measured. `is_enough`: what is to be kept fits. `from_days` were averaged."""

    bytes_per_day: int | None
    days_left: float | None
    needed_bytes: int | None
    is_enough: bool | None
    from_days: int


def forecast(
    bytes_of_days: Mapping[str, int], today: str, space: Space, reserve_bytes: int, retention_days: int
) -> Forecast:
    """`bytes_of_days`: bytes on disk of each UTC day of receipt (`YYYYMMDD`). Today is not over and does not count. A
    day between without any counts as such."""
    whole = sorted(day for day in bytes_of_days if day < today)[-DAYS_AVERAGED:]
    if not whole:
        return Forecast(None, None, None, None, 0)
    per_day = sum(bytes_of_days[day] for day in whole) // len(whole)
    room = max(0, space.free_bytes - reserve_bytes)
    used = sum(bytes_of_days.values())
    needed = per_day * (retention_days + 1)
    days_left = room / per_day if per_day else None
    return Forecast(per_day, days_left, needed, needed <= used + room, len(whole))
