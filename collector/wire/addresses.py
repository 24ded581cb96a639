"""Addresses and protocols as text and as the 16 bytes of the schema (IPv4 as ::ffff:a.b.c.d)."""

from ipaddress import IPv4Address, IPv6Address

IPV4_MAPPED_PREFIX = bytes(10) + b"\xff\xff"

# Names the Linux kernel and conntrack print, with their IANA protocol numbers.
PROTOCOL_NUMBERS = {
    "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51,
    "icmpv6": 58, "ipv6-icmp": 58, "ospf": 89, "pim": 103, "vrrp": 112, "l2tp": 115, "sctp": 132, "udplite": 136,
}  # fmt: skip


def parse_address(text: str) -> bytes | None:
    """16 bytes of an IPv4 or IPv6 address in text form (RFC 5952 input, scope ids ignored), or None."""
    try:
        if ":" in text:
            return IPv6Address(text.partition("%")[0]).packed
        return IPV4_MAPPED_PREFIX + IPv4Address(text).packed
    except ValueError:
        return None


def format_address(address: bytes) -> str:
    """Text of a 16-byte address; an IPv4-mapped one as dotted quad."""
    if address[:12] == IPV4_MAPPED_PREFIX:
        return ".".join(map(str, address[12:]))
    return str(IPv6Address(address))


def protocol_number(text: str) -> int | None:
    """IANA protocol number of a name or decimal text, or None."""
    if text.isdecimal() and text.isascii() and len(text) <= 3:
        number = int(text)
        return number if number <= 255 else None
    return PROTOCOL_NUMBERS.get(text.lower())


class AddressCache:
    """Parsed addresses of one chunk; lines of one sender repeat a few addresses. Lives for one decode call."""

    MAX_ENTRIES = 65_536
    """About 12 MiB of text and bytes; a scan with more different addresses starts over."""

    def __init__(self) -> None:
        self._known: dict[str, bytes | None] = {}

    def parse(self, text: str) -> bytes | None:
        known = self._known
        try:
            return known[text]
        except KeyError:
            if len(known) >= self.MAX_ENTRIES:
                known.clear()
            found = known[text] = parse_address(text)
            return found
