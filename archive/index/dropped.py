"""Days whose index was dropped to make room: the journal still has them, and a reindex brings their rows back. Which
they are is kept in the index itself, so that it can never disagree with a side file."""

from archive.index.engine import Engine
from archive.index.purged import PURGE, PURGED_TABLES, day_bounds_ns
from archive.segment import utc_day

DAYS_KEPT = 2
"""Newest days that keep their index whatever the disk says: the trouble of this morning is looked for in them."""
_TABLE = "CREATE TABLE IF NOT EXISTS {table} (day String, dropped_unix_ns Int64) ENGINE = MergeTree ORDER BY day"


def dropped_days(engine: Engine) -> list[str]:
    """Days `YYYYMMDD` without an index, in order."""
    if not engine.query(
        "SELECT name FROM system.tables WHERE database = {database:String} AND name = 'dropped_days'",
        {"database": engine.database},
    ):
        return []
    return [row["day"] for row in engine.query("SELECT DISTINCT day FROM {db}.dropped_days ORDER BY day")]


def dropped_intervals(engine: Engine) -> tuple[tuple[int, int], ...]:
    """First and last nanosecond of each."""
    return tuple(day_bounds_ns(day) for day in dropped_days(engine))


def drop_oldest_day(engine: Engine, now_unix_ns: int) -> str | None:
    """Drop the index of the oldest day that has one; which it was, None where none may be dropped. What holds keep of
    purged days stays: no journal can tell it again."""
    rows = engine.query("SELECT DISTINCT first_unix_ns FROM {db}.leaves WHERE kind = {kind:String}", {"kind": PURGE})
    purged = {utc_day(int(row["first_unix_ns"])) for row in rows}
    days = sorted({day for table, day in engine.count_partitions() if table in PURGED_TABLES} - purged)
    oldest = next(iter(days[:-DAYS_KEPT]), None)
    if oldest is None:
        return None
    # Said before it is done: a question asked in between may then find less than it says, never more.
    table = f"{engine.database}.dropped_days"
    engine.command(_TABLE.format(table=table))
    engine.command(f"INSERT INTO {table} VALUES ('{oldest}', {now_unix_ns})")
    for name in PURGED_TABLES:
        engine.drop_partition(name, oldest)
    return oldest


def forget_dropped(engine: Engine, day: str) -> None:
    """The day has an index again."""
    if day in dropped_days(engine):
        engine.command(
            f"ALTER TABLE {engine.database}.dropped_days DELETE WHERE day = '{day}' SETTINGS mutations_sync = 2"
        )
