"""The gate every RADIUS packet passes before anything else looks at it. Pure: bytes in, packet or reason out.

A packet that fails is dropped without an answer, because an answer would be an oracle or a reflection; the
reason is the `code` of PacketDropped and is counted. The rules are those of RFC 2865 section 3, RFC 3579
section 3.2, RFC 5997 section 3 and, against CVE-2024-3596, draft-ietf-radext-deprecating-radius.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from authgw.errors import PacketDropped
from authgw.radius.attributes import (
    CHAP_PASSWORD,
    EAP_MESSAGE,
    HEADER_BYTES,
    MESSAGE_AUTHENTICATOR,
    PROXY_STATE,
    USER_PASSWORD,
    Attribute,
    split_attributes,
)

MAX_PACKET_BYTES = 4096
"""RFC 2865 section 3."""
MESSAGE_AUTHENTICATOR_BYTES = 16
ACCESS_REQUEST, ACCOUNTING_REQUEST, STATUS_SERVER = 1, 4, 12
_KNOWN_CODES = frozenset({1, 2, 3, 4, 5, 11, 12, 13, 40, 41, 42, 43, 44, 45})
CODES_OF_ROLE: dict[str, frozenset[int]] = {
    "auth": frozenset({ACCESS_REQUEST, STATUS_SERVER}),
    "acct": frozenset({ACCOUNTING_REQUEST, STATUS_SERVER}),
}

RequireMessageAuthenticator = Literal["yes", "learned", "no"]
DROP_REASONS = (
    "too_short",
    "bad_length",
    "too_long",
    "length_beyond_datagram",
    "unknown_code",
    "wrong_port",
    "attribute_length",
    "attributes_do_not_fill",
    "too_many_attributes",
    "message_authenticator_length",
    "message_authenticator_repeated",
    "message_authenticator_missing",
    "message_authenticator_wrong",
    "status_server_without_message_authenticator",
    "eap_without_message_authenticator",
    "eap_with_password",
    "password_repeated",
    "password_length",
    "proxy_state_without_message_authenticator",
    "accounting_authenticator_wrong",
)


@dataclass(frozen=True, slots=True)
class GatedPacket:
    """A well-formed packet, not yet known to come from a holder of the secret. `data` ends where its Length
    says."""

    code: int
    identifier: int
    authenticator: bytes
    data: bytes
    attributes: tuple[Attribute, ...]
    message_authenticator_offset: int
    """Offset of the value in `data`, or 0 when the packet has none."""

    def values(self, kind: int) -> list[bytes]:
        """Raw values of every attribute of this type, in order."""
        return [self.data[o : o + n] for k, o, n in self.attributes if k == kind]

    def first(self, kind: int) -> bytes | None:
        """Raw value of the first attribute of this type."""
        for k, offset, length in self.attributes:
            if k == kind:
                return self.data[offset : offset + length]
        return None


def check_form(datagram: bytes, role: str) -> GatedPacket:
    """Check everything that needs no secret. `role` is `auth` or `acct`, the socket it came to.

    Bytes behind the header's Length are padding and ignored (RFC 2865 section 3). Raises PacketDropped.
    """
    if len(datagram) < HEADER_BYTES:
        raise PacketDropped("too_short")
    code, identifier = datagram[0], datagram[1]
    length = datagram[2] << 8 | datagram[3]
    if length < HEADER_BYTES:
        raise PacketDropped("bad_length")
    if length > MAX_PACKET_BYTES:
        raise PacketDropped("too_long")
    if length > len(datagram):
        raise PacketDropped("length_beyond_datagram")
    if code not in CODES_OF_ROLE[role]:
        raise PacketDropped("wrong_port" if code in _KNOWN_CODES else "unknown_code")
    data = datagram[:length]
    attributes = split_attributes(data)
    offset = _check_attribute_rules(code, attributes)
    return GatedPacket(code, identifier, data[4:20], data, attributes, offset)


def _check_attribute_rules(code: int, attributes: tuple[Attribute, ...]) -> int:
    """Rules on attributes present together. Returns the offset of the Message-Authenticator's value, or 0."""
    kinds = [kind for kind, _, _ in attributes]
    signature_offset = 0
    for kind, offset, length in attributes:
        if kind == MESSAGE_AUTHENTICATOR:
            if length != MESSAGE_AUTHENTICATOR_BYTES:
                raise PacketDropped("message_authenticator_length")
            if signature_offset:
                raise PacketDropped("message_authenticator_repeated")
            signature_offset = offset
        elif kind == USER_PASSWORD and code == ACCESS_REQUEST and (length % 16 or not 16 <= length <= 128):
            raise PacketDropped("password_length")
    if code == STATUS_SERVER and not signature_offset:
        raise PacketDropped("status_server_without_message_authenticator")
    if EAP_MESSAGE in kinds:
        if not signature_offset:
            raise PacketDropped("eap_without_message_authenticator")
        if USER_PASSWORD in kinds or CHAP_PASSWORD in kinds:
            raise PacketDropped("eap_with_password")
    if kinds.count(USER_PASSWORD) + kinds.count(CHAP_PASSWORD) > 1:
        raise PacketDropped("password_repeated")
    return signature_offset


def check_client_rules(
    packet: GatedPacket, require: RequireMessageAuthenticator, learned: bool, limit_proxy_state: bool
) -> None:
    """The client's own rules for an Access-Request. `learned`: this client has once signed a request that
    needed no signature. Position of the Message-Authenticator is never checked in a request. Raises
    PacketDropped."""
    if packet.code != ACCESS_REQUEST or packet.message_authenticator_offset:
        return
    if require == "yes" or (require == "learned" and learned):
        raise PacketDropped("message_authenticator_missing")
    if limit_proxy_state and packet.first(PROXY_STATE) is not None:
        raise PacketDropped("proxy_state_without_message_authenticator")


def verify_keyed(packet: GatedPacket, secret: bytes) -> None:
    """Check what only a holder of `secret` can have made, in constant time. Raises PacketDropped.

    Accounting-Request: the Request Authenticator (RFC 2866 section 3), and the Message-Authenticator over a
    zero authenticator if there is one. Others: the Message-Authenticator if there is one (RFC 3579 section
    3.2).
    """
    data = packet.data
    if packet.code == ACCOUNTING_REQUEST:
        expected = hashlib.md5(b"".join((data[:4], bytes(16), data[20:], secret)), usedforsecurity=False).digest()
        if not hmac.compare_digest(expected, packet.authenticator):
            raise PacketDropped("accounting_authenticator_wrong")
    offset = packet.message_authenticator_offset
    if not offset:
        return
    vector = bytes(16) if packet.code == ACCOUNTING_REQUEST else packet.authenticator
    signed = b"".join((data[:4], vector, data[20:offset], bytes(16), data[offset + 16 :]))
    if not hmac.compare_digest(hmac.digest(secret, signed, "md5"), data[offset : offset + 16]):
        raise PacketDropped("message_authenticator_wrong")


def proves_signing_client(packet: GatedPacket) -> bool:
    """Whether a verified packet teaches that its client signs: an Access-Request signed without need. EAP
    always carries a signature, so it proves nothing."""
    return (
        packet.code == ACCESS_REQUEST and packet.message_authenticator_offset > 0 and packet.first(EAP_MESSAGE) is None
    )
