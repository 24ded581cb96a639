"""The datagrams of one call as an array of 32-bit words: sFlow is XDR (RFC 4506), all stands at multiples of four."""

import numpy as np

from collector.wire.addresses import IPV4_MAPPED_PREFIX

SPARE_WORDS = 4
"""Zero words after the last datagram, so that a read of up to 16 bytes from a checked place stays in the array."""
UNKNOWN_ADDRESS_TYPE, IPV4_TYPE, IPV6_TYPE = 0, 1, 2
_ADDRESS_WORDS = np.array([0, 1, 4])
_MAPPED = np.frombuffer(IPV4_MAPPED_PREFIX, "uint8")


class WordBuffer:
    """Datagram n lies in words `starts[n]` to `ends[n]`; one to three bytes left over at its end are dropped and
    counted in `odd_bytes[n]`. Positions are word numbers in int64 arrays.
    """

    def __init__(self, payloads: list[bytes]) -> None:
        sizes = np.array([len(payload) for payload in payloads], "int64")
        whole = [payload if len(payload) % 4 == 0 else payload[: len(payload) // 4 * 4] for payload in payloads]
        joined = b"".join([*whole, bytes(4 * SPARE_WORDS)])
        self.data = np.frombuffer(joined, "uint8")
        self.words = self.data.view(">u4").astype("uint32")
        self.ends = np.cumsum(sizes // 4)
        self.starts = self.ends - sizes // 4
        self.odd_bytes = sizes % 4

    def word(self, position: np.ndarray) -> np.ndarray:
        """uint32 at each position, as int64; 0 behind the last datagram."""
        return self.words[np.minimum(position, len(self.words) - 1)].astype("int64")

    def long(self, position: np.ndarray) -> np.ndarray:
        """Unsigned hyper at each position, as uint64."""
        return self.word(position).astype("uint64") << np.uint64(32) | self.word(position + 1).astype("uint64")

    def octets(self, position: np.ndarray, length: int) -> np.ndarray:
        """uint8 [positions, length] from the word at each position on."""
        return octets_at(self.data, position * 4, length)

    def address(self, position: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Addresses (a type word, then 4 or 16 bytes) that must lie before `ends`.

        Returns uint8 [positions, 16] (`::` for the unknown type), the position behind each, and whether it is whole.
        """
        kind = np.where(position < ends, self.word(position), 9)
        known = kind <= IPV6_TYPE
        after = position + 1 + _ADDRESS_WORDS[np.where(known, kind, 0)]
        known &= after <= ends
        found = np.zeros((len(position), 16), "uint8")
        four, six = np.flatnonzero(known & (kind == IPV4_TYPE)), np.flatnonzero(known & (kind == IPV6_TYPE))
        found[four, :12] = _MAPPED
        found[four, 12:] = self.octets(position[four] + 1, 4)
        found[six] = self.octets(position[six] + 1, 16)
        return found, after, known


def octets_at(data: np.ndarray, position: np.ndarray, length: int) -> np.ndarray:
    """uint8 [positions, length] from each byte position on; what lies behind the array is its last byte."""
    places = np.expand_dims(position, 1) + np.arange(length)
    return data[np.minimum(places, len(data) - 1)]
