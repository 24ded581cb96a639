"""Headers of sampled packets, many at once: Ethernet with VLAN tags, MPLS, PPPoE; IPv4, IPv6 with extensions; ports.

What of a header was cut off by the agent's snap length is unknown, not zero. Tunnels are not looked into.
"""

from dataclasses import dataclass

import numpy as np

from collector.wire.addresses import IPV4_MAPPED_PREFIX
from collector.wire.field_values import Values
from collector.wire.sflow_words import octets_at

ETHERNET, IPV4, IPV6 = 1, 11, 12
"""header_protocol of a raw packet header that is read here."""
MAX_VLAN_TAGS = 4
"""Two are QinQ; more than four is no real frame."""
MAX_MPLS_LABELS = 16
MAX_IPV6_EXTENSIONS = 8
"""Each header type may appear once, destination options twice (RFC 8200 section 4.1)."""
_VLAN_TAGS = (0x8100, 0x88A8, 0x9100)
_MPLS = (0x8847, 0x8848)
_PPPOE, _PPP_IPV4, _PPP_IPV6 = 0x8864, 0x0021, 0x0057
_TYPE_IPV4, _TYPE_IPV6 = 0x0800, 0x86DD
_LEAST_ETHERTYPE = 0x0600
_EXTENSIONS = (0, 43, 60, 135)
_FRAGMENT, _AUTHENTICATION = 44, 51
_WITH_PORTS = (6, 17, 33, 132, 136)
_TCP, _ICMP, _ICMP6 = 6, 1, 58
_MAPPED = np.frombuffer(IPV4_MAPPED_PREFIX, "uint8")
_NO_TAG = -1


@dataclass
class Packets:
    """Columns of n packets, each with its validity; addresses uint8 [n, 16], MAC addresses uint8 [n, 6].

    `vlans` are the tags from outside in; `icmp` is type * 256 + code; `ip` bool [n]: source, destination and protocol
    are known.
    """

    ip: np.ndarray
    source: np.ndarray
    destination: np.ndarray
    protocol: np.ndarray
    tos: np.ndarray
    hop_limit: Values
    source_port: Values
    destination_port: Values
    tcp_flags: Values
    icmp: Values
    ethernet: np.ndarray
    source_mac: np.ndarray
    destination_mac: np.ndarray
    ether_type: Values
    vlans: tuple[Values, Values]


class _Headers:
    """Bytes of n headers, `data[position:end]`, read with a check; what is behind the end reads as 0."""

    def __init__(self, data: np.ndarray, end: np.ndarray) -> None:
        self._data = data
        self.end = end

    def byte(self, at: np.ndarray) -> np.ndarray:
        found = self._data[np.minimum(at, len(self._data) - 1)].astype("int64")
        return np.where(at < self.end, found, 0)

    def short(self, at: np.ndarray) -> np.ndarray:
        return self.byte(at) << 8 | self.byte(at + 1)

    def octets(self, rows: np.ndarray, at: np.ndarray, length: int) -> np.ndarray:
        return octets_at(self._data, at[rows], length)


def read_packets(data: np.ndarray, start: np.ndarray, end: np.ndarray, header_protocol: np.ndarray) -> Packets:
    """Packets whose sampled headers are the bytes `start` to `end` of `data`, by header_protocol."""
    headers = _Headers(data, end)
    count = len(start)
    ethernet = (header_protocol == ETHERNET) & (end - start >= 14)
    rows = np.flatnonzero(ethernet)
    macs = np.zeros((2, count, 6), "uint8")
    macs[0, rows], macs[1, rows] = headers.octets(rows, start, 6), headers.octets(rows, start + 6, 6)
    at = start + np.where(ethernet, 12, 0)
    kind = np.where(ethernet, headers.short(at), 0)
    at = at + np.where(ethernet, 2, 0)
    at, kind, vlans = _skip_vlan_tags(headers, at, kind)
    has_type = ethernet & (kind >= _LEAST_ETHERTYPE)
    kind_inside, at = _unwrap(headers, at, kind)
    version = headers.byte(at) >> 4
    four = ((header_protocol == IPV4) | (kind_inside == _TYPE_IPV4)) & (version == 4) & (end - at >= 20)
    six = ((header_protocol == IPV6) | (kind_inside == _TYPE_IPV6)) & (version == 6) & (end - at >= 40)
    source, destination = np.zeros((count, 16), "uint8"), np.zeros((count, 16), "uint8")
    for rows, offset, length in ((np.flatnonzero(four), 12, 4), (np.flatnonzero(six), 8, 16)):
        if length == 4:
            source[rows, :12] = destination[rows, :12] = _MAPPED
        source[rows, 16 - length :] = headers.octets(rows, at + offset, length)
        destination[rows, 16 - length :] = headers.octets(rows, at + offset + length, length)
    word = headers.short(at)
    tos = np.where(four, word & 0xFF, word >> 4 & 0xFF)
    hop_limit = headers.byte(at + np.where(four, 8, 7))
    protocol, transport, first_part = _transport(headers, at, four, six)
    return Packets(
        four | six, source, destination, protocol, tos, Values(hop_limit, four | six),
        *_ports(headers, protocol, transport, first_part),
        ethernet, macs[1], macs[0], Values(kind, has_type), vlans,
    )  # fmt: skip


def _skip_vlan_tags(
    headers: _Headers, at: np.ndarray, kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[Values, Values]]:
    tags = [np.full(len(at), _NO_TAG), np.full(len(at), _NO_TAG)]
    for depth in range(MAX_VLAN_TAGS):
        tagged = np.isin(kind, _VLAN_TAGS) & (headers.end - at >= 4)
        if not tagged.any():
            break
        if depth < len(tags):
            tags[depth] = np.where(tagged, headers.short(at) & 0x0FFF, _NO_TAG)
        kind = np.where(tagged, headers.short(at + 2), kind)
        at = at + np.where(tagged, 4, 0)
    outer, inner = (Values(np.maximum(tag, 0), tag != _NO_TAG) for tag in tags)
    return at, kind, (outer, inner)


def _unwrap(headers: _Headers, at: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """EtherType and start of what MPLS labels (RFC 3032) and PPPoE sessions (RFC 2516) carry, where that is IP."""
    pppoe = (kind == _PPPOE) & (headers.end - at >= 8)
    if pppoe.any():
        inside = headers.short(at + 6)
        kind = np.where(pppoe & (inside == _PPP_IPV4), _TYPE_IPV4, kind)
        kind = np.where(pppoe & (inside == _PPP_IPV6), _TYPE_IPV6, kind)
        at = at + np.where(pppoe, 8, 0)
    labels = np.isin(kind, _MPLS)
    for _ in range(MAX_MPLS_LABELS):
        labels &= headers.end - at >= 4
        if not labels.any():
            break
        bottom = labels & (headers.byte(at + 2) & 1 == 1)
        at = at + np.where(labels, 4, 0)
        version = headers.byte(at) >> 4
        kind = np.where(bottom & (version == 4), _TYPE_IPV4, np.where(bottom & (version == 6), _TYPE_IPV6, kind))
        labels &= ~bottom
    return kind, at


def _transport(
    headers: _Headers, at: np.ndarray, four: np.ndarray, six: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Protocol, start of the transport header, and whether it is there: not in a later fragment."""
    protocol = np.where(four, headers.byte(at + 9), headers.byte(at + 6))
    options = np.maximum((headers.byte(at) & 0x0F) * 4, 20)
    transport = at + np.where(four, options, 40)
    first_part = four | six
    first_part &= ~(four & (headers.short(at + 6) & 0x1FFF != 0))
    more = six
    for _ in range(MAX_IPV6_EXTENSIONS):
        more = more & first_part & np.isin(protocol, (*_EXTENSIONS, _FRAGMENT, _AUTHENTICATION))
        more &= headers.end - transport >= 8
        if not more.any():
            break
        length = headers.byte(transport + 1)
        is_fragment = more & (protocol == _FRAGMENT)
        first_part &= ~(is_fragment & (headers.short(transport + 2) >> 3 != 0))
        size = np.where(protocol == _AUTHENTICATION, (length + 2) * 4, (length + 1) * 8)
        size = np.where(is_fragment, 8, size)
        protocol = np.where(more, headers.byte(transport), protocol)
        transport = transport + np.where(more, size, 0)
    return protocol, transport, first_part


def _ports(
    headers: _Headers, protocol: np.ndarray, at: np.ndarray, first_part: np.ndarray
) -> tuple[Values, Values, Values, Values]:
    """Source port, destination port, TCP flags (RFC 7125: twelve bits), ICMP type and code."""
    room = headers.end - at
    ports = first_part & np.isin(protocol, _WITH_PORTS) & (room >= 4)
    flags = first_part & (protocol == _TCP) & (room >= 14)
    icmp = first_part & np.isin(protocol, (_ICMP, _ICMP6)) & (room >= 2)
    return (
        Values(headers.short(at), ports),
        Values(headers.short(at + 2), ports),
        Values(headers.short(at + 12) & 0x0FFF, flags),
        Values(headers.short(at), icmp),
    )
