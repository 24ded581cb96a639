"""Rebuilding the index beside the one in use: the same rows, day by day, while records come in."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_days import receive_days
from indexed_log import IndexedLog

from archive.errors import ArchiveError
from archive.index.engine import Engine
from archive.index.indexer import Indexer
from archive.schema import SCHEMAS

TABLES = [*SCHEMAS, "leaves"]
LINE = ("syslog/udp-5514", b"<13>Nov 20 10:00:00 gw1 app: line")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IndexedLog]:
    made = IndexedLog.make(tmp_path, carries=True)
    yield made
    made.close()


def rows_of(log: IndexedLog) -> dict[str, list[dict[str, Any]]]:
    return {table: sorted(log.rows(table), key=repr) for table in TABLES}


def test_the_rebuilt_index_equals_the_old_one_row_for_row(log: IndexedLog) -> None:
    days = receive_days(log, 2, log.index)
    log.index()
    before = rows_of(log)
    assert all(before[table] for table in ("flows", "logs", "losses", "events", "leaves"))
    # Every row is taken away or changed, so that what is found afterwards was rebuilt.
    log.engine.command(
        f"ALTER TABLE {log.engine.database}.logs UPDATE message = 'forged' WHERE 1 SETTINGS mutations_sync = 2"
    )
    log.engine.command(f"TRUNCATE TABLE {log.engine.database}.flows")
    assert rows_of(log) != before
    run = log.reindex()
    run.run(threading.Event())
    assert run.progress.problem == ""
    assert run.progress.state == "finished"
    assert rows_of(log) == before
    assert set(days) <= set(run.progress.days_done)
    assert run.progress.days_kept == []
    found = log.engine.query("SELECT count() AS n FROM system.databases WHERE name LIKE '%rebuild%'")
    assert found[0]["n"] == 0


def test_records_that_come_meanwhile_are_there_once(log: IndexedLog) -> None:
    receive_days(log, 1, log.index)
    log.index()
    turns = []

    class Slow:
        """The shadow's indexer; while it works, lines come in and the index in use takes them."""

        def __init__(self, inner: Indexer) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def run_once(self, *, at_most: int = 1) -> int:
            if len(turns) < 5:
                turns.append(at_most)
                log.receive("collector", (LINE[0], LINE[1] + b" %d" % len(turns)))
            return self._inner.run_once(at_most=min(at_most, 3))

    run = log.reindex(lambda one: Slow(one))  # type: ignore[arg-type,return-value]
    monkey = pytest.MonkeyPatch()
    with monkey.context() as small:
        small.setattr("archive.index.reindex.CATCH_UP_LEAVES", 2)
        run.run(threading.Event())
    assert run.progress.state == "finished", run.progress
    assert len(turns) == 5
    log.index()
    messages = [row["message"] for row in log.rows("logs") if b"line" in LINE[1] and row["message"].startswith("line ")]
    assert {f"line {n}" for n in range(1, 6)} <= set(messages)
    after = rows_of(log)
    again = log.reindex()
    again.run(threading.Event())
    assert rows_of(log) == after


def test_old_days_are_in_place_before_the_last_is_read(log: IndexedLog) -> None:
    days = receive_days(log, 3, log.index)
    log.index()
    log.engine.command(f"TRUNCATE TABLE {log.engine.database}.flows")
    seen: list[list[str]] = []
    run = log.reindex()
    real = run._put_days_in_place

    def watched(shadow: Engine, before: int | None) -> None:
        real(shadow, before)
        seen.append(list(run.progress.days_done))

    run._put_days_in_place = watched  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as small:
        small.setattr("archive.index.reindex.CATCH_UP_LEAVES", 0)
        small.setattr("archive.index.reindex.LEAVES_A_TURN", 2)
        run.run(threading.Event())
    halfway = [done for done in seen[:-1] if days[0] in done and days[-1] not in done]
    assert halfway, seen


def test_a_stopped_run_leaves_the_index_whole(log: IndexedLog) -> None:
    receive_days(log, 1, log.index)
    log.index()
    before = rows_of(log)
    stop = threading.Event()
    stop.set()
    run = log.reindex()
    run.run(stop)
    assert run.progress.state == "stopped"
    assert rows_of(log) == before


def test_days_whose_segments_are_gone_keep_their_rows(log: IndexedLog) -> None:
    days = receive_days(log, 3, log.index)
    log.index()
    before = rows_of(log)
    for path in log.paths.segments.glob(f"collector/{days[0]}/*.seg"):
        path.unlink()
    run = log.reindex()
    run.run(threading.Event())
    assert run.progress.state == "finished"
    assert run.progress.days_kept == [days[0]]
    after = rows_of(log)
    for table in ("flows", "logs"):
        assert [row for row in after[table] if row in before[table]] == before[table]


def test_a_changed_chunk_ends_the_run_and_says_so(log: IndexedLog) -> None:
    receive_days(log, 1, log.index)
    log.index()
    before = rows_of(log)
    path = sorted(log.paths.segments.glob("collector/*/*.seg"))[-1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    run = log.reindex()
    run.run(threading.Event())
    assert run.progress.state == "failed"
    assert path.name in run.progress.problem
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert rows_of(log) == before


def test_the_index_in_use_is_never_overtaken(log: IndexedLog) -> None:
    receive_days(log, 1, log.index)
    log.index()
    log.receive("collector", LINE, index=False)
    run = log.reindex()
    run.run(threading.Event())
    assert run.progress.leaves_done == log.indexer.next_leaf
    log.index()
    after = rows_of(log)
    log.reindex().run(threading.Event())
    assert rows_of(log) == after


def test_a_leaf_half_inserted_is_waited_for(log: IndexedLog) -> None:
    log.receive("collector", LINE)

    def fail(table: str, token: str) -> None:
        if table == "leaves":
            raise ArchiveError("the engine is gone", code="index_unavailable")

    log.receive("collector", LINE, index=False)
    with log.inserting(fail, lambda table, token: None), pytest.raises(ArchiveError):
        log.index()
    assert not log.indexer.is_between_leaves
    run = log.reindex()
    done = threading.Thread(target=run.run, args=(threading.Event(),))
    done.start()
    done.join(1)
    assert done.is_alive()
    log.index()
    done.join(30)
    assert run.progress.state == "finished"
    assert len([row for row in log.rows("logs") if row["message"].endswith("line")]) == 2
