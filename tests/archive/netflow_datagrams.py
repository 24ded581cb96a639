"""NetFlow v9 datagrams (RFC 3954) made by hand: one template, and records of translated connections."""

import struct
from ipaddress import IPv4Address

TEMPLATE_ID = 300
# Element number and length: source, destination, ports, protocol, translated source and port, bytes.
_FIELDS = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (225, 4), (227, 2), (1, 4))


def _datagram(unix_seconds: int, sequence: int, flowset: bytes) -> bytes:
    return struct.pack(">HHIIII", 9, 1, 100_000, unix_seconds, sequence, 7) + flowset


def template(unix_seconds: int, sequence: int = 1) -> bytes:
    body = struct.pack(">HH", TEMPLATE_ID, len(_FIELDS)) + b"".join(struct.pack(">HH", *f) for f in _FIELDS)
    return _datagram(unix_seconds, sequence, struct.pack(">HH", 0, 4 + len(body)) + body)


def data(unix_seconds: int, sequence: int, *flows: tuple[str, int, str, int]) -> bytes:
    """`flows`: inside address, inside port, outside address, outside port."""
    body = b"".join(
        struct.pack(
            ">4s4sHHB4sHI",
            IPv4Address(inside).packed, IPv4Address("198.51.100.80").packed, inside_port, 443, 6,
            IPv4Address(outside).packed, outside_port, 1234,
        )
        for inside, inside_port, outside, outside_port in flows
    )  # fmt: skip
    padding = bytes(-len(body) % 4)
    return _datagram(
        unix_seconds, sequence, struct.pack(">HH", TEMPLATE_ID, 4 + len(body) + len(padding)) + body + padding
    )
