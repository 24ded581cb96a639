"""Checkpoints as the sealer writes and reads them."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import ArchiveError, ArchiveFormatError, ArchiveIntegrityError
from archive.note import (
    MAX_NOTE_BYTES,
    Checkpoint,
    VerifierKey,
    decode_base64,
    format_checkpoint,
    is_key_name,
    open_checkpoint,
    parse_checkpoint_body,
    parse_verifier_key,
    sign_checkpoint,
)
from tests.archive.verify.corpus import require

ORIGIN = "phayan.test/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERIFIER = VerifierKey(ORIGIN, KEY.public_key().public_bytes_raw())
HEAD = Checkpoint(ORIGIN, 42, bytes(range(32)))
NOTE = sign_checkpoint(HEAD, KEY)
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


def resign(body: bytes) -> bytes:
    """A note whose signature is right over another body."""
    signature = base64.b64encode(VERIFIER.key_id + KEY.sign(body)).decode()
    return body + f"\n— {ORIGIN} {signature}\n".encode()


def test_a_signed_checkpoint_comes_back() -> None:
    assert open_checkpoint(NOTE, VERIFIER) == HEAD
    assert sign_checkpoint(HEAD, KEY) == NOTE
    assert NOTE.startswith(format_checkpoint(HEAD))


def test_every_changed_byte_is_refused() -> None:
    for position in range(len(NOTE)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytearray(NOTE)
            changed[position] ^= bit
            with pytest.raises(ArchiveError):
                open_checkpoint(bytes(changed), VERIFIER)


def test_signatures_of_others_are_ignored_but_do_not_help() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    other_line = sign_checkpoint(Checkpoint("witness.example", 42, HEAD.root), other).split(b"\n\n")[1]
    assert open_checkpoint(NOTE + other_line, VERIFIER) == HEAD
    with pytest.raises(ArchiveIntegrityError):
        open_checkpoint(format_checkpoint(HEAD) + b"\n" + other_line, VERIFIER)
    with pytest.raises(ArchiveIntegrityError):
        open_checkpoint(sign_checkpoint(HEAD, other), VERIFIER)


def test_a_wrong_signature_beside_a_right_one_is_refused() -> None:
    wrong = base64.b64encode(VERIFIER.key_id + bytes(64)).decode()
    with pytest.raises(ArchiveIntegrityError):
        open_checkpoint(NOTE + f"— {ORIGIN} {wrong}\n".encode(), VERIFIER)


@pytest.mark.parametrize(
    "note",
    [b"", b"\n\n", NOTE[:-1], NOTE + b"\n", NOTE.replace("—".encode(), b"-"), NOTE.replace(b"\n\n", b"\n"),
     NOTE.replace(b"42", b"4\t2"), b"\xff" + NOTE, NOTE + b"x" * MAX_NOTE_BYTES, NOTE.replace(b"\n", b"\r\n"),
     NOTE[:-1] + b" x\n", format_checkpoint(HEAD) + b"\n"],
)  # fmt: skip
def test_what_is_no_note_is_refused(note: bytes) -> None:
    with pytest.raises(ArchiveFormatError):
        open_checkpoint(note, VERIFIER)


@pytest.mark.parametrize("size", ["042", "-1", "+42", "4_2", "٤٢", "4.2", "", "0x2a", "99999999999999999"])
def test_a_size_has_one_spelling(size: str) -> None:
    body = format_checkpoint(HEAD).replace(b"\n42\n", f"\n{size}\n".encode())
    with pytest.raises(ArchiveFormatError):
        open_checkpoint(resign(body), VERIFIER)


@pytest.mark.parametrize(
    "body",
    [
        f"{ORIGIN}\n42\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n42\n{base64.b64encode(bytes(32)).decode()}\nextension\n",
        f"{ORIGIN}\n42\n",
        f"two words\n42\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n42\n{base64.b64encode(bytes(32)).decode().rstrip('=')}\n",
        f"{ORIGIN}\n42\n {base64.b64encode(bytes(32)).decode()}\n",
    ],
)
def test_a_signed_body_of_another_form_is_refused(body: str) -> None:
    with pytest.raises(ArchiveFormatError):
        open_checkpoint(resign(body.encode()), VERIFIER)
    with pytest.raises(ArchiveFormatError):
        parse_checkpoint_body(body)


def test_a_checkpoint_of_another_log_signed_by_our_key_is_refused() -> None:
    """C2SP tlog-checkpoint: the origin line is part of what a reader checks."""
    foreign = format_checkpoint(Checkpoint("phayan.test/other", 42, HEAD.root))
    with pytest.raises(ArchiveError):
        open_checkpoint(resign(foreign), VERIFIER)


def test_verifier_keys() -> None:
    assert parse_verifier_key(VERIFIER.text()) == VERIFIER
    assert parse_verifier_key(TESSERA_KEY).text() == TESSERA_KEY
    assert parse_verifier_key(TESSERA_KEY).key_id.hex() == "33d7b496"


@pytest.mark.parametrize(
    "text",
    ["", "a+b", "name+00000000+AeHT", TESSERA_KEY[:-1], TESSERA_KEY.replace("33d7", "33D7"),
     TESSERA_KEY.replace("33d7", "33d8"),
     TESSERA_KEY + "=", TESSERA_KEY.replace("+Ae", "+Be"), " " + TESSERA_KEY, TESSERA_KEY + "\n", "+".join(["x"] * 5)],
)  # fmt: skip
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(ArchiveFormatError):
        parse_verifier_key(text)


@pytest.mark.parametrize("text", ["a", "AA", "AA==\n", "AB==", "A A=", "____", "AA==AA=="])
def test_base64_has_one_spelling(text: str) -> None:
    with pytest.raises(ArchiveFormatError):
        decode_base64(text)


def test_key_names() -> None:
    assert is_key_name(ORIGIN)
    assert is_key_name("โรงเรียน.example")
    assert not any(is_key_name(name) for name in ("", "a b", "a+b", "a\n", "a\u2003b", "a\x01", "x" * 256))


def test_every_tessera_checkpoint_is_opened() -> None:
    log = require("tlog") / "log"
    found = [open_checkpoint(path.read_bytes(), parse_verifier_key(TESSERA_KEY)) for path in log.glob("checkpoint*")]
    assert {c.origin for c in found} == {"example.com/log/testdata"}
    assert max(c.size for c in found) == 15


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace"))))
def test_any_bytes_are_refused_in_the_family(data: bytes) -> None:
    for note in (data, NOTE[:40] + data, data + NOTE[60:]):
        if note != NOTE:
            with pytest.raises(ArchiveError):
                open_checkpoint(note, VERIFIER)
