"""Which sources a listener takes records from: prefixes compared with a whole column of addresses. Pure."""

import ipaddress
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAPPED_BITS = 96
"""IPv4 addresses stand in the last 32 bits of ::ffff:0:0/96 (RFC 4291 section 2.5.5.2)."""
MAPPED_WORD = np.frombuffer(bytes(10) + b"\xff\xff\x00\x00\x00\x00", np.uint64)[1]
MAPPED_MASK = np.frombuffer(bytes(8) + b"\xff\xff\xff\xff\x00\x00\x00\x00", np.uint64)[1]


class AllowList:
    """Networks of sources. An empty list allows everybody. An IPv6 network never allows an IPv4 source."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        """Raises ValueError for text that is no network, and for one with bits set behind its prefix."""
        parsed = [ipaddress.ip_network(text) for text in networks]
        self.allows_everybody = not parsed
        self._prefixes = [(*_prefix_words(network), network.version == 4) for network in parsed]

    def allowed(self, addresses: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Mask of the rows of `addresses` (uint8[n,16], IPv4 as ::ffff:a.b.c.d) that may send."""
        if self.allows_everybody:
            return np.ones(len(addresses), np.bool_)
        words = np.ascontiguousarray(addresses).view(np.uint64)
        high, low = words[:, 0], words[:, 1]
        is_ipv4 = (high == 0) & ((low & MAPPED_MASK) == MAPPED_WORD)
        mask = np.zeros(len(addresses), np.bool_)
        for high_value, low_value, high_mask, low_mask, for_ipv4 in self._prefixes:
            fits = ((high & high_mask) == high_value) & ((low & low_mask) == low_value)
            mask |= fits & (is_ipv4 if for_ipv4 else ~is_ipv4)
        return mask

    def allows(self, address: NDArray[np.uint8]) -> bool:
        """Whether one source, uint8[16], may send."""
        return self.allows_everybody or bool(self.allowed(address.reshape(1, 16))[0])


def _prefix_words(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[np.uint64, ...]:
    """Value and mask of a prefix, each as two words in the byte order of the address column."""
    packed = network.network_address.packed
    bits = network.prefixlen
    if network.version == 4:
        packed, bits = bytes(10) + b"\xff\xff" + packed, MAPPED_BITS + bits
    mask = ((1 << bits) - 1) << (128 - bits)
    return (*np.frombuffer(packed, np.uint64), *np.frombuffer(mask.to_bytes(16, "big"), np.uint64))
