"""Packets made by hand for the tests, sharing no code with the product."""

import hashlib
import hmac
import struct

SECRET = b"a-secret-of-24-bytes-here"
AUTHENTICATOR = bytes(range(16))


def attribute(kind: int, value: bytes) -> bytes:
    return bytes([kind, len(value) + 2]) + value


def vendor(number: int, kind: int, value: bytes) -> bytes:
    return attribute(26, struct.pack(">I", number) + attribute(kind, value))


def hide(password: bytes, authenticator: bytes = AUTHENTICATOR, secret: bytes = SECRET) -> bytes:
    padded = password + bytes(-len(password) % 16 or (0 if password else 16))
    out, last = b"", authenticator
    for i in range(0, len(padded), 16):
        mask = hashlib.md5(secret + last, usedforsecurity=False).digest()
        last = bytes(a ^ b for a, b in zip(padded[i : i + 16], mask, strict=True))
        out += last
    return out


def request(code: int, *attributes: bytes, identifier: int = 7, authenticator: bytes = AUTHENTICATOR) -> bytes:
    body = b"".join(attributes)
    return struct.pack(">BBH", code, identifier, 20 + len(body)) + authenticator + body


def sign(packet: bytes, secret: bytes = SECRET, *, first: bool = False) -> bytes:
    """`packet` with a Message-Authenticator at its end or start."""
    code, identifier, length = struct.unpack(">BBH", packet[:4])
    zero = attribute(80, bytes(16))
    body = zero + packet[20:] if first else packet[20:] + zero
    unsigned = struct.pack(">BBH", code, identifier, length + 18) + packet[4:20] + body
    mac = hmac.new(secret, unsigned, "md5").digest()
    start = 22 if first else len(unsigned) - 16
    return unsigned[:start] + mac + unsigned[start + 16 :]


def accounting(*attributes: bytes, identifier: int = 9, secret: bytes = SECRET) -> bytes:
    bare = request(4, *attributes, identifier=identifier, authenticator=bytes(16))
    return bare[:4] + hashlib.md5(bare + secret, usedforsecurity=False).digest() + bare[20:]


def attributes_of(packet: bytes) -> list[tuple[int, bytes]]:
    found, offset = [], 20
    while offset < len(packet):
        found.append((packet[offset], packet[offset + 2 : offset + packet[offset + 1]]))
        offset += packet[offset + 1]
    return found


def number(value: int) -> bytes:
    return struct.pack(">I", value)
