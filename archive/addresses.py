"""Sixteen-byte addresses and their text; IPv4 lives as ::ffff:a.b.c.d and is shown as IPv4. Pure."""

import ipaddress

from archive.errors import ArchiveFormatError


def parse_address(text: str) -> bytes:
    """16 bytes of an IPv4 or IPv6 address in text. Raises ArchiveFormatError."""
    try:
        address = ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError as error:
        raise ArchiveFormatError(f"{text!r} is not an IPv4 or IPv6 address", code="bad_address") from error
    if isinstance(address, ipaddress.IPv4Address):
        return bytes(10) + b"\xff\xff" + address.packed
    return address.packed


def format_address(address: bytes) -> str:
    """Text of 16 bytes; `::` (not carried by the source) gives an empty string."""
    if not any(address):
        return ""
    value = ipaddress.IPv6Address(address)
    return str(value.ipv4_mapped or value)


def format_endpoint(address: bytes, port: int | str | None) -> str:
    """`10.0.0.7:443`, `[2001:db8::1]:443`, or the address alone without a port."""
    text = format_address(address)
    if port is None or port == "":
        return text
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def parse_endpoint(text: str) -> tuple[bytes, int | None]:
    """`ADDRESS`, `ADDRESS:PORT` or `[IPv6]:PORT`. Raises ArchiveFormatError."""
    text = text.strip()
    host, separator, port = text.rpartition(":")
    if separator and (host.endswith("]") or host.count(":") == 0) and host:
        return parse_address(host), parse_port(port)
    return parse_address(text), None


def parse_port(text: str) -> int:
    """0 to 65535 in decimal. Raises ArchiveFormatError."""
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > 65_535:
        raise ArchiveFormatError(f"{text!r} is not a port; valid are 0 to 65535", code="bad_port")
    return int(text)
