"""Flow decoder: NetFlow v5, v7, v9 and IPFIX datagrams in, `flows`, `options`, `nat` and `losses` rows out.

Datagrams are walked one by one, sets are collected per layout, and all records of one layout are decoded in
columns at once. Rows come out in the order in which their records became readable.
"""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from archive.decoder import Decoded, Imported
from archive.schema import SCHEMAS
from collector.wire.chunk_rows import column_array, rows_of_kinds
from collector.wire.extra_json import Member, json_objects
from collector.wire.flow_batch import FlowBatch
from collector.wire.flow_carry import export_flow_state, import_flow_state
from collector.wire.flow_columns import SetBounds, map_columns
from collector.wire.flow_messages import IPFIX, LAYOUTS, NETFLOW5_LAYOUT, Message, read_message
from collector.wire.flow_nat import nat_events
from collector.wire.flow_split import option_members, split_records
from collector.wire.flow_tables import exporter_columns, flows_table, nat_table, options_table
from collector.wire.flow_templates import FlowState, Origin, WaitingSet
from collector.wire.flow_units import FlowUnits
from collector.wire.ipfix_elements import ElementType
from collector.wire.template_sets import read_templates

_TEMPLATE_SETS = {9: (0, 1), IPFIX: (2, 3)}
_FIRST_DATA_SET = 256
# Order of a record among all of a call: number of its set, then its place in the set.
_SET_SHIFT = 20


class FlowDecoder:
    """Decoder of listeners of kind `netflow`. The state holds templates, data sets that wait for one, and the numbers
    expected next; numbers skipped become rows of `losses`.

    Never raises on any payload; work and memory are linear in the bytes given, the state is bounded by the
    constants of flow_templates. `version` of a row is `netflow5`, `netflow7`, `netflow9` or `ipfix`. With `units`, the
    byte ranges of headers and records are told too.
    """

    kinds = frozenset({"netflow"})

    def __init__(self, *, units: bool = False) -> None:
        self._with_units = units

    def initial_state(self) -> FlowState:
        return FlowState()

    def export_state(self, state: Any) -> list[dict[str, Any]]:
        return export_flow_state(state)

    def import_state(self, state: Any, items: list[dict[str, Any]]) -> Imported:
        return import_flow_state(state, items)

    def decode(self, state: Any, leaf_index: int, chunk: pa.Table) -> Decoded:
        rows = rows_of_kinds(chunk, self.kinds)
        if rows.num_rows == 0:
            return Decoded({}, state, state.waiting_sets)
        state = state.copy()
        counters: Counter[str] = Counter()
        batch = FlowBatch(counters)
        units = FlowUnits(rows, leaf_index) if self._with_units else None
        _collect(rows, leaf_index, state, batch, counters, units)
        tables, places = _decode_batches(batch, counters, units)
        losses = batch.sequenced.losses(state.streams, leaf_index)
        if losses is not None:
            tables["losses"] = losses
        counts = {name: count for name, count in counters.items() if count}
        if units is None:
            return Decoded(tables, state, state.waiting_sets, counts)
        return Decoded(tables, state, state.waiting_sets, counts, units.units(), units.late_units(), places)


def _collect(
    rows: pa.Table,
    leaf_index: int,
    state: FlowState,
    batch: FlowBatch,
    counters: Counter[str],
    units: FlowUnits | None,
) -> None:
    columns = [
        column_array(rows, name, kind).to_pylist()
        for name, kind in (
            ("payload", pa.binary()),
            ("row", pa.uint32()),
            ("realm", pa.string()),
            ("received_unix_ns", pa.int64()),
            ("source_address", pa.binary(16)),
            ("source_port", pa.uint16()),
            ("listener", pa.string()),
        )
    ]
    counters["netflow_datagrams"] += rows.num_rows
    for payload, row, realm, received_unix_ns, address, port, listener in zip(*columns, strict=True):
        damaged = _damaged(counters)
        message = read_message(payload, 0, len(payload), counters)
        if message is None:
            continue
        origin = Origin(
            leaf_index, row, realm, received_unix_ns, address, port, message.version, message.observation_domain,
            message.sequence, message.export_unix_ns, message.uptime_ms, message.sampling, None,
        )  # fmt: skip
        batch.sequenced.add(origin, listener, payload, countable=_damaged(counters) == damaged)
        if units is not None:
            units.read(row, message)
        _collect_sets(payload, message, origin, state, batch, counters, units)


def _damaged(counters: Counter[str]) -> int:
    """Damages seen so far after which the records of an IPFIX message cannot be counted."""
    return counters["cut_sets"] + counters["cut_datagrams"] + counters["malformed_sets"]


def _collect_sets(
    payload: bytes,
    message: Message,
    origin: Origin,
    state: FlowState,
    batch: FlowBatch,
    counters: Counter[str],
    units: FlowUnits | None,
) -> None:
    view = memoryview(payload)
    number = batch.sequenced.last
    if message.version in LAYOUTS:
        _, start, end = message.sets[0]
        batch.add(LAYOUTS[message.version], origin, 0, view[start:end], number, start)
        return
    prefix = (origin.exporter_address, origin.exporter_port, origin.version, origin.observation_domain)
    template_sets = _TEMPLATE_SETS[message.version]
    if message.version == IPFIX:
        origin = origin._replace(system_init_ms=state.system_init_ms.get(prefix))
    for set_id, start, end in message.sets:
        if set_id >= _FIRST_DATA_SET:
            layout = state.templates.get((*prefix, set_id))
            if layout is not None:
                batch.add(layout, origin, set_id, view[start:end], number, start)
                if layout.is_options and message.version == IPFIX:
                    state.note_system_init(prefix, layout, payload[start:end])
                    origin = origin._replace(system_init_ms=state.system_init_ms.get(prefix))
            else:
                batch.sequenced.cannot_count(number)
                state.wait((*prefix, set_id), WaitingSet(origin, payload[start:end], start), counters)
        elif set_id in template_sets:
            is_options = set_id == template_sets[1]
            found, begins = read_templates(payload, start, end, message.version, is_options, counters)
            if units is not None:
                units.cut(origin.row, begins)
            for template_id, layout in found:
                if layout is None:
                    state.withdraw(prefix, template_id, counters)
                    continue
                layout = state.learn((*prefix, template_id), layout, (origin.leaf_index, origin.row), counters)
                for waiting in state.release((*prefix, template_id)):
                    counters["late_sets"] += 1
                    batch.add(layout, waiting.origin, template_id, waiting.body, None, waiting.offset)
        else:
            counters["skipped_sets"] += 1


def _decode_batches(
    batch: FlowBatch, counters: Counter[str], units: FlowUnits | None
) -> tuple[dict[str, pa.Table], dict[str, np.ndarray]]:
    """Tables, and the places of their rows, which are 0 where no units are wanted."""
    pieces: dict[str, list[pa.Table]] = {"flows": [], "options": [], "nat": []}
    orders: dict[str, list[np.ndarray]] = {"flows": [], "options": [], "nat": []}
    places: dict[str, list[np.ndarray]] = {"flows": [], "options": [], "nat": []}
    for layout, data_sets in batch.by_layout.values():
        columns, sizes, bounds = split_records(layout, [one.body for one in data_sets], counters)
        begins = np.zeros(int(sizes.sum()), "uint32")
        if units is not None:
            begins = units.records(data_sets, sizes, layout.record_bytes, bounds)
        batch.sequenced.add_records([one.message for one in data_sets], sizes, are_options=layout.is_options)
        records = int(sizes.sum())
        if records == 0:
            continue
        kept = [one for one, size in zip(data_sets, sizes, strict=True) if size]
        sizes = sizes[sizes > 0]
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        order = np.repeat(np.array([one.ordinal for one in kept]) << _SET_SHIFT, sizes)
        order += np.arange(records) - np.repeat(starts, sizes)
        origins = [one.origin for one in kept]
        common = exporter_columns(origins, sizes, [one.template_id for one in kept])
        if layout.is_options:
            pieces["options"].append(options_table(common, json_objects(records, option_members(layout, columns))))
            orders["options"].append(order)
            places["options"].append(begins)
            continue
        set_bounds = SetBounds(
            np.repeat(np.array([one.export_unix_ns for one in origins], "int64"), sizes),
            np.repeat(np.array([-1 if one.uptime_ms is None else one.uptime_ms for one in origins]), sizes),
            starts,
            sizes,
            np.repeat(np.array([one.system_init_ms or 0 for one in origins], "uint64"), sizes),
        )
        mapped = map_columns(layout, columns, records, set_bounds)
        if layout is NETFLOW5_LAYOUT:
            sampling = np.repeat(np.array([one.sampling for one in origins], ">u2"), sizes)
            mode, interval = (sampling >> 14).astype(">u2"), (sampling & 0x3FFF).astype(">u2")
            for name, values in (("samplingAlgorithm", mode), ("samplingInterval", interval)):
                mapped.extra.append(Member(name, ElementType.UNSIGNED, values.view("uint8").reshape(records, 2)))
        if mapped.estimated is not None:
            counters["estimated_times"] += int(np.count_nonzero(mapped.estimated))
        pieces["flows"].append(flows_table(common, mapped))
        orders["flows"].append(order)
        places["flows"].append(begins)
        received = np.repeat(np.array([one.received_unix_ns for one in origins], "int64"), sizes)
        events = nat_events(mapped, received)
        if len(events.record):
            pieces["nat"].append(nat_table(common, mapped, events))
            orders["nat"].append(order[events.record])
            places["nat"].append(begins[events.record])
    tables, placed = {}, {}
    for name in pieces:
        if pieces[name]:
            tables[name], placed[name] = _in_order(name, pieces[name], orders[name], places[name])
    for name, counter in (("flows", "flow_records"), ("options", "options_records"), ("nat", "nat_events")):
        counters[counter] += tables[name].num_rows if name in tables else 0
    return tables, placed


def _in_order(
    name: str, tables: list[pa.Table], orders: list[np.ndarray], places: list[np.ndarray]
) -> tuple[pa.Table, np.ndarray]:
    table = pa.concat_tables(tables).combine_chunks() if len(tables) > 1 else tables[0]
    order, place = np.concatenate(orders), np.concatenate(places)
    if (np.diff(order) < 0).any():
        sorted_order = np.argsort(order, kind="stable")
        table, place = table.take(pa.array(sorted_order)), place[sorted_order]
    return table.cast(SCHEMAS[name]), place
