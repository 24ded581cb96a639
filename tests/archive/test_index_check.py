"""The index compared with the journal: what was hidden, added or changed in the index alone is found and named."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ask_desk import AskDesk
from flow_days import NETFLOW, SETTINGS, SYSLOG, line, receive_days, seconds, to_next_day
from index_comparison import COUNTS, assert_intact, check, forge, places
from indexed_log import IndexedLog
from netflow_datagrams import data, template

import archive.index.check_counts as check_counts
import archive.index.check_queries as check_queries
from archive.cases.events import CaseEvent, encode_case_event
from archive.errors import AskError
from archive.event_record import encode_event
from archive.index.check_content import SampleSizes
from archive.index.check_findings import SAID
from archive.index.check_queries import PLAIN
from archive.schema import SCHEMAS
from collector.wire.flows import FlowDecoder

TABLES = [table for table in SCHEMAS if table != "options"]
COPIES = {table: f"kept_{table}" for table in (*SCHEMAS, "leaves")}
LINE = (SYSLOG, b"<13>Nov 20 10:00:00 gw1 app: user=somchai \xe0\xb8\xaa\xe0\xb8\xa1 line")
CONNTRACK = (
    SYSLOG,
    b"<134>Nov 20 08:01:12 gw conntrack: [NEW] tcp 6 120 SYN_SENT src=10.0.0.7 dst=198.51.100.80 sport=5000 dport=443 "
    b"[UNREPLIED] src=198.51.100.80 dst=203.0.113.5 sport=443 dport=40000 id=77",
)
FLOW = ("10.0.0.7", 5000, "203.0.113.5", 40000)


def fill(log: IndexedLog, days: int = 2) -> None:
    """Rows in every table: late templates, restarts of the index, carries, sessions, losses."""
    receive_days(log, days, log.index)
    at = log.clock.unix_ns()
    session = {
        "event": "open", "kind": "portal", "address": "10.0.0.7", "time_unix_ns": str(at), "account": "somchai",
        "session_id": "s1", "login_id": "l1", "station": "aa:bb:cc:dd:ee:ff",
    }  # fmt: skip
    log.receive("portal", ("session/portal", encode_event("session_opened", at, session)))
    log.receive("portal", ("identity/accounts", encode_event("account_created", at, {"account": "somchai"})))
    loss = {"from_unix_ns": str(at - 10), "to_unix_ns": str(at), "listener": SYSLOG, "how": "udp_memory", "count": 7}
    log.receive("collector", ("loss", encode_event("loss", at, loss)), CONNTRACK, LINE)
    confirmed = CaseEvent(1, "clock_confirmed", at, "", "", "malee", "administrator", {"reason": "looked"})
    log.receive("cases", ("cases", encode_case_event(confirmed)))
    log.receive("audit", ("audit", encode_event("who", at, {"actor": "malee", "reason": "letter 1/2569"})))
    log.restart_indexer()
    log.receive("collector", (NETFLOW, data(seconds(log), 900, FLOW, FLOW)), LINE)
    log.seal_carries()
    log.index()
    log.check()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IndexedLog]:
    made = IndexedLog.make(tmp_path, realms=SETTINGS.networks, carries=True)
    yield made
    made.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexedLog]:
    """One for all tests, with a copy of each table; `forged` takes back what a test changes."""
    made = IndexedLog.make(tmp_path_factory.mktemp("filled"), realms=SETTINGS.networks, carries=True)
    fill(made)
    for table, copy in COPIES.items():
        # Every change writes all parts of a table anew.
        made.engine.command(f"OPTIMIZE TABLE {made.engine.database}.{table} FINAL")
        made.engine.command(f"CREATE TABLE {made.engine.database}.{copy} AS {made.engine.database}.{table}")
        copy_rows(made, table, copy)
    yield made
    made.close()


@pytest.fixture
def forged(filled: IndexedLog, monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexedLog]:
    """`filled`, with its tables as they were afterwards. Questions are tested by themselves."""
    monkeypatch.setattr(check_queries, "SAMPLED_QUERIES", 0)
    before = parts(filled)
    yield filled
    after = parts(filled)
    for table, copy in COPIES.items():
        if before[table] != after[table]:
            filled.engine.command(f"TRUNCATE TABLE {filled.engine.database}.{table}")
            copy_rows(filled, copy, table)


def copy_rows(log: IndexedLog, source: str, target: str) -> None:
    database = log.engine.database
    log.engine.command(f"ALTER TABLE {database}.{target} ATTACH PARTITION ALL FROM {database}.{source}")


def parts(log: IndexedLog) -> dict[str, list[str]]:
    """Every change of a table is in other parts."""
    rows = log.engine.query(
        "SELECT table, arraySort(groupArray(name)) AS parts FROM system.parts "
        "WHERE active AND database = {database:String} GROUP BY table",
        {"database": log.engine.database},
    )
    return {table: [] for table in COPIES} | {row["table"]: row["parts"] for row in rows}


def own_row(log: IndexedLog, table: str) -> dict[str, Any]:
    """The newest row that a leaf wrote of itself, alone in its record, and no gap."""
    alone = (
        f"(leaf_index, row) IN (SELECT leaf_index, row FROM {{db}}.{table} GROUP BY leaf_index, row HAVING count() = 1)"
    )
    where = f"{alone} AND leaf_index NOT IN (SELECT arrayJoin(late_leaves) FROM {{db}}.leaves)"
    if table == "losses":
        where += " AND how NOT LIKE 'sequence%'"
    return log.rows(table, where=where)[-1]


def test_days_of_mixed_traffic_are_intact(filled: IndexedLog) -> None:
    result = check(filled)
    assert_intact(result)
    counted = sum(int(filled.engine.query(f"SELECT count() AS n FROM {{db}}.{t}")[0]["n"]) for t in SCHEMAS)
    assert result["rows"] == counted
    with_records = [row for row in filled.rows("leaves") if row["records"]]
    assert result["leaves"] == filled.indexer.next_leaf
    assert result["sampled_leaves"] == len(with_records)
    assert result["sampled_queries"] >= 20
    assert result["missing_segments"] == result["uncompared_leaves"] == 0
    empty = {table for table in SCHEMAS if not filled.rows(table)}
    assert empty <= {"options"}, empty
    late = [row for row in filled.rows("leaves") if row["late_leaves"]]
    assert late, "late templates are part of it"


def test_what_the_shipped_sizes_draw_is_intact(filled: IndexedLog) -> None:
    assert_intact(check(filled, SampleSizes()))


def test_a_row_hidden_is_found_and_with_its_count_by_its_content(forged: IndexedLog) -> None:
    """In each table one, in the index alone."""
    expected = set()
    for table in TABLES:
        row = own_row(forged, table)
        forge(forged, table, f"DELETE WHERE leaf_index = {row['leaf_index']} AND row = {row['row']}")
        expected.add((table, row["leaf_index"], "rows_missing"))
    result = check(forged, COUNTS)
    assert places(result) == expected
    assert result["defects"] == len(expected)
    for place, message, thai in zip(result["places"], result["messages"], result["messages_th"], strict=True):
        assert message == f"Table {place['table']} of the index lacks 1 row of leaf {place['leaf_index']}."
        assert str(place["leaf_index"]) in thai

    hidden = " OR ".join(f"(leaf_index = {leaf} AND k = '{table}')" for table, leaf, _ in expected)
    fewer = f"mapApply((k, v) -> (k, if({hidden}, v - 1, v)), rows_written)"
    forge(forged, "leaves", f"UPDATE rows_written = {fewer} WHERE 1")
    assert_intact(check(forged, COUNTS))
    assert places(check(forged)) == expected


def test_a_row_added_with_its_count_is_found_by_its_content(forged: IndexedLog) -> None:
    """To a leaf that has no row of this table at all."""
    (leaf,) = forged.rows("leaves", where="stream = 'audit' AND records > 0")[-1:]
    row, name = own_row(forged, "sessions"), f"{forged.engine.database}.sessions"
    received = f"fromUnixTimestamp64Nano({leaf['first_unix_ns']}, 'UTC')"
    forged.engine.command(
        f"INSERT INTO {name} SELECT * REPLACE ({leaf['leaf_index']} AS leaf_index, {received} AS received) "
        f"FROM (SELECT * FROM {name} WHERE leaf_index = {row['leaf_index']} AND row = {row['row']})"
    )
    more = "mapUpdate(rows_written, map('sessions', toUInt64(1)))"
    forge(forged, "leaves", f"UPDATE rows_written = {more} WHERE leaf_index = {leaf['leaf_index']}")
    assert_intact(check(forged, COUNTS))
    assert places(check(forged)) == {("sessions", leaf["leaf_index"], "rows_extra")}


def test_a_row_that_is_there_twice_is_found(forged: IndexedLog) -> None:
    expected = set()
    for table in TABLES:
        row, name = own_row(forged, table), f"{forged.engine.database}.{table}"
        forged.engine.command(
            f"INSERT INTO {name} SELECT * FROM {name} WHERE leaf_index = {row['leaf_index']} AND row = {row['row']}"
        )
        expected.add((table, row["leaf_index"], "rows_extra"))
    assert places(check(forged, COUNTS)) == expected
    assert places(check(forged)) == expected


def test_a_changed_column_is_found(forged: IndexedLog) -> None:
    changes = {
        "flows": "bytes = bytes + 1",
        "logs": "message = 'nothing happened'",
        "nat": "inside_port = 5001",
        "sessions": "station = 'x'",
        "losses": "count = 0",
        "audit": "reason = ''",
        "events": "log = 'phayan.test/other'",
        "identity": "person = 'somsri'",
        "cases": "actor = 'somsri'",
    }
    assert changes.keys() == set(TABLES)
    expected = set()
    for table, change in changes.items():
        row = own_row(forged, table)
        if table == "nat":
            (row,) = forged.rows("nat", where="event = 'open' AND kind != 'flow'")[-1:]
        forge(forged, table, f"UPDATE {change} WHERE leaf_index = {row['leaf_index']} AND row = {row['row']}")
        expected.add((table, row["leaf_index"], "rows_differ"))
    assert places(check(forged, COUNTS)) == set()
    assert places(check(forged)) == expected


def test_a_gap_changed_after_a_carry_is_found(forged: IndexedLog) -> None:
    gap = forged.rows("losses", where=f"how = 'sequence_gap' AND listener = '{NETFLOW}'")[-1]
    forge(forged, "losses", f"UPDATE count = 99 WHERE leaf_index = {gap['leaf_index']} AND row = {gap['row']}")
    assert places(check(forged)) == {("losses", gap["leaf_index"], "rows_differ")}


def test_a_missing_late_row_is_found(forged: IndexedLog) -> None:
    late = next(row for row in forged.rows("leaves") if row["late_leaves"])
    leaf = late["late_leaves"][0]
    row = forged.rows("flows", where=f"leaf_index = {leaf}")[0]
    forge(forged, "flows", f"DELETE WHERE leaf_index = {leaf} AND row = {row['row']}")
    assert ("flows", leaf, "rows_missing") in places(check(forged))


def test_leaves_that_are_lacking_twice_or_other_are_found(forged: IndexedLog) -> None:
    data_leaf, other, twice = [row["leaf_index"] for row in forged.rows("leaves", where="stream = 'audit'")][:3]
    forge(forged, "leaves", f"DELETE WHERE leaf_index = {data_leaf}")
    forge(forged, "leaves", f"UPDATE records = records + 1, stream = 'x' WHERE leaf_index = {other}")
    name = f"{forged.engine.database}.leaves"
    forged.engine.command(f"INSERT INTO {name} SELECT * FROM {name} WHERE leaf_index = {twice}")
    found = places(check(forged))
    assert {("leaves", data_leaf, "leaf_missing"), ("leaves", other, "leaf_differs")} <= found
    assert ("leaves", twice, "leaf_twice") in found
    assert {index for table, index, _ in found if table == "leaves"} == {data_leaf, other, twice}


def test_a_leaf_that_was_never_indexed_is_found(log: IndexedLog) -> None:
    for _ in range(3):
        log.receive("collector", LINE)
    log.receive("collector", LINE, LINE, index=False)
    skipped = log.indexer.next_leaf
    log.indexer.next_leaf += 1
    log.receive("collector", LINE)
    result = check(log)
    assert places(result) == {("leaves", skipped, "leaf_missing")}


def test_rows_of_a_leaf_that_does_not_exist_are_found(forged: IndexedLog) -> None:
    row = own_row(forged, "logs")
    name = f"{forged.engine.database}.logs"
    forged.engine.command(
        f"INSERT INTO {name} SELECT * REPLACE (999999 AS leaf_index) "
        f"FROM (SELECT * FROM {name} WHERE leaf_index = {row['leaf_index']} AND row = {row['row']})"
    )
    assert places(check(forged)) == {("logs", 999999, "rows_extra")}


def test_records_that_come_meanwhile_are_no_defect(
    log: IndexedLog, monkeypatch: pytest.MonkeyPatch, full_counts: bool
) -> None:
    """Between any two looks of the check a leaf is indexed, some with rows for leaves before. Twenty checks with
    `--full`, three in the normal run."""
    receive_days(log, 2, log.index)
    query, hold, turn = log.engine.query, threading.Lock(), iter(range(10_000))
    busy = [False]

    def come() -> None:
        number = next(turn)
        source = (bytes(10) + b"\xff\xff" + bytes([192, 0, 2, number % 200]), 3000 + number % 5)
        log.receive("collector", LINE, (NETFLOW, data(seconds(log), number, FLOW)), source=source)

    def watched(sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        result = query(sql, parameters)
        if not busy[0] and not hold.locked() and next(calls) % 7 == 0:
            busy[0] = True
            come()
            busy[0] = False
        return result

    rounds, rounds_a_day = (20, 5) if full_counts else (3, 2)
    for round_number in range(rounds):
        calls = iter(range(10_000))
        with monkeypatch.context() as patched:
            patched.setattr(log.engine, "query", watched)
            patched.setattr(check_queries, "SAMPLED_QUERIES", 2)
            result = check(log, SampleSizes(1, 2, 1, 0), hold)
        assert (result["defects"], result["problem"]) == (0, ""), (round_number, result)
        if round_number % rounds_a_day == rounds_a_day - 1:
            to_next_day(log)
            for number in range(200):
                source = (bytes(10) + b"\xff\xff" + bytes([192, 0, 2, number]), 3000 + number % 5)
                if number % 40 == 0:
                    log.receive("collector", (NETFLOW, template(seconds(log), number)), source=source)
    assert next(turn) > (100 if full_counts else 20)


def test_late_rows_that_come_between_two_looks_are_no_defect(log: IndexedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.put("collector", (NETFLOW, data(seconds(log), 1, FLOW, FLOW)), LINE)
    query, hold, asked = log.engine.query, threading.Lock(), []

    def watched(sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        if "HAVING found != wanted" in sql and not asked:
            asked.append(sql)

            def rows_only(table: str, token: str) -> None:
                if table == "leaves":
                    first.extend(query(sql, parameters))

            first: list[dict[str, Any]] = []
            with log.inserting(rows_only, lambda table, token: None):
                log.receive("collector", (NETFLOW, template(seconds(log), 2)))
            assert first, "without a second look this is a false alarm"
            return first
        return query(sql, parameters)

    monkeypatch.setattr(log.engine, "query", watched)
    assert check(log, hold=hold)["defects"] == 0
    assert asked


def test_purged_segments_are_counted_and_are_no_defect(log: IndexedLog) -> None:
    days = receive_days(log, 2, log.index)
    log.index()
    gone = sorted(log.paths.segments.glob(f"collector/{days[0]}/*.seg"))
    for path in gone:
        path.unlink()
        path.parent.rmdir()
    forge(log, "logs", f"DELETE WHERE toYYYYMMDD(received) = {days[0]}")
    result = check(log)
    assert (result["defects"], result["problem"]) == (0, ""), result
    lost = [r for r in log.rows("leaves") if r["stream"] == "collector" and r["records"]]
    assert 0 < result["missing_segments"] < len(lost)
    assert result["uncompared_leaves"] >= result["missing_segments"]


def test_a_counter_forged_in_the_index_keeps_no_day_from_being_compared(forged: IndexedLog) -> None:
    row = own_row(forged, "logs")
    forge(forged, "logs", f"DELETE WHERE leaf_index = {row['leaf_index']} AND row = {row['row']}")
    forge(forged, "leaves", f"UPDATE counters = map('segment_missing', 1) WHERE leaf_index = {row['leaf_index']}")
    assert ("logs", row["leaf_index"], "rows_missing") in places(check(forged, COUNTS))


def test_an_index_of_the_engine_that_loses_rows_is_found(filled: IndexedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    query = filled.engine.query

    def losing(sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        result = query(sql, parameters)
        if "groupBitXor" in sql and not sql.endswith(PLAIN) and "{db}.logs" in sql:
            result = [{**row, "n": row["n"] - 1} for row in result]
        return result

    monkeypatch.setattr(filled.engine, "query", losing)
    result = check(filled, COUNTS)
    assert {(table, what) for table, _, what in places(result)} == {("logs", "query_differs")}


def test_a_row_that_its_own_value_does_not_find_is_found(filled: IndexedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    query = filled.engine.query

    def blind(sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return [{**row, "own": 0} if "groupBitXor" in sql else row for row in query(sql, parameters)]

    monkeypatch.setattr(filled.engine, "query", blind)
    assert {what for _, _, what in places(check(filled, COUNTS))} == {"row_not_found"}


def test_many_leaves_are_counted_range_by_range(forged: IndexedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_counts, "LEAVES_A_STATEMENT", 7)
    monkeypatch.setattr(check_counts, "LEAVES_A_LOOK", 2)
    assert_intact(check(forged, COUNTS))
    row = own_row(forged, "logs")
    forge(forged, "logs", f"DELETE WHERE leaf_index = {row['leaf_index']} AND row = {row['row']}")
    assert places(check(forged, COUNTS)) == {("logs", row["leaf_index"], "rows_missing")}


def test_a_run_out_of_time_says_that_it_is_not_complete(filled: IndexedLog) -> None:
    result = check(filled, budget_seconds=0.0)
    assert (result["state"], result["is_complete"], result["defects"]) == ("checked", False, 0)


def test_a_decoder_that_says_other_than_the_index_is_told(filled: IndexedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: whatever decoded the rows differs from what decodes them now."""
    real = FlowDecoder.decode

    def other(self: Any, state: Any, leaf_index: int, chunk: Any) -> Any:
        decoded = real(self, state, leaf_index, chunk)
        decoded.tables = {name: rows for name, rows in decoded.tables.items() if name != "flows"}
        return decoded

    monkeypatch.setattr(FlowDecoder, "decode", other)
    monkeypatch.setattr(check_queries, "SAMPLED_QUERIES", 0)
    assert {(table, what) for table, _, what in places(check(filled))} == {("flows", "rows_extra")}


def test_every_finding_has_words_in_both_languages() -> None:
    for english, thai in SAID.values():
        values = {
            "table": "logs",
            "leaf_index": 7,
            "rows": "1 row",
            "count": 1,
            "without": 2,
            "names": "records",
            "day": "20261118",
        }
        assert "7" in english.format(**values)
        assert "7" in thai.format(**values)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[AskDesk]:
    made = AskDesk(tmp_path)
    yield made
    made.close()


def test_the_request_answers_with_the_result_and_is_audited(desk: AskDesk) -> None:
    desk.log.put("collector", LINE, (SYSLOG, line(1)))
    result = desk.ask("index_check")
    assert (result["state"], result["defects"], result["leaves"]) == ("checked", 0, desk.log.indexer.next_leaf)
    assert desk.audit()[-1]["event"] == "index_check"


def test_one_check_at_a_time_and_none_while_the_index_is_rebuilt(
    desk: AskDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Callable[[], Any]] = [lambda: desk.ask("index_check")]
    checking = desk.desk.index_check

    def run(stop: threading.Event) -> dict[str, Any]:
        with pytest.raises(AskError) as caught:
            asked[0]()
        assert caught.value.code == "busy"
        desk.desk.reindexing.runs += 1
        return {"state": "checked", "defects": 1}

    monkeypatch.setattr(checking._check, "run", run)
    result = desk.ask("index_check")
    assert result["state"] == "not checked"
    assert "rebuilt" in result["problem"]
    monkeypatch.setattr(type(desk.desk.reindexing), "is_running", property(lambda self: True))
    assert desk.ask("index_check")["state"] == "not checked"
