"""Blocks of ports that a NAT hands to one inside address (RFC 8158 sections 5.6 and 4.3), in columns."""

import numpy as np

from collector.wire.field_values import Values
from collector.wire.flow_columns import FlowColumns
from collector.wire.nat_sides import ADDRESS_BYTES, ANY_PORT, Sides, given

ANY_PROTOCOL = 0
"""Protocol of a block whose record names none: any of them."""


def block_records(mapped: FlowColumns) -> np.ndarray:
    """bool [records]: a range of ports of one outside address for one inside address, and no port of a session."""
    inside, outside = mapped.addresses.get("source_address"), mapped.addresses.get("postnat_source_address")
    if "start" not in mapped.port_range or inside is None or outside is None:
        return np.zeros(mapped.records, bool)
    low, high, _ = _range(mapped)
    has = (low > 0) & (low <= high) & (high <= ANY_PORT[1]) & given(inside.values) & given(outside.values)
    port = mapped.numbers.get("postnat_source_port")
    return has if port is None else has & ~(port.mask() & (port.values != 0))


def block_sides(mapped: FlowColumns, record: np.ndarray) -> Sides:
    low, high, uncertain = _range(mapped)
    rows = len(record)
    protocol = mapped.numbers.get("protocol")
    unknown = Values(np.zeros(rows, "uint64"), np.zeros(rows, bool))
    return Sides(
        record,
        mapped.addresses["postnat_source_address"].values[record],
        low[record].astype("uint16"),
        high[record].astype("uint16"),
        mapped.addresses["source_address"].values[record],
        unknown,
        Values(np.zeros((rows, ADDRESS_BYTES), "uint8"), np.zeros(rows, bool)),
        unknown,
        np.full(rows, ANY_PROTOCOL, "uint8") if protocol is None else protocol.values[record].astype("uint8"),
        np.ones(rows, bool),
        uncertain[record],
    )


def _range(mapped: FlowColumns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First port, last port (0: not stated), and whether other hosts have ports in between (RFC 8158 section 5.6:
    a step other than 1; 0 leaves the choice of ports to the device)."""
    none = Values(np.zeros(mapped.records, "uint64"), np.zeros(mapped.records, bool))
    start, end, step, ports = (mapped.port_range.get(name, none) for name in ("start", "end", "step", "ports"))
    low, count = start.values.astype("int64"), np.minimum(ports.values, 2**16).astype("int64")
    steps = np.where(step.mask(), np.minimum(step.values, 2**16).astype("int64"), 1)
    counted = ports.mask() & (count > 0)
    by_count = np.where(counted, low + (count - 1) * np.maximum(steps, 1), 0)
    high = np.where(end.mask() & (end.values > 0), end.values.astype("int64"), by_count)
    contiguous = np.where(counted, count == high - low + 1, steps == 1)
    return low, high, ~contiguous
