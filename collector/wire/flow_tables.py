"""Arrow tables of `flows`, `options` and `nat` from decoded batches of flow records."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from archive.schema import SCHEMAS, TIME, UNKNOWN_ADDRESS
from collector.wire.extra_json import json_objects
from collector.wire.field_values import Values, binary_array, number_array
from collector.wire.flow_columns import FlowColumns
from collector.wire.flow_nat import NatEvents
from collector.wire.flow_templates import Origin

VERSION_NAMES = {5: "netflow5", 7: "netflow7", 9: "netflow9", 10: "ipfix"}


def exporter_columns(origins: Sequence[Origin], sizes: np.ndarray, template_ids: Sequence[int]) -> dict[str, pa.Array]:
    """The columns common to `flows` and `options`; `sizes` is the number of records of each set."""
    repeat = pa.array(np.repeat(np.arange(len(origins)), sizes))
    once = {
        "leaf_index": pa.array([one.leaf_index for one in origins], pa.uint64()),
        "row": pa.array([one.row for one in origins], pa.uint32()),
        "realm": pa.array([one.realm for one in origins], pa.string()),
        "received": pa.array([one.received_unix_ns for one in origins], pa.int64()).cast(TIME),
        "exporter_address": pa.array([one.exporter_address for one in origins], pa.binary(16)),
        "exporter_port": pa.array([one.exporter_port for one in origins], pa.uint16()),
        "version": pa.array([VERSION_NAMES[one.version] for one in origins], pa.string()),
        "observation_domain": pa.array([one.observation_domain for one in origins], pa.uint32()),
        "template_id": pa.array(template_ids, pa.uint16()),
        "sequence": pa.array([one.sequence for one in origins], pa.uint32()),
    }
    return {name: array.take(repeat) for name, array in once.items()}


def options_table(common: dict[str, pa.Array], elements: pa.Array) -> pa.Table:
    return _table("options", {**common, "elements": elements})


def flows_table(common: dict[str, pa.Array], mapped: FlowColumns) -> pa.Table:
    """`flows` rows. Source and destination are `::` where the record has none; other absent values are null."""
    schema = SCHEMAS["flows"]
    columns = dict(common)
    for field in schema:
        name = field.name
        if name in columns:
            continue
        if name in mapped.addresses:
            address = mapped.addresses[name]
            columns[name] = binary_array(address.values, address.valid)
        elif name in mapped.numbers:
            columns[name] = number_array(mapped.numbers[name], field.type)
        elif name in ("start", "end"):
            columns[name] = _times(mapped.start if name == "start" else mapped.end, mapped.records)
        elif name == "extra":
            columns[name] = json_objects(mapped.records, mapped.extra)
        elif field.nullable:
            columns[name] = pa.nulls(mapped.records, field.type)
        else:
            columns[name] = binary_array(np.zeros((mapped.records, len(UNKNOWN_ADDRESS)), "uint8"))
    return _table("flows", columns)


def nat_table(common: dict[str, pa.Array], mapped: FlowColumns, events: NatEvents) -> pa.Table:
    """`nat` rows of events that there are. Outside ports are 0 to 0 where the protocol has none, ANY_PORT where the
    exporter sends none."""
    schema = SCHEMAS["nat"]
    take = pa.array(events.record)
    columns = {name: common[name].take(take) for name in ("leaf_index", "row", "realm", "received")}
    columns["sender_address"] = common["exporter_address"].take(take)
    sides, side = events.sides, events.side
    if sides is None:
        return schema.empty_table()
    columns["outside_address"] = binary_array(sides.outside_address[side])
    columns["outside_port_low"] = pa.array(sides.outside_low[side], pa.uint16())
    columns["outside_port_high"] = pa.array(sides.outside_high[side], pa.uint16())
    columns["protocol"] = pa.array(sides.protocol[side], pa.uint8())
    columns["destination_address"] = binary_array(sides.peer_address.values[side], sides.peer_address.mask()[side])
    columns["destination_port"] = _taken(sides.peer_port, side)
    columns["inside_address"] = binary_array(sides.inside_address[side])
    columns["inside_port"] = _taken(sides.inside_port, side)
    columns["event"] = events.event
    columns["time"] = pa.array(events.time_unix_ns, pa.int64()).cast(TIME)
    columns["kind"] = events.kind
    columns["quality"] = events.quality
    columns["mapping_id"] = events.mapping_id
    arrays = [columns[field.name] if field.name in columns else pa.nulls(len(take), field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _taken(ports: Values, chosen: np.ndarray) -> pa.Array:
    return number_array(Values(ports.values[chosen], ports.mask()[chosen]), pa.uint16())


def _times(values: Values | None, records: int) -> pa.Array:
    if values is None:
        return pa.nulls(records, TIME)
    return number_array(values, pa.int64()).cast(TIME)


def _table(name: str, columns: dict[str, pa.Array]) -> pa.Table:
    schema = SCHEMAS[name]
    return pa.Table.from_arrays([columns[field.name] for field in schema], schema=schema)
