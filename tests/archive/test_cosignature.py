"""Cosignatures: the public values of transparency-dev/formats, round trips, and what must not be taken for one."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.cosignature import (
    COSIGNATURE_TYPE,
    MAX_UNIX_SECONDS,
    WitnessKey,
    parse_witness_key,
    read_cosignature_time,
    sign_cosignature,
    verify_cosignature,
)
from archive.errors import ArchiveError, ArchiveFormatError, ArchiveIntegrityError
from archive.note import (
    ED25519_TYPE,
    Checkpoint,
    NoteSignature,
    compute_key_id,
    format_checkpoint,
    parse_signature_line,
    parse_verifier_key,
    split_note,
)
from tests.archive.witnessed_logs import GrowingLog, private_key

NAME = "witness.example/w1"
KEY = private_key(NAME)
WITNESS = WitnessKey(NAME, KEY.public_key().public_bytes_raw())
BODY = format_checkpoint(Checkpoint("school.example/log", 42, bytes(range(32))))
SECONDS = 1_795_000_000
LINE = sign_cosignature(BODY, SECONDS, NAME, KEY)

# transparency-dev/formats, note/note_cosigv1_test.go
PUBLIC_BLOB = "ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWWOworDcFiEBYJXORmnFBOBA=="
PUBLIC_BLOB_OF_TYPE_1 = "eQjRQm6eSKzFoiYalgwCPXu2y3ijtg68is9M46JKxuZB+dRfTmeQeDBoXnvxZx2ugnkyV+MUMLXpWs1hPb/W/4xkNQY="
PUBLIC_WITNESS_KEY = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
PUBLIC_LOG_KEY = "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6"


def test_the_public_cosignature_states_its_time() -> None:
    assert read_cosignature_time(parse_signature_line(f"— TEST {PUBLIC_BLOB}")) == 1727964367
    with pytest.raises(ArchiveFormatError):
        read_cosignature_time(parse_signature_line(f"— TEST {PUBLIC_BLOB_OF_TYPE_1}"))


def test_public_keys_of_both_types() -> None:
    assert parse_witness_key(PUBLIC_WITNESS_KEY).text() == PUBLIC_WITNESS_KEY
    assert parse_witness_key(PUBLIC_WITNESS_KEY).key_id.hex() == "da77ade7"
    with pytest.raises(ArchiveFormatError):
        parse_witness_key(PUBLIC_LOG_KEY)
    with pytest.raises(ArchiveFormatError):
        parse_verifier_key(PUBLIC_WITNESS_KEY)
    assert parse_verifier_key(PUBLIC_LOG_KEY).text() == PUBLIC_LOG_KEY


@pytest.mark.parametrize(
    "text",
    ["bananas.sigstore.dev+12344556", "rekor.sigstore.dev+12345678+THIS_IS_NOT_BASE64!",
     "rekor.sigstore.dev+12345678+AwEB", PUBLIC_WITNESS_KEY.replace("da77ade7", "NOT_A_NUMBER"),
     PUBLIC_WITNESS_KEY.replace("da77ade7", "00000000"), PUBLIC_WITNESS_KEY.replace("da77ade7", "DA77ADE7"),
     PUBLIC_WITNESS_KEY + "\n", " " + PUBLIC_WITNESS_KEY, PUBLIC_WITNESS_KEY[:-1], PUBLIC_WITNESS_KEY + "=",
     PUBLIC_WITNESS_KEY.replace("n621", "n 621"), "", "++"],
)  # fmt: skip
def test_what_is_no_witness_key_is_refused(text: str) -> None:
    with pytest.raises(ArchiveFormatError):
        parse_witness_key(text)


def test_a_cosignature_is_dated_and_signed_as_the_specification_says() -> None:
    assert verify_cosignature(LINE, BODY, WITNESS) == SECONDS
    prefix, name, encoded = LINE.split(" ")
    blob = base64.b64decode(encoded)
    assert (prefix, name, len(blob)) == ("—", NAME, 4 + 8 + 64)
    assert blob[:4] == compute_key_id(NAME, COSIGNATURE_TYPE, WITNESS.public_key)
    assert blob[:4] != compute_key_id(NAME, ED25519_TYPE, WITNESS.public_key)
    assert int.from_bytes(blob[4:12], "big") == SECONDS
    message = b"cosignature/v1\ntime 1795000000\n" + BODY
    Ed25519PublicKey.from_public_bytes(WITNESS.public_key).verify(blob[12:], message)


def test_every_changed_bit_of_the_signature_is_refused() -> None:
    blob = base64.b64decode(LINE.split(" ")[2])
    for place in range(8 * len(blob)):
        changed = bytearray(blob)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(ArchiveError):
            verify_cosignature(f"— {NAME} {base64.b64encode(changed).decode()}", BODY, WITNESS)


def test_every_changed_byte_of_the_checkpoint_is_refused() -> None:
    for place in range(len(BODY)):
        changed = bytearray(BODY)
        changed[place] ^= 1
        with pytest.raises(ArchiveIntegrityError):
            verify_cosignature(LINE, bytes(changed), WITNESS)
    with pytest.raises(ArchiveIntegrityError):
        verify_cosignature(LINE, BODY + b"extension\n", WITNESS)


def test_a_signature_of_another_key_or_name_is_refused() -> None:
    other = private_key("other")
    for line in (
        sign_cosignature(BODY, SECONDS, NAME, other),
        sign_cosignature(BODY, SECONDS, "witness.example/w2", KEY),
        NoteSignature(NAME, WITNESS.key_id, SECONDS.to_bytes(8, "big") + other.sign(BODY)).text(),
        # A log's signature (type 1) under the witness's name and id, as long as it should be or not.
        NoteSignature(NAME, WITNESS.key_id, KEY.sign(BODY)).text(),
        NoteSignature(NAME, WITNESS.key_id, SECONDS.to_bytes(8, "big") + KEY.sign(BODY)).text(),
    ):
        with pytest.raises(ArchiveError):
            verify_cosignature(line, BODY, WITNESS)


@pytest.mark.parametrize(
    "line",
    ["", LINE + "\n", LINE + " ", " " + LINE, LINE.replace("—", "-"), LINE.replace("— ", "—"), LINE[:-1],
     LINE.replace(" w", "  w"), LINE.replace(NAME, ""), LINE.replace(NAME, "witness.example/w1\u00a0"),
     LINE.replace(NAME, "witness+example"), LINE + "\r", LINE.replace(" ", "\t"), f"— {NAME} AAAA", f"— {NAME} "],
)  # fmt: skip
def test_what_is_no_signature_line_is_refused(line: str) -> None:
    with pytest.raises(ArchiveFormatError):
        verify_cosignature(line, BODY, WITNESS)


def test_base64_with_other_spare_bits_is_refused() -> None:
    """`...cs=` and `...ct=` decode to the same bytes with Python's decoder."""
    name = "w"
    key = WitnessKey(name, WITNESS.public_key)
    line = sign_cosignature(BODY, SECONDS, name, KEY)
    assert line.endswith("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = line.rstrip("=")[-1]
    twin = line.rstrip("=")[:-1] + alphabet[alphabet.index(last) ^ 1] + "=" * line.count("=")
    assert base64.b64decode(twin.split(" ")[2], validate=True) == base64.b64decode(line.split(" ")[2])
    with pytest.raises(ArchiveFormatError):
        verify_cosignature(twin, BODY, key)


def test_only_checkpoints_and_only_times_of_a_calendar_are_signed() -> None:
    assert verify_cosignature(sign_cosignature(BODY, 0, NAME, KEY), BODY, WITNESS) == 0
    assert verify_cosignature(sign_cosignature(BODY, MAX_UNIX_SECONDS, NAME, KEY), BODY, WITNESS) == MAX_UNIX_SECONDS
    for body, seconds, name in (
        (b"hello\n", SECONDS, NAME), (BODY + b"x\n", SECONDS, NAME), (BODY[:-1], SECONDS, NAME), (b"\xff", 1, NAME),
        (BODY, -1, NAME), (BODY, MAX_UNIX_SECONDS + 1, NAME), (BODY, SECONDS, "two words"),
    ):  # fmt: skip
        with pytest.raises(ArchiveFormatError):
            sign_cosignature(body, seconds, name, KEY)
    late = (2**63).to_bytes(8, "big")
    line = NoteSignature(NAME, WITNESS.key_id, late + KEY.sign(BODY)).text()
    with pytest.raises(ArchiveFormatError, match="9999"):
        verify_cosignature(line, BODY, WITNESS)


def test_a_note_of_many_signatures_is_split() -> None:
    log = GrowingLog().grow(3)
    lines = [sign_cosignature(BODY, SECONDS, f"witness.example/{n}", KEY) for n in range(40)]
    note = log.note() + "".join(f"{line}\n" for line in lines).encode()
    body, signatures = split_note(note)
    assert body == format_checkpoint(log.head())
    assert [signature.text() for signature in signatures[1:]] == lines
    assert len(signatures) == 41


@pytest.mark.parametrize(
    "extra", ["\n", "— w\n", "— w AAAA\n", "w AAAAAAAA\n", "— w AAAAAAAA", "— w AAAAAAAB\r\n", "— w+x AAAAAAAA\n",
              "— w  AAAAAAAA\n", "— w AAAAAAAA \n", "— w AAAAAAA=\n\n"],
)  # fmt: skip
def test_a_note_with_a_line_that_is_no_signature_is_refused(extra: str) -> None:
    with pytest.raises(ArchiveFormatError):
        split_note(GrowingLog().grow().note() + extra.encode())


PIECES = st.sampled_from(
    [NAME, "—", " ", "+", "\n", "=", "AAAA", LINE, LINE[:60], PUBLIC_WITNESS_KEY, "\u2003", "\x00"]
)
TEXTS = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=6).map("".join))


@settings(max_examples=2000, deadline=None)
@given(TEXTS, TEXTS)
def test_any_text_is_read_or_refused_in_the_family(first: str, second: str) -> None:
    for text in (first + second, first + LINE + second, LINE[: len(first)] + second, PUBLIC_WITNESS_KEY + second):
        try:
            assert verify_cosignature(text, BODY, WITNESS) == SECONDS
            assert text == LINE
        except ArchiveError:
            assert text != LINE
        try:
            assert parse_witness_key(text).text() == text
        except ArchiveError:
            assert text != PUBLIC_WITNESS_KEY


@settings(max_examples=2000, deadline=None)
@given(st.one_of(st.binary(max_size=80), TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_note_is_split_into_what_it_was_or_refused_in_the_family(data: bytes) -> None:
    note = GrowingLog().grow().note()
    for candidate in (data, note + data, note[: len(data)] + data, data + note):
        try:
            body, signatures = split_note(candidate)
        except ArchiveError:
            continue
        assert body + b"\n" + "".join(f"{s.text()}\n" for s in signatures).encode() == candidate
