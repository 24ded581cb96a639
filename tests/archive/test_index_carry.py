"""What decoding needs of earlier days outlives them: restarts, reindexes, days that are gone, other settings."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from flow_days import FLOW, NETFLOW, SETTINGS, SYSLOG, all_rows, line, receive_days, seconds, to_next_day
from indexed_log import IndexedLog
from netflow_datagrams import data, template

from archive.decoder import Decoded
from archive.errors import ArchiveIntegrityError
from archive.index.carry import Carry, CarryFinder, CarryMark, encode_carry
from archive.index.carry_reader import CarryReader
from archive.index.checkpoint import read_checkpoint
from archive.index.engine import IndexUnavailableError
from archive.index.settings import DecodingSettings
from archive.leaf import decode_leaf
from archive.segment import utc_day
from archive.tree import TreeReader
from collector.wire.flows import FlowDecoder

NETFLOW_ROWS_OF_A_DAY = 2 + 3 + 1 + 1 + 1


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IndexedLog]:
    made = IndexedLog.make(tmp_path, realms=SETTINGS.networks, carries=True)
    yield made
    made.close()


def finish(log: IndexedLog) -> None:
    """End the index process and index what it wrote last, without writing more."""
    log.stop_indexer()
    log.carries = False
    log.start_indexer()
    log.index()


def reindex(log: IndexedLog, *, restart_after_leaves: int = 0) -> None:
    """From leaf 0 into empty tables. Nothing is written to the journal."""
    log.carries = False
    log.engine.clear()
    log.start_indexer()
    while log.indexer.run_once(at_most=restart_after_leaves or 64):
        if restart_after_leaves:
            log.start_indexer()


def purge(log: IndexedLog, day: str) -> dict[int, int]:
    """Remove the day's segments of every stream. Records of each leaf that is left without."""
    reader = TreeReader(log.paths.log, read_checkpoint(log.paths).size)
    leaves = [decode_leaf(reader.leaf(index)) for index in range(reader.size)]
    for folder in log.paths.segments.glob(f"*/{day}"):
        shutil.rmtree(folder)
    return {index: leaf["records"] for index, leaf in enumerate(leaves) if f"/{day}/" in leaf.get("segment", "")}


def carries(log: IndexedLog) -> list[dict[str, Any]]:
    """Details of the rows of carries, in order of their boundary."""
    rows = log.rows("events", "details", "code = 'carry_written'")
    return sorted((json.loads(row["details"]) for row in rows), key=lambda one: one["before_leaf"])


def assert_same(found: dict[str, list[str]], expected: dict[str, list[str]]) -> None:
    for table in expected:
        missing, surplus = Counter(expected[table]), Counter(found[table])
        assert (missing - surplus, surplus - missing) == (Counter(), Counter()), table


def test_the_traffic_needs_what_earlier_days_said(log: IndexedLog) -> None:
    days = receive_days(log)
    finish(log)
    losses = log.rows("losses", "details, toYYYYMMDD(received) AS day", "how = 'sequence_gap'")
    units = {(json.loads(row["details"])["unit"], str(row["day"])) for row in losses}
    assert {(unit, day) for unit in ("datagrams", "flow samples", "messages") for day in days[1:]} <= units
    assert sum(row["repeated"] for row in log.rows("logs", "repeated")) == len(days) - 1
    rows = log.rows("flows", "toYYYYMMDD(received) AS day", "version = 'netflow9'")
    late = {day: 2 for day in days[:-1]}
    assert {day: sum(str(row["day"]) == day for row in rows) for day in days} == {
        day: NETFLOW_ROWS_OF_A_DAY + late.get(day, 0) for day in days
    }


def test_each_day_has_one_carry_that_names_where_its_templates_were_taught(log: IndexedLog) -> None:
    days = receive_days(log)
    finish(log)
    found = carries(log)
    assert [one["day"] for one in found] == days
    assert found[0]["items"] == 1, "before the first flow there is nothing but the settings"
    for one in found:
        (leaf,) = log.rows("leaves", "first_unix_ns, listener_kinds", f"leaf_index = {one['before_leaf']}")
        assert "netflow" in leaf["listener_kinds"]
        assert utc_day(int(leaf["first_unix_ns"])) == one["day"]
    reader = CarryReader(log.paths)
    templates = [one for one in reader.items(reader.carries()[-1]) if one["what"] == "template"]
    assert {one["template_id"] for one in templates} == {300}
    assert sorted((one["exporter_address"], one["source_port"]) for one in templates) == [
        ("192.0.2.254", 40514), ("192.0.2.77", 2000),
    ]  # fmt: skip
    tree = TreeReader(log.paths.log, log.check())
    for one in templates:
        leaf = decode_leaf(tree.leaf(one["leaf_index"]))
        taught_day = days[0] if one["source_port"] == 40514 else days[one["source_port"] - 2000 + 1]
        assert (leaf["stream"], one["row"], utc_day(int(leaf["first_unix_ns"]))) == ("collector", 1, taught_day)


@pytest.mark.parametrize("restart_after_leaves", [0, 1])
def test_a_reindex_from_scratch_gives_the_same_rows_whatever_restarts_it(
    log: IndexedLog, restart_after_leaves: int
) -> None:
    receive_days(log)
    finish(log)
    first = all_rows(log)
    reindex(log, restart_after_leaves=restart_after_leaves)
    assert_same(all_rows(log), first)


def test_restarts_while_records_come_lose_and_double_no_row(log: IndexedLog) -> None:
    days = receive_days(log, after_each=log.restart_indexer)
    finish(log)
    restarted = all_rows(log)
    assert [one["day"] for one in carries(log)] == days, "a day's carry is written once"
    reindex(log)
    assert_same(all_rows(log), restarted)


def test_a_restart_goes_back_to_a_carry_that_is_a_day_old(log: IndexedLog) -> None:
    receive_days(log)
    finish(log)
    log.start_indexer()
    log.put("collector", (NETFLOW, data(seconds(log), 900, FLOW)))
    boundaries = [mark.before_leaf for mark in CarryReader(log.paths).carries()]
    assert log.worker.imported[0] == {"netflow", "sflow"}
    assert min(log.worker.replayed) == boundaries[1], "of three days, at the end of the third"


def test_lines_of_the_last_minutes_alone_are_decoded_again(log: IndexedLog) -> None:
    log.put("collector", (NETFLOW, template(seconds(log))))
    old = log.put("collector", (SYSLOG, line(1)))
    log.clock.advance(3600)
    recent = log.put("collector", (SYSLOG, line(7)))
    finish(log)
    log.start_indexer()
    log.put("collector", (SYSLOG, line(9)))
    assert recent in log.worker.replayed
    assert old not in log.worker.replayed
    (gap,) = log.rows("losses", "count, details", "how = 'sequence_gap' AND count = 1")
    assert json.loads(gap["details"])["after"] == 6


@pytest.mark.parametrize("restart_after_leaves", [0, 3])
def test_days_whose_templates_came_on_a_day_that_is_gone_are_decoded_whole(
    log: IndexedLog, restart_after_leaves: int
) -> None:
    days = receive_days(log)
    finish(log)
    for purged, kept in pairwise(days):
        expected = all_rows(log, since_day=kept)
        missing = purge(log, purged)
        assert missing
        reindex(log, restart_after_leaves=restart_after_leaves)
        found = all_rows(log, since_day=kept)
        # Late rows of the day that is gone are counted with the leaf that brought their template.
        assert_same({**found, "leaves": []}, {**expected, "leaves": []})
        counted = {row["leaf_index"]: dict(row["counters"]) for row in log.rows("leaves", "leaf_index, counters")}
        assert {index: counted[index].get("segment_missing") for index in missing} == missing
        assert log.engine.query("SELECT count() AS n, uniq(leaf_index) AS u FROM {db}.leaves") == [
            {"n": len(counted), "u": len(counted)}
        ]


def test_without_the_carry_those_days_would_stay_unread(log: IndexedLog) -> None:
    """The tests above must be able to fail."""
    days = receive_days(log, days=2)
    finish(log)
    purge(log, days[0])
    carry = CarryReader(log.paths).carries()[-1]
    for index in carry.leaves:
        leaf = decode_leaf(TreeReader(log.paths.log, read_checkpoint(log.paths).size).leaf(index))
        (log.paths.segments / leaf["segment"]).unlink()
    reindex(log)
    assert log.rows("flows", where="exporter_port = 40514 AND version = 'netflow9'") == []


def test_a_purge_beside_a_living_index_changes_nothing_of_it(log: IndexedLog) -> None:
    days = receive_days(log, days=3)
    finish(log)
    before = all_rows(log)
    purge(log, days[0])
    log.start_indexer()
    assert log.index() == 0
    assert_same(all_rows(log), before)
    log.receive("collector", (NETFLOW, data(seconds(log), 900, FLOW)))
    assert len(log.rows("flows", where=f"leaf_index = {log.indexer.next_leaf - 1}")) == 1


def test_a_changed_segment_still_stops_the_index(log: IndexedLog) -> None:
    log.put("collector", (NETFLOW, template(seconds(log))))
    damaged = log.put("collector", (NETFLOW, data(seconds(log), 2, FLOW)), index=False)
    log.put("collector", (NETFLOW, data(seconds(log), 3, FLOW)), index=False)
    leaf = decode_leaf(TreeReader(log.paths.log, log.check()).leaf(damaged))
    with (log.paths.segments / leaf["segment"]).open("r+b") as file:
        file.seek(leaf["offset"] + leaf["length"] // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    for _ in range(2):
        with pytest.raises(ArchiveIntegrityError) as caught:
            log.index()
        assert caught.value.code == "chunk_changed"
    assert log.indexer.next_leaf == damaged


class OtherFlowDecoder(FlowDecoder):
    """A later version that reads other numbers and one row less."""

    def decode(self, state: Any, leaf_index: int, chunk: pa.Table) -> Decoded:
        decoded = super().decode(state, leaf_index, chunk)
        if (flows := decoded.tables.get("flows")) is not None:
            place = flows.schema.get_field_index("bytes")
            flows = flows.set_column(place, flows.schema.field(place), pa.array([9] * len(flows), pa.uint64()))
            decoded.tables["flows"] = flows
        return decoded


@pytest.mark.parametrize("fails_at", ["flows", "nat", "leaves"])
def test_another_decoder_version_neither_doubles_nor_hides_a_row(
    log: IndexedLog, fails_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies after an insert, with late rows among them; the next version decodes that leaf again."""
    early = log.put("collector", (NETFLOW, data(seconds(log), 1, FLOW)))
    late = log.put(
        "collector", (NETFLOW, template(seconds(log), 2)), (NETFLOW, data(seconds(log), 3, FLOW, FLOW)), index=False
    )

    def dies(table: str, token: str) -> None:
        if table == fails_at:
            raise IndexUnavailableError("died after the insert")

    with log.inserting(lambda table, token: None, dies), pytest.raises(IndexUnavailableError):
        log.index()
    monkeypatch.setattr("deploy.decoders.FlowDecoder", OtherFlowDecoder)
    finish(log)
    places = [(row["leaf_index"], row["row"]) for row in log.rows("flows")]
    assert places == [(early, 1), (late, 2), (late, 2)]
    reindex(log)
    rows = log.rows("flows")
    assert [(row["leaf_index"], row["row"]) for row in rows] == places
    assert {row["bytes"] for row in rows} == {9}, "fresh tables have forgotten the tokens of the old ones"


def test_settings_of_their_time_decode_the_leaves_of_their_time(log: IndexedLog) -> None:
    local = (SYSLOG, b"<13>Nov 20 08:01:12 gw x: local")
    log.put("collector", local, (NETFLOW, template(seconds(log))), (NETFLOW, data(seconds(log), 2, FLOW)))
    for zone, realm in (("Europe/Berlin", "b"), ("Asia/Bangkok", "c")):
        log.stop_indexer()
        log.decoding = DecodingSettings(zone, (("192.0.2.0/24", realm),))
        log.start_indexer()
        log.put("collector", local, (NETFLOW, data(seconds(log), 3, FLOW)))
        log.seal_carries()
        to_next_day(log)
        log.put("collector", local, (NETFLOW, data(seconds(log), 4, FLOW)))
    finish(log)
    first = all_rows(log)
    # A record counts from the leaf after it on, for a reindex as for the first one.
    assert [row["realm"] for row in log.rows("logs", "realm")] == ["annex", "annex", "b", "b", "c"]
    zones = [row["t"] for row in log.rows("logs", "toHour(device_time) AS t")]
    assert zones == [1, 1, 7, 7, 1]
    log.decoding = DecodingSettings("America/Lima", (("0.0.0.0/0", "elsewhere"),))
    for restart_after_leaves in (0, 1):
        reindex(log, restart_after_leaves=restart_after_leaves)
        assert_same(all_rows(log), first)
    kept = utc_day(log.clock.unix_ns())
    expected = all_rows(log, since_day=kept)
    for folder in log.paths.segments.glob("*/*"):
        if folder.name < kept:
            shutil.rmtree(folder)
    reindex(log)
    assert_same({"flows": all_rows(log, kept)["flows"]}, {"flows": expected["flows"]})


def test_settings_are_noted_when_they_change_and_only_then(log: IndexedLog) -> None:
    def noted() -> list[str]:
        return [
            json.loads(row["details"])["zone"] for row in log.rows("events", "details", "code = 'decoding_settings'")
        ]

    for zone in ("Asia/Bangkok", "Asia/Bangkok", "Europe/Berlin", "Asia/Bangkok"):
        log.stop_indexer()
        log.decoding = DecodingSettings(zone)
        log.start_indexer()
    finish(log)
    # The first start of the fixture had a network more.
    assert noted() == ["Asia/Bangkok", "Asia/Bangkok", "Europe/Berlin", "Asia/Bangkok"]


def test_a_carry_over_many_files_counts_only_when_all_of_it_is_sealed(
    log: IndexedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archive.spool.CLOSE_AT_BYTES", 20_000)
    monkeypatch.setattr("archive.index.carry_writer.BATCH_RECORDS", 10)
    items = [{"kind": "netflow", "what": "padding", "number": number, "text": "x" * 900} for number in range(200)]
    writer = log.carry_writer
    assert writer is not None
    writer.write(Carry("20261201", 7, items))
    spool = sorted((log.paths.spool / "carry").glob("*.spool"))
    assert len(spool) > 5
    reader = CarryReader(log.paths)
    log._sealer.run_once()
    assert reader.carries() == [], "its end is not sealed"
    log.seal_carries()
    mark = reader.carries()[-1]
    assert (mark.day, mark.before_leaf, mark.items) == ("20261201", 7, 200)
    assert len(mark.leaves) > 5
    assert [item["number"] for item in reader.items(mark)] == list(range(200))


def test_a_carry_that_was_broken_off_is_none(log: IndexedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archive.index.carry_writer.BATCH_RECORDS", 10)
    items = [{"kind": "netflow", "what": "padding", "number": number} for number in range(95)]
    writer = log.carry_writer
    assert writer is not None
    append, calls = writer._writer.append_batch, []

    def dies(batch: Any) -> int:
        calls.append(batch)
        if len(calls) == 5:
            raise OSError("killed")
        return append(batch)

    monkeypatch.setattr(writer._writer, "append_batch", dies)
    with pytest.raises(OSError, match="killed"):
        writer.write(Carry("20261201", 7, items))
    log.restart_indexer()
    assert CarryReader(log.paths).carries() == []
    assert log.carry_writer is not None
    log.carry_writer.write(Carry("20261201", 7, items))
    log.carry_writer.write(Carry("20261201", 7, items))
    log.stop_indexer()
    log.start_indexer()
    log.carry_writer.write(Carry("20261201", 9, items))
    log.stop_indexer()
    (mark,) = CarryReader(log.paths).carries()
    assert (mark.before_leaf, mark.items) == (7, 95)


def test_a_clock_that_was_years_ahead_does_not_end_the_carries(log: IndexedLog) -> None:
    log.put("collector", (NETFLOW, template(seconds(log))))
    log.clock.advance(1, wall_seconds=20 * 365 * 86_400)
    far_ns = log.clock.unix_ns()
    log.put("collector", (NETFLOW, data(seconds(log), 2, FLOW)))
    log.clock.advance(1, wall_seconds=-20 * 365 * 86_400)
    to_next_day(log)
    log.put("collector", (NETFLOW, data(seconds(log), 3, FLOW)))
    finish(log)
    assert [one["day"] for one in carries(log)] == ["20261118", utc_day(far_ns), "20261119"]


def test_a_death_between_a_carry_and_its_leaf_writes_no_second_one(log: IndexedLog) -> None:
    def dies(table: str, token: str) -> None:
        raise IndexUnavailableError("died")

    log.put("collector", (NETFLOW, template(seconds(log))))
    to_next_day(log)
    log.put("collector", (NETFLOW, data(seconds(log), 2, FLOW)), index=False)
    with log.inserting(dies, dies):
        for _ in range(2):
            with pytest.raises(IndexUnavailableError):
                log.index()
    log.restart_indexer()
    log.index()
    finish(log)
    assert [one["day"] for one in carries(log)] == ["20261118", "20261119"]
    assert len(log.rows("flows")) == 1


def test_a_carry_of_which_an_item_is_missing_is_none() -> None:
    records = list(
        encode_carry(Carry("20261201", 7, [{"what": '"event":"carry_end"', "n": n} for n in range(4)]), "r", 5)
    )

    def found(*leaves: list[bytes]) -> list[CarryMark]:
        finder = CarryFinder()
        return [mark for index, leaf in enumerate(leaves) for mark in finder.add(index, pa.chunked_array([leaf]))]

    whole = [CarryMark("20261201", 7, "r", 4, (0, 1))]
    assert found(records[:3], records[3:]) == whole
    assert found(records[:1], records[1:5] + records[5:]) == whole
    assert found(records[:3], records[4:]) == []
    assert found(records[1:]) == []
    assert found(records[:3], records)[0].leaves == (1,), "the one begun anew"
    finder = CarryFinder()
    assert finder.add(0, pa.chunked_array([records[:3]])) == []
    finder.break_off()
    assert finder.add(2, pa.chunked_array([records[3:]])) == []
