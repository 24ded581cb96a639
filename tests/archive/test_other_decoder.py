"""A decoder that was changed does not look like tampering: leaves of another one are counted, not compared."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from flow_days import FLOW, NETFLOW, SYSLOG, line, receive_days, seconds, to_next_day
from index_comparison import ALL, assert_intact, check, forge, places
from indexed_log import IndexedLog
from netflow_datagrams import data, template

from deploy.decoders import decoder_fingerprint, make_chunk_decoder

EARLIER = "0123456789abcdef"


def altered(fingerprint: str) -> Callable[..., Any]:
    """Makes decoders that know no flow and lines of one word only."""

    def make(*arguments: Any) -> Any:
        decoder = make_chunk_decoder(*arguments)
        real = decoder.decode

        def decode(leaf_index: int, chunk: pa.Table) -> Any:
            result = real(leaf_index, chunk)
            result.tables.pop("flows", None)
            result.tables["logs"] = [
                rows.set_column(
                    rows.schema.get_field_index("message"), "message", pa.array(["x"] * rows.num_rows, pa.string())
                )
                for rows in result.tables.pop("logs", [])
            ]
            if not result.tables["logs"]:
                del result.tables["logs"]
            result.decoder = fingerprint
            if result.carry is not None:
                result.carry = type(result.carry)(**{**vars(result.carry), "decoder": fingerprint})
            return result

        decoder.decode, decoder.fingerprint = decode, fingerprint  # type: ignore[method-assign]
        return decoder

    return make


def use(log: IndexedLog, make: Callable[..., Any]) -> None:
    """The index process starts anew with other decoders."""
    log.make_decoder = make  # type: ignore[method-assign,assignment]
    log.restart_indexer()
    log.index()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IndexedLog]:
    made = IndexedLog.make(tmp_path, carries=True)
    yield made
    made.close()


def data_leaves(log: IndexedLog, where: str = "1") -> list[int]:
    return [row["leaf_index"] for row in log.rows("leaves", where=f"records > 0 AND {where}")]


def test_leaves_of_an_earlier_decoder_are_counted_until_a_reindex(log: IndexedLog) -> None:
    use(log, altered(EARLIER))
    receive_days(log, 1, log.index)
    # What the index process itself wrote is decoded by whoever comes next.
    earlier = data_leaves(log)
    use(log, make_chunk_decoder)
    log.put("collector", (SYSLOG, line(900)))
    result = check(log, ALL)
    assert_intact(result)
    assert result["other_decoder_leaves"] == len(earlier)
    assert result["notes"] == [
        f"{len(earlier)} leaves were decoded by an earlier version; `phayan reindex` decodes them again."
    ]
    assert str(len(earlier)) in result["notes_th"][0]
    assert result["sampled_leaves"] == len(data_leaves(log)) - len(earlier)
    assert not log.rows("flows")

    run = log.reindex()
    run.run(threading.Event())
    assert run.progress.state == "finished"
    assert log.rows("flows")
    result = check(log, ALL)
    assert_intact(result)
    assert (result["other_decoder_leaves"], result["notes"], result["notes_th"]) == (0, [], [])
    assert result["sampled_leaves"] == len(data_leaves(log))
    changed = [log.rows(table, where=f"leaf_index <= {earlier[-1]}")[-1] for table in ("flows", "logs")]
    forge(log, "flows", f"UPDATE bytes = bytes + 1 WHERE leaf_index = {changed[0]['leaf_index']}")
    forge(log, "logs", f"UPDATE message = 'y' WHERE leaf_index = {changed[1]['leaf_index']}")
    expected = {
        (table, row["leaf_index"], "rows_differ") for table, row in zip(("flows", "logs"), changed, strict=True)
    }
    assert places(check(log, ALL)) == expected


def test_other_rows_of_the_same_decoder_are_a_defect(log: IndexedLog) -> None:
    use(log, altered(decoder_fingerprint()))
    leaf = log.put("collector", (SYSLOG, line(1)))
    log.make_decoder = make_chunk_decoder  # type: ignore[method-assign]
    result = check(log, ALL)
    assert places(result) == {("logs", leaf, "rows_differ")}
    assert result["other_decoder_leaves"] == 0


def test_rows_lacking_of_a_leaf_of_an_earlier_decoder_are_a_defect(log: IndexedLog) -> None:
    use(log, altered(EARLIER))
    leaf = log.put("collector", (SYSLOG, line(1)), (SYSLOG, line(2)))
    use(log, make_chunk_decoder)
    forge(log, "logs", f"DELETE WHERE leaf_index = {leaf} AND row = 1")
    assert places(check(log, ALL)) == {("logs", leaf, "rows_missing")}


def test_flows_are_compared_again_from_the_next_carry_on(log: IndexedLog) -> None:
    """Not before: what the earlier decoder knew of the exporters may be less."""
    use(log, altered(EARLIER))
    log.put("collector", (NETFLOW, template(seconds(log), 1)))
    use(log, make_chunk_decoder)
    before = log.put("collector", (NETFLOW, data(seconds(log), 2, FLOW)))
    assert log.rows("flows", where=f"leaf_index = {before}")
    forge(log, "flows", f"UPDATE bytes = bytes + 1 WHERE leaf_index = {before}")
    assert_intact(check(log, ALL))
    to_next_day(log)
    after = log.put("collector", (NETFLOW, data(seconds(log), 3, FLOW)))
    log.seal_carries()
    log.index()
    assert_intact(check(log, ALL))
    forge(log, "flows", f"UPDATE bytes = bytes + 1 WHERE leaf_index = {after}")
    assert places(check(log, ALL)) == {("flows", after, "rows_differ")}


def test_days_that_a_reindex_keeps_keep_their_decoder(log: IndexedLog) -> None:
    use(log, altered(EARLIER))
    days = receive_days(log, 2, log.index)
    log.index()
    earlier = data_leaves(log, f"toYYYYMMDD(fromUnixTimestamp64Nano(first_unix_ns, 'UTC')) = {days[0]}")
    gone = sorted(log.paths.segments.glob(f"collector/{days[0]}/*.seg"))[0]
    gone.unlink()
    use(log, make_chunk_decoder)
    run = log.reindex()
    run.run(threading.Event())
    assert run.progress.days_kept == [days[0]]
    kept = data_leaves(log, f"decoder = '{EARLIER}'")
    assert kept
    assert set(kept) == set(earlier) & set(data_leaves(log, "decoder != ''"))
    result = check(log, ALL)
    assert result["messages"] == []
    assert result["other_decoder_leaves"] == len(kept)
