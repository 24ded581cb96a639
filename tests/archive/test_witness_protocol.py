"""What witness and log say to each other: the example of tlog-witness, limits, and any bytes."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import ArchiveError, ArchiveFormatError
from archive.note import MAX_NOTE_BYTES, parse_checkpoint_body, split_note
from archive.witness.protocol import (
    MAX_PROOF_LINES,
    MAX_REQUEST_BYTES,
    AddCheckpoint,
    format_request,
    format_size_body,
    hash_origin,
    parse_request,
    parse_signatures_body,
    parse_size_body,
)
from tests.archive.witnessed_logs import GrowingLog

# C2SP tlog-witness, add-checkpoint.
EXAMPLE = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
"""  # noqa: E501
NOTE = GrowingLog().grow(5).note()
REQUEST = GrowingLog().grow(5).request(3)
HASH_LINE = base64.b64encode(bytes(range(32))).decode() + "\n"


def test_the_example_of_the_specification() -> None:
    request = parse_request(EXAMPLE.encode())
    assert (request.old_size, len(request.proof)) == (20852014, 4)
    body, signatures = split_note(request.checkpoint)
    assert parse_checkpoint_body(body.decode()).size == 20852163
    assert len(signatures) == 2
    assert format_request(request.old_size, request.proof, request.checkpoint) == EXAMPLE.encode()


def test_a_request_without_a_proof() -> None:
    assert parse_request(b"old 0\n\n" + NOTE) == AddCheckpoint(0, (), NOTE)
    assert format_request(0, [], NOTE) == b"old 0\n\n" + NOTE


def test_63_hashes_and_the_longest_note_fit_and_64_do_not() -> None:
    hashes = [bytes([n]) * 32 for n in range(MAX_PROOF_LINES + 1)]
    largest = format_request(10**15, hashes[:-1], b"x" * MAX_NOTE_BYTES)
    assert len(largest) <= MAX_REQUEST_BYTES
    assert len(parse_request(largest).proof) == MAX_PROOF_LINES
    with pytest.raises(ArchiveFormatError, match="63"):
        format_request(1, hashes, NOTE)
    with pytest.raises(ArchiveFormatError, match="63"):
        parse_request(f"old 1\n{HASH_LINE * 64}\n".encode() + NOTE)
    with pytest.raises(ArchiveFormatError, match="longer"):
        parse_request(b"old 0\n\n" + b"x" * MAX_REQUEST_BYTES)


@pytest.mark.parametrize(
    "size", [" 15", "+15", "1_5", "015", "１５", "15\r", "15 ", "-15", "", "0x1", "00", "9" * 17, "٣", "1.0", "1e3"]
)
def test_a_size_has_one_spelling(size: str) -> None:
    with pytest.raises(ArchiveFormatError):
        parse_request(f"old {size}\n\n".encode() + NOTE)
    with pytest.raises(ArchiveFormatError):
        parse_size_body(f"{size}\n".encode())


@pytest.mark.parametrize(
    "line",
    [HASH_LINE[:-2] + "\n", HASH_LINE[:-1] + "=\n", HASH_LINE[:-1] + " \n", " " + HASH_LINE, HASH_LINE[:-1] + "\r\n",
     HASH_LINE.replace("8=", "9="), HASH_LINE.replace("A", "_"), base64.b64encode(bytes(31)).decode() + "\n",
     base64.b64encode(bytes(33)).decode() + "\n", "AAA\u00e9\n", HASH_LINE.replace("\n", "\x0b"),
     HASH_LINE * 2 + "=\n"],
)  # fmt: skip
def test_a_hash_has_one_spelling_and_32_bytes(line: str) -> None:
    with pytest.raises(ArchiveFormatError):
        parse_request(f"old 3\n{line}\n".encode() + NOTE)


@pytest.mark.parametrize(
    "body", [b"", b"\n\n", b"old 0\n", b"old 0", b"old 0\r\n\r\n" + NOTE, b"Old 0\n\n" + NOTE, b"old  0\n\n" + NOTE,
             b"\nold 0\n\n" + NOTE, b"old\t0\n\n" + NOTE, NOTE, b"old 0\n" + NOTE, b"\xef\xbb\xbfold 0\n\n" + NOTE]
)  # fmt: skip
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ArchiveFormatError):
        parse_request(body)


def test_bodies_of_answers() -> None:
    assert parse_size_body(format_size_body(0)) == 0
    assert parse_size_body(format_size_body(20852014)) == 20852014
    assert parse_signatures_body("— a b\n— c d\n".encode()) == ["— a b", "— c d"]
    for body in (b"", b"1", b"1\n\n", b"1\r\n", b"\xff\n", "１\n".encode()):
        with pytest.raises(ArchiveFormatError):
            parse_size_body(body)
    for body in (b"", "— a b".encode(), b"\xff\n"):
        with pytest.raises(ArchiveFormatError):
            parse_signatures_body(body)


def test_the_address_of_a_log_is_the_hash_of_its_origin() -> None:
    """printf school.example/log | sha256sum"""
    assert hash_origin("school.example/log") == "6d13a7a4aa70246af98272f5389bd725fa44887a46324bc007f618800fcde6ce"


PIECES = st.sampled_from([b"old 3", b"old ", b"\n", b"\n\n", HASH_LINE.encode(), NOTE, b"0", b"\x00", b"\xff", b" "])


@settings(max_examples=2000, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.lists(PIECES, max_size=6).map(b"".join)), st.integers(0, len(REQUEST)))
def test_any_bytes_are_read_as_they_are_or_refused_in_the_family(data: bytes, place: int) -> None:
    for body in (data, REQUEST[:place] + data, REQUEST[:place] + data + REQUEST[place:], data + REQUEST[place:]):
        try:
            request = parse_request(body)
        except ArchiveError:
            continue
        assert format_request(request.old_size, request.proof, request.checkpoint) == body
    for parse in (parse_size_body, parse_signatures_body):
        try:
            parse(data)
        except ArchiveError:
            continue
