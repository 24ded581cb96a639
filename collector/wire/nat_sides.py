"""The two sides of translations, in columns: what every kind of them is made of."""

import ipaddress
from typing import Any, NamedTuple

import numpy as np

from collector.wire.field_values import Values
from collector.wire.flow_columns import FlowColumns

ADDRESS_BYTES = 16
ANY_PORT = (0, 65535)
"""Outside ports of a row whose exporter does not send the translated port (RouterOS 6): any of them."""
_ZERO_IPV4 = np.frombuffer(bytes(10) + b"\xff\xff" + bytes(4), "uint64")
# RFC 1918, 6598, 3927, 4193, 4291: never seen on the internet.
_PRIVATE = tuple(
    tuple(np.frombuffer(one.packed, "uint64") for one in (network.network_address, network.netmask))
    for network in map(ipaddress.ip_network, (
        "::ffff:10.0.0.0/104", "::ffff:172.16.0.0/108", "::ffff:192.168.0.0/112", "::ffff:100.64.0.0/106",
        "::ffff:169.254.0.0/112", "fc00::/7", "fe80::/10",
    ))
)  # fmt: skip


class Sides(NamedTuple):
    """Translations in columns, one row each, [rows] or [rows, 16]; `record` is the index of the flow record.

    `peer` is the other end of the connection as the outside sees it. `uncertain`: the range holds ports of others too.
    """

    record: np.ndarray
    outside_address: np.ndarray
    outside_low: np.ndarray
    outside_high: np.ndarray
    inside_address: np.ndarray
    inside_port: Values
    peer_address: Values
    peer_port: Values
    protocol: np.ndarray
    is_block: np.ndarray
    uncertain: np.ndarray

    def take(self, chosen: np.ndarray) -> "Sides":
        """The translations at these places."""
        taken: list[Any] = [
            Values(column.values[chosen], column.mask()[chosen]) if isinstance(column, Values) else column[chosen]
            for column in self
        ]
        return Sides(*taken)


def words_of(addresses: np.ndarray) -> np.ndarray:
    """Addresses uint8 [rows, 16] as uint64 [rows, 2], which compare eight bytes at once."""
    return np.ascontiguousarray(addresses).view("uint64")


def given(addresses: np.ndarray) -> np.ndarray:
    """bool [rows]: the address is neither `::` nor 0.0.0.0."""
    high, low = words_of(addresses).T
    return ((high | low) != 0) & ((high != _ZERO_IPV4[0]) | (low != _ZERO_IPV4[1]))


def is_private(addresses: np.ndarray) -> np.ndarray:
    """bool [rows]: never seen on the internet."""
    high, low = words_of(addresses).T
    found = np.zeros(len(addresses), bool)
    for start, mask in _PRIVATE:
        found |= ((high & mask[0]) == start[0]) & ((low & mask[1]) == start[1])
    return found


def ports_of(mapped: FlowColumns, name: str, record: np.ndarray) -> Values:
    found = mapped.numbers.get(name)
    if found is None:
        return Values(np.zeros(len(record), "uint64"), np.zeros(len(record), bool))
    return Values(found.values[record], found.mask()[record])
