"""Numbers skipped by exporters and syslog senders become rows of `losses`; resets and reordering do not."""

import json
import pickle
from struct import pack

import pytest

from archive.schema import SCHEMAS
from collector.wire.flows import FlowDecoder
from collector.wire.sequence_gaps import (
    MAX_LATE_IN_A_ROW,
    SEQUENCE_GAP,
    SEQUENCE_UNUSABLE,
    UNUSABLE_AFTER_GAPS,
    Arrival,
    GapFinder,
)
from collector.wire.syslog import SyslogDecoder
from tests.collector.wire.flow_builder import message, netflow5, one_set, options_template_set, template_set
from tests.collector.wire.wire_chunks import ARRIVAL_UNIX_NS, SENDER, make_chunk

FIELDS = [(8, 4), (12, 4)]
TEMPLATE = template_set(10, 256, FIELDS)
OPTIONS = options_template_set(10, 257, [(149, 4)], [(41, 8)])
HOUR_MS = 3_600_000


def v5(sequence: int, flows: int = 30, uptime: int = HOUR_MS) -> bytes:
    data = netflow5(flows, uptime=uptime)
    return data[:16] + pack(">I", sequence % 2**32) + data[20:]


def v9(sequence: int, uptime: int = HOUR_MS, domain: int = 7) -> bytes:
    data = one_set(256, bytes(16))
    return message(9, template_set(9, 256, FIELDS), data, sequence=sequence % 2**32, uptime=uptime, domain=domain)


def ipfix(sequence: int, flows: int, *sets: bytes) -> bytes:
    return message(10, *sets, one_set(256, bytes(8 * flows)), sequence=sequence % 2**32, domain=3)


def decode(*chunks: list[bytes]) -> list[tuple[int, str, int | None]]:
    """(row, how, count) of every loss, over chunks decoded one after another with a pickled state between."""
    decoder = FlowDecoder()
    state = decoder.initial_state()
    found = []
    for index, payloads in enumerate(chunks):
        decoded = decoder.decode(state, index, make_chunk(payloads))
        state = pickle.loads(pickle.dumps(decoded.state))  # noqa: S301 - our own state
        table = decoded.tables.get("losses")
        if table is not None:
            assert table.schema == SCHEMAS["losses"]
            found += [(row["row"], row["how"], row["count"]) for row in table.to_pylist()]
    return found


def test_netflow5_counts_flows() -> None:
    assert decode([v5(0), v5(30, 12), v5(42), v5(132), v5(162)]) == [(3, SEQUENCE_GAP, 60)]


def test_netflow9_counts_datagrams_of_each_domain() -> None:
    datagrams = [v9(5), v9(100, domain=8), v9(6), v9(101, domain=8), v9(10), v9(102, domain=8)]
    assert decode(datagrams) == [(4, SEQUENCE_GAP, 3)]


def test_ipfix_counts_data_records_with_options_and_without_templates() -> None:
    options = one_set(257, bytes(24))
    datagrams = [
        ipfix(40, 3, TEMPLATE, OPTIONS),
        message(10, TEMPLATE, OPTIONS, sequence=43, domain=3),
        ipfix(43, 5, options),
        ipfix(50, 1),
        ipfix(58, 2),
    ]
    assert decode(datagrams) == [(4, SEQUENCE_GAP, 7)]


def test_ipfix_of_unknown_template_cannot_be_counted() -> None:
    datagrams = [ipfix(0, 9), ipfix(9, 9), ipfix(90, 9, TEMPLATE), ipfix(99, 1), ipfix(105, 1)]
    assert decode(datagrams) == [(4, SEQUENCE_GAP, 5)]


def test_exporter_that_counts_its_own_records_too_loses_nothing() -> None:
    sizes = [24, 32, 32, 7, 1, 30, 8, 2]
    sent, total = [], 1_000
    for number, size in enumerate(sizes):
        total += size
        options = (OPTIONS, one_set(257, bytes(12))) if number in (0, 4) else ()
        sent.append(ipfix(total, size, TEMPLATE, *options))
    assert decode(sent) == []
    assert decode([*sent[:5], *sent[6:]]) == [(5, SEQUENCE_GAP, 30)]


@pytest.mark.parametrize("start", [2**32 - 95, 2**31 - 40, 2])
def test_numbers_wrap(start: int) -> None:
    assert decode([v5(start + 30 * n) for n in range(8)]) == []
    assert decode([v5(start + 30 * n) for n in range(8) if n != 5]) == [(5, SEQUENCE_GAP, 30)]


def test_gap_over_two_chunks_is_told_in_the_second_with_its_interval() -> None:
    decoder = FlowDecoder()
    first = decoder.decode(decoder.initial_state(), 1, make_chunk([v9(5)], arrival=ARRIVAL_UNIX_NS - 10**9))
    second = decoder.decode(first.state, 2, make_chunk([v9(8)], "netflow/udp-2055"))
    [row] = second.tables["losses"].to_pylist()
    assert (row["leaf_index"], row["row"], row["count"], row["listener"]) == (2, 0, 2, "netflow/udp-2055")
    assert (row["start"].value, row["end"].value) == (ARRIVAL_UNIX_NS - 10**9, ARRIVAL_UNIX_NS)
    assert row["sender_address"] == SENDER
    assert json.loads(row["details"]) == {
        "after": 5, "observation_domain": 7, "unit": "datagrams", "version": "netflow9",
    }  # fmt: skip


def test_decoding_again_gives_the_same_rows() -> None:
    decoder = FlowDecoder()
    first = decoder.decode(decoder.initial_state(), 1, make_chunk([v9(5)]))
    chunk = make_chunk([v9(8), v9(9)])
    again = [decoder.decode(first.state, 2, chunk).tables["losses"] for _ in range(2)]
    assert again[0].equals(again[1])


@pytest.mark.parametrize("order", [[0, 2, 1, 3], [0, 3, 2, 1, 4], [0, 1, 4, 2, 3, 5]])
def test_reordering_is_no_loss(order: list[int]) -> None:
    assert decode([v9(10 + n, HOUR_MS + n) for n in order]) == []
    assert decode([v5(30 * n, uptime=HOUR_MS + n) for n in order]) == []


def test_what_stays_missing_after_reordering_is_told() -> None:
    assert decode([v9(10), v9(14), v9(12), v9(15)]) == [(1, SEQUENCE_GAP, 2)]


def test_a_datagram_sent_twice_fills_no_gap() -> None:
    assert decode([v9(10), v9(13), v9(14), v9(14), v9(13), v9(10)]) == [(1, SEQUENCE_GAP, 2)]


@pytest.mark.parametrize("numbers", [[500, 501, 900, 901], [3_000_000_000, 3_000_000_001, 7, 8]])
def test_restart_known_by_the_uptime_is_no_loss(numbers: list[int]) -> None:
    uptimes = [HOUR_MS, HOUR_MS + 1, 1_000, 1_001]
    assert decode([v9(number, uptime) for number, uptime in zip(numbers, uptimes, strict=True)]) == []


def test_restart_from_the_first_number_is_no_loss() -> None:
    assert decode([ipfix(3_000_000_000, 5, TEMPLATE), ipfix(0, 5, TEMPLATE), ipfix(5, 5), ipfix(20, 1)]) == [
        (3, SEQUENCE_GAP, 10)
    ]


def test_a_sender_that_begins_anew_lower_is_followed_again() -> None:
    lower = [ipfix(100 + n, 1) for n in range(MAX_LATE_IN_A_ROW + 3)]
    after = ipfix(100 + MAX_LATE_IN_A_ROW + 5, 1)
    assert decode([ipfix(5_000, 1, TEMPLATE), *lower, after]) == [(len(lower) + 1, SEQUENCE_GAP, 2)]


def test_a_sender_that_counts_something_else_is_told_once_and_not_as_loss() -> None:
    bytes_counted = [v9(1_000 * n) for n in range(2, 60)]
    assert decode(bytes_counted) == [(UNUSABLE_AFTER_GAPS + 1, SEQUENCE_UNUSABLE, None)]
    in_order = [v9(100_000), v9(100_001), v9(100_004)]
    assert decode(bytes_counted, in_order)[1:] == [(2, SEQUENCE_GAP, 2)]


def test_streams_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.wire.sequence_gaps.MAX_STREAMS", 3)
    streams: dict = {}
    finder = GapFinder(streams)
    for n in range(10):
        finder.follow(n, 5, (1, 1), Arrival(n, "main", 1, SENDER, "netflow"), {})
    assert list(streams) == [7, 8, 9]


def line(number: str, host: str = "gw1", more: str = "") -> bytes:
    return f'<13>1 2026-11-20T00:00:00Z {host} app - - [x@1 a="]\\"b"][meta {more}sequenceId="{number}"] text'.encode()


def syslog_losses(*lines: bytes) -> list[tuple[int, str, int]]:
    decoder = SyslogDecoder()
    decoded = decoder.decode(decoder.initial_state(), 4, make_chunk(list(lines), "syslog/udp-5514"))
    table = decoded.tables.get("losses")
    rows = table.to_pylist() if table is not None else []
    assert decoded.tables["logs"].num_rows == len(lines)
    return [(row["row"], json.loads(row["details"])["hostname"], row["count"]) for row in rows]


def test_syslog_sequence_ids_of_each_host() -> None:
    lines = [line("5"), line("90", "gw2"), line("6", more='sysUpTime="7" '), line("91", "gw2"), line("9"), line("10")]
    assert syslog_losses(*lines) == [(4, "gw1", 2)]


def test_syslog_sequence_ids_wrap_to_one_and_restart_at_one() -> None:
    assert syslog_losses(line("2147483646"), line("2147483647"), line("1"), line("2"), line("4")) == [(4, "gw1", 1)]
    assert syslog_losses(line("70"), line("1"), line("2")) == []


@pytest.mark.parametrize("number", ["0", "2147483648", "99999999999", "", "-1", "x", "٣"])
def test_numbers_out_of_range_are_not_followed(number: str) -> None:
    assert syslog_losses(line("5"), line(number), line("6")) == []


def test_sequence_id_inside_a_value_is_text() -> None:
    inside = b'<13>1 - gw1 app - - [x@1 a="[meta sequenceId=\\"70\\"]"] t'
    assert syslog_losses(line("5"), inside, line("6")) == []


def test_state_of_syslog_goes_over_chunks() -> None:
    decoder = SyslogDecoder()
    first = decoder.decode(decoder.initial_state(), 1, make_chunk([line("5")], "syslog/udp-5514"))
    state = pickle.loads(pickle.dumps(first.state))  # noqa: S301 - our own state
    second = decoder.decode(state, 2, make_chunk([line("8")], "syslog/udp-5514"))
    assert second.tables["losses"].column("count").to_pylist() == [2]
    assert "losses" not in first.tables
