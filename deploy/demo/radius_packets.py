"""RADIUS requests as an access point sends them (RFC 2865, RFC 2866). Pure: identifiers and random bytes are given."""

import hashlib
import hmac
import ipaddress
import struct

from authgw.radius.attributes import (
    ACCT_INPUT_OCTETS,
    ACCT_OUTPUT_OCTETS,
    ACCT_SESSION_ID,
    ACCT_SESSION_TIME,
    ACCT_STATUS_TYPE,
    ACCT_TERMINATE_CAUSE,
    CALLING_STATION_ID,
    CLASS,
    EVENT_TIMESTAMP,
    FRAMED_IP_ADDRESS,
    MESSAGE_AUTHENTICATOR,
    NAS_IDENTIFIER,
    NAS_IP_ADDRESS,
    USER_NAME,
    USER_PASSWORD,
    split_attributes,
)
from deploy.demo.office import Network, Person

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCOUNTING_REQUEST = 1, 2, 3, 4
START, STOP, INTERIM, ACCOUNTING_ON = 1, 2, 3, 7
USER_REQUEST = 1
AUTHENTICATOR_BYTES = 16


def access_request(person: Person, password: bytes, secret: bytes, identifier: int, random: bytes) -> bytes:
    """A log-in with a password (PAP), signed: Message-Authenticator comes first."""
    body = _attribute(MESSAGE_AUTHENTICATOR, bytes(AUTHENTICATOR_BYTES))
    body += _attribute(USER_NAME, person.account.encode())
    body += _attribute(USER_PASSWORD, _hide(password, secret, random))
    body += _device(person.network) + _attribute(CALLING_STATION_ID, person.station.encode())
    packet = struct.pack(">BBH", ACCESS_REQUEST, identifier, 20 + len(body)) + random + body
    signature = hmac.digest(secret, packet, "md5")
    return packet[:22] + signature + packet[22 + AUTHENTICATOR_BYTES :]


def accounting_request(
    network: Network,
    status: int,
    secret: bytes,
    identifier: int,
    now_seconds: int,
    *,
    person: Person | None = None,
    session_id: str = "",
    marker: bytes = b"",
    session_seconds: int = 0,
    octets: tuple[int, int] = (0, 0),
) -> bytes:
    """Start, interim, stop of a person's session, or Accounting-On of the device without one."""
    body = _attribute(ACCT_STATUS_TYPE, struct.pack(">I", status)) + _device(network)
    body += _attribute(EVENT_TIMESTAMP, struct.pack(">I", now_seconds))
    if person is not None:
        body += _attribute(USER_NAME, person.account.encode())
        body += _attribute(ACCT_SESSION_ID, session_id.encode())
        body += _attribute(FRAMED_IP_ADDRESS, ipaddress.IPv4Address(person.address).packed)
        body += _attribute(CALLING_STATION_ID, person.station.encode())
        if marker:
            body += _attribute(CLASS, marker)
        if status in (STOP, INTERIM):
            for kind, value in zip(
                (ACCT_SESSION_TIME, ACCT_INPUT_OCTETS, ACCT_OUTPUT_OCTETS), (session_seconds, *octets), strict=True
            ):
                body += _attribute(kind, struct.pack(">I", value))
        if status == STOP:
            body += _attribute(ACCT_TERMINATE_CAUSE, struct.pack(">I", USER_REQUEST))
    bare = struct.pack(">BBH", ACCOUNTING_REQUEST, identifier, 20 + len(body)) + bytes(AUTHENTICATOR_BYTES) + body
    authenticator = hashlib.md5(bare + secret, usedforsecurity=False).digest()
    return bare[:4] + authenticator + body


def read_class(packet: bytes) -> bytes:
    """The marker of an Access-Accept that accounting returns; empty without one."""
    for kind, offset, length in split_attributes(packet):
        if kind == CLASS:
            return packet[offset : offset + length]
    return b""


def _device(network: Network) -> bytes:
    address = ipaddress.IPv4Address(network.nas_address).packed
    return _attribute(NAS_IP_ADDRESS, address) + _attribute(NAS_IDENTIFIER, network.nas_identifier.encode())


def _attribute(kind: int, value: bytes) -> bytes:
    return bytes([kind, len(value) + 2]) + value


def _hide(password: bytes, secret: bytes, random: bytes) -> bytes:
    """User-Password (RFC 2865 section 5.2)."""
    padded = password + bytes(-len(password) % AUTHENTICATOR_BYTES)
    hidden, last = b"", random
    for start in range(0, len(padded), AUTHENTICATOR_BYTES):
        mask = hashlib.md5(secret + last, usedforsecurity=False).digest()
        last = bytes(a ^ b for a, b in zip(padded[start : start + AUTHENTICATOR_BYTES], mask, strict=True))
        hidden += last
    return hidden
