"""Attributes of a RADIUS packet as raw bytes: numbers, splitting, secrets removed, stations. Pure."""

import re
import struct

from authgw.errors import PacketDropped

HEADER_BYTES = 20
MAX_ATTRIBUTES = 200
"""No NAS sends more; the bound FreeRADIUS ships (`max_attributes`)."""

USER_NAME, USER_PASSWORD, CHAP_PASSWORD, NAS_IP_ADDRESS, NAS_PORT = 1, 2, 3, 4, 5
SERVICE_TYPE, FRAMED_IP_ADDRESS = 6, 8
CLASS, VENDOR_SPECIFIC, SESSION_TIMEOUT = 25, 26, 27
CALLED_STATION_ID, CALLING_STATION_ID, NAS_IDENTIFIER, PROXY_STATE = 30, 31, 32, 33
ACCT_STATUS_TYPE, ACCT_DELAY_TIME, ACCT_INPUT_OCTETS, ACCT_OUTPUT_OCTETS = 40, 41, 42, 43
ACCT_SESSION_ID, ACCT_SESSION_TIME, ACCT_TERMINATE_CAUSE, ACCT_MULTI_SESSION_ID = 44, 46, 49, 50
ACCT_INPUT_GIGAWORDS, ACCT_OUTPUT_GIGAWORDS, EVENT_TIMESTAMP = 52, 53, 55
TUNNEL_PASSWORD, ARAP_PASSWORD, EAP_MESSAGE, MESSAGE_AUTHENTICATOR = 69, 70, 79, 80
ACCT_INTERIM_INTERVAL, NAS_PORT_ID, NAS_IPV6_ADDRESS = 85, 87, 95
FRAMED_IPV6_PREFIX, FRAMED_IPV6_ADDRESS = 97, 168

LOGIN_MARKER = b"phayan-login:"
"""Begins the Class value we send in an Access-Accept; the login_id follows. A NAS returns it in accounting
(RFC 2865 section 5.25), which is the proof that the session belongs to this login."""

MICROSOFT, ASCEND, MIKROTIK = 311, 529, 14988
_SECRET_TYPES = frozenset({USER_PASSWORD, CHAP_PASSWORD, TUNNEL_PASSWORD, ARAP_PASSWORD, EAP_MESSAGE})
"""EAP-Message is among them: EAP-GTC carries a password in clear."""
_SECRET_VENDOR_TYPES: dict[int, frozenset[int]] = {
    MICROSOFT: frozenset({1, 2, 3, 4, 5, 6, 12, 16, 17, 25, 26, 27}),  # RFC 2548: responses, CPW, MPPE keys
    ASCEND: frozenset({214, 215}),
    MIKROTIK: frozenset({7, 16}),
}

Attribute = tuple[int, int, int]
"""(type, offset of the value in the packet, length of the value in bytes)."""


def split_attributes(packet: bytes) -> tuple[Attribute, ...]:
    """The attributes behind the 20-byte header, in order.

    Raises PacketDropped `attribute_length`, `attributes_do_not_fill` or `too_many_attributes` (RFC 2865
    section 5).
    """
    attributes: list[Attribute] = []
    offset, end = HEADER_BYTES, len(packet)
    while offset < end:
        if offset + 2 > end:
            raise PacketDropped("attributes_do_not_fill")
        length = packet[offset + 1]
        if length < 2:
            raise PacketDropped("attribute_length")
        if offset + length > end:
            raise PacketDropped("attributes_do_not_fill")
        attributes.append((packet[offset], offset + 2, length - 2))
        offset += length
    if len(attributes) > MAX_ATTRIBUTES:
        raise PacketDropped("too_many_attributes")
    return tuple(attributes)


def redact_secrets(packet: bytes, attributes: tuple[Attribute, ...]) -> bytes:
    """`packet` with the values of password and key attributes as zero bytes of equal length."""
    clean: bytearray | None = None
    for kind, offset, length in attributes:
        if kind in _SECRET_TYPES:
            spans = [(offset, length)]
        elif kind == VENDOR_SPECIFIC:
            spans = _secret_vendor_spans(packet, offset, length)
        else:
            continue
        for start, size in spans:
            clean = bytearray(packet) if clean is None else clean
            clean[start : start + size] = bytes(size)
    return packet if clean is None else bytes(clean)


def _secret_vendor_spans(packet: bytes, offset: int, length: int) -> list[tuple[int, int]]:
    """Where secrets lie in a Vendor-Specific value (RFC 2865 section 5.26). Of a vendor that has secrets, a
    value that cannot be taken apart is a secret as a whole."""
    if length < 4:
        return []
    secret_types = _SECRET_VENDOR_TYPES.get(struct.unpack_from(">I", packet, offset)[0])
    if secret_types is None:
        return []
    spans: list[tuple[int, int]] = []
    position, end = offset + 4, offset + length
    while position < end:
        size = packet[position + 1] if position + 2 <= end else 0
        if size < 2 or position + size > end:
            return [(offset + 4, length - 4)]
        if packet[position] in secret_types:
            spans.append((position + 2, size - 2))
        position += size
    return spans


_STATION = re.compile(
    r"(?:[0-9a-f]{2}(?::[0-9a-f]{2}){5}"  # aa:bb:cc:dd:ee:ff
    r"|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}"  # aa-bb-cc-dd-ee-ff
    r"|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}"  # aabb.ccdd.eeff
    r"|[0-9a-f]{4}(?:-[0-9a-f]{4}){2}"  # aabb-ccdd-eeff
    r"|[0-9a-f]{6}-?[0-9a-f]{6})"  # aabbccddeeff, aabbcc-ddeeff
)


def normalise_station(text: str) -> str:
    """A MAC address in any of the usual spellings as `aa:bb:cc:dd:ee:ff`; any other station as it came,
    trimmed.

    Whole spellings are matched, because removing separators would make a MAC address of `192.168.100.200`.
    """
    lowered = text.strip().lower()
    if not _STATION.fullmatch(lowered):
        return text.strip()
    digits = re.sub("[^0-9a-f]", "", lowered)
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def is_randomised_station(station: str) -> bool:
    """Whether a normalised MAC address has the locally-administered bit: it identifies nothing beyond its
    session."""
    return len(station) == 17 and station[2] == ":" and station[1] in "26ae"
