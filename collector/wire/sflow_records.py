"""Records inside flow samples of sFlow v5, handed out by format, and the sampled packet they describe."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from collector.wire import sflow_packets
from collector.wire.field_values import Values
from collector.wire.sflow_packets import Packets, read_packets
from collector.wire.sflow_samples import Parts
from collector.wire.sflow_words import WordBuffer

RAW_PACKET, SAMPLED_ETHERNET, SAMPLED_IPV4, SAMPLED_IPV6 = 1, 2, 3, 4
EXTENDED_SWITCH, EXTENDED_ROUTER, EXTENDED_NAT, EXTENDED_NAT_PORT = 1001, 1002, 1007, 1020
# Words of the shortest form of each.
_LEAST_WORDS = {
    RAW_PACKET: 4, SAMPLED_ETHERNET: 6, SAMPLED_IPV4: 8, SAMPLED_IPV6: 14,
    EXTENDED_SWITCH: 4, EXTENDED_ROUTER: 3, EXTENDED_NAT: 2, EXTENDED_NAT_PORT: 2,
}  # fmt: skip
_READABLE = (sflow_packets.ETHERNET, sflow_packets.IPV4, sflow_packets.IPV6)
_PROTOCOLS_WITH_PORTS = (6, 17, 33, 132, 136)


@dataclass(slots=True)
class Chosen:
    """The first whole record of one format in each sample: samples that have one, and where it lies."""

    sample: np.ndarray
    start: np.ndarray
    end: np.ndarray


class Records:
    """Records of all samples, handed out by format. What nobody asked for, or was broken, is the rest."""

    def __init__(self, buffer: WordBuffer, records: Parts, counters: Counter[str]) -> None:
        self.buffer = buffer
        self._records = records
        self._counters = counters
        self._used = np.zeros(len(records.owner), bool)

    def first(self, tag: int) -> Chosen:
        places = np.flatnonzero(self._records.tag == tag)
        room = self._records.end[places] - self._records.start[places]
        self._counters["sflow_malformed_records"] += int(np.count_nonzero(room < _LEAST_WORDS[tag]))
        places = places[room >= _LEAST_WORDS[tag]]
        sample, index = np.unique(self._records.owner[places], return_index=True)
        places = places[index]
        self._used[places] = True
        return Chosen(sample, self._records.start[places], self._records.end[places])

    def broken(self, chosen: Chosen, tag: int, good: np.ndarray) -> Chosen:
        """`chosen` without those that are not good; these are counted and stay in the rest."""
        self._counters["sflow_malformed_records"] += int(np.count_nonzero(~good))
        self.put_back(chosen, tag, ~good)
        return Chosen(chosen.sample[good], chosen.start[good], chosen.end[good])

    def put_back(self, chosen: Chosen, tag: int, which: np.ndarray) -> None:
        again = np.isin(self._records.start, chosen.start[which]) & (self._records.tag == tag)
        self._used &= ~again

    def rest(self) -> Parts:
        return self._records.take(np.flatnonzero(~self._used))


def sampled_packets(found: Records, count: int) -> tuple[Packets, Values]:
    """The packet of each of `count` samples and its length: from the raw header, else from what the agent read."""
    octets = Values(np.zeros(count, "uint64"), np.zeros(count, bool))
    packets = _raw_packets(found, count, octets)
    _sampled_ethernet(found, packets, octets)
    _sampled_ip(found, packets, octets)
    return packets, octets


def _raw_packets(found: Records, count: int, octets: Values) -> Packets:
    buffer = found.buffer
    raw = found.first(RAW_PACKET)
    protocol = np.zeros(count, "int64")
    start, end = np.zeros(count, "int64"), np.zeros(count, "int64")
    protocol[raw.sample] = buffer.word(raw.start)
    octets.values[raw.sample] = buffer.word(raw.start + 1)
    octets.mask()[raw.sample] = True
    start[raw.sample] = (raw.start + 4) * 4
    end[raw.sample] = np.minimum((raw.start + 4) * 4 + buffer.word(raw.start + 3), raw.end * 4)
    found.put_back(raw, RAW_PACKET, ~np.isin(protocol[raw.sample], _READABLE))
    return read_packets(buffer.data, start, end, protocol)


def _sampled_ethernet(found: Records, packets: Packets, octets: Values) -> None:
    chosen = found.first(SAMPLED_ETHERNET)
    at, sample = chosen.start, chosen.sample
    lacking = ~octets.mask()[sample]
    octets.values[sample[lacking]] = found.buffer.word(at[lacking])
    octets.mask()[sample] = True
    lacking = ~packets.ethernet[sample]
    at, sample = at[lacking], sample[lacking]
    packets.ethernet[sample] = True
    packets.source_mac[sample] = found.buffer.octets(at + 1, 6)
    packets.destination_mac[sample] = found.buffer.octets(at + 3, 6)
    packets.ether_type.values[sample] = found.buffer.word(at + 5)
    packets.ether_type.mask()[sample] = True


def _sampled_ip(found: Records, packets: Packets, octets: Values) -> None:
    """Where no header of the packet could be read."""
    buffer = found.buffer
    for tag, words in ((SAMPLED_IPV4, 1), (SAMPLED_IPV6, 4)):
        chosen = found.first(tag)
        lacking = ~octets.mask()[chosen.sample]
        octets.values[chosen.sample[lacking]] = buffer.word(chosen.start[lacking])
        octets.mask()[chosen.sample] = True
        lacking = ~packets.ip[chosen.sample]
        at, sample = chosen.start[lacking], chosen.sample[lacking]
        protocol = buffer.word(at + 1)
        packets.ip[sample] = protocol <= 0xFF
        packets.protocol[sample] = protocol & 0xFF
        for addresses, position in ((packets.source, at + 2), (packets.destination, at + 2 + words)):
            addresses[sample, 16 - 4 * words :] = buffer.octets(position, 4 * words)
            if tag == SAMPLED_IPV4:
                addresses[sample, 10:12] = 0xFF
        after = at + 2 + 2 * words
        packets.tos[sample] = buffer.word(after + 3) & 0xFF
        has_ports = np.isin(protocol, _PROTOCOLS_WITH_PORTS)
        for values, position, valid in (
            (packets.source_port, after, has_ports),
            (packets.destination_port, after + 1, has_ports),
            (packets.tcp_flags, after + 2, protocol == 6),
        ):
            number = buffer.word(position)
            values.values[sample] = number & 0xFFFF
            values.mask()[sample] = valid & (number <= 0xFFFF)
