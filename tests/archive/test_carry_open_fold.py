"""What the engine finds open is what folding every event finds, over days and in whatever order records come."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from attribution_rows import nat, session
from indexed_log import IndexedLog

from archive.attribution.folding import Interval
from archive.attribution.intervals import fold_mappings, fold_sessions
from archive.event_record import encode_event
from archive.index.carry_open import OpenAtDayStart, day_start_ns
from archive.index.engine import Engine
from archive.index.open_records import OPEN_CARRIED, decode_items, encode_item
from archive.schema import SCHEMAS

NS, DAY_SECONDS = 10**9, 86_400
DAYS = ("20261119", "20261120", "20261121")
NOON = DAY_SECONDS // 2
"""The moments of `attribution_rows` are seconds after 2026-11-18 11:06:40 UTC."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    log = IndexedLog.make(tmp_path)
    yield log.engine
    log.close()


def insert(engine: Engine, table: str, rows: list[dict[str, Any]], token: str) -> None:
    shaped = [
        {**row, "received": row["time_unix_ns"], "time": row["time_unix_ns"]}
        | {name: None for name in ("opened", "last_seen", "opened_leaf", "opened_row")}
        for row in rows
    ]
    shaped = [{name: row.get(name) for name in SCHEMAS[table].names} for row in shaped]
    engine.insert(table, pa.Table.from_pylist(shaped, schema=SCHEMAS[table]), token)


def carry(engine: Engine, day: str, leaf: int) -> list[tuple[str, dict[str, Any]]]:
    """What is open at a day's start, and the rows of the carry put into the index."""
    found = OpenAtDayStart(engine, day)
    items = list(found.items())
    assert found.not_carried == 0
    records = [
        {"row": number, "received_unix_ns": day_start_ns(day), "payload": encode_item(table, row, "r", 5)}
        for number, (table, row) in enumerate(items)
    ]
    tables, malformed = decode_items(records, leaf)
    assert malformed == 0
    for table, rows in tables.items():
        engine.insert(table, rows, f"carry-{day}-{table}")
    details = f'{{"day": "{day}", "before_leaf": {leaf}, "not_carried": 0}}'
    event = {"leaf_index": leaf, "row": 0, "realm": "main", "received": day_start_ns(day), "time": day_start_ns(day)}
    event |= {"process": "ask", "code": OPEN_CARRIED, "details": details}
    engine.insert("events", pa.Table.from_pylist([event], schema=SCHEMAS["events"]), f"carry-{day}")
    return items


def told(interval: Interval) -> tuple[Any, ...]:
    start_ns = interval.start_ns
    if start_ns is None:
        return None, interval.last_seen_ns
    return start_ns, interval.last_seen_ns, interval.evidence().leaf_index, interval.evidence().row


def told_of_item(row: dict[str, Any]) -> tuple[Any, ...]:
    if row["opened_unix_ns"] is None:
        return None, row["last_seen_unix_ns"]
    return row["opened_unix_ns"], row["last_seen_unix_ns"], row["opened_leaf"], row["opened_row"]


@pytest.mark.parametrize("seed", range(6))
def test_open_translations_are_those_that_folding_all_events_leaves_open(engine: Engine, seed: int) -> None:
    choose = random.Random(seed)
    seen: list[dict[str, Any]] = []
    for number, day in enumerate(DAYS):
        rows = []
        for _ in range(40):
            seconds = number * DAY_SECONDS + choose.randrange(0, NOON)
            event = choose.choice(["open", "open", "update", "close", "close"])
            rows.append(
                nat(seconds, event, port=40_000 + choose.randrange(12), to=choose.choice([None, "198.51.100.80"]))
            )
        insert(engine, "nat", rows, f"rows-{day}")
        seen += rows
        leaf = seen[-1]["leaf_index"]
        found = {
            (row["outside_port_low"], row["destination_address"]): told_of_item(row)
            for _, row in carry(engine, day, leaf)
        }
        expected = {
            (i.first["outside_port_low"], i.first["destination_address"]): told(i)
            for i in fold_mappings(seen)
            if i.end_ns is None
        }
        assert expected
        assert found == expected


@pytest.mark.parametrize("seed", range(6))
def test_open_sessions_are_those_that_folding_all_events_leaves_open(engine: Engine, seed: int) -> None:
    choose = random.Random(seed)
    seen: list[dict[str, Any]] = []
    for number, day in enumerate(DAYS):
        rows = []
        for _ in range(60):
            seconds = number * DAY_SECONDS + choose.randrange(0, NOON)
            who = choose.randrange(12)
            event = choose.choice(["open", "update", "update", "close"])
            address = choose.choice([None, f"10.0.0.{who}", f"10.0.0.{who}", f"10.0.1.{who}"])
            rows.append(session(seconds, event, f"user{who}", address, session_id=f"s{who}"))
        insert(engine, "sessions", rows, f"rows-{day}")
        seen += rows
        leaf = seen[-1]["leaf_index"]
        found = {(row["session_id"], row["address"]): told_of_item(row)[0] for _, row in carry(engine, day, leaf)}
        expected = {
            (i.first["session_id"], i.first["address"]): told(i)[0] for i in fold_sessions(seen) if i.end_ns is None
        }
        assert expected
        assert found == expected


def test_a_payload_that_names_no_table_makes_no_row() -> None:
    record = {"row": 0, "received_unix_ns": 5, "payload": encode_event("open", 5, {"what": ["nat"], "values": {}})}
    assert decode_items([record], 1) == ({}, 1)
