"""Days whose index is dropped to make room: which, what is said meanwhile, and how they come back."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from flow_days import SYSLOG, to_next_day
from indexed_log import IndexedLog
from test_index_purged import seal_purge, typed

from archive.ask.storage_desk import StorageDesk
from archive.index.dropped import drop_oldest_day, dropped_days, dropped_intervals
from archive.segment import utc_day
from archive.storage.forecast import forecast
from archive.storage.levels import Level, Space

GIB = 1024**3


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IndexedLog]:
    made = IndexedLog.make(tmp_path)
    yield made
    made.close()


def receive_days(log: IndexedLog, count: int) -> list[str]:
    days = []
    for number in range(count):
        if number:
            to_next_day(log)
        log.receive("collector", (SYSLOG, f"<13>line of day {number}".encode()))
        days.append(utc_day(log.clock.unix_ns()))
    return days


def messages(log: IndexedLog) -> list[str]:
    return [row["message"] for row in log.rows("logs", "message")]


def test_the_oldest_goes_first_and_two_stay(log: IndexedLog) -> None:
    days = receive_days(log, 4)
    assert [drop_oldest_day(log.engine, 1) for _ in range(3)] == [days[0], days[1], None]
    assert dropped_days(log.engine) == days[:2]
    assert messages(log) == ["line of day 2", "line of day 3"]
    assert [utc_day(first) for first, _ in dropped_intervals(log.engine)] == days[:2]


def test_a_reindex_brings_them_back(log: IndexedLog) -> None:
    days = receive_days(log, 4)
    assert drop_oldest_day(log.engine, 1) == days[0]
    run = log.reindex()
    run.run(Event())
    assert run.progress.state == "finished", run.progress.problem
    assert messages(log) == [f"line of day {number}" for number in range(4)]
    assert dropped_days(log.engine) == []


def test_what_holds_keep_of_a_purged_day_is_never_dropped(log: IndexedLog) -> None:
    days = receive_days(log, 4)
    seal_purge(log, days[0], {"logs": typed(log, "logs", "message = 'line of day 0'")})
    log.index()
    assert [drop_oldest_day(log.engine, 1) for _ in range(2)] == [days[1], None]
    assert "line of day 0" in messages(log)


class Disk:
    """A StorageWatch that is told."""

    reserve_bytes = GIB
    now = Level.NORMAL

    def level(self) -> Level:
        return self.now

    def space(self) -> Space:
        return Space(10 * GIB, 4 * GIB)


class Written:
    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def append(self, payload: bytes, *, listener: str) -> int:
        self.payloads.append(payload)
        return 0


def test_the_desk_drops_a_day_at_a_time_and_has_it_recorded(log: IndexedLog) -> None:
    days = receive_days(log, 5)
    disk, written = Disk(), Written()
    desk = StorageDesk(log.paths, log.engine, disk, written, log.clock, 92)  # type: ignore[arg-type]
    desk.tick()
    assert written.payloads == []
    disk.now = Level.TIGHT
    desk.tick()
    desk.tick()
    assert dropped_days(log.engine) == days[:1]
    log.clock.advance(31)
    desk.tick()
    assert dropped_days(log.engine) == days[:2]
    assert [b'"index_day_dropped"' in one for one in written.payloads] == [False, True, True]
    assert b'"to":"tight"' in written.payloads[0]
    assert [one.code for one in desk.conditions()] == ["disk_tight"]
    values = desk.read()
    assert values["days_without_index"] == days[:2]
    assert values["days_measured"] == 4
    assert values["journal_bytes"] > 0


def test_the_forecast_is_of_whole_days() -> None:
    space = Space(100 * GIB, 41 * GIB)
    days = {"20260101": 2 * GIB, "20260102": 4 * GIB, "20260103": 100 * GIB}
    said = forecast(days, "20260103", space, GIB, 92)
    assert (said.bytes_per_day, said.days_left, said.from_days) == (3 * GIB, 40 / 3, 2)
    assert said.needed_bytes == 93 * 3 * GIB
    assert said.is_enough is False
    assert forecast(days, "20260101", space, GIB, 92).days_left is None


def test_the_forecast_holds_within_a_tenth() -> None:
    """R08: ten like days are measured; after as many days as it says, the room is used up to a tenth."""
    per_day, free = 3 * GIB + 12345, 100 * GIB
    days = {f"202601{day:02d}": per_day + (day % 3 - 1) * GIB // 20 for day in range(1, 11)}
    said = forecast(days, "20260111", Space(200 * GIB, free), GIB, 92)
    assert said.days_left is not None
    assert abs(said.days_left * per_day / (free - GIB) - 1) < 0.1
