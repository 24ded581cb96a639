"""The two sides of each translation that flow records state: who was seen outside as what. Columns in, columns out.

A translated source (225, 227, 281) is seen outside as what it was translated to. A translated destination alone (226,
228, 282) is a packet from outside to an inside host, a published server's or the answer within a connection from
inside: the outside side is then the destination before, the inside side the destination after the translation.
"""

from typing import Any

import numpy as np

from collector.wire.field_values import Values
from collector.wire.flow_columns import FlowColumns
from collector.wire.nat_blocks import block_records, block_sides
from collector.wire.nat_sides import ADDRESS_BYTES, ANY_PORT, Sides, given, is_private, ports_of, words_of

_PROTOCOLS_WITH_PORTS = (6, 17, 33, 132, 136)


def sides_of(mapped: FlowColumns) -> Sides | None:
    """Every translation of a batch in the order of its records; None for none."""
    blocks = block_records(mapped)
    inbound = _inbound_records(mapped) & ~blocks
    sources = translated_records(mapped) & ~blocks
    if inbound.any():
        sources &= ~(inbound & _hides_outside(mapped))
    parts = [
        make(mapped, np.flatnonzero(chosen))
        for make, chosen in (
            (block_sides, blocks),
            (_source_sides, sources),
            (_destination_sides, inbound & ~sources),
        )
        if chosen.any()
    ]
    if not parts:
        return None
    joined = parts[0] if len(parts) == 1 else Sides(*(_join(columns) for columns in zip(*parts, strict=True)))
    order = np.argsort(joined.record, kind="stable")
    return joined.take(order)


def translated_records(mapped: FlowColumns) -> np.ndarray:
    """bool [records]: the record carries a translated source, not zero, that differs from the source."""
    return _translated(mapped, "source") & ("protocol" in mapped.numbers)


def _hides_outside(mapped: FlowColumns) -> np.ndarray:
    """bool [records]: a public source became a private one, so that a published server's answer comes back here."""
    before, after = mapped.addresses.get("source_address"), mapped.addresses.get("postnat_source_address")
    if before is None or after is None:
        return np.zeros(mapped.records, bool)
    return given(after.values) & ~is_private(before.values) & is_private(after.values)


def _inbound_records(mapped: FlowColumns) -> np.ndarray:
    """bool [records]: the destination alone was translated, by a device that stands between inside and outside.

    An inside host whose packets to a public address are sent elsewhere (a redirect to a portal or a name server) says
    nothing about who has that address; nor does a destination that becomes public.
    """
    chosen = _translated(mapped, "destination") & ("protocol" in mapped.numbers)
    if not chosen.any() or "source_address" not in mapped.addresses:
        return chosen & ("source_address" in mapped.addresses)
    before = is_private(mapped.addresses["destination_address"].values)
    after = is_private(mapped.addresses["postnat_destination_address"].values)
    redirected = is_private(mapped.addresses["source_address"].values) & ~before
    return chosen & ~redirected & ~(before & ~after)


def _translated(mapped: FlowColumns, side: str) -> np.ndarray:
    before, after = mapped.addresses.get(f"{side}_address"), mapped.addresses.get(f"postnat_{side}_address")
    if before is None or after is None:
        return np.zeros(mapped.records, bool)
    differs = (words_of(before.values) != words_of(after.values)).any(axis=1)
    port, port_after = mapped.numbers.get(f"{side}_port"), mapped.numbers.get(f"postnat_{side}_port")
    if port is not None and port_after is not None:
        known = port.mask() & port_after.mask() & (port_after.values != 0)
        differs |= known & (port.values != port_after.values)
    return differs & given(after.values) & given(before.values) if differs.any() else differs


def _source_sides(mapped: FlowColumns, record: np.ndarray) -> Sides:
    protocol = mapped.numbers["protocol"].values[record].astype("uint8")
    low, high = _outside_ports(ports_of(mapped, "postnat_source_port", record), protocol)
    peer, port = _as_outside_sees(mapped, "destination", record)
    inside_port = ports_of(mapped, "source_port", record)
    return _connection(
        record,
        (mapped.addresses["postnat_source_address"].values[record], low, high),
        (mapped.addresses["source_address"].values[record], inside_port),
        (peer, port),
        protocol,
    )


def _destination_sides(mapped: FlowColumns, record: np.ndarray) -> Sides:
    protocol = mapped.numbers["protocol"].values[record].astype("uint8")
    low, high = _outside_ports(ports_of(mapped, "destination_port", record), protocol)
    inside_port = ports_of(mapped, "postnat_destination_port", record)
    known = inside_port.mask() & (inside_port.values != 0)
    peer = mapped.addresses["source_address"].values[record]
    return _connection(
        record,
        (mapped.addresses["destination_address"].values[record], low, high),
        (mapped.addresses["postnat_destination_address"].values[record], Values(inside_port.values, known)),
        (Values(peer, given(peer)), ports_of(mapped, "source_port", record)),
        protocol,
    )


def _connection(
    record: np.ndarray,
    outside: tuple[np.ndarray, np.ndarray, np.ndarray],
    inside: tuple[np.ndarray, Values],
    peer: tuple[Values, Values],
    protocol: np.ndarray,
) -> Sides:
    no = np.zeros(len(record), bool)
    return Sides(record, *outside, *inside, *peer, protocol, no, no)


def _outside_ports(port: Values, protocol: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0 to 0 where the protocol has no ports, ANY_PORT where it has and the record states none."""
    values = np.where(port.mask(), port.values, 0).astype("uint16")
    unknown = np.isin(protocol, _PROTOCOLS_WITH_PORTS) & ~port.mask()
    return np.where(unknown, ANY_PORT[0], values), np.where(unknown, ANY_PORT[1], values)


def _as_outside_sees(mapped: FlowColumns, side: str, record: np.ndarray) -> tuple[Values, Values]:
    """Address and port of one end, the translated ones where the record has some that are not zero."""
    address, port = mapped.addresses.get(f"{side}_address"), ports_of(mapped, f"{side}_port", record)
    translated = mapped.addresses.get(f"postnat_{side}_address")
    if address is None:
        rows = len(record)
        return Values(np.zeros((rows, ADDRESS_BYTES), "uint8"), np.zeros(rows, bool)), port
    values = address.values[record]
    if translated is not None:
        other = translated.values[record]
        known = given(other)
        values = np.where(known[:, None], other, values)
        after = ports_of(mapped, f"postnat_{side}_port", record)
        known &= after.mask() & (after.values != 0)
        port = Values(np.where(known, after.values, port.values), port.mask() | known)
    return Values(values, given(values)), port


def _join(columns: tuple[Any, ...]) -> Any:
    if isinstance(columns[0], Values):
        return Values(np.concatenate([c.values for c in columns]), np.concatenate([c.mask() for c in columns]))
    return np.concatenate(columns)
