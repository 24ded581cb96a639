"""pyrad as a codec: what an Access-Request says, and the bytes of replies. Pure, and never raises but
PacketDropped.

pyrad interprets text values and its types vary with what a peer sends, so attributes are read and written by
number as raw bytes only, without a dictionary; and only packets that passed the gate come here.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Literal

from pyrad.packet import AccessAccept, AccessReject, AcctPacket, AuthPacket

from authgw.errors import PacketDropped
from authgw.names import decode_text, password_candidates
from authgw.radius.attributes import (
    ACCT_INTERIM_INTERVAL,
    ACCT_SESSION_ID,
    CALLED_STATION_ID,
    CALLING_STATION_ID,
    CHAP_PASSWORD,
    CLASS,
    EAP_MESSAGE,
    FRAMED_IP_ADDRESS,
    LOGIN_MARKER,
    MICROSOFT,
    NAS_IDENTIFIER,
    NAS_IP_ADDRESS,
    SESSION_TIMEOUT,
    USER_NAME,
    USER_PASSWORD,
    VENDOR_SPECIFIC,
    normalise_station,
)
from authgw.radius.packet_gate import ACCOUNTING_REQUEST, GatedPacket

ACCT_INTERIM_INTERVAL_SECONDS = 300
"""An update every five minutes bounds how long a lost Stop leaves a session open; RFC 2869 section 5.16 asks
for at least 60 s and recommends 600 s or more, which is too coarse to attribute an address."""

Method = Literal["pap", "chap", "ms-chap", "eap", "none"]
_MS_CHAP_TYPES = frozenset({1, 11, 25})


@dataclass(frozen=True)
class AccessRequest:
    """What an Access-Request says. `passwords` are the UTF-8 readings of a PAP password, at most two,
    likeliest first.

    Never log or store an object of this class: it holds the password.
    """

    name: str
    method: Method
    passwords: tuple[bytes, ...]
    station: str
    called_station: str
    nas_address: bytes | None
    nas_identifier: str
    session_id: str
    framed_address: bytes | None

    def __repr__(self) -> str:
        return f"AccessRequest(name={self.name!r}, method={self.method!r})"


def read_access_request(packet: GatedPacket, secret: bytes) -> AccessRequest:
    """Read a gated Access-Request. Raises PacketDropped `undecodable` if pyrad refuses what the gate let
    pass."""
    try:
        decoded = AuthPacket(secret=secret, packet=packet.data)
    except Exception as error:  # pyrad raises more than its own PacketError on malformed values
        raise PacketDropped("undecodable") from error

    def text(kind: int) -> str:
        return decode_text(b"".join(decoded.get(kind, [])[:1]))

    def address(kind: int) -> bytes | None:
        value = b"".join(decoded.get(kind, [])[:1])
        return bytes(10) + b"\xff\xff" + value if len(value) == 4 else None

    hidden = decoded.get(USER_PASSWORD, [])
    clear = decrypt_password(hidden[0], packet.authenticator, secret) if hidden else b""
    return AccessRequest(
        name=text(USER_NAME),
        method=_method(packet),
        passwords=password_candidates(clear),
        station=normalise_station(text(CALLING_STATION_ID)),
        called_station=text(CALLED_STATION_ID),
        nas_address=address(NAS_IP_ADDRESS),
        nas_identifier=text(NAS_IDENTIFIER),
        session_id=text(ACCT_SESSION_ID),
        framed_address=address(FRAMED_IP_ADDRESS),
    )


def _method(packet: GatedPacket) -> Method:
    if packet.first(USER_PASSWORD) is not None:
        return "pap"
    if packet.first(CHAP_PASSWORD) is not None:
        return "chap"
    if packet.first(EAP_MESSAGE) is not None:
        return "eap"
    for value in packet.values(VENDOR_SPECIFIC):
        if len(value) >= 6 and int.from_bytes(value[:4], "big") == MICROSOFT and value[4] in _MS_CHAP_TYPES:
            return "ms-chap"
    return "none"


def decrypt_password(hidden: bytes, authenticator: bytes, secret: bytes) -> bytes:
    """The clear bytes of a User-Password (RFC 2865 section 5.2) without its padding. pyrad's own decryption
    throws away bytes that are not UTF-8, which loses Thai passwords of old devices."""
    clear = bytearray()
    previous = authenticator
    for start in range(0, len(hidden), 16):
        block = hidden[start : start + 16]
        mask = hashlib.md5(secret + previous, usedforsecurity=False).digest()
        clear += bytes(a ^ b for a, b in zip(block, mask, strict=False))
        previous = block
    return bytes(clear).rstrip(b"\0")


def encode_accept(packet: GatedPacket, secret: bytes, login_id: str, session_timeout_seconds: int | None) -> bytes:
    """Access-Accept with our login marker as Class. Message-Authenticator is the first attribute, always."""
    reply = AuthPacket(secret=secret, packet=packet.data).CreateReply()
    reply.code = AccessAccept
    reply[CLASS] = [LOGIN_MARKER + login_id.encode("ascii")]
    reply[ACCT_INTERIM_INTERVAL] = [struct.pack(">I", ACCT_INTERIM_INTERVAL_SECONDS)]
    if session_timeout_seconds is not None:
        reply[SESSION_TIMEOUT] = [struct.pack(">I", session_timeout_seconds)]
    return reply.ReplyPacket()


def encode_reject(packet: GatedPacket, secret: bytes) -> bytes:
    """Access-Reject, Message-Authenticator first, without a text: a reason would help a guesser."""
    reply = AuthPacket(secret=secret, packet=packet.data).CreateReply()
    reply.code = AccessReject
    return reply.ReplyPacket()


def encode_status_reply(packet: GatedPacket, secret: bytes, role: str) -> bytes:
    """Answer to Status-Server: Access-Accept on the authentication port, Accounting-Response on the other
    (RFC 5997 section 3), Message-Authenticator first."""
    kind = AuthPacket if role == "auth" else AcctPacket
    return kind(secret=secret, packet=packet.data).CreateReply().ReplyPacket()


_EMPTY_RESPONSE = struct.Struct(">BBH")


def encode_accounting_response(packet: GatedPacket, secret: bytes) -> bytes:
    """Accounting-Response (RFC 2866 section 4.2) with the Proxy-State of the request.

    The usual one has no attributes and is made here: pyrad would decode the request a second time for it.
    """
    if len(packet.data) > 20 and any(kind == 33 for kind, _, _ in packet.attributes):
        return AcctPacket(ACCOUNTING_REQUEST, secret=secret, packet=packet.data).CreateReply().ReplyPacket()
    header = _EMPTY_RESPONSE.pack(5, packet.identifier, 20)
    return header + hashlib.md5(header + packet.authenticator + secret, usedforsecurity=False).digest()
