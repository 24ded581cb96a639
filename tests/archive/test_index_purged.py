"""A purge leaf leaves of its day the held rows alone, in the index in use and in one that is built anew."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pyarrow as pa
import pytest
from flow_days import NETFLOW, SYSLOG, seconds, to_next_day
from indexed_log import IndexedLog
from netflow_datagrams import data, template

from archive.index.check_findings import Findings
from archive.index.check_held import HeldCheck
from archive.index.check_run import CheckRun
from archive.index.leaf_reader import LeafReader
from archive.index.purged import purged_intervals
from archive.index.row_places import RowPlaces
from archive.retention.held_file import encode_rows, held_name
from archive.schema import SCHEMAS
from archive.segment import utc_day

HELD_FLOW = ("10.0.0.7", 5000, "203.0.113.5", 40000)
OTHERS = [("10.0.0.8", 5001, "203.0.113.5", 40001), ("10.0.0.9", 5002, "203.0.113.5", 40002)]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IndexedLog]:
    made = IndexedLog.make(tmp_path)
    yield made
    made.close()


def receive_day(log: IndexedLog) -> str:
    log.receive("collector", (NETFLOW, data(seconds(log), 1, *OTHERS)), (SYSLOG, b"<13>somchai was here"))
    log.receive(
        "collector", (NETFLOW, template(seconds(log), 2)), (NETFLOW, data(seconds(log), 3, OTHERS[0], HELD_FLOW))
    )
    log.receive("collector", (SYSLOG, b"<13>malee was here"), (NETFLOW, data(seconds(log), 4, HELD_FLOW, *OTHERS)))
    return utc_day(log.clock.unix_ns())


def typed(log: IndexedLog, table: str, where: str) -> pa.Table:
    columns = ", ".join(f"`{name}`" for name in SCHEMAS[table].names)
    return log.engine.query_table(f"SELECT {columns} FROM {{db}}.{table} WHERE {where} ORDER BY leaf_index, row")


def seal_purge(log: IndexedLog, day: str, kept: dict[str, pa.Table]) -> int:
    """What the sealer would seal, as far as the index looks at it."""
    leaf = log._sealer.tree_size
    name = held_name(day, leaf, ".rows")
    stored = encode_rows(kept)
    path = log.paths.log / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stored)
    held: dict[str, Any] = {
        "file": held_name(day, leaf),
        "sha256": "00" * 32,
        "units": 0,
        "rows_file": name,
        "rows_sha256": hashlib.sha256(stored).hexdigest(),
        "rows": sum(rows.num_rows for rows in kept.values()),
    }
    log._sealer._append_leaf("purge", {"day": day, "unix_ns": str(log.clock.unix_ns()), "held": held if kept else None})
    log._sealer.publish()
    return leaf


def kept_rows(log: IndexedLog) -> dict[str, pa.Table]:
    return {"flows": typed(log, "flows", "source_port = 5000"), "nat": typed(log, "nat", "inside_port = 5000")}


def counts(log: IndexedLog) -> dict[str, int]:
    return {table: len(log.rows(table, "row")) for table in ("flows", "nat", "logs")}


def test_of_a_purged_day_the_held_rows_alone_are_left(log: IndexedLog) -> None:
    day = receive_day(log)
    before = log.rows("flows", where="source_port = 5000")
    to_next_day(log)
    log.receive("collector", (SYSLOG, b"<13>next day"))
    assert counts(log) == {"flows": 7, "nat": 14, "logs": 3}
    leaf = seal_purge(log, day, kept_rows(log))
    log.index()
    assert counts(log) == {"flows": 2, "nat": 4, "logs": 1}
    assert log.rows("flows") == before
    assert log.rows("leaves", "counters['held_rows'] AS n", f"leaf_index = {leaf}") == [{"n": 6}]
    assert [utc_day(first) for first, last in purged_intervals(log.engine)] == [day]


def test_an_index_built_anew_has_the_same_rows(log: IndexedLog) -> None:
    day = receive_day(log)
    seal_purge(log, day, kept_rows(log))
    log.index()
    before = {table: log.rows(table) for table in ("flows", "nat", "logs")}
    for path in sorted((log.paths.segments / "collector" / day).iterdir()):
        path.unlink()
    log.engine.clear()
    log.start_indexer()
    log.index()
    assert {table: log.rows(table) for table in ("flows", "nat", "logs")} == before


def test_a_hold_that_ended_takes_its_rows_too(log: IndexedLog) -> None:
    day = receive_day(log)
    seal_purge(log, day, kept_rows(log))
    log.index()
    seal_purge(log, day, {})
    log.index()
    assert counts(log) == {"flows": 0, "nat": 0, "logs": 0}


def held_findings(log: IndexedLog) -> list[str]:
    findings = Findings()
    run = CheckRun(
        log.paths,
        log.engine,
        log.indexer,
        Lock(),
        LeafReader(log.paths),
        findings,
        log.indexer.next_leaf,
        1,
        1e12,
        Event(),
    )
    assert HeldCheck(run).check()
    return findings.messages(0)


def test_rows_beside_the_held_ones_and_held_rows_that_are_gone_are_found(log: IndexedLog) -> None:
    day = receive_day(log)
    spare = typed(log, "logs", "1")
    leaf = seal_purge(log, day, kept_rows(log))
    log.index()
    assert held_findings(log) == []
    log.engine.insert("logs", spare.slice(0, 1).cast(SCHEMAS["logs"]), "forged")
    log.engine.command(f"ALTER TABLE {log.engine.database}.nat DELETE WHERE 1 SETTINGS mutations_sync = 2")
    assert held_findings(log) == [
        f"Table logs of the index has 1 row of {day}, which leaf {leaf} purged.",
        f"Table nat of the index lacks 4 rows that holds keep of {day}, which leaf {leaf} purged.",
    ]


def test_places_of_rows_in_their_datagrams(log: IndexedLog) -> None:
    """Records of 23 bytes behind a header of 20 and a set header of 4; those that waited for their template too."""
    receive_day(log)
    rows = {
        "flows": typed(log, "flows", "1"),
        "nat": typed(log, "nat", "inside_port = 5000"),
        "logs": typed(log, "logs", "1"),
    }
    places = RowPlaces(log.paths, log.engine, log.make_worker)
    leaves = [int(row["leaf_index"]) for row in log.rows("leaves", "leaf_index", "records > 0")]
    first, second, third = leaves
    # Row 0 of each says that its writer started.
    assert found_places(places, "flows", rows["flows"]) == [
        (first, 1, 24), (first, 1, 47),
        (second, 2, 24), (second, 2, 47),
        (third, 2, 24), (third, 2, 47), (third, 2, 70),
    ]  # fmt: skip
    assert set(found_places(places, "nat", rows["nat"])) == {(second, 2, 47), (third, 2, 24)}
    assert found_places(places, "logs", rows["logs"]) == [(first, 2, 0), (third, 1, 0)]


def test_a_row_that_decodes_otherwise_has_no_place(log: IndexedLog) -> None:
    receive_day(log)
    rows = typed(log, "flows", "source_port = 5000")
    forged = rows.set_column(rows.column_names.index("bytes"), "bytes", pa.array([1, 1234], pa.uint64()))
    places = RowPlaces(log.paths, log.engine, log.make_worker).find({"flows": forged})
    assert places["flows"].column("place").to_pylist() == [None, 24]


def found_places(places: RowPlaces, table: str, rows: pa.Table) -> list[tuple[int, int, int]]:
    found = places.find({table: rows})[table]
    return sorted(zip(*(found.column(name).to_pylist() for name in ("leaf_index", "row", "place")), strict=True))
