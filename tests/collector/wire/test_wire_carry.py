"""Decoders whose state went through JSON decode on as if nothing had been."""

import json
from struct import pack
from typing import Any

import pyarrow as pa
import pytest

from archive.decoder import CarryingDecoder, ZonedDecoder
from collector.wire.flows import FlowDecoder
from collector.wire.sflow import SFlowDecoder
from collector.wire.syslog import SyslogDecoder
from tests.collector.wire.flow_builder import message, netflow5, one_set, options_template_set, template_set
from tests.collector.wire.sflow_builder import counter_sample, datagram, flow_sample, sampled_ipv4
from tests.collector.wire.wire_chunks import corpus_file, corpus_names, make_chunk

FIELDS = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4)]
RECORD = bytes([10, 0, 0, 7, 198, 51, 100, 1]) + pack(">HHBI", 5000, 443, 6, 99)


def carried(decoder: Any, state: Any) -> Any:
    imported = decoder.import_state(decoder.initial_state(), json.loads(json.dumps(decoder.export_state(state))))
    assert imported.refused == 0
    return imported.state


def decode(decoder: Any, chunks: list[pa.Table], carry_before: set[int]) -> list[Any]:
    """Rows and counters of chunks decoded in order, the state taken through JSON before some of them."""
    state, found = decoder.initial_state(), []
    for number, chunk in enumerate(chunks):
        if number in carry_before:
            state = carried(decoder, state)
        decoded = decoder.decode(state, number, chunk)
        state = decoded.state
        tables = {name: table.to_pydict() for name, table in decoded.tables.items()}
        found.append((tables, decoded.waiting, decoded.counters))
    return found


def assert_carried_anywhere(decoder: Any, chunks: list[pa.Table]) -> None:
    whole = decode(decoder, chunks, set())
    for place in range(1, len(chunks)):
        assert decode(decoder, chunks, {place}) == whole, place
    assert decode(decoder, chunks, set(range(1, len(chunks)))) == whole


def flow_chunks() -> list[pa.Table]:
    start_ms = pack(">Q", 1_700_000_000_000)
    datagrams = [
        message(9, template_set(9, 300, FIELDS), sequence=1, domain=7),
        message(9, one_set(300, RECORD * 2), sequence=2, domain=7),
        message(10, template_set(10, 400, [*FIELDS, (22, 4), (5, 4, 9)]), sequence=1),
        message(10, options_template_set(10, 401, [(149, 4)], [(160, 8)]), sequence=1),
        message(10, one_set(401, pack(">I", 0) + start_ms), sequence=1),
        message(10, one_set(400, RECORD + pack(">II", 1000, 5)), sequence=2),
        netflow5(2),
        message(9, one_set(300, RECORD), sequence=7, domain=7),
        message(10, pack(">HHHH", 2, 8, 400, 0), sequence=3),
        message(9, template_set(9, 300, FIELDS[:3]), sequence=8, domain=7),
        message(9, one_set(300, RECORD[:10]), sequence=11, domain=7, uptime=700_000),
        message(10, template_set(10, 402, [(8, 4), (82, 65535)]), sequence=9),
        message(10, one_set(402, bytes([10, 0, 0, 9, 3]) + b"eth"), sequence=9),
    ]
    return [make_chunk([one], port=4000, arrival=(1_795_132_800 + at) * 10**9) for at, one in enumerate(datagrams)]


def test_flows_go_on_from_a_carried_state() -> None:
    chunks = flow_chunks()
    assert_carried_anywhere(FlowDecoder(), chunks)
    found = decode(FlowDecoder(), chunks, set())
    assert sum("losses" in tables for tables, _, _ in found) >= 2
    assert sum(len(tables["flows"]["row"]) for tables, _, _ in found if "flows" in tables) == 9 - 1


def test_a_template_names_the_datagram_it_was_last_in() -> None:
    decoder = FlowDecoder()
    state = decoder.initial_state()
    chunk = make_chunk([message(9, template_set(9, 300, FIELDS))] * 3)
    for leaf in (5, 8):
        state = decoder.decode(state, leaf, chunk).state
    (item,) = [one for one in decoder.export_state(state) if one["what"] == "template"]
    assert (item["leaf_index"], item["row"]) == (8, 2)
    assert item["fields"][0] == [0, 8, 4]
    assert carried(decoder, state).taught == state.taught


def test_what_waits_goes_on_waiting() -> None:
    decoder = FlowDecoder()
    early = decoder.decode(decoder.initial_state(), 1, make_chunk([message(9, one_set(300, RECORD))])).state
    imported = decoder.import_state(early, [])
    late = decoder.decode(imported.state, 2, make_chunk([message(9, template_set(9, 300, FIELDS))]))
    assert late.tables["flows"].column("leaf_index").to_pylist() == [1]
    assert late.waiting == 0


@pytest.mark.parametrize("name", corpus_names())
def test_real_exports_go_on_from_a_carried_state(name: str) -> None:
    from collector.wire.datagram_split import split_datagrams

    datagrams = list(split_datagrams(corpus_file(name)))
    middle = len(datagrams) // 2
    chunks = [make_chunk(part) for part in (datagrams[:middle], datagrams[middle:]) if part]
    decoder = FlowDecoder()
    state = decoder.decode(decoder.initial_state(), 0, chunks[0]).state
    rest = chunks[-1]
    state.waiting.clear()
    state.waiting_bytes = state.waiting_sets = 0
    assert carried(decoder, state) == state
    plain, gone_on = decoder.decode(state, 1, rest), decoder.decode(carried(decoder, state), 1, rest)
    assert gone_on.tables.keys() == plain.tables.keys()
    assert all(gone_on.tables[table].equals(plain.tables[table]) for table in plain.tables)


def test_samples_go_on_from_a_carried_state() -> None:
    chunks = [
        make_chunk([datagram(flow_sample(sampled_ipv4(), sequence=one), counter_sample(sequence=one), sequence=one)],
                   "sflow")
        for one in (1, 2, 5, 6, 9)
    ]  # fmt: skip
    assert_carried_anywhere(SFlowDecoder(), chunks)
    losses = [tables["losses"]["count"] for tables, _, _ in decode(SFlowDecoder(), chunks, set()) if "losses" in tables]
    assert losses == [[2, 2, 2], [2, 2, 2]]


def test_lines_go_on_from_a_carried_state() -> None:
    def numbered(number: int) -> bytes:
        return f'<13>1 - gw"\\1 app - - [meta sequenceId="{number}"] text'.encode()

    lines = [make_chunk([numbered(number)], "syslog/udp-5514") for number in (1, 2, 7, 8)]
    repeats = [
        make_chunk([b"<13>a", b"<13>b"], "syslog/relp-2514", port=1000),
        make_chunk([b"<13>b", b"<13>c"], "syslog/relp-2514", port=1001),
    ]
    chunks = [
        chunk.set_column(chunk.schema.get_field_index("transport"), "transport", pa.array(["relp"] * len(chunk)))
        for chunk in repeats
    ]
    assert_carried_anywhere(SyslogDecoder(), [*lines, *chunks])
    (*_, (last, _, _)) = decode(SyslogDecoder(), chunks, {1})
    assert last["logs"]["repeated"] == [True, False]


@pytest.mark.parametrize("decoder", [FlowDecoder(), SFlowDecoder(), SyslogDecoder()])
def test_items_that_cannot_be_read_are_counted(decoder: Any) -> None:
    assert isinstance(decoder, CarryingDecoder)
    whats = {"FlowDecoder": ["template", "system_init", "sequence"], "SFlowDecoder": ["sequence"]}
    known = whats.get(type(decoder).__name__, ["sequence", "relp_connection"])
    wrong: list[dict[str, Any]] = [{"what": what} for what in known]
    for what in known:
        wrong.append({"what": what, "exporter_address": "no address", "sender_address": 7, "listener": None})
    imported = decoder.import_state(decoder.initial_state(), wrong)
    assert imported.refused == len(wrong)
    assert decoder.export_state(imported.state) == []


def test_only_local_times_depend_on_a_zone() -> None:
    assert isinstance(SyslogDecoder(), ZonedDecoder)
    assert not isinstance(FlowDecoder(), ZonedDecoder)
