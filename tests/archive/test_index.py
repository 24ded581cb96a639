"""The index: every sealed leaf once, whatever dies between, and rows that name their record."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from indexed_log import IndexedLog
from netflow_datagrams import data, template

from archive.addresses import format_address, parse_address
from archive.errors import ArchiveError
from archive.event_record import encode_event
from archive.index.blocks import _generations
from archive.index.decoding import RealmTable
from archive.index.engine import IndexUnavailableError
from archive.index.tables import create_table, database_name
from archive.index.worker import DecodeWorker, WorkerLostError
from archive.schema import SCHEMAS
from deploy.decoders import make_chunk_decoder

LINE = (
    b"<134>Nov 20 08:01:12 fw1 kernel: IN=lan OUT=wan SRC=10.0.0.7 DST=198.51.100.80 LEN=60 PROTO=TCP SPT=5000 DPT=443 "
)
CONNTRACK = (
    b"<134>Nov 20 08:01:12 gw conntrack: [NEW] tcp 6 120 SYN_SENT src=10.0.0.7 dst=198.51.100.80 sport=5000 dport=443 "
    b"[UNREPLIED] src=198.51.100.80 dst=203.0.113.5 sport=443 dport=40000 id=77"
)
FLOW = ("10.0.0.7", 5000, "203.0.113.5", 40000)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IndexedLog]:
    made = IndexedLog.make(tmp_path)
    yield made
    made.close()


def counts(log: IndexedLog) -> dict[str, int]:
    tables = [*SCHEMAS, "leaves"]
    return {name: int(log.engine.query(f"SELECT count() AS n FROM {{db}}.{name}")[0]["n"]) for name in tables}


def seconds(log: IndexedLog) -> int:
    return log.clock.unix_ns() // 1_000_000_000


def test_rows_of_every_stream_name_their_leaf_and_row(log: IndexedLog) -> None:
    syslog = log.put("collector", ("syslog/udp-5514", LINE), ("syslog/udp-5514", CONNTRACK))
    flows = log.put(
        "collector", ("netflow/udp-2055", template(seconds(log))), ("netflow/udp-2055", data(seconds(log), 2, FLOW))
    )
    audit = log.put("audit", ("audit", encode_event("who", log.clock.unix_ns(), {"actor": "malee"})))
    # Row 0 of each file is the restart record of its writer.
    assert [(r["leaf_index"], r["row"]) for r in log.rows("logs")] == [(syslog, 1), (syslog, 2)]
    (translation, *flow_events) = log.rows("nat")
    assert (translation["leaf_index"], translation["row"], translation["event"]) == (syslog, 2, "open")
    assert format_address(translation["outside_address"]) == "203.0.113.5"
    assert {(r["leaf_index"], r["row"], r["kind"]) for r in flow_events} == {(flows, 2, "flow")}
    assert [(r["leaf_index"], r["row"]) for r in log.rows("flows")] == [(flows, 2)]
    assert [(r["leaf_index"], r["actor"]) for r in log.rows("audit")] == [(audit, "malee")]
    assert {r["log"] for t in ("logs", "nat", "flows", "audit") for r in log.rows(t)} == {log.paths.origin()}
    leaves = {r["leaf_index"]: r for r in log.rows("leaves")}
    assert sorted(leaves) == list(range(log.check()))
    assert dict(leaves[syslog]["rows_written"])["logs"] == 2
    assert leaves[syslog]["listener_kinds"] == ["restart", "syslog"]
    assert leaves[syslog]["records"] == 3


def test_a_leaf_the_engine_refused_is_not_decoded_twice(log: IndexedLog) -> None:
    """Its state has moved on: the same datagrams again would look like a restart of the exporter."""

    def refuses(table: str, token: str) -> None:
        raise IndexUnavailableError("down")

    log.put("collector", ("netflow/udp-2055", template(seconds(log))))
    for number in (2, 4):
        log.put("collector", ("netflow/udp-2055", data(seconds(log), number, FLOW)), index=False)
    with log.inserting(refuses, refuses), pytest.raises(IndexUnavailableError):
        log.index()
    log.index()
    assert counts(log)["flows"] == 2
    assert [(row["how"], row["count"]) for row in log.rows("losses") if row["how"] == "sequence_gap"] == [
        ("sequence_gap", 1)
    ]


def test_a_leaf_that_could_not_be_handed_over_is_decoded_again(
    log: IndexedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk refuses the rows of one leaf; once there is room they come, and nothing comes twice."""
    log.put("collector", ("netflow/udp-2055", template(seconds(log))))
    for number in (2, 4):
        log.put("collector", ("netflow/udp-2055", data(seconds(log), number, FLOW)), index=False)

    def full(*_: object) -> Any:
        future: Future[Any] = Future()
        future.set_exception(ArchiveError("decoded rows cannot be written: no space left on device"))
        return future

    with monkeypatch.context() as patched:
        patched.setattr(log.worker, "submit", full)
        with pytest.raises(ArchiveError, match="no space"):
            log.index()
    log.index()
    assert counts(log)["flows"] == 2
    assert [row["count"] for row in log.rows("losses") if row["how"] == "sequence_gap"] == [1]


def test_indexing_again_changes_nothing(log: IndexedLog) -> None:
    log.put("collector", *[("syslog/udp-5514", CONNTRACK)] * 3)
    before = counts(log)
    assert log.index() == 0
    log.start_indexer()
    assert log.index() == 0
    assert counts(log) == before


@pytest.mark.parametrize("fails_at", ["logs", "nat", "leaves"])
def test_a_death_between_two_inserts_inserts_nothing_twice(log: IndexedLog, fails_at: str) -> None:
    def dies(table: str, token: str) -> None:
        if table == fails_at:
            raise IndexUnavailableError("died")

    log.put("collector", *[("syslog/udp-5514", CONNTRACK)] * 3, index=False)
    with log.inserting(dies, lambda table, token: None), pytest.raises(IndexUnavailableError):
        log.index()
    log.start_indexer()
    assert log.index() > 0
    assert counts(log)["logs"] == counts(log)["nat"] == 3
    assert counts(log)["leaves"] == log.check()


def test_equal_rows_of_two_leaves_are_both_kept(log: IndexedLog) -> None:
    for _ in range(2):
        log.put("collector", ("syslog/udp-5514", LINE))
    assert counts(log)["logs"] == 2


def test_a_row_stays_with_its_record_when_its_template_comes_later(log: IndexedLog) -> None:
    early = log.put("collector", ("netflow/udp-2055", data(seconds(log), 1, FLOW)))
    assert counts(log)["flows"] == 0
    assert log.rows("leaves", where=f"leaf_index = {early}")[0]["waiting"] == 1
    late = log.put(
        "collector",
        ("netflow/udp-2055", template(seconds(log), 2)),
        ("netflow/udp-2055", data(seconds(log), 3, FLOW, FLOW)),
    )
    assert [(r["leaf_index"], r["row"]) for r in log.rows("flows")] == [(early, 1), (late, 2), (late, 2)]
    assert dict(log.rows("leaves", where=f"leaf_index = {late}")[0]["rows_written"])["flows"] == 3
    assert log.rows("leaves", where=f"leaf_index = {late}")[0]["waiting"] == 0


@pytest.mark.parametrize("fails_at", ["flows", "nat", "leaves"])
def test_late_rows_are_inserted_once_over_a_restart(log: IndexedLog, fails_at: str) -> None:
    early = log.put("collector", ("netflow/udp-2055", data(seconds(log), 1, FLOW)))
    tokens: list[str] = []

    def dies(table: str, token: str) -> None:
        if table == fails_at:
            raise IndexUnavailableError("died after the insert")

    late = log.put(
        "collector",
        ("netflow/udp-2055", template(seconds(log), 2)),
        ("netflow/udp-2055", data(seconds(log), 3, FLOW)),
        index=False,
    )
    with log.inserting(lambda table, token: tokens.append(token), dies), pytest.raises(IndexUnavailableError):
        log.index()
    log.start_indexer()
    log.index()
    assert log.worker.replayed == [early] or fails_at == "leaves"
    assert [(r["leaf_index"], r["row"]) for r in log.rows("flows")] == [(early, 1), (late, 2)]
    origin = log.paths.origin()
    if fails_at != "leaves":
        assert f"{origin}/{early}/{fails_at}/{late}" in tokens


def test_templates_and_waiting_records_survive_a_restart(log: IndexedLog) -> None:
    log.put("collector", ("netflow/udp-2055", template(seconds(log))))
    log.start_indexer()
    leaf = log.put("collector", ("netflow/udp-2055", data(seconds(log), 2, FLOW)))
    assert [r["leaf_index"] for r in log.rows("flows")] == [leaf]


def test_what_came_before_is_not_inserted_again_by_a_replay(log: IndexedLog) -> None:
    for number in range(3):
        log.put(
            "collector",
            ("netflow/udp-2055", template(seconds(log), number)),
            ("netflow/udp-2055", data(seconds(log), number, FLOW)),
        )
    log.start_indexer()
    log.put("collector", ("netflow/udp-2055", data(seconds(log), 9, FLOW)))
    assert len(log.worker.replayed) == 3
    assert counts(log)["flows"] == 4


def test_a_lost_worker_is_replaced_and_its_state_rebuilt(log: IndexedLog) -> None:
    first = log.put("collector", ("netflow/udp-2055", template(seconds(log))))
    leaf = log.put("collector", ("netflow/udp-2055", data(seconds(log), 2, FLOW)), index=False)
    log.worker.dies_at = leaf
    with pytest.raises(WorkerLostError):
        log.index()
    assert log.indexer.next_leaf == leaf
    assert log.index() == 1
    assert log.worker.replayed == [first]
    assert counts(log)["flows"] == 1


def test_sources_have_realms_and_our_own_records_the_default(tmp_path: Path) -> None:
    log = IndexedLog.make(tmp_path, realms=(("192.0.2.0/24", "annex"), ("0.0.0.0/0", "rest")))
    log.put("collector", ("syslog/udp-5514", LINE))
    log.put("audit", ("audit", encode_event("who", log.clock.unix_ns(), {})), source=(bytes(16), 0))
    assert {r["realm"] for r in log.rows("logs")} == {"annex"}
    assert {r["realm"] for r in log.rows("audit")} == {"main"}
    log.close()


def test_a_network_names_the_realm_before_the_listener_does(tmp_path: Path) -> None:
    log = IndexedLog.make(
        tmp_path, realms=(("192.0.2.0/24", "annex"),), listener_realms=(("syslog/udp-5514", "branch"), ("loss", "x"))
    )
    stranger = (parse_address("198.51.100.1"), 514)
    for listener in ("syslog/udp-5514", "syslog/udp-5514.2", "syslog/udp-55141", "syslog/tcp-5514"):
        log.put("collector", (listener, LINE), source=stranger)
        log.put("collector", (listener, LINE))
    found = [(r["listener"], r["realm"]) for r in log.rows("logs", "listener, realm")]
    assert found[::2] == [
        ("syslog/udp-5514", "branch"),
        ("syslog/udp-5514.2", "branch"),
        ("syslog/udp-55141", "main"),
        ("syslog/tcp-5514", "main"),
    ]
    assert {realm for _, realm in found[1::2]} == {"annex"}
    log.close()


def test_a_listener_has_a_realm_without_any_network(tmp_path: Path) -> None:
    log = IndexedLog.make(tmp_path, listener_realms=(("syslog/udp-5514", "branch"),))
    log.put("collector", ("syslog/udp-5514", LINE), ("syslog/udp-5515", LINE))
    assert [r["realm"] for r in log.rows("logs", "realm")] == ["branch", "main"]
    log.close()


def test_the_longest_prefix_names_the_realm() -> None:
    table = RealmTable((("10.0.0.0/8", "a"), ("10.1.0.0/16", "b"), ("2001:db8::/32", "c"), ("::/0", "d")))
    v4 = bytes(10) + b"\xff\xff"
    assert table.realm_of(v4 + bytes([10, 2, 0, 1])) == "a"
    assert table.realm_of(v4 + bytes([10, 1, 0, 1])) == "b"
    assert table.realm_of(v4 + bytes([192, 0, 2, 1])) == "main"
    assert table.realm_of(bytes.fromhex("20010db8") + bytes(12)) == "c"


def test_records_of_an_unknown_kind_are_counted_and_their_neighbours_indexed(log: IndexedLog) -> None:
    leaf = log.put("collector", ("syslog/udp-5514", LINE), ("martian/x", b"?"), ("syslog/udp-5514", LINE))
    assert counts(log)["logs"] == 2
    assert dict(log.rows("leaves", where=f"leaf_index = {leaf}")[0]["counters"])["records_without_decoder"] == 1


def test_at_most_so_many_leaves_are_indexed_at_once(log: IndexedLog) -> None:
    for _ in range(4):
        log.put("collector", ("syslog/udp-5514", LINE), index=False)
    size = log.check()
    assert log.indexer.run_once(at_most=2) == 2
    assert (log.indexer.next_leaf, log.indexer.sealed_size) == (2, size)
    assert log.indexer.run_once(at_most=100) == size - 2


def test_progress_is_read_from_the_index(log: IndexedLog) -> None:
    assert log.indexer.next_leaf == 0
    log.put("collector", ("syslog/udp-5514", LINE))
    log.start_indexer()
    assert log.indexer.next_leaf == log.check()


def test_times_keep_their_nanoseconds(log: IndexedLog) -> None:
    log.clock.advance(0.123456789)
    log.put("collector", ("syslog/udp-5514", LINE))
    (row,) = log.rows("logs", "leaf_index, row, toUnixTimestamp64Nano(received) AS ns")
    assert row["ns"] == log.clock.unix_ns()
    assert row["ns"] % 1000


def test_generations_are_the_leaf_that_brought_the_template() -> None:
    rows = pa.table({"leaf_index": pa.array([5, 3, 5, 4], pa.uint64()), "n": [1, 2, 3, 4]})
    groups = {(leaf, generation): part.column("n").to_pylist() for leaf, generation, part in _generations(rows, 5)}
    assert groups == {(5, 0): [1, 3], (3, 5): [2], (4, 5): [4]}
    only = rows.filter(pa.array([True, False, True, False]))
    assert [(leaf, generation) for leaf, generation, _ in _generations(only, 5)] == [(5, 0)]


def test_an_index_of_other_tables_is_rebuilt(log: IndexedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.put("collector", ("syslog/udp-5514", LINE))
    monkeypatch.setattr("archive.index.engine.schema_fingerprint", lambda: "another")
    log.engine.__init__(log.engine._dsn, log.engine.origin)  # type: ignore[misc]
    log.start_indexer()
    assert (log.indexer.next_leaf, counts(log)["logs"]) == (0, 0)
    log.index()
    assert counts(log)["logs"] == 1


def test_an_insert_token_is_taken_once(log: IndexedLog) -> None:
    log.put("collector", ("syslog/udp-5514", LINE))
    rows = pa.table({name: [row[name] for row in log.rows("leaves")] for name in ("log", "leaf_index", "kind")})
    before = counts(log)["leaves"]
    for _ in range(3):
        log.engine.insert("leaves", rows, "one token")
    assert counts(log)["leaves"] == before + rows.num_rows


def test_a_bad_statement_is_an_error_of_the_family(log: IndexedLog) -> None:
    for attempt in (lambda: log.engine.query("SELECT nonsense FROM {db}.logs"), lambda: log.engine.command("NONSENSE")):
        with pytest.raises(IndexUnavailableError) as caught:
            attempt()
        assert caught.value.code == "index_unavailable"


def test_parameters_are_values(log: IndexedLog) -> None:
    attack = "' OR 1=1; DROP TABLE logs; -- {db} \\ สมชาย \"`"
    assert log.engine.query("SELECT {x:String} AS x", {"x": attack}) == [{"x": attack}]


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_column_the_attribution_uses_has_no_skip_index(table: str) -> None:
    statement = create_table("d", table, "a.example/log")
    assert "INDEX" not in statement
    assert "PARTITION BY toYYYYMMDD(received)" in statement


def test_each_log_has_its_own_database() -> None:
    assert database_name("a.example/log") != database_name("b.example/log")
    assert database_name("a.example/log'; --").isidentifier()


@pytest.mark.slow
def test_the_worker_process_decodes_what_this_process_does(log: IndexedLog) -> None:
    worker = DecodeWorker(log.paths, make_chunk_decoder, "Asia/Bangkok", ())
    try:
        log.start_indexer()
        log.indexer._make_worker = lambda: worker
        log.put("collector", ("syslog/udp-5514", CONNTRACK))
    finally:
        worker.close()
    assert counts(log)["nat"] == 1
