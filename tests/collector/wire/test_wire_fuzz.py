"""Malformed input (DESIGN section 11, F3): mutations of the corpus and of built frames against the wire decoders.

`make fuzz` runs 1,000,000 cases, `make test` 50,000. A case is one exporter's datagrams with one to three mutations.
"""

import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from flow_mutations import SYSLOG_LINES, Dice, built_seeds, corpus_seeds, mutate, sflow_seeds
from fuzz_chunks import FIRST_CASE_PORT, FuzzChunk, fuzz_chunk, rows_from, told_of, wire_table
from wire_chunks import SENDER

from archive.schema import SCHEMAS
from collector.wire import flow_templates
from collector.wire.flow_templates import FlowState
from collector.wire.flows import FlowDecoder
from collector.wire.sequence_gaps import MAX_STREAMS
from collector.wire.sflow import SFlowDecoder
from collector.wire.syslog import SyslogDecoder

pytestmark = pytest.mark.fuzz

CASES = {"netflow": (38_000, 760_000), "sflow": (6_000, 120_000), "syslog": (6_000, 120_000)}
"""Of a normal and of a full run: 50,000 and 1,000,000."""
LEAST_REACHED = 0.6
CHUNK_CASES = 250
STATE_CHUNKS = 60
"""The state of a decoder lives for so many chunks, 15,000 exporters, and is then begun anew."""
CLOSE_LOOK_EVERY = 8
"""Chunks of which one is decoded again in two halves, and another with each case alone."""
MAX_CPU_SECONDS_PER_MIB = 12.0
"""Over a run. Cases of 600 bytes with templates of their own are the dearest bytes there are; see test_wire_hostile for
the worst of one exporter."""
MAX_CPU_SECONDS_PER_CHUNK = 6.0
"""About 0.2 are usual."""
MAX_TABLE_BYTES_PER_BYTE = 120
"""Arrow tables of a chunk: a record of 4 bytes is a row of about 250 bytes, a field of 1 byte up to 50 of JSON."""
TABLE_BYTES_PER_CHUNK = 4 * 1024 * 1024
FINDINGS = Path(__file__).parent / "findings"
SEED = int(os.environ.get("PHAYAN_FUZZ_SEED", "20261120"))


class Tally:
    def __init__(self) -> None:
        self.cases = self.reached = self.payload_bytes = 0
        self.cpu_seconds = 0.0

    def report(self, what: str) -> None:
        share = self.reached / self.cases
        per_mib = self.cpu_seconds / (self.payload_bytes / 2**20)
        print(
            f"\nF3 {what}: {self.cases:,} inputs, {share:.1%} reached the record loop, "
            f"{self.payload_bytes / 2**20:.0f} MiB, {per_mib:.2f} CPU s/MiB, seed {SEED}"
        )
        assert share >= LEAST_REACHED
        assert per_mib <= MAX_CPU_SECONDS_PER_MIB


def check_tables(tables: dict[str, pa.Table], row_count: int, leaf_index: int) -> None:
    for name, table in tables.items():
        assert table.schema.equals(SCHEMAS[name]), name
        table.validate()
        rows = table.column("row").to_numpy()
        assert table.num_rows > 0
        assert rows.max() < row_count
        assert (table.column("leaf_index").to_numpy() <= leaf_index).all()


def check_partition(units, chunk: pa.Table) -> None:
    """The units of each row follow one another from 0 to the end of its payload."""
    sizes = np.array([len(payload) for payload in chunk.column("payload").to_pylist()], "int64")
    row, offset, length = (column.astype("int64") for column in (units.row, units.offset, units.length))
    first = np.concatenate(([True], row[1:] != row[:-1]))
    assert np.array_equal(row[first], np.arange(len(sizes)))
    assert (offset[first] == 0).all()
    ends = offset + length
    assert np.array_equal(offset[~first], ends[:-1][~first[1:]])
    last = np.concatenate((first[1:], [True]))
    assert np.array_equal(ends[last], sizes)
    assert ((length > 0) | (sizes[row] == 0)).all()


def check_flow_state(state: FlowState) -> None:
    assert len(state.templates) <= flow_templates.MAX_TEMPLATES
    assert state.field_count == sum(len(layout.fields) for layout in state.templates.values())
    assert state.field_count <= flow_templates.MAX_STATE_FIELDS
    assert state.waiting_sets == sum(len(sets) for sets in state.waiting.values()) <= flow_templates.MAX_WAITING_SETS
    bodies = sum(len(one.body) for sets in state.waiting.values() for one in sets)
    assert state.waiting_bytes == bodies <= flow_templates.MAX_WAITING_BYTES
    assert len(state.streams) <= MAX_STREAMS
    assert not set(state.waiting) & set(state.templates), "nothing waits for a template that is there"


def check_flow_counters(payloads: list[bytes], before: FlowState, decoded) -> None:
    """Everything that gave no record is counted: compared with a walk of its own, and with what waits."""
    found = [told_of(payload) for payload in payloads]
    counters = decoded.counters
    for name, expected in (
        ("netflow_datagrams", len(payloads)),
        ("malformed_datagrams", sum(one.malformed for one in found)),
        ("cut_datagrams", sum(one.cut_datagram for one in found)),
        ("malformed_sets", sum(one.malformed_set for one in found)),
        ("cut_sets", sum(one.cut_set for one in found)),
        ("skipped_sets", sum(one.skipped_sets for one in found)),
        ("trailing_bytes", sum(one.trailing_bytes for one in found)),
    ):
        assert counters.get(name, 0) == expected, name
    cuts = set(zip(decoded.units.row.tolist(), decoded.units.offset.tolist(), strict=True))
    uncut = sum(
        (row, start) not in cuts for row, one in enumerate(found) for start, end in one.data_sets if end > start
    )
    empty = sum(end == start for one in found for start, end in one.data_sets)
    after = decoded.state
    still = sum(len(sets) for key, sets in before.waiting.items() if sets[0] in after.waiting.get(key, [])[:1])
    kept = after.waiting_sets - still + counters.get("waiting_sets_dropped", 0)
    kept += counters.get("sets_over_layout_limit", 0)
    assert uncut <= kept <= uncut + empty, "a set that is not cut into records waits or is counted"


def same_rows(one: dict[str, pa.Table], parts: list[dict[str, pa.Table]]) -> None:
    for name in ("flows", "options", "nat", "logs"):
        pieces = [part[name] for part in parts if name in part]
        assert (name in one) == bool(pieces), name
        if pieces:
            assert one[name].equals(pa.concat_tables(pieces).combine_chunks()), name


def reached_cases(chunk: FuzzChunk, tables: dict[str, pa.Table]) -> int:
    """Cases of which at least one record was decoded."""
    ports = [tables[name].column("exporter_port").to_numpy() for name in ("flows", "options") if name in tables]
    return int((np.unique(np.concatenate(ports)) >= FIRST_CASE_PORT).sum()) if ports else 0


class Fuzzer:
    """One decoder under chunks of cases; `neighbours` are decoded the same in each of them."""

    def __init__(self, decoder, listener: str, seeds: list[list[bytes]], neighbours: list[bytes]) -> None:
        self.decoder, self.listener, self.seeds, self.neighbours = decoder, listener, seeds, neighbours
        self.tally = Tally()
        self.state = decoder.initial_state()
        alone = fuzz_chunk(0, [], neighbours, listener)
        decoded = decoder.decode(decoder.initial_state(), 1, alone.table)
        self.expected = {name: rows_from(table, alone.neighbour) for name, table in decoded.tables.items()}
        self.expected.pop("losses", None)

    def run(self, count: int) -> None:
        dice = Dice(SEED)
        number = 0
        while self.tally.cases < count:
            number += 1
            if number % STATE_CHUNKS == 0:
                self.state = self.decoder.initial_state()
            size = min(CHUNK_CASES, count - self.tally.cases)
            has_sets = self.listener == "netflow"
            cases = [mutate(dice, dice.pick(self.seeds), self.seeds, has_sets=has_sets) for _ in range(size)]
            chunk = fuzz_chunk(number, cases, self.neighbours, self.listener)
            try:
                self.one_chunk(number, chunk)
            except Exception:
                self.reduce(number, cases)
                raise

    def one_chunk(self, number: int, chunk: FuzzChunk) -> None:
        before = self.state
        started = time.process_time()
        decoded = self.decoder.decode(before, 1, chunk.table)
        cpu_seconds = time.process_time() - started
        assert cpu_seconds < MAX_CPU_SECONDS_PER_CHUNK
        check_tables(decoded.tables, chunk.table.num_rows, 1)
        check_partition(decoded.units, chunk.table)
        table_bytes = sum(table.nbytes for table in decoded.tables.values())
        assert table_bytes <= TABLE_BYTES_PER_CHUNK + MAX_TABLE_BYTES_PER_BYTE * chunk.payload_bytes
        for name, expected in self.expected.items():
            assert rows_from(decoded.tables[name], chunk.neighbour).equals(expected), name
        if number % CLOSE_LOOK_EVERY == 1:
            self.halves(before, chunk, decoded)
            if isinstance(before, FlowState):
                check_flow_state(decoded.state)
                check_flow_counters(chunk.table.column("payload").to_pylist(), before, decoded)
        if number % CLOSE_LOOK_EVERY == 5 and number < 50 * CLOSE_LOOK_EVERY:
            self.alone(before, chunk, decoded)
        self.state = decoded.state
        self.tally.cases += len(chunk.case_rows)
        self.tally.payload_bytes += chunk.payload_bytes
        self.tally.cpu_seconds += cpu_seconds
        self.tally.reached += self.reached(chunk, decoded.tables)

    def reached(self, chunk: FuzzChunk, tables: dict[str, pa.Table]) -> int:
        if self.listener != "syslog":
            return reached_cases(chunk, tables)
        known = pa.compute.not_equal(tables["logs"].column("format"), "unknown").to_numpy()
        return sum(any(known[row] for row in rows) for rows in chunk.case_rows)

    def halves(self, before, chunk: FuzzChunk, decoded) -> None:
        middle = chunk.table.num_rows // 2
        first = self.decoder.decode(before, 1, chunk.table.slice(0, middle))
        second = self.decoder.decode(first.state, 1, chunk.table.slice(middle))
        same_rows(decoded.tables, [first.tables, second.tables])
        assert decoded.waiting == second.waiting
        for name in {*decoded.counters, *first.counters, *second.counters}:
            assert decoded.counters.get(name, 0) == first.counters.get(name, 0) + second.counters.get(name, 0), name

    def alone(self, before, chunk: FuzzChunk, decoded) -> None:
        """Every case gives the rows it gives without all others."""
        for rows in chunk.case_rows[:40]:
            own = self.decoder.decode(before, 1, chunk.table.slice(rows[0], len(rows)))
            for name in ("flows", "options", "nat", "logs"):
                if name in decoded.tables:
                    table = decoded.tables[name]
                    mine = table.filter(pa.compute.is_in(table.column("row"), pa.array(rows, pa.uint32())))
                    assert mine.num_rows == (own.tables[name].num_rows if name in own.tables else 0), name
                    assert mine.num_rows == 0 or mine.combine_chunks().equals(own.tables[name].combine_chunks()), name

    def reduce(self, number: int, cases: list[list[bytes]]) -> None:
        """Name the smallest single case that fails by itself, for findings/."""
        for case in sorted(cases, key=lambda case: sum(map(len, case))):
            try:
                self.state = self.decoder.initial_state()
                self.one_chunk(
                    CLOSE_LOOK_EVERY * number + 1, fuzz_chunk(number, [case], self.neighbours, self.listener)
                )
            except Exception as error:
                print(f"\nfails alone with {error!r:.200}: " + " ".join(part.hex() for part in case))
                return


def test_flow_decoder(full_counts: bool) -> None:
    built = built_seeds()
    neighbours = [datagram for seed in [*built[2:40:4], built[-1]] for datagram in seed]
    fuzzer = Fuzzer(FlowDecoder(units=True), "netflow", built + corpus_seeds(), neighbours)
    fuzzer.run(CASES["netflow"][full_counts])
    check_flow_state(fuzzer.state)
    fuzzer.tally.report("NetFlow and IPFIX")


def test_sflow_decoder(full_counts: bool) -> None:
    seeds = sflow_seeds()
    fuzzer = Fuzzer(SFlowDecoder(units=True), "sflow", seeds, [datagram for seed in seeds[:5] for datagram in seed])
    fuzzer.run(CASES["sflow"][full_counts])
    assert len(fuzzer.state.streams) <= MAX_STREAMS
    fuzzer.tally.report("sFlow")


def test_syslog_decoder(full_counts: bool) -> None:
    seeds = [[line] for line in SYSLOG_LINES]
    fuzzer = Fuzzer(SyslogDecoder(units=True), "syslog", seeds, [])
    fuzzer.run(CASES["syslog"][full_counts])
    fuzzer.tally.report("syslog")


def read_finding(path: Path) -> list[bytes]:
    """Datagrams of one exporter: each after its length in four bytes."""
    data, datagrams = path.read_bytes(), []
    while data:
        size = int.from_bytes(data[:4], "big")
        datagrams.append(data[4 : 4 + size])
        data = data[4 + size :]
    return datagrams


@pytest.mark.parametrize("path", sorted(FINDINGS.glob("*.bin")), ids=lambda path: path.stem)
def test_findings_stay_fixed(path: Path) -> None:
    """`<kind>_<what>.bin`: inputs that broke a decoder, took it too long, or changed rows of other datagrams."""
    listener = path.stem.partition("_")[0]
    decoder = {"netflow": FlowDecoder, "sflow": SFlowDecoder, "syslog": SyslogDecoder}[listener](units=True)
    payloads = read_finding(path)
    chunk = wire_table(payloads, [(SENDER, 2055)] * len(payloads), listener)
    started = time.process_time()
    decoded = decoder.decode(decoder.initial_state(), 1, chunk)
    assert time.process_time() - started < MAX_CPU_SECONDS_PER_CHUNK
    check_tables(decoded.tables, chunk.num_rows, 1)
    check_partition(decoded.units, chunk)
    state, parts = decoder.initial_state(), []
    for row in range(chunk.num_rows):
        part = decoder.decode(state, 1, chunk.slice(row, 1))
        state = part.state
        parts.append(part.tables)
    same_rows(decoded.tables, parts)
