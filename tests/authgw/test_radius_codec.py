import contextlib
import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from radius_packets import (
    AUTHENTICATOR,
    SECRET,
    accounting,
    attribute,
    attributes_of,
    hide,
    request,
    sign,
    vendor,
)

from authgw.errors import PacketDropped
from authgw.radius.attributes import is_randomised_station, normalise_station, redact_secrets
from authgw.radius.codec import (
    decrypt_password,
    encode_accept,
    encode_accounting_response,
    encode_reject,
    encode_status_reply,
    read_access_request,
)
from authgw.radius.packet_gate import check_form


def access(*attributes: bytes):
    return check_form(request(1, *attributes), "auth")


def verify_reply(reply: bytes, code: int) -> list[tuple[int, bytes]]:
    """Own check of a reply: Response Authenticator, Message-Authenticator first and right."""
    assert reply[0] == code
    assert int.from_bytes(reply[2:4], "big") == len(reply)
    assert reply[4:20] == hashlib.md5(reply[:4] + AUTHENTICATOR + reply[20:] + SECRET, usedforsecurity=False).digest()
    assert reply[20:22] == b"\x50\x12"
    unsigned = reply[:4] + AUTHENTICATOR + reply[20:22] + bytes(16) + reply[38:]
    assert reply[22:38] == hmac.new(SECRET, unsigned, "md5").digest()
    return attributes_of(reply)


def test_accept_carries_marker_interval_and_timeout():
    packet = access(attribute(1, b"a"), attribute(33, b"one"), attribute(33, b"two"))
    found = verify_reply(encode_accept(packet, SECRET, "ab12", 3600), 2)
    assert (25, b"phayan-login:ab12") in found
    assert (85, (300).to_bytes(4, "big")) in found
    assert (27, (3600).to_bytes(4, "big")) in found
    assert [v for k, v in found if k == 33] == [b"one", b"two"]
    assert not [k for k, _ in found if k == 1]  # nothing the client wrote is echoed
    assert 27 not in dict(verify_reply(encode_accept(packet, SECRET, "ab12", None), 2))


def test_reject_and_status_are_signed_first():
    assert verify_reply(encode_reject(access(attribute(1, b"a")), SECRET), 3)
    status = check_form(sign(request(12)), "auth")
    verify_reply(encode_status_reply(status, SECRET, "auth"), 2)
    verify_reply(encode_status_reply(status, SECRET, "acct"), 5)


@pytest.mark.parametrize("extra", [[], [attribute(33, b"proxy")]])
def test_accounting_response(extra):
    packet = check_form(accounting(attribute(1, b"a"), *extra), "acct")
    reply = encode_accounting_response(packet, SECRET)
    assert reply[0] == 5
    assert reply[1] == packet.identifier
    expected = hashlib.md5(reply[:4] + packet.authenticator + reply[20:] + SECRET, usedforsecurity=False).digest()
    assert reply[4:20] == expected
    assert attributes_of(reply) == ([(33, b"proxy")] if extra else [])


THAI = "รหัสผ่านไทย"


@pytest.mark.parametrize(
    ("clear", "candidates"),
    [
        (b"plain", (b"plain",)),
        (THAI.encode(), (THAI.encode(),)),
        (THAI.encode("tis-620"), (THAI.encode(),)),
        ("รก".encode("tis-620"), (b"\xc3\xa1", "รก".encode())),  # both readings are possible: both are tried
        (b"p" * 128, (b"p" * 128,)),
        (b"in\0side", ()),
        (b"", ()),
        (b"\xff\xfe", ()),
    ],
)
def test_passwords_keep_their_bytes(clear, candidates):
    asked = read_access_request(access(attribute(1, b"a"), attribute(2, hide(clear))), SECRET)
    assert asked.method == "pap"
    assert asked.passwords == candidates


@given(st.binary(min_size=1, max_size=128).filter(lambda b: b[-1] != 0))
def test_decrypt_is_the_inverse_of_hiding(clear):
    assert decrypt_password(hide(clear), AUTHENTICATOR, SECRET) == clear


@pytest.mark.parametrize(
    ("attributes", "method"),
    [
        ([attribute(3, bytes(17))], "chap"),
        ([vendor(311, 11, bytes(16)), vendor(311, 25, bytes(50))], "ms-chap"),
        ([attribute(79, b"\2\1\0\5\1")], "eap"),
        ([], "none"),
    ],
)
def test_methods(attributes, method):
    packet = check_form(sign(request(1, attribute(1, b"a"), *attributes)), "auth")
    assert read_access_request(packet, SECRET).method == method


def test_names_and_stations_are_text():
    asked = read_access_request(
        access(
            attribute(1, "สมชาย".encode("tis-620")),
            attribute(31, b"AA-BB-CC-DD-EE-0F"),
            attribute(4, bytes([10, 0, 0, 1])),
            attribute(8, b"odd"),
            attribute(32, b"0x41"),
        ),
        SECRET,
    )
    assert asked.name == "สมชาย"
    assert asked.station == "aa:bb:cc:dd:ee:0f"
    assert asked.nas_address == bytes(10) + b"\xff\xff\x0a\0\0\1"
    assert asked.framed_address is None
    assert asked.nas_identifier == "0x41"
    assert "password" not in repr(asked)


@pytest.mark.parametrize(
    ("spelling", "normal"),
    [
        ("aa:bb:cc:dd:ee:ff", "aa:bb:cc:dd:ee:ff"),
        ("AA-BB-CC-DD-EE-FF", "aa:bb:cc:dd:ee:ff"),
        ("aabb.ccdd.eeff", "aa:bb:cc:dd:ee:ff"),
        ("AABBCCDDEEFF", "aa:bb:cc:dd:ee:ff"),
        ("aabb-ccdd-eeff", "aa:bb:cc:dd:ee:ff"),
        ("aabbcc-ddeeff", "aa:bb:cc:dd:ee:ff"),
        ("192.168.100.200", "192.168.100.200"),
        ("+66 2 123 4567", "+66 2 123 4567"),
        ("aa:bb:cc:dd:ee", "aa:bb:cc:dd:ee"),
        ("", ""),
    ],
)
def test_station_spellings(spelling, normal):
    assert normalise_station(spelling) == normal


def test_randomised_stations():
    assert is_randomised_station("a2:bb:cc:dd:ee:ff")
    assert not is_randomised_station("a0:bb:cc:dd:ee:ff")
    assert not is_randomised_station("02")


SECRET_ATTRIBUTES = {
    "User-Password": attribute(2, b"S" * 16),
    "CHAP-Password": attribute(3, b"S" * 17),
    "Tunnel-Password": attribute(69, b"S" * 19),
    "EAP-Message": attribute(79, b"S" * 9),
    "MS-CHAP-Response": vendor(311, 1, b"S" * 50),
    "MS-CHAP2-Response": vendor(311, 25, b"S" * 50),
    "MS-MPPE-Send-Key": vendor(311, 16, b"S" * 34),
    "MS-MPPE-Recv-Key": vendor(311, 17, b"S" * 34),
    "MS-CHAP-MPPE-Keys": vendor(311, 12, b"S" * 32),
    "two in one VSA": attribute(26, b"\0\0\x01\x37" + attribute(16, b"SS") + attribute(17, b"SS")),
    "broken VSA": attribute(26, b"\0\0\x01\x37" + b"\x10\x63SSSS"),
}


@pytest.mark.parametrize("case", SECRET_ATTRIBUTES)
def test_secrets_become_zeros_of_equal_length(case):
    before, after = attribute(1, b"name"), vendor(311, 10, b"domain")
    packet = check_form(sign(request(1, before, SECRET_ATTRIBUTES[case], after)), "auth")
    clean = redact_secrets(packet.data, packet.attributes)
    assert len(clean) == len(packet.data)
    assert b"SS" not in clean
    assert before in clean
    assert after in clean


def test_packet_without_secrets_is_unchanged():
    packet = check_form(accounting(attribute(1, b"a"), vendor(14988, 8, b"1M/1M")), "acct")
    assert redact_secrets(packet.data, packet.attributes) == packet.data


@given(st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=40)), max_size=12))
@settings(max_examples=400)
def test_reading_never_raises_another_error(attributes):
    raw = request(1, *[attribute(k, v) for k, v in attributes])
    with contextlib.suppress(PacketDropped):
        packet = check_form(raw, "auth")
        read_access_request(packet, SECRET)
        encode_accept(packet, SECRET, "00", 1)
        encode_reject(packet, SECRET)
        assert len(redact_secrets(packet.data, packet.attributes)) == len(packet.data)
