"""Byte ranges of units: they partition every payload, and a data record's range is that record."""

from struct import pack, pack_into

import numpy as np
import pytest
import sflow_builder as sflow
from flow_builder import message, netflow5, one_set, template_set
from flow_mutations import Dice, built_seeds, corpus_seeds, mutate, sflow_seeds
from fuzz_chunks import told_of
from test_wire_fuzz import check_partition
from wire_chunks import make_chunk

from archive.errors import ArchiveFormatError
from archive.reduced_datagram import companions, reduce_datagram
from collector.wire.flows import FlowDecoder
from collector.wire.payload_units import split_ranges
from collector.wire.sflow import SFlowDecoder
from collector.wire.syslog import SyslogDecoder

FIELDS = [(8, 4), (12, 4), (7, 2)]
TEMPLATE = template_set(9, 256, FIELDS)


def decode(*payloads: bytes, state=None, leaf_index=1):
    decoder = FlowDecoder(units=True)
    return decoder.decode(state or decoder.initial_state(), leaf_index, make_chunk(list(payloads)))


def ranges(units) -> list[tuple[int, int, int]]:
    return list(zip(units.row.tolist(), units.offset.tolist(), units.length.tolist(), strict=True))


def test_headers_templates_records_and_padding_are_units():
    datagram = message(9, TEMPLATE, one_set(256, bytes(20) + bytes(3)), b"\1\2")
    assert ranges(decode(datagram).units) == [
        (0, 0, 20), (0, 20, 4), (0, 24, 16), (0, 40, 4), (0, 44, 10), (0, 54, 10), (0, 64, 3), (0, 67, 2),
    ]  # fmt: skip


def test_several_templates_and_withdrawals_in_one_set():
    records = pack(">HHHH", 256, 1, 8, 4) + pack(">HHHHHH", 257, 2, 8, 4, 12, 4) + pack(">HH", 256, 0)
    units = ranges(decode(message(10, one_set(2, records + bytes(2)))).units)
    assert [(offset, length) for _, offset, length in units] == [(0, 16), (16, 4), (20, 8), (28, 12), (40, 4), (44, 2)]


def test_records_of_different_lengths():
    variable = template_set(10, 300, [(8, 4), (82, 65535)])
    body = bytes(4) + b"\x03abc" + bytes(4) + b"\xff\x00\x01x" + bytes(4) + b"\x00" + b"\0\0"
    datagram = message(10, variable, one_set(300, body))
    start = len(datagram) - len(body)
    found = [(offset - start, length) for _, offset, length in ranges(decode(datagram).units) if offset >= start]
    assert found == [(0, 8), (8, 8), (16, 5), (21, 2)]


def test_what_is_not_decoded_is_one_unit():
    datagrams = [b"nothing", b"", message(9, one_set(77, bytes(8))), netflow5(2) + b"rest", netflow5(1)[:30]]
    assert ranges(decode(*datagrams).units) == [
        (0, 0, 7), (1, 0, 0), (2, 0, 20), (2, 20, 12),
        (3, 0, 24), (3, 24, 48), (3, 72, 48), (3, 120, 4), (4, 0, 24), (4, 24, 6),
    ]  # fmt: skip


def test_a_set_that_waits_is_cut_when_its_template_comes():
    data = message(9, one_set(256, bytes(10)), one_set(256, bytes(22)))
    first = decode(data, message(9, TEMPLATE), data)
    assert ranges(first.units)[:7] == [
        (0, 0, 20), (0, 20, 4), (0, 24, 10), (0, 34, 4), (0, 38, 10), (0, 48, 10), (0, 58, 2),
    ], "in the same call it is cut at once"  # fmt: skip
    assert first.late_units is None
    alone = decode(data, leaf_index=5)
    assert ranges(alone.units) == [(0, 0, 20), (0, 20, 14), (0, 34, 26)]
    late = decode(message(9, TEMPLATE), state=alone.state, leaf_index=6)
    assert late.late_units.leaf_index.tolist() == [5] * 6
    assert ranges(late.late_units) == [(0, 20, 4), (0, 24, 10), (0, 34, 4), (0, 38, 10), (0, 48, 10), (0, 58, 2)]
    assert [length for _, _, length in ranges(late.units)] == [20, 4, 16]


def test_units_are_told_only_when_asked_for():
    chunk = make_chunk([message(9, TEMPLATE)])
    decoder = FlowDecoder()
    assert decoder.decode(decoder.initial_state(), 1, chunk).units is None


def test_each_record_decodes_alone_from_its_bytes():
    """Of the corpus and of built frames: the same row from one header, one set header and the unit."""
    compared = 0
    for seed in built_seeds() + corpus_seeds():
        decoder = FlowDecoder(units=True)
        state = decoder.initial_state()
        for payload in seed:
            decoded = decoder.decode(state, 1, make_chunk([payload]))
            if payload[1] in (9, 10) and "estimated_times" not in decoded.counters and decoded.late_units is None:
                compared += compare_records(decoder, state, decoded, payload)
            state = decoded.state
    assert compared >= 300


def compare_records(decoder, before, decoded, payload: bytes) -> int:
    header = 20 if payload[1] == 9 else 16
    rows = {name: decoded.tables[name].to_pylist() for name in ("flows", "options") if name in decoded.tables}
    taken = dict.fromkeys(rows, 0)
    for start, end in told_of(payload).data_sets:
        for _, offset, length in ranges(decoded.units):
            if not start <= offset < end:
                continue
            sets = payload[header : start - 4] + one_set(int.from_bytes(payload[start - 4 : start - 2], "big"), b"")
            alone = bytearray(payload[:header] + sets + payload[offset : offset + length])
            pack_into(">H", alone, header + len(sets) - 2, 4 + length)
            if payload[1] == 10:
                pack_into(">H", alone, 2, len(alone))
            earlier = decoder.decode(before, 1, make_chunk([payload[: start - 4]]))
            found = decoder.decode(before, 1, make_chunk([bytes(alone)]))
            for name, table in found.tables.items():
                if name not in rows:
                    continue
                skipped = earlier.tables[name].num_rows if name in earlier.tables else 0
                mine = table.to_pylist()[skipped:]
                if mine:
                    assert mine == rows[name][taken[name] : taken[name] + 1]
                    taken[name] += 1
    for name, count in taken.items():
        assert count == len(rows[name]), "every row has a unit of its own"
    return sum(taken.values())


@pytest.mark.parametrize("kind", ["netflow", "sflow"])
def test_units_of_damaged_datagrams_partition_them(kind):
    seeds = built_seeds() + corpus_seeds() if kind == "netflow" else sflow_seeds()
    decoder = FlowDecoder(units=True) if kind == "netflow" else SFlowDecoder(units=True)
    dice = Dice(5)
    payloads = [part for _ in range(500) for part in mutate(dice, dice.pick(seeds), seeds, has_sets=kind == "netflow")]
    chunk = make_chunk(payloads, kind)
    check_partition(decoder.decode(decoder.initial_state(), 1, chunk).units, chunk)


def test_samples_are_units():
    one, two = sflow.flow_sample(sflow.sampled_ipv4()), sflow.counter_sample(sflow.interface_counters())
    payloads = [sflow.datagram(one, two) + b"abcdef", b"??"]
    decoder = SFlowDecoder(units=True)
    units = decoder.decode(decoder.initial_state(), 1, make_chunk(payloads, "sflow")).units
    assert ranges(units) == [
        (0, 0, 28), (0, 28, len(one)), (0, 28 + len(one), len(two)), (0, 28 + len(one) + len(two), 6), (1, 0, 2),
    ]  # fmt: skip


def test_lines_are_units():
    decoder = SyslogDecoder(units=True)
    units = decoder.decode(decoder.initial_state(), 1, make_chunk([b"<1>a", b"", b"b"], "syslog")).units
    assert ranges(units) == [(0, 0, 4), (1, 0, 0), (2, 0, 1)]


def test_a_slice_of_a_mixed_chunk():
    payloads = [b"<1>line", message(9, TEMPLATE), b"<1>line", netflow5(1)]
    chunk = make_chunk(payloads, ["syslog", "netflow", "syslog", "netflow"]).slice(1)
    decoder = FlowDecoder(units=True)
    units = decoder.decode(decoder.initial_state(), 1, chunk).units
    assert ranges(units) == [(1, 0, 20), (1, 20, 4), (1, 24, 16), (3, 0, 24), (3, 24, 48)]


def test_cuts_outside_of_a_range_are_ignored():
    begins, ends = np.array([5, 0]), np.array([10, 0])
    number, offset, length = split_ranges(begins, ends, np.array([0, 0, 0, 0, 1]), np.array([5, 7, 7, 10, 3]))
    assert (number.tolist(), offset.tolist(), length.tolist()) == ([0, 0, 1], [5, 7, 0], [2, 3, 0])
    nothing = np.zeros(0, "int64")
    assert [len(column) for column in split_ranges(nothing, nothing, nothing, nothing)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("make", "listener", "seeds"),
    [(FlowDecoder, "netflow", lambda: built_seeds() + corpus_seeds()), (SFlowDecoder, "sflow", sflow_seeds)],
)
def test_a_row_decodes_again_from_its_place_alone(make, listener, seeds):
    """Each row of flows and nat: from its unit and the headers it needs comes that row and no other."""
    compared = 0
    for seed in seeds():
        decoder = make(units=True)
        state = decoder.initial_state()
        for payload in seed:
            decoded = decoder.decode(state, 1, make_chunk([payload], listener))
            for name in ("flows", "nat") if decoded.late_units is None else ():
                compared += compare_alone(decoder, decoded, name, payload, listener)
            state = decoded.state
    assert compared >= (10 if listener == "sflow" else 100)


def compare_alone(decoder, decoded, name: str, payload: bytes, listener: str) -> int:
    if name not in decoded.tables or {"estimated_times", "malformed_sets"} & decoded.counters.keys():
        return 0
    places = decoded.places[name].tolist()
    rows = decoded.tables[name].to_pylist()
    units = {offset: payload[offset : offset + length] for _, offset, length in ranges(decoded.units)}
    for place in places[:6]:
        chosen = sorted({*companions(payload, [place]), place})
        alone = reduce_datagram([(at, units[at]) for at in chosen])
        again = decoder.decode(decoded.state, 1, make_chunk([alone], listener))
        # With the state after it: the template may have come with it.
        wanted = [row for row, where in zip(rows, places, strict=True) if where == place]
        assert again.tables[name].to_pylist() == wanted
    return min(len(places), 6)


def test_a_reduced_datagram_needs_its_header():
    with pytest.raises(ArchiveFormatError, match="without its header"):
        reduce_datagram([(24, bytes(10))])
    with pytest.raises(ArchiveFormatError, match="no set header"):
        reduce_datagram([(0, message(9, one_set(256, b""))[:20]), (24, bytes(10))])


def test_rows_of_late_sets_have_their_place_in_the_datagram_they_came_with():
    data = message(9, one_set(256, bytes(4) + b"\1" * 6 + b"\2" * 10))
    late = decode(message(9, TEMPLATE), state=decode(data, leaf_index=5).state, leaf_index=6)
    assert late.places["flows"].tolist() == [24, 34]
    assert late.tables["flows"].column("leaf_index").to_pylist() == [5, 5]
