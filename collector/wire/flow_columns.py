"""Elements of a layout to the columns of `flows`; what finds no column is left for `extra`.

bytes: 1 octetDeltaCount, else 85 octetTotalCount, 23 postOctetDeltaCount, 231 initiatorOctets. An exporter of
bidirectional records (Cisco NSEL) counts both ways: `bytes` is then the initiator's, `extra` keeps both.
"""

from dataclasses import dataclass, field

import numpy as np

from collector.wire import flow_times
from collector.wire.extra_json import Member
from collector.wire.field_values import Column, Values, addresses, unsigned
from collector.wire.flow_templates import Layout
from collector.wire.ipfix_elements import find_element

_ADDRESS_ELEMENTS = {
    "source_address": (8, 27),
    "destination_address": (12, 28),
    "next_hop": (15, 62),
    "postnat_source_address": (225, 281, 40001),
    "postnat_destination_address": (226, 282, 40002),
}
_NUMBER_ELEMENTS: dict[str, tuple[int, tuple[int, ...]]] = {
    "source_port": (0xFFFF, (7, 180, 182)),
    "destination_port": (0xFFFF, (11, 181, 183)),
    "protocol": (0xFF, (4,)),
    "tcp_flags": (0xFFFF, (6,)),
    "tos": (0xFF, (5,)),
    "bytes": (2**64 - 1, (1, 85, 23, 231)),
    "packets": (2**64 - 1, (2, 86, 24, 298)),
    "input_interface": (2**32 - 1, (10,)),
    "output_interface": (2**32 - 1, (14,)),
    "postnat_source_port": (0xFFFF, (227, 40003)),
    "postnat_destination_port": (0xFFFF, (228, 40004)),
}
_KEPT_IN_EXTRA = frozenset({231, 298, *(number for number, _ in flow_times.OBSERVATION_TIMES)})
_ASA_ELEMENTS = frozenset({40001, 40002, 40003, 40004})
_PORT_RANGE = {"start": 361, "end": 362, "step": 363, "ports": 364}
"""Elements of a block of ports (RFC 8158); they stay in `extra` too."""
_PADDING = 210


@dataclass
class SetBounds:
    """Export header values repeated for every record, and where each set's records lie in the batch.

    `uptime_ms` is -1 where the header has none (IPFIX); `system_init_ms` is 0 where it is not known.
    """

    export_unix_ns: np.ndarray
    uptime_ms: np.ndarray
    set_starts: np.ndarray
    set_sizes: np.ndarray
    system_init_ms: np.ndarray


@dataclass
class FlowColumns:
    """Mapped columns of one batch. Addresses are uint8 [records, 16]. `estimated` is bool [records], None for none:
    times without a base, see flow_times.
    """

    records: int
    addresses: dict[str, Values] = field(default_factory=dict)
    numbers: dict[str, Values] = field(default_factory=dict)
    start: Values | None = None
    end: Values | None = None
    observed: Values | None = None
    nat_event: Values | None = None
    firewall_event: Values | None = None
    connection_id: Values | None = None
    port_range: dict[str, Values] = field(default_factory=dict)
    estimated: np.ndarray | None = None
    extra: list[Member] = field(default_factory=list)


def map_columns(layout: Layout, columns: list[Column], records: int, bounds: SetBounds) -> FlowColumns:
    """Columns of a batch of data records. The first field of an element counts; a repeated one goes to
    `extra`.
    """
    mapped = FlowColumns(records)
    first: dict[int, int] = {}
    for position, one in enumerate(layout.fields):
        known = one.number not in _ASA_ELEMENTS or layout.netflow9
        if one.enterprise == 0 and known and one.length:
            first.setdefault(one.number, position)
    # Positions that have a column, and the records that show the field in `extra` nevertheless: its value does not fit.
    used: dict[int, np.ndarray | None] = {}
    for name, elements in _ADDRESS_ELEMENTS.items():
        found = _map_address(elements, first, columns, used)
        if found is not None:
            mapped.addresses[name] = found
    for name, (most, elements) in _NUMBER_ELEMENTS.items():
        for element in elements:
            values = _numbers(element, first, columns, most)
            if values is not None:
                mapped.numbers[name] = values
                if element not in _KEPT_IN_EXTRA:
                    used[first[element]] = None if values.valid is None else ~values.valid
                break
    mapped.nat_event = _numbers(230, first, columns)
    mapped.firewall_event = _numbers(233, first, columns)
    if mapped.firewall_event is None and layout.netflow9:
        mapped.firewall_event = _numbers(40005, first, columns)
    mapped.connection_id = _numbers(148, first, columns)
    for name, element in _PORT_RANGE.items():
        values = _numbers(element, first, columns)
        if values is not None:
            mapped.port_range[name] = values
    _map_times(mapped, first, columns, bounds, used)
    for position, (one, column) in enumerate(zip(layout.fields, columns, strict=True)):
        # a field of no length says nothing, and a template could name hundreds for free
        if not one.length or (one.enterprise == 0 and one.number in (0, _PADDING)):
            continue
        present = used.get(position)
        if position in used and present is None:
            continue
        name, kind = find_element(one.enterprise, one.number, netflow9=layout.netflow9)
        mapped.extra.append(Member(name, kind, column, present))
    return mapped


def _numbers(element: int, first: dict[int, int], columns: list[Column], most: int = 2**64 - 1) -> Values | None:
    position = first.get(element)
    return None if position is None else unsigned(columns[position], most)


def _map_address(
    elements: tuple[int, ...], first: dict[int, int], columns: list[Column], used: dict[int, np.ndarray | None]
) -> Values | None:
    """One address column; where a record fills only the other family (ixia, dual templates), that one counts."""
    result: np.ndarray | None = None
    for element in elements:
        position = first.get(element)
        values = None if position is None else addresses(columns[position])
        if position is None or values is None:
            continue
        used[position] = None
        if result is None:
            result = values
            continue
        empty = np.logical_not(np.logical_or.reduce(result[:, [*range(10), *range(12, 16)]], axis=1))
        result = np.where(np.logical_and(empty, values.any(axis=1))[:, None], values, result)
    return None if result is None else Values(result)


def _map_times(
    mapped: FlowColumns,
    first: dict[int, int],
    columns: list[Column],
    bounds: SetBounds,
    used: dict[int, np.ndarray | None],
) -> None:
    for element, convert in flow_times.OBSERVATION_TIMES:
        values = _numbers(element, first, columns)
        if values is not None:
            mapped.observed = convert(values)
            break
    for side in (0, 1):
        for start, end, convert in flow_times.ABSOLUTE_TIMES:
            element = end if side else start
            values = _numbers(element, first, columns)
            if values is not None:
                _set_time(mapped, side, convert(values))
                used[first[element]] = None
                break
    for side in (0, 1):
        values = _numbers(flow_times.DELTA_TIMES[side], first, columns)
        if values is not None and _time(mapped, side) is None:
            _set_time(mapped, side, flow_times.before_export_us(values, bounds.export_unix_ns))
            used[first[flow_times.DELTA_TIMES[side]]] = None
    _map_uptimes(mapped, first, columns, bounds, used)
    if mapped.observed is not None:
        _times_of_events(mapped, mapped.observed)


def _map_uptimes(
    mapped: FlowColumns,
    first: dict[int, int],
    columns: list[Column],
    bounds: SetBounds,
    used: dict[int, np.ndarray | None],
) -> None:
    uptimes = [_numbers(element, first, columns) for element in flow_times.UPTIME_TIMES]
    if all(values is None for values in uptimes) or not mapped.records:
        return
    based = bool((bounds.uptime_ms >= 0).all())  # v5 and v9 carry the uptime in each header
    init = _numbers(flow_times.SYSTEM_INIT_TIME, first, columns)
    reference = uptimes[1] if uptimes[1] is not None else uptimes[0]
    for side, values in enumerate(uptimes):
        if values is None or reference is None or _time(mapped, side) is not None:
            continue
        if based:
            found = flow_times.uptime_to_unix_ns(values, bounds.uptime_ms, bounds.export_unix_ns)
            without_base = flow_times.without_base(reference, bounds.uptime_ms)
            if without_base.any():
                latest = flow_times.latest_uptime(reference, bounds.set_starts, bounds.set_sizes)
                estimate = flow_times.uptime_by_latest(values, latest, bounds.export_unix_ns)
                found = Values(np.where(without_base, estimate.values, found.values), found.valid)
                mapped.estimated = without_base
            used[first[flow_times.UPTIME_TIMES[side]]] = without_base if without_base.any() else None
            _set_time(mapped, side, found)
        elif init is not None:
            _set_time(mapped, side, flow_times.scaled(Values(init.values + values.values), flow_times.NS_PER_MS))
        else:
            latest = flow_times.latest_uptime(reference, bounds.set_starts, bounds.set_sizes)
            estimate = flow_times.uptime_by_latest(values, latest, bounds.export_unix_ns)
            based_on = flow_times.uptime_after_init(values, bounds.system_init_ms, bounds.export_unix_ns)
            known = based_on.mask()
            mapped.estimated = None if known.all() else ~known
            _set_time(mapped, side, Values(np.where(known, based_on.values, estimate.values), values.valid))


def _times_of_events(mapped: FlowColumns, observed: Values) -> None:
    """A record of an event (NSEL, NAT) without flow times: its moment is the start, of a closing event the
    end.
    """
    closing = np.zeros(mapped.records, bool)
    if mapped.firewall_event is not None:
        closing |= mapped.firewall_event.values == 2
    if mapped.nat_event is not None:
        closing |= np.isin(mapped.nat_event.values, (2, 5, 7, 9, 13, 15))
    if mapped.end is None:
        mapped.end = Values(observed.values, observed.mask() & closing)
    if mapped.start is None:
        mapped.start = Values(observed.values, observed.mask() & ~closing)


def _time(mapped: FlowColumns, side: int) -> Values | None:
    return mapped.end if side else mapped.start


def _set_time(mapped: FlowColumns, side: int, values: Values) -> None:
    if side:
        mapped.end = values
    else:
        mapped.start = values
