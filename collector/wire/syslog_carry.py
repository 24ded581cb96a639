"""The syslog decoder's state as items of a carry (docs/FORMAT.md, "Carry"), and back. Pure.

A RELP connection that is still repeating an earlier one is carried with what it sent, not with the places it may go on
at: its further copies are not marked. They would have to span a day's start and the purge of the day before.
"""

import base64
from collections.abc import Hashable
from typing import Any

import numpy as np

from collector.wire.addresses import format_address
from collector.wire.relp_repeats import (
    HASH_BYTES,
    MAX_CONNECTIONS,
    MAX_SENDERS,
    WINDOW_MESSAGES,
    Connections,
    RelpConnection,
    Sender,
)
from collector.wire.sequence_carry import (
    UNREADABLE,
    export_streams,
    import_streams,
    read_address,
    read_number,
    read_text,
)
from collector.wire.sequence_gaps import Stream

RELP_CONNECTION = "relp_connection"
_HASHES = np.dtype("<u8")


def export_syslog_state(sequences: dict[Hashable, Stream], relp: dict[Sender, Connections]) -> list[dict[str, Any]]:
    """The sequences, and of RELP connections the hashes of their last messages."""
    connections = [
        {
            "what": RELP_CONNECTION,
            "listener": listener,
            "sender_address": format_address(address),
            "source_port": port,
            "hashes": base64.b64encode(connection.hashes.astype(_HASHES).tobytes()).decode(),
        }
        for (listener, address), ports in relp.items()
        for port, connection in ports.items()
    ]
    return export_streams(sequences, _values_from_key) + connections


def import_syslog_state(
    items: list[dict[str, Any]],
) -> tuple[dict[Hashable, Stream], dict[Sender, Connections], int]:
    """Sequences and connections of these items, and how many could not be read."""
    sequences, refused = import_streams(items, _key_from_values)
    relp: dict[Sender, Connections] = {}
    for item in items:
        if item.get("what") != RELP_CONNECTION:
            continue
        try:
            sender = read_text(item["listener"]), read_address(item["sender_address"])
            port, hashes = read_number(item["source_port"], 16), _hashes(item["hashes"])
        except UNREADABLE:
            refused += 1
            continue
        connections = relp.setdefault(sender, {})
        connections[port] = RelpConnection(hashes, None)
        if len(relp) > MAX_SENDERS or len(connections) > MAX_CONNECTIONS:
            del connections[port]
            refused += 1
    return sequences, {sender: ports for sender, ports in relp.items() if ports}, refused


def _hashes(text: Any) -> np.ndarray:
    octets = base64.b64decode(read_text(text), validate=True)
    if len(octets) % HASH_BYTES or len(octets) > WINDOW_MESSAGES * HASH_BYTES:
        raise ValueError("not the hashes of a connection")
    return np.frombuffer(octets, _HASHES).astype(np.uint64)


def _values_from_key(key: Any) -> dict[str, Any]:
    address, listener, hostname = key
    return {"sender_address": format_address(address), "listener": listener, "hostname": hostname}


def _key_from_values(values: dict[str, Any]) -> Hashable:
    return read_address(values["sender_address"]), read_text(values["listener"]), read_text(values["hostname"])
