"""Translations that flow records state (RFC 8158, Cisco NSEL): which rows become `nat` events, and what they
say.
"""

from hashlib import blake2b

import numpy as np

from collector.wire.field_values import Values
from collector.wire.flow_columns import FlowColumns

# natEvent (RFC 8158 section 4.3): sessions 1, 2 (NAT44), 4, 5 (NAT64); bindings 6 to 9. Address bindings (12,
# 13) and port blocks (14, 15) give no row: their outside port means something else. Neither do alarms (3, 10,
# 11, 16).
_NAT_EVENTS = {1: "open", 2: "close", 4: "open", 5: "close", 6: "open", 7: "close", 8: "open", 9: "close"}
_BINDING_EVENTS = (6, 7, 8, 9)
# firewallEvent (IANA element 233): created, deleted, update. Denied (3) and alert (4) opened nothing.
_FIREWALL_EVENTS = {1: "open", 2: "close", 5: "update"}
_ZERO_IPV4 = bytes(10) + b"\xff\xff" + bytes(4)
_IDENTIFIER_BYTES = 12
ANY_PORT = (0, 65535)
"""Outside ports of a row whose exporter does not send the translated port (RouterOS 6): any of them."""


class NatEvents:
    """Columns of `nat` rows of one batch: `record` is the index of the flow record each comes from."""

    def __init__(self) -> None:
        self.record: list[int] = []
        self.event: list[str] = []
        self.time_unix_ns: list[int] = []
        self.kind: list[str] = []
        self.quality: list[str] = []
        self.mapping_id: list[str] = []

    def add(self, record: int, event: str, moment: tuple[int, str], kind: str, mapping_id: str) -> None:
        self.record.append(record)
        self.event.append(event)
        self.time_unix_ns.append(moment[0])
        self.quality.append(moment[1])
        self.kind.append(kind)
        self.mapping_id.append(mapping_id)


def translated_records(mapped: FlowColumns) -> np.ndarray:
    """bool [records]: the record carries a translated source, not zero, that differs from the source."""
    source, outside = mapped.addresses.get("source_address"), mapped.addresses.get("postnat_source_address")
    if source is None or outside is None or "protocol" not in mapped.numbers:
        return np.zeros(mapped.records, bool)
    differs = (source.values != outside.values).any(axis=1)
    inside_port, outside_port = mapped.numbers.get("source_port"), mapped.numbers.get("postnat_source_port")
    if inside_port is not None and outside_port is not None:
        known = inside_port.mask() & outside_port.mask() & (outside_port.values != 0)
        differs |= known & (inside_port.values != outside_port.values)
    zero = ~outside.values.any(axis=1) | (outside.values == np.frombuffer(_ZERO_IPV4, "uint8")).all(axis=1)
    return differs & ~zero


def nat_events(mapped: FlowColumns, received_unix_ns: np.ndarray) -> NatEvents:
    """`nat` events of a batch.

    A natEvent or firewallEvent gives one open, update or close. A plain flow record gives an open at its
    start and a close at its end, of kind flow, under an id of its own: the device says no more than that the
    mapping was in use.
    """
    events = NatEvents()
    chosen = np.flatnonzero(translated_records(mapped))
    for record in chosen.tolist():
        word, kind = _event_of(mapped, record)
        if word == "":
            continue
        if kind == "flow":
            identity = _flow_identity(mapped, record, received_unix_ns)
            arrival = int(received_unix_ns[record])
            first = _moment(mapped, mapped.start, record) or (arrival, "arrival")
            last = _moment(mapped, mapped.end, record) or (max(arrival, first[0]), "arrival")
            events.add(record, "open", first, kind, identity)
            events.add(record, "close", last, kind, identity)
            continue
        own = mapped.observed if mapped.observed is not None else mapped.start if word == "open" else mapped.end
        moment = _moment(mapped, own, record) or (int(received_unix_ns[record]), "arrival")
        events.add(record, word, moment, kind, _session_identity(mapped, record))
    return events


def _event_of(mapped: FlowColumns, record: int) -> tuple[str, str]:
    """Event word and kind; the word is empty for an event that opens or closes no mapping."""
    if mapped.nat_event is not None:
        number = int(mapped.nat_event.values[record])
        if number:
            return _NAT_EVENTS.get(number, ""), "binding" if number in _BINDING_EVENTS else "session"
    if mapped.firewall_event is not None:
        number = int(mapped.firewall_event.values[record])
        if number:
            return _FIREWALL_EVENTS.get(number, ""), "session"
    return "flow", "flow"


def _moment(mapped: FlowColumns, times: Values | None, record: int) -> tuple[int, str] | None:
    if times is None or (times.valid is not None and not times.valid[record]):
        return None
    estimated = mapped.estimated is not None and mapped.estimated[record] and times is not mapped.observed
    return int(times.values[record]), "derived" if estimated else "exact"


def _session_identity(mapped: FlowColumns, record: int) -> str:
    """The exporter's connection id, else a digest that is equal for the events of one mapping."""
    if mapped.connection_id is not None and mapped.connection_id.values[record]:
        return str(int(mapped.connection_id.values[record]))
    return _digest(mapped, record, b"")


def _flow_identity(mapped: FlowColumns, record: int, received_unix_ns: np.ndarray) -> str:
    times = b"".join(
        int(times.values[record]).to_bytes(8, "big", signed=True)
        for times in (mapped.start, mapped.end)
        if times is not None
    )
    return _digest(mapped, record, times or int(received_unix_ns[record]).to_bytes(8, "big"))


def _digest(mapped: FlowColumns, record: int, suffix: bytes) -> str:
    parts = [
        mapped.addresses[name].values[record].tobytes() if name in mapped.addresses else bytes(16)
        for name in ("source_address", "postnat_source_address", "destination_address")
    ]
    parts += [
        int(mapped.numbers[name].values[record]).to_bytes(8, "big") if name in mapped.numbers else bytes(8)
        for name in ("source_port", "postnat_source_port", "destination_port", "protocol")
    ]
    return blake2b(b"".join(parts) + suffix, digest_size=_IDENTIFIER_BYTES).hexdigest()
