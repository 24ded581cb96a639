"""Addresses between 16 bytes and text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.addresses import format_address, format_endpoint, parse_address, parse_endpoint, parse_port
from archive.errors import ArchiveFormatError

V4 = bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 7])
V6 = bytes.fromhex("20010db8000000000000000000000001")


@pytest.mark.parametrize(
    ("text", "address"),
    [("10.0.0.7", V4), (" 10.0.0.7 ", V4), ("::ffff:10.0.0.7", V4), ("[2001:db8::1]", V6), ("2001:DB8:0::1", V6)],
)
def test_text_to_bytes(text: str, address: bytes) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "10.0.0", "10.0.0.256", "010.0.0.7", "๑๐.0.0.7", "example.com", "1::2::3", "10", "10.0.0.0/8"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ArchiveFormatError) as caught:
        parse_address(text)
    assert caught.value.code == "bad_address"


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.0.0.7", (V4, None)),
        ("10.0.0.7:443", (V4, 443)),
        (" 10.0.0.7:0 ", (V4, 0)),
        ("2001:db8::1", (V6, None)),
        ("[2001:db8::1]", (V6, None)),
        ("[2001:db8::1]:65535", (V6, 65535)),
    ],
)
def test_endpoints(text: str, endpoint: tuple[bytes, int | None]) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    "text", [":443", "10.0.0.7:", "10.0.0.7:65536", "10.0.0.7:x", "[2001:db8::1]:", "[]:1", "10.0.0.7:-1"]
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ArchiveFormatError):
        parse_endpoint(text)


@pytest.mark.parametrize("text", ["", "-1", "65536", "1e3", "๔๔๓", " 443", "+1", "9" * 400])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(ArchiveFormatError) as caught:
        parse_port(text)
    assert caught.value.code == "bad_port"


def test_forms() -> None:
    assert format_address(bytes(16)) == ""
    assert format_address(V4) == "10.0.0.7"
    assert format_endpoint(V4, 0) == "10.0.0.7:0"
    assert format_endpoint(V4, "") == format_endpoint(V4, None) == "10.0.0.7"
    assert format_endpoint(V6, "1-9") == "[2001:db8::1]:1-9"


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(min_size=16, max_size=16), st.binary(min_size=4, max_size=4).map(lambda b: V4[:12] + b)))
def test_every_address_survives_its_text(address: bytes) -> None:
    if any(address):
        assert parse_address(format_address(address)) == address
        assert parse_endpoint(format_endpoint(address, 443)) == (address, 443)


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789abcdef:.[]% /", max_size=30))
def test_any_text_is_an_endpoint_or_refused_in_the_family(text: str) -> None:
    try:
        address, port = parse_endpoint(text)
    except ArchiveFormatError:
        return
    assert len(address) == 16
    assert port is None or 0 <= port <= 65_535
