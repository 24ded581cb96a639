"""What a `purge` leaf does to the index: of its UTC day of receipt only the rows that holds keep stay, as the rows file
that it seals has them. May be done again at any time."""

import hashlib
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from archive.errors import ArchiveFormatError, ArchiveIntegrityError
from archive.index.engine import Engine
from archive.retention.held_file import decode_rows
from archive.retention.limits import LONG_LIVED_TABLES
from archive.schema import SCHEMAS

DAY_NS = 86_400 * 1_000_000_000
PURGE = "purge"
HELD_PREFIX = "held_"
PURGED_TABLES = tuple(name for name in SCHEMAS if name not in LONG_LIVED_TABLES)

log = logging.getLogger(__name__)


def day_bounds_ns(day: str) -> tuple[int, int]:
    """First and last nanosecond of a UTC day `YYYYMMDD`."""
    start = int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * 1_000_000_000
    return start, start + DAY_NS - 1


def purged_values(leaf: dict[str, Any]) -> dict[str, int]:
    """Columns of table `leaves` that say which day a purge leaf is about."""
    first, last = day_bounds_ns(leaf["day"])
    return {"first_unix_ns": first, "last_unix_ns": last}


def held_rows_of(log_folder: Path, leaf: dict[str, Any]) -> dict[str, pa.Table]:
    """The rows that a purge leaf keeps, by table; none where a later purge of the day has put other files in the place
    of its own. Raises ArchiveIntegrityError, ArchiveFormatError for a file that is not the sealed one."""
    held = leaf["held"]
    if held is None:
        return {}
    path = log_folder / held["rows_file"]
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        log.warning("%s is gone; the rows of %s come from a later purge of that day", path.name, leaf["day"])
        return {}
    if hashlib.sha256(stored).hexdigest() != held["rows_sha256"]:
        raise ArchiveIntegrityError(f"{path.name} differs from its purge leaf", code="held_changed")
    return {name: _as_of_schema(name, rows) for name, rows in decode_rows(stored).items() if name in PURGED_TABLES}


def apply_purge(engine: Engine, log_folder: Path, leaf: dict[str, Any]) -> int:
    """Leave of the leaf's day the held rows alone. Returns how many."""
    kept = held_rows_of(log_folder, leaf)
    for table in PURGED_TABLES:
        rows = kept.get(table)
        if rows is None or not rows.num_rows:
            engine.drop_partition(table, leaf["day"])
            continue
        # Filled beside the table and put in its place at once: who asks meanwhile sees the old rows or the held ones.
        staging = f"{HELD_PREFIX}{table}"
        engine.command(f"DROP TABLE IF EXISTS {engine.database}.{staging} SYNC")
        engine.command(f"CREATE TABLE {engine.database}.{staging} AS {engine.database}.{table}")
        engine.insert(staging, rows, f"{engine.origin}/held/{leaf['day']}/{table}")
        engine.command(
            f"ALTER TABLE {engine.database}.{table} REPLACE PARTITION ID '{leaf['day']}' "
            f"FROM {engine.database}.{staging}"
        )
        engine.command(f"DROP TABLE {engine.database}.{staging} SYNC")
    return sum(rows.num_rows for rows in kept.values())


def purged_intervals(engine: Engine) -> list[tuple[int, int]]:
    """UTC days of receipt that were purged, first and last nanosecond each, in order."""
    rows = engine.query(
        "SELECT DISTINCT first_unix_ns, last_unix_ns FROM {db}.leaves WHERE kind = 'purge' ORDER BY first_unix_ns"
    )
    return [(int(row["first_unix_ns"]), int(row["last_unix_ns"])) for row in rows]


def _as_of_schema(table: str, rows: pa.Table) -> pa.Table:
    """Rows with the columns of the table; of what an earlier program did not know, nothing is known."""
    schema = SCHEMAS[table]
    try:
        names = [name for name in schema.names if name in rows.column_names]
        return rows.select(names).cast(pa.schema([schema.field(name) for name in names]))
    except (pa.ArrowException, ValueError) as error:
        raise ArchiveFormatError(f"held rows of table {table} are not its own: {error}") from error
