"""Every rule of the gate, each with a packet of one fault."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from radius_packets import SECRET, accounting, attribute, hide, request, sign

from authgw.errors import PacketDropped
from authgw.radius.packet_gate import (
    DROP_REASONS,
    check_client_rules,
    check_form,
    proves_signing_client,
    verify_keyed,
)

NAME = attribute(1, b"somchai")
PASSWORD = attribute(2, hide(b"password9"))
GOOD = request(1, NAME, PASSWORD)
SIGNATURE = attribute(80, bytes(16))
EAP = attribute(79, b"\x02\x01\x00\x05\x01")


def with_length(packet: bytes, length: int) -> bytes:
    return packet[:2] + length.to_bytes(2, "big") + packet[4:]


ONE_FAULT = {
    "empty": (b"", "auth", "too_short"),
    "19 bytes": (GOOD[:19], "auth", "too_short"),
    "length below header": (with_length(GOOD, 19), "auth", "bad_length"),
    "length over 4096": (with_length(GOOD + bytes(4096), 4097), "auth", "too_long"),
    "length beyond datagram": (with_length(GOOD, len(GOOD) + 1), "auth", "length_beyond_datagram"),
    "code zero": (request(0, NAME), "auth", "unknown_code"),
    "code unknown": (request(200, NAME), "auth", "unknown_code"),
    "accounting on auth": (accounting(NAME), "auth", "wrong_port"),
    "access on acct": (GOOD, "acct", "wrong_port"),
    "accept as request": (request(2, NAME), "auth", "wrong_port"),
    "attribute length 1": (request(1, b"\x01\x01"), "auth", "attribute_length"),
    "attribute length 0": (request(1, b"\x01\x00"), "auth", "attribute_length"),
    "half attribute header": (request(1, NAME, b"\x01"), "auth", "attributes_do_not_fill"),
    "attribute overruns": (request(1, b"\x01\x09abc"), "auth", "attributes_do_not_fill"),
    "201 attributes": (request(1, *[attribute(33, b"")] * 201), "auth", "too_many_attributes"),
    "signature of 15": (request(1, attribute(80, bytes(15))), "auth", "message_authenticator_length"),
    "signature of 17": (request(1, attribute(80, bytes(17))), "auth", "message_authenticator_length"),
    "two signatures": (request(1, SIGNATURE, SIGNATURE), "auth", "message_authenticator_repeated"),
    "status unsigned": (request(12), "auth", "status_server_without_message_authenticator"),
    "status unsigned acct": (request(12), "acct", "status_server_without_message_authenticator"),
    "eap unsigned": (request(1, EAP), "auth", "eap_without_message_authenticator"),
    "eap and pap": (request(1, EAP, PASSWORD, SIGNATURE), "auth", "eap_with_password"),
    "eap and chap": (request(1, EAP, attribute(3, bytes(17)), SIGNATURE), "auth", "eap_with_password"),
    "two passwords": (request(1, PASSWORD, PASSWORD), "auth", "password_repeated"),
    "pap and chap": (request(1, PASSWORD, attribute(3, bytes(17))), "auth", "password_repeated"),
    "password of 15": (request(1, attribute(2, bytes(15))), "auth", "password_length"),
    "password empty": (request(1, attribute(2, b"")), "auth", "password_length"),
    "password of 144": (request(1, attribute(2, bytes(144))), "auth", "password_length"),
}


def drop_reason(call, *arguments) -> str:
    with pytest.raises(PacketDropped) as caught:
        call(*arguments)
    return caught.value.code


@pytest.mark.parametrize("case", ONE_FAULT)
def test_one_fault_is_dropped_with_its_reason(case):
    packet, role, reason = ONE_FAULT[case]
    assert drop_reason(check_form, packet, role) == reason


def test_every_reason_is_tested_here():
    tested = {reason for _, _, reason in ONE_FAULT.values()}
    keyed = {
        "message_authenticator_missing",
        "proxy_state_without_message_authenticator",
        "message_authenticator_wrong",
        "accounting_authenticator_wrong",
    }
    assert tested | keyed == set(DROP_REASONS)


def test_limits_themselves_pass():
    full = request(1, *[attribute(33, b"")] * 200)
    assert len(check_form(full, "auth").attributes) == 200
    largest = request(1, *[attribute(33, bytes(253))] * 15, attribute(33, bytes(249)))
    assert len(largest) == 4096
    assert len(check_form(largest, "auth").data) == 4096
    assert check_form(request(1, attribute(2, bytes(128))), "auth").first(2) == bytes(128)


def test_bytes_behind_length_are_padding():
    packet = check_form(GOOD + b"padding", "auth")
    assert packet.data == GOOD
    assert packet.first(1) == b"somchai"


@pytest.mark.parametrize("first", [True, False])
def test_signature_verifies_wherever_it_stands(first):
    packet = check_form(sign(GOOD, first=first), "auth")
    verify_keyed(packet, SECRET)
    assert drop_reason(verify_keyed, packet, b"another-secret") == "message_authenticator_wrong"


@pytest.mark.parametrize("position", [0, 1, 4, 25, -1])
def test_any_changed_byte_breaks_the_signature(position):
    signed = bytearray(sign(GOOD))
    signed[position if position > 1 or position < 0 else 1] ^= 1
    assert drop_reason(verify_keyed, check_form(bytes(signed), "auth"), SECRET) == "message_authenticator_wrong"


def test_unsigned_access_request_passes_keyed_check():
    verify_keyed(check_form(GOOD, "auth"), SECRET)


def test_accounting_authenticator():
    good = accounting(NAME, attribute(40, b"\0\0\0\1"))
    verify_keyed(check_form(good, "acct"), SECRET)
    assert drop_reason(verify_keyed, check_form(good, "acct"), b"other") == "accounting_authenticator_wrong"
    changed = good[:-1] + b"\x02"
    assert drop_reason(verify_keyed, check_form(changed, "acct"), SECRET) == "accounting_authenticator_wrong"


def test_accounting_with_wrong_message_authenticator():
    packet = accounting(NAME, attribute(80, b"x" * 16))
    assert drop_reason(verify_keyed, check_form(packet, "acct"), SECRET) == "message_authenticator_wrong"


PROXY = request(1, NAME, PASSWORD, attribute(33, b"p"))


@pytest.mark.parametrize(
    ("packet", "require", "learned", "limit", "reason"),
    [
        (GOOD, "yes", False, False, "message_authenticator_missing"),
        (GOOD, "learned", True, False, "message_authenticator_missing"),
        (GOOD, "learned", False, True, None),
        (GOOD, "no", True, True, None),
        (PROXY, "no", False, True, "proxy_state_without_message_authenticator"),
        (PROXY, "learned", False, True, "proxy_state_without_message_authenticator"),
        (PROXY, "no", False, False, None),
        (sign(GOOD), "yes", True, True, None),
        (sign(PROXY), "no", False, True, None),
        (sign(request(12)), "yes", True, True, None),
    ],
)
def test_client_rules(packet, require, learned, limit, reason):
    gated = check_form(packet, "auth")
    if reason is None:
        check_client_rules(gated, require, learned, limit)
    else:
        assert drop_reason(check_client_rules, gated, require, learned, limit) == reason


def test_only_a_signature_without_need_teaches():
    assert proves_signing_client(check_form(sign(GOOD), "auth"))
    assert not proves_signing_client(check_form(GOOD, "auth"))
    assert not proves_signing_client(check_form(sign(request(1, NAME, EAP)), "auth"))
    assert not proves_signing_client(check_form(sign(request(12)), "auth"))


def judge(datagram: bytes, role: str):
    """Reason of the drop and None, or `passed` and the packet; any other exception fails the test."""
    try:
        packet = check_form(datagram, role)
        verify_keyed(packet, SECRET)
    except PacketDropped as drop:
        return drop.code, None
    return "passed", packet


@given(st.binary(max_size=300), st.sampled_from(["auth", "acct"]))
@settings(max_examples=500)
def test_random_bytes_never_raise_another_error(datagram, role):
    verdict, _ = judge(datagram, role)
    assert verdict in ("passed", *DROP_REASONS)


@given(st.data())
@settings(max_examples=500)
def test_mutations_never_raise_another_error(data):
    role, base = data.draw(
        st.sampled_from([("auth", sign(PROXY)), ("auth", sign(request(1, EAP))), ("acct", accounting(NAME))])
    )
    mutated = bytearray(base)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(mutated[: data.draw(st.integers(0, len(mutated)))])
    for packet in (bytes(mutated), cut):
        verdict, gated = judge(packet, role)
        assert verdict in ("passed", *DROP_REASONS)
        if gated is not None:
            unsigned = role == "auth" and not gated.message_authenticator_offset
            assert unsigned or gated.data == base  # nothing else can be authentic
