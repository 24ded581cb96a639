# pyright: reportAttributeAccessIssue=false
"""Translations that flow records state (RFC 8158, Cisco NSEL): which rows become `nat` events, and what they say."""

from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from collector.wire.field_values import Values
from collector.wire.flow_columns import FlowColumns
from collector.wire.nat_directions import sides_of
from collector.wire.nat_sides import Sides

# natEvent. Two numberings are in use: RFC 8158 (IANA) and its draft 02, which Junos kept. What opens in one closes in
# neither. Alarms (3, draft 10 and 11, RFC 12 and 13) carry no translated address; address bindings (draft 12 and 13,
# RFC 14 and 15) say nothing of ports and give no row. A block of ports is known by its range.
_MAPPING_WORDS = {1: 1, 4: 1, 6: 1, 8: 1, 10: 1, 2: 2, 5: 2, 7: 2, 9: 2, 11: 2}
_BLOCK_WORDS = {1: 1, 14: 1, 16: 1, 2: 2, 15: 2, 17: 2}
# firewallEvent (IANA element 233): created, deleted, update. Denied (3) and alert (4) opened nothing.
_FIREWALL_WORDS = {1: 1, 2: 2, 5: 3}
_WORDS = pa.array(["", "open", "close", "update"])
_KINDS = pa.array(["session", "binding", "flow", "block"])
_SESSION, _BINDING, _PLAIN, _BLOCK = range(4)
_QUALITIES = pa.array(["exact", "derived", "arrival"])
_EXACT, _DERIVED, _ARRIVAL = range(3)
_OPEN, _CLOSE, _FLOW = 1, 2, 4
_LARGEST_EVENT = 17
_BINDINGS = (8, 9, 10, 11)
_BINDING_OR_NAT64 = (6, 7)
"""Draft 02: a binding of NAT44. RFC 8158: a session of NAT64, whose inside address is IPv6."""
_IPV4_PREFIX = np.frombuffer(bytes(10) + b"\xff\xff", "uint8")
_IDENTIFIER_BYTES = 12
NS_PER_MS = 1_000_000


class NatEvents(NamedTuple):
    """Columns of `nat` rows of one batch: `record` is the index of the flow record each comes from, `side` of the row
    of `sides`."""

    record: np.ndarray
    side: np.ndarray
    sides: Sides | None
    event: pa.Array
    time_unix_ns: np.ndarray
    kind: pa.Array
    quality: pa.Array
    mapping_id: pa.Array


def nat_events(mapped: FlowColumns, received_unix_ns: np.ndarray) -> NatEvents:
    """`nat` events of a batch.

    A natEvent or firewallEvent gives one open, update or close. A plain flow record gives an open at its start and a
    close at its end, of kind flow, under an id of its own: the device says no more than that the mapping was in use.
    """
    sides = sides_of(mapped)
    if sides is None:
        none, no_text = np.zeros(0, "int64"), pa.array([], pa.string())
        return NatEvents(none, none, None, no_text, none, no_text, no_text, no_text)
    words, kinds = _words_and_kinds(mapped, sides)
    ids = _mapping_ids(mapped, sides, words == _FLOW, received_unix_ns)
    # A plain flow counts twice, as an open and as the close behind it.
    side = np.repeat(np.arange(len(words)), np.where(words == _FLOW, 2, (words > 0).astype("int64")))
    record = sides.record[side]
    word, is_flow = words[side], words[side] == _FLOW
    is_second = np.concatenate(([False], side[1:] == side[:-1])) if len(side) else np.zeros(0, bool)
    word = np.where(is_flow, np.where(is_second, _CLOSE, _OPEN), word)
    moments, quality = _moments(mapped, record, word == _OPEN, is_flow, received_unix_ns[record])
    first = np.concatenate(([0], moments[:-1])) if len(side) else moments
    moments = np.where(is_second & (quality == _ARRIVAL), np.maximum(moments, first), moments)
    quality = np.where(sides.uncertain[side], _DERIVED, quality)
    texts = (_WORDS.take(pa.array(word)), _KINDS.take(pa.array(kinds[side])), _QUALITIES.take(pa.array(quality)))
    return NatEvents(record, side, sides, texts[0], moments, *texts[1:], ids.take(pa.array(side)))


def _words_and_kinds(mapped: FlowColumns, sides: Sides) -> tuple[np.ndarray, np.ndarray]:
    """Word of each translation (0: opens and closes nothing, _FLOW: a plain flow) and its kind."""
    nat, firewall = (_numbers(values, sides) for values in (mapped.nat_event, mapped.firewall_event))
    words = np.where(nat > 0, _lookup(_MAPPING_WORDS, nat), _lookup(_FIREWALL_WORDS, firewall))
    words = np.where((nat == 0) & (firewall == 0), _FLOW, words)
    words = np.where(sides.is_block, _lookup(_BLOCK_WORDS, nat), words)
    is_nat44 = (sides.inside_address[:, :12] == _IPV4_PREFIX).all(axis=1)
    is_binding = np.isin(nat, _BINDINGS) | (np.isin(nat, _BINDING_OR_NAT64) & is_nat44)
    kinds = np.full(len(words), _SESSION, "int64")
    kinds[is_binding] = _BINDING
    kinds[words == _FLOW] = _PLAIN
    kinds[sides.is_block] = _BLOCK
    return words, kinds


def _numbers(values: Values | None, sides: Sides) -> np.ndarray:
    if values is None:
        return np.zeros(len(sides.record), "int64")
    numbers = np.where(values.mask(), values.values, 0)[sides.record]
    return np.minimum(numbers, _LARGEST_EVENT + 1).astype("int64")


def _lookup(words: dict[int, int], numbers: np.ndarray) -> np.ndarray:
    table = np.zeros(_LARGEST_EVENT + 2, "int64")
    table[list(words)] = list(words.values())
    return table[numbers]


def _moments(
    mapped: FlowColumns, record: np.ndarray, is_open: np.ndarray, is_flow: np.ndarray, arrival: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Time and quality of each event: the time of the event itself where the record has one, else its start for an
    open and its end for the rest, else the arrival."""
    start, end, observed = (_times(times, record) for times in (mapped.start, mapped.end, mapped.observed))
    moments = np.where(is_open, start.values, end.values)
    known = np.where(is_open, start.mask(), end.mask())
    estimated = np.zeros(len(record), bool) if mapped.estimated is None else mapped.estimated[record]
    if mapped.observed is not None:
        moments = np.where(is_flow, moments, observed.values)
        known = np.where(is_flow, known, observed.mask())
        estimated = estimated & is_flow
    quality = np.where(known, np.where(estimated, _DERIVED, _EXACT), _ARRIVAL)
    return np.where(known, moments, arrival), quality


def _times(times: Values | None, record: np.ndarray) -> Values:
    if times is None:
        return Values(np.zeros(len(record), "int64"), np.zeros(len(record), bool))
    return Values(times.values[record].astype("int64"), times.mask()[record])


def _mapping_ids(mapped: FlowColumns, sides: Sides, is_flow: np.ndarray, received_unix_ns: np.ndarray) -> pa.Array:
    """The exporter's connection id, else a digest that is equal for the events of one mapping; of a plain flow its
    start and duration, which with the columns of its row tell it from any other."""
    ids = _flow_ids(mapped, sides.record, received_unix_ns)
    if is_flow.all():
        return ids
    others = np.flatnonzero(~is_flow)
    texts = pa.array(_session_ids(mapped, sides.take(others)), pa.string())
    place = np.arange(len(is_flow))
    place[others] = len(is_flow) + np.arange(len(others))
    return pa.concat_arrays([ids, texts]).take(pa.array(place))


def _flow_ids(mapped: FlowColumns, record: np.ndarray, received_unix_ns: np.ndarray) -> pa.Array:
    arrival = received_unix_ns[record]
    start, end = (_times(times, record) for times in (mapped.start, mapped.end))
    first = np.where(start.mask(), start.values, np.where(end.mask(), end.values, arrival))
    last = np.where(end.mask(), end.values, first)
    parts = (pa.array(moment // NS_PER_MS).cast(pa.string()) for moment in (first, last - first))
    return pc.binary_join_element_wise(*parts, "+")


def _session_ids(mapped: FlowColumns, sides: Sides) -> list[str]:
    record = sides.record
    connection = np.zeros(len(record), "uint64")
    if mapped.connection_id is not None:
        connection = np.where(mapped.connection_id.mask(), mapped.connection_id.values, 0)[record]
    key = [sides.outside_address, sides.inside_address, sides.peer_address.values, sides.protocol[:, None]]
    key += [sides.is_block.astype("uint8")[:, None]]
    key += [_bytes(number, ">u2") for number in (sides.outside_low, sides.outside_high)]
    key += [_bytes(np.where(port.mask(), port.values, 0), ">u2") for port in (sides.inside_port, sides.peer_port)]
    rows = np.ascontiguousarray(np.concatenate(key, axis=1))
    width, joined = rows.shape[1], rows.tobytes()
    return [
        str(number) if number else _digest(joined[start : start + width])
        for number, start in zip(connection.tolist(), range(0, len(joined), width), strict=True)
    ]


def _bytes(numbers: np.ndarray, kind: str) -> np.ndarray:
    return numbers.astype(kind).view("uint8").reshape(len(numbers), -1)


def _digest(key: bytes) -> str:
    return blake2b(key, digest_size=_IDENTIFIER_BYTES).hexdigest()
