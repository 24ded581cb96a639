"""IPFIX messages of a NAT made by hand: sessions, blocks of ports and plain flows (RFC 7011, RFC 8158)."""

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address

LISTENER = "netflow/udp-4739"
Fields = Sequence[tuple[int, int]]
SESSION = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (225, 4), (227, 2), (230, 1), (323, 8))
BLOCK = ((8, 4), (225, 4), (230, 1), (323, 8), (361, 2), (362, 2))
STEPPED = (*BLOCK, (363, 2))
PLAIN = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (10, 4), (14, 4), (152, 8), (153, 8), (1, 4), (2, 4))
TRANSLATED = (*PLAIN, (225, 4), (226, 4), (227, 2), (228, 2))
ADDRESSES_ONLY = (*PLAIN, (225, 4), (226, 4))
CREATE, DELETE, ALLOCATE, RELEASE = 4, 5, 16, 17


def ip(text: str) -> bytes:
    return IPv4Address(text).packed


def message(unix_ns: int, fields: Fields, *records: bytes, domain: int = 7) -> tuple[str, bytes]:
    """One message with its template (300) and its records, and the listener it goes to."""
    template = struct.pack(">HH", 300, len(fields)) + b"".join(struct.pack(">HH", *one) for one in fields)
    sets = struct.pack(">HH", 2, 4 + len(template)) + template
    body = b"".join(records)
    sets += struct.pack(">HH", 300, 4 + len(body)) + body
    header = struct.pack(">HHIII", 10, 16 + len(sets), unix_ns // 10**9, 0, domain)
    return LISTENER, header + sets


def session(unix_ns: int, event: int, inside: str, outside: str, port: int, to: str = "198.51.100.80") -> bytes:
    ends = ip(inside) + ip(to) + struct.pack(">HHB", 5000, 443, 6)
    return ends + ip(outside) + struct.pack(">HBQ", port, event, unix_ns // 10**6)


def block(unix_ns: int, event: int, inside: str, outside: str, low: int, high: int, step: int | None = None) -> bytes:
    record = ip(inside) + ip(outside) + struct.pack(">BQHH", event, unix_ns // 10**6, low, high)
    return record if step is None else record + struct.pack(">H", step)


def plain(
    start_unix_ns: int, source: str, destination: str, ports: tuple[int, int] = (5000, 443),
    interfaces: tuple[int, int] = (1, 2),
) -> bytes:  # fmt: skip
    ends = ip(source) + ip(destination) + struct.pack(">HHB", *ports, 6) + struct.pack(">II", *interfaces)
    start_ms = start_unix_ns // 10**6
    return ends + struct.pack(">QQII", start_ms, start_ms + 2500, 1234, 5)


def translated(record: bytes, source: str, destination: str, ports: tuple[int, int] | None) -> bytes:
    after = ip(source) + ip(destination)
    return record + after + (b"" if ports is None else struct.pack(">HH", *ports))
