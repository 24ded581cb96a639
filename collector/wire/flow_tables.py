"""Arrow tables of `flows`, `options` and `nat` from decoded batches of flow records."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from archive.schema import SCHEMAS, TIME, UNKNOWN_ADDRESS
from collector.wire.extra_json import json_objects
from collector.wire.field_values import Values, binary_array, number_array
from collector.wire.flow_columns import FlowColumns
from collector.wire.flow_nat import ANY_PORT, NatEvents
from collector.wire.flow_templates import Origin

VERSION_NAMES = {5: "netflow5", 7: "netflow7", 9: "netflow9", 10: "ipfix"}
_PROTOCOLS_WITH_PORTS = (6, 17, 33, 132, 136)


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
    """`nat` rows. Outside ports are 0 to 0 where the protocol has none, ANY_PORT where the exporter sends
    none.
    """
    schema = SCHEMAS["nat"]
    record = np.array(events.record, "int64")
    take = pa.array(record)
    columns = {name: common[name].take(take) for name in ("leaf_index", "row", "realm", "received")}
    columns["sender_address"] = common["exporter_address"].take(take)
    low, high = _outside_ports(mapped, record)
    columns["outside_port_low"], columns["outside_port_high"] = (
        pa.array(low, pa.uint16()),
        pa.array(high, pa.uint16()),
    )
    columns["outside_address"] = binary_array(mapped.addresses["postnat_source_address"].values[record])
    columns["inside_address"] = binary_array(mapped.addresses["source_address"].values[record])
    columns["protocol"] = _taken(mapped.numbers["protocol"], record, pa.uint8())
    columns["inside_port"] = _taken(mapped.numbers.get("source_port"), record, pa.uint16())
    columns["destination_address"], columns["destination_port"] = _destination(mapped, record)
    columns["event"] = pa.array(events.event, pa.string())
    columns["time"] = pa.array(events.time_unix_ns, pa.int64()).cast(TIME)
    columns["kind"] = pa.array(events.kind, pa.string())
    columns["quality"] = pa.array(events.quality, pa.string())
    columns["mapping_id"] = pa.array(events.mapping_id, pa.string())
    return pa.Table.from_arrays([columns[field.name] for field in schema], schema=schema)


def _outside_ports(mapped: FlowColumns, record: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    port = mapped.numbers.get("postnat_source_port")
    known = port is not None and port.mask()[record]
    values = np.zeros(len(record), "uint16") if port is None else port.values[record].astype("uint16")
    has_ports = np.isin(mapped.numbers["protocol"].values[record], _PROTOCOLS_WITH_PORTS)
    unknown = has_ports & ~np.asarray(known, bool)
    return np.where(unknown, ANY_PORT[0], values), np.where(unknown, ANY_PORT[1], values)


def _destination(mapped: FlowColumns, record: np.ndarray) -> tuple[pa.Array, pa.Array]:
    """The destination as the outside sees it: the translated one where the record has one that is not zero."""
    address = mapped.addresses.get("destination_address")
    port = mapped.numbers.get("destination_port")
    translated = mapped.addresses.get("postnat_destination_address")
    translated_port = mapped.numbers.get("postnat_destination_port")
    if address is None:
        return pa.nulls(len(record), pa.binary(16)), _taken(port, record, pa.uint16())
    values = address.values[record]
    ports = Values(np.zeros(len(record), "uint64"), np.zeros(len(record), bool))
    if port is not None:
        ports = Values(port.values[record], port.mask()[record])
    if translated is not None:
        other = translated.values[record]
        given = np.logical_or.reduce(other[:, [*range(10), *range(12, 16)]], axis=1)
        values = np.where(np.expand_dims(given, 1), other, values)
        if translated_port is not None:
            given = given & translated_port.mask()[record] & (translated_port.values[record] != 0)
            ports = Values(np.where(given, translated_port.values[record], ports.values), ports.mask() | given)
    return binary_array(values), number_array(ports, pa.uint16())


def _taken(values: Values | None, record: np.ndarray, kind: pa.DataType) -> pa.Array:
    if values is None:
        return pa.nulls(len(record), kind)
    return number_array(Values(values.values[record], values.mask()[record]), kind)


def _times(values: Values | None, records: int) -> pa.Array:
    if values is None:
        return pa.nulls(records, TIME)
    return number_array(values, pa.int64()).cast(TIME)


def _table(name: str, columns: dict[str, pa.Array]) -> pa.Table:
    schema = SCHEMAS[name]
    return pa.Table.from_arrays([columns[field.name] for field in schema], schema=schema)
