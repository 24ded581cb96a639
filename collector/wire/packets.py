"""UDP datagrams inside captured frames: Ethernet with VLAN tags, Linux cooked v1 and v2, raw IP; IPv4 and
IPv6.
"""

from collections import Counter
from struct import unpack_from
from typing import NamedTuple

from collector.wire.addresses import IPV4_MAPPED_PREFIX
from collector.wire.capture import Frame

_ETHERNET, _LINUX_COOKED, _LINUX_COOKED_2 = 1, 113, 276
_RAW_IP = frozenset({12, 14, 101, 228, 229})
_NULL_LOOPBACK = frozenset({0, 108})
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
MAX_VLAN_TAGS = 4
"""Two are QinQ; more than four is no real frame."""
MAX_IPV6_EXTENSIONS = 8
"""Each header type may appear once, destination options twice (RFC 8200 section 4.1)."""
_UDP = 17
_IPV6_FRAGMENT = 44
_IPV6_EXTENSIONS = frozenset({0, 43, 60, 135})


class Datagram(NamedTuple):
    source_address: bytes
    source_port: int
    destination_port: int
    payload: bytes
    truncated: bool


def read_datagram(frame: Frame, counters: Counter[str]) -> Datagram | None:
    """The UDP datagram of a frame, or None: counted as `fragments` or `other_packets`. Fragments are not
    joined.
    """
    packet = _ip_packet(frame)
    found: Datagram | str = "other_packets"
    if packet and packet[0] >> 4 == 4:
        found = _from_ipv4(packet, frame.cut)
    elif packet and packet[0] >> 4 == 6:
        found = _from_ipv6(packet, frame.cut)
    if isinstance(found, str):
        counters[found] += 1
        return None
    return found


def _ip_packet(frame: Frame) -> bytes:
    """The IP packet of a frame; empty for anything else."""
    data = frame.data
    if frame.link_type in _RAW_IP:
        return data
    if frame.link_type in _NULL_LOOPBACK:
        return data[4:]
    if frame.link_type == _LINUX_COOKED and len(data) >= 16:
        return _inside(data, 14)
    if frame.link_type == _LINUX_COOKED_2 and len(data) >= 20:
        return data[20:] if unpack_from(">H", data)[0] in (_IPV4, _IPV6) else b""
    if frame.link_type == _ETHERNET and len(data) >= 14:
        return _inside(data, 12)
    return b""


def _inside(data: bytes, type_position: int) -> bytes:
    """What follows the EtherType at `type_position`, VLAN tags skipped."""
    for _ in range(MAX_VLAN_TAGS + 1):
        if len(data) - type_position < 2:
            return b""
        (ether_type,) = unpack_from(">H", data, type_position)
        if ether_type in (_IPV4, _IPV6):
            return data[type_position + 2 :]
        if ether_type not in _VLAN_TAGS:
            return b""
        type_position += 4
    return b""


def _from_ipv4(packet: bytes, cut: bool) -> Datagram | str:
    header_bytes = (packet[0] & 0x0F) * 4
    if header_bytes < 20 or len(packet) < header_bytes:
        return "other_packets"
    (fragment,) = unpack_from(">H", packet, 6)
    if fragment & 0x3FFF:  # more fragments, or an offset
        return "fragments"
    if packet[9] != _UDP:
        return "other_packets"
    return _from_udp(IPV4_MAPPED_PREFIX + packet[12:16], packet[header_bytes:], cut)


def _from_ipv6(packet: bytes, cut: bool) -> Datagram | str:
    if len(packet) < 40:
        return "other_packets"
    next_header, position = packet[6], 40
    for _ in range(MAX_IPV6_EXTENSIONS):
        if next_header not in _IPV6_EXTENSIONS or len(packet) - position < 8:
            break
        next_header, position = packet[position], position + (packet[position + 1] + 1) * 8
    if next_header == _IPV6_FRAGMENT:
        return "fragments"
    if next_header != _UDP:
        return "other_packets"
    return _from_udp(packet[8:24], packet[position:], cut)


def _from_udp(source_address: bytes, segment: bytes, cut: bool) -> Datagram | str:
    if len(segment) < 8:
        return "other_packets"
    source_port, destination_port, length = unpack_from(">HHH", segment)
    payload = segment[8 : max(length, 8)] if length else segment[8:]  # 0: jumbogram (RFC 2675)
    return Datagram(source_address, source_port, destination_port, payload, cut and len(payload) + 8 < length)
