"""When who stops as the disk fills, and when it goes on."""

import pytest

from archive.storage.levels import Level, Space, level_at, next_level

MIB = 1024 * 1024
TOTAL, RESERVE = 1024 * MIB, 512 * MIB
"""Of these 512 MiB may be filled; one percent of them is 5.12 MiB."""


def space(percent: float) -> Space:
    """So much of what may be filled is used."""
    return Space(TOTAL, int(RESERVE + (TOTAL - RESERVE) * (1 - percent / 100)))


@pytest.mark.parametrize(
    ("percent", "level"),
    [
        (0, Level.NORMAL), (69.9, Level.NORMAL), (70.1, Level.FILLING), (84.9, Level.FILLING), (85.1, Level.TIGHT),
        (94.9, Level.TIGHT), (95.1, Level.FULL), (100, Level.FULL), (150, Level.FULL),
    ],
)  # fmt: skip
def test_levels_begin_at_their_thresholds(percent: float, level: Level) -> None:
    assert level_at(space(percent), RESERVE) == level


def test_the_reserve_is_spent_when_an_eighth_of_it_is_left() -> None:
    assert level_at(Space(TOTAL, 64 * MIB), RESERVE) == Level.FULL
    assert level_at(Space(TOTAL, 64 * MIB - 1), RESERVE) == Level.SPENT


@pytest.mark.parametrize(
    ("percent", "level"), [(94.9, Level.FULL), (93.1, Level.FULL), (92.9, Level.TIGHT), (84.9, Level.TIGHT),
                           (82.9, Level.FILLING), (60, Level.NORMAL)]
)  # fmt: skip
def test_a_level_ends_two_percent_below_its_threshold(percent: float, level: Level) -> None:
    before = Level.FULL if percent > 90 else Level.TIGHT
    assert next_level(before, space(percent), RESERVE) == level


def test_without_a_reserve_nobody_stops() -> None:
    assert level_at(Space(TOTAL, 0), 0) == Level.TIGHT


def test_a_disk_smaller_than_the_reserve_is_full() -> None:
    assert level_at(Space(100 * MIB, 90 * MIB), RESERVE) == Level.FULL
