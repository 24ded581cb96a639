"""sFlow decoder: sFlow v5 datagrams in, `flows`, `options`, `nat` and `losses` rows out.

A flow sample is one row of `flows` with the packet's own length and a packet count of 1 (sflow_flows), a counter sample
one row of `options` (sflow_counters). `observation_domain` is the sub-agent, `template_id` the format of the sample,
`sequence` that of the datagram; the agent's address is in `extra` where it is not the sender's.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from archive.decoder import Decoded, Imported, Units
from archive.schema import SCHEMAS
from collector.wire.chunk_rows import column_array, common_columns, rows_of_kinds
from collector.wire.flow_nat import nat_events
from collector.wire.flow_tables import flows_table, nat_table, options_table
from collector.wire.payload_units import payload_units
from collector.wire.sequence_carry import export_streams, import_streams
from collector.wire.sequence_gaps import Arrival, Stream
from collector.wire.sflow_counters import counter_elements
from collector.wire.sflow_flows import map_flow_samples
from collector.wire.sflow_samples import (
    COUNTER_SAMPLE,
    EXPANDED_COUNTER_SAMPLE,
    EXPANDED_FLOW_SAMPLE,
    FLOW_SAMPLE,
    SAMPLE_HEADER_WORDS,
    Datagrams,
    Parts,
    Samples,
    read_datagrams,
    read_samples,
    walk,
)
from collector.wire.sflow_sequences import SFlowSequences, key_from_values, values_from_key
from collector.wire.sflow_words import WordBuffer

VERSION = "sflow5"
_KNOWN_SAMPLES = (FLOW_SAMPLE, COUNTER_SAMPLE, EXPANDED_FLOW_SAMPLE, EXPANDED_COUNTER_SAMPLE)


@dataclass
class SFlowState:
    """The numbers expected next. Picklable; `decode` works on a copy."""

    streams: dict[Hashable, Stream] = field(default_factory=dict)


class SFlowDecoder:
    """Decoder of listeners of kind `sflow`. sFlow has no templates: nothing ever waits.

    Never raises on any payload; work and memory are linear in the bytes given. `version` of a row is `sflow5`. With
    `units`, the byte ranges of headers and samples are told too.
    """

    kinds = frozenset({"sflow"})

    def __init__(self, *, units: bool = False) -> None:
        self._with_units = units

    def initial_state(self) -> SFlowState:
        return SFlowState()

    def export_state(self, state: Any) -> list[dict[str, Any]]:
        return export_streams(state.streams, values_from_key)

    def import_state(self, state: Any, items: list[dict[str, Any]]) -> Imported:
        streams, refused = import_streams(items, key_from_values)
        return Imported(SFlowState(streams), refused)

    def decode(self, state: Any, leaf_index: int, chunk: pa.Table) -> Decoded:
        rows = rows_of_kinds(chunk, self.kinds)
        if rows.num_rows == 0:
            return Decoded({}, state)
        streams = dict(state.streams)
        counters: Counter[str] = Counter(sflow_datagrams=rows.num_rows)
        buffer = WordBuffer(column_array(rows, "payload", pa.binary()).to_pylist())
        counters["sflow_trailing_bytes"] += int(buffer.odd_bytes.sum())
        datagrams = read_datagrams(buffer, counters)
        parts = walk(buffer, datagrams.samples_start, datagrams.end, datagrams.sample_count, counters, "samples")
        counters["sflow_skipped_samples"] += int(np.count_nonzero(~np.isin(parts.tag, _KNOWN_SAMPLES)))
        flows = read_samples(buffer, parts, FLOW_SAMPLE, EXPANDED_FLOW_SAMPLE, counters)
        counts = read_samples(buffer, parts, COUNTER_SAMPLE, EXPANDED_COUNTER_SAMPLE, counters)
        tables: dict[str, pa.Table] = {}
        events_of = np.zeros(0, "int64")
        sender = _Senders(rows, leaf_index, datagrams)
        if len(flows.sequence):
            found, events_of = _flow_tables(buffer, flows, sender, counters)
            tables.update(found)
        if len(counts.sequence):
            records = walk(buffer, counts.records_start, counts.end, counts.record_count, counters, "records")
            elements = counter_elements(buffer, counts, records, sender.agents(counts), counters)
            tables["options"] = options_table(sender.common(counts), elements)
        sequences = SFlowSequences(streams, datagrams, sender.arrivals())
        sequences.follow_datagrams()
        sequences.follow_samples(flows, "flow samples")
        sequences.follow_samples(counts, "counter samples")
        losses = sequences.losses(leaf_index)
        if losses is not None:
            tables["losses"] = losses
        for name, counter in (("flows", "flow_records"), ("options", "options_records"), ("nat", "nat_events")):
            counters[counter] += tables[name].num_rows if name in tables else 0
        counts_seen = {name: count for name, count in counters.items() if count}
        units = _units(rows, buffer, datagrams, parts) if self._with_units else None
        if units is None:
            return Decoded(tables, SFlowState(streams), 0, counts_seen)
        places = {"flows": _begins(buffer, datagrams, flows), "options": _begins(buffer, datagrams, counts)}
        places["nat"] = places["flows"][events_of]
        return Decoded(tables, SFlowState(streams), 0, counts_seen, units, places=places)


def _units(rows: pa.Table, buffer: WordBuffer, datagrams: Datagrams, samples: Parts) -> Units:
    """Header of each datagram, each sample, and the rest; a datagram that cannot be read is one unit."""
    holders = datagrams.number[samples.owner]
    words_before = buffer.starts[holders]
    offsets = [
        (datagrams.samples_start - buffer.starts[datagrams.number]) * 4,
        (samples.start - SAMPLE_HEADER_WORDS - words_before) * 4,
        (samples.end - words_before) * 4,
    ]
    return payload_units(rows, np.concatenate([datagrams.number, holders, holders]), np.concatenate(offsets))


def _begins(buffer: WordBuffer, datagrams: Datagrams, samples: Samples) -> np.ndarray:
    """Offset of the unit of each sample, uint32 [samples]."""
    words_before = buffer.starts[datagrams.number[samples.datagram]]
    return ((samples.start - SAMPLE_HEADER_WORDS - words_before) * 4).astype("uint32")


class _Senders:
    """What the rows of `chunk` say of each datagram that could be read."""

    def __init__(self, rows: pa.Table, leaf_index: int, datagrams: Datagrams) -> None:
        self._datagrams = datagrams
        take = pa.array(datagrams.number)
        self._rows = rows.take(take)
        self._columns = {name: one.take(take) for name, one in common_columns(rows, leaf_index).items()}
        self._columns["exporter_address"] = column_array(self._rows, "source_address", pa.binary(16))
        self._columns["exporter_port"] = column_array(self._rows, "source_port", pa.uint16())
        self._columns["observation_domain"] = pa.array(datagrams.sub_agent.astype("uint32"))
        self._columns["sequence"] = pa.array(datagrams.sequence.astype("uint32"))
        octets = b"".join(self._columns["exporter_address"].to_pylist())
        exporters = np.frombuffer(octets, "uint8").reshape(-1, 16)
        self._is_other = (exporters != datagrams.agent).any(axis=1) & datagrams.agent.any(axis=1)

    def common(self, samples: Samples) -> dict[str, pa.Array]:
        """The columns common to `flows` and `options`, one value for each sample."""
        take = pa.array(samples.datagram)
        columns = {name: one.take(take) for name, one in self._columns.items()}
        columns["version"] = pa.array([VERSION]).take(pa.array(np.zeros(len(samples.tag), "int32")))
        columns["template_id"] = pa.array(samples.tag.astype("uint16"))
        return columns

    def agents(self, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
        """Agent addresses, uint8 [samples, 16], and whether each differs from the sender's."""
        return self._datagrams.agent[samples.datagram], self._is_other[samples.datagram]

    def received_unix_ns(self, samples: Samples) -> np.ndarray:
        received = column_array(self._rows, "received_unix_ns", pa.int64()).to_numpy()
        return received[samples.datagram]

    def arrivals(self) -> list[Arrival]:
        names = ("row", "realm", "received_unix_ns", "source_address", "listener")
        columns = [self._rows.column(name).to_pylist() for name in names]
        return [Arrival(*values) for values in zip(*columns, strict=True)]


def _flow_tables(
    buffer: WordBuffer, flows: Samples, sender: _Senders, counters: Counter[str]
) -> tuple[dict[str, pa.Table], np.ndarray]:
    """Rows of `flows` and `nat`, and the sample that each of the latter comes from."""
    records = walk(buffer, flows.records_start, flows.end, flows.record_count, counters, "records")
    mapped, extra = map_flow_samples(buffer, flows, records, sender.agents(flows), counters)
    common = sender.common(flows)
    table = flows_table({**common, "extra": extra}, mapped)
    tables = {"flows": table}
    events = nat_events(mapped, sender.received_unix_ns(flows))
    if len(events.record):
        tables["nat"] = nat_table(common, mapped, events)
    return {name: one.cast(SCHEMAS[name]) for name, one in tables.items()}, events.record
