"""Notes, keys and checkpoints: one spelling each, and every trap of Python's own parsers."""

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import ArchiveFormatError, ArchiveIntegrityError
from archive.verify.merkle import compute_root, hash_leaf
from archive.verify.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    verify_note,
)
from archive.verify.tiles import split_entries
from tests.archive.verify.corpus import require
from tests.archive.verify.hand_made_log import HandMadeLog, root_of

ROOT = base64.b64encode(bytes(range(32))).decode()
DASH = "\u2014"
SIGNATURE = base64.b64encode(bytes(68)).decode()
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


@pytest.fixture
def log(tmp_path: Path) -> HandMadeLog:
    return HandMadeLog(tmp_path / "data")


def note(text: str, signatures: str = f"{DASH} example.com/log {SIGNATURE}\n") -> bytes:
    return f"{text}\n{signatures}".encode()


def test_text_and_signatures_split_at_the_last_empty_line() -> None:
    parsed = parse_note(note("one\n\ntwo\n"))
    assert parsed.text == b"one\n\ntwo\n"
    [signature] = parsed.signatures
    assert (signature.name, signature.key_id, signature.signature) == ("example.com/log", bytes(4), bytes(64))


def test_many_signatures_are_allowed_and_bounded() -> None:
    line = f"{DASH} example.com/log {SIGNATURE}\n"
    large = f"{DASH} example.com/log {base64.b64encode(bytes(5_000)).decode()}\n"
    assert len(parse_note(note("x\n", large * 16)).signatures) == 16
    assert len(parse_note(note("x\n", line * MAX_SIGNATURES)).signatures) == MAX_SIGNATURES
    with pytest.raises(ArchiveFormatError):
        parse_note(note("x\n", line * (MAX_SIGNATURES + 1)))


BAD_NOTES = {
    "empty": b"",
    "no signatures": b"text\n",
    "no signature line": b"text\n\n",
    "no empty line": f"text\n{DASH} n {SIGNATURE}\n".encode(),
    "no last newline": note("x\n")[:-1],
    "empty line behind": note("x\n") + b"\n",
    "carriage return": note("x\r\n"),
    "tab": note("x\ty\n"),
    "null": note("x\x00\n"),
    "not UTF-8": note("x\n").replace(b"x", b"\xff"),
    "surrogate": note("x\n").replace(b"x", b"\xed\xa0\x80"),
    "hyphen for dash": note("x\n", f"- n {SIGNATURE}\n"),
    "en dash": note("x\n", f"\u2013 n {SIGNATURE}\n"),
    "no space behind dash": note("x\n", f"{DASH}n {SIGNATURE}\n"),
    "no name": note("x\n", f"{DASH}  {SIGNATURE}\n"),
    "plus in name": note("x\n", f"{DASH} a+b {SIGNATURE}\n"),
    "Unicode space in name": note("x\n", f"{DASH} a\u00a0b {SIGNATURE}\n"),
    "line separator in name": note("x\n", f"{DASH} a\u2028b {SIGNATURE}\n"),
    "space behind": note("x\n", f"{DASH} n {SIGNATURE} \n"),
    "two spaces": note("x\n", f"{DASH} n  {SIGNATURE}\n"),
    "no signature": note("x\n", f"{DASH} n\n"),
    "only a key id": note("x\n", f"{DASH} n {base64.b64encode(bytes(4)).decode()}\n"),
    "base64 with junk": note("x\n", f"{DASH} n {SIGNATURE[:8]}*{SIGNATURE[8:]}\n"),
    "base64 without padding": note("x\n", f"{DASH} n AAAAAAAAAA\n"),
    "base64 with padding inside": note("x\n", f"{DASH} n AAAAAA==AAAA\n"),
    "base64 of the URL alphabet": note("x\n", f"{DASH} n ____{SIGNATURE}\n"),
    "base64 with other trailing bits": note("x\n", f"{DASH} n {SIGNATURE[:-2]}B=\n"),
    "base64 full width": note("x\n", f"{DASH} n \uff21{SIGNATURE[1:]}\n"),
    "too long": note("x" * MAX_NOTE_BYTES + "\n"),
}


@pytest.mark.parametrize("case", BAD_NOTES)
def test_malformed_notes_are_refused(case: str) -> None:
    with pytest.raises(ArchiveFormatError):
        parse_note(BAD_NOTES[case])


BAD_SIZES = [
    " 15", "15 ", "+15", "-15", "1_5", "015", "00", "", "\uff11\uff15", "\u0661\u0665", "\u00b2", "1e1", "0x15",
    "15.0", "9" * 17, "15\u2028", "15\u0085",
]  # fmt: skip


@pytest.mark.parametrize("size", BAD_SIZES)
def test_size_has_one_spelling(size: str) -> None:
    with pytest.raises(ArchiveFormatError):
        parse_checkpoint(parse_note(note(f"example.com/log\n{size}\n{ROOT}\n")))


@pytest.mark.parametrize(("size", "value"), [("0", 0), ("1", 1), ("15", 15), ("9007199254740991", 2**53 - 1)])
def test_plain_sizes_are_read(size: str, value: int) -> None:
    checkpoint = parse_checkpoint(parse_note(note(f"example.com/log\n{size}\n{ROOT}\n")))
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (
        "example.com/log",
        value,
        bytes(range(32)),
    )


BAD_CHECKPOINTS = {
    "no origin": f"\n15\n{ROOT}\n",
    "no root": "example.com/log\n15\n",
    "empty root": "example.com/log\n15\n\n",
    "another line": f"example.com/log\n15\n{ROOT}\nmore\n",
    "root too short": f"example.com/log\n15\n{base64.b64encode(bytes(31)).decode()}\n",
    "root too long": f"example.com/log\n15\n{base64.b64encode(bytes(33)).decode()}\n",
    "root with other trailing bits": f"example.com/log\n15\n{ROOT[:-2]}9=\n",
    "root with space": f"example.com/log\n15\n{ROOT} \n",
    "root in hex": f"example.com/log\n15\n{bytes(range(32)).hex()}\n",
    "line separator for newline": f"example.com/log\u202815\n{ROOT}\n",
}


@pytest.mark.parametrize("case", BAD_CHECKPOINTS)
def test_malformed_checkpoints_are_refused(case: str) -> None:
    with pytest.raises(ArchiveFormatError):
        parse_checkpoint(parse_note(note(BAD_CHECKPOINTS[case])))


NAME, HASH, BLOB = TESSERA_KEY.split("+", 2)
BAD_KEYS = {
    "empty": "",
    "no hash": f"{NAME}+{BLOB}",
    "no name": f"+{HASH}+{BLOB}",
    "other name": f"{NAME}x+{HASH}+{BLOB}",
    "other hash": f"{NAME}+33d7b497+{BLOB}",
    "upper-case hash": f"{NAME}+33D7B496+{BLOB}",
    "hash with space": f"{NAME}+ 3d7b496+{BLOB}",
    "space in name": f"{NAME[:4]} {NAME[5:]}+{HASH}+{BLOB}",
    "newline behind": f"{TESSERA_KEY}\n",
    "other type": f"{NAME}+{HASH}+Av{BLOB[2:]}",
    "shorter": f"{NAME}+{HASH}+{BLOB[:-4]}",
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_malformed_keys_are_refused(case: str) -> None:
    assert TESSERA_KEY != BAD_KEYS[case]
    with pytest.raises(ArchiveFormatError):
        parse_verifier_key(BAD_KEYS[case])


def test_signature_by_the_key_is_required_and_others_are_ignored(log: HandMadeLog, tmp_path: Path) -> None:
    key = parse_verifier_key(log.vkey)
    good = log.checkpoint(1)
    text, _, own = good.decode().rpartition("\n\n")
    foreign = f"{DASH} witness.example {SIGNATURE}\n"
    verify_note(parse_note(good), key)
    verify_note(parse_note(f"{text}\n\n{foreign}{own}{foreign}".encode()), key)
    other = HandMadeLog(tmp_path / "other", seed=9)
    for bad, code in (
        (f"{text}\n\n{foreign}", "signature_missing"),
        (other.sign(f"{text}\n").decode(), "signature_missing"),
        (f"{text}\n\n{own.replace(log.origin, 'another.name')}", "signature_missing"),
        (f"{text} \n\n{own}", "signature_wrong"),
        (f"{text}\n\n{own}{other_key_same_id(log)}", "signature_wrong"),
    ):
        with pytest.raises(ArchiveIntegrityError) as caught:
            verify_note(parse_note(bad.encode()), key)
        assert caught.value.code == code


def other_key_same_id(log: HandMadeLog) -> str:
    """A line that claims to be by the key of `log` and is not, behind one that is."""
    return f"{DASH} {log.origin} {base64.b64encode(log.key_id + bytes(64)).decode()}\n"


@pytest.mark.parametrize("length", [1, 63, 65])
def test_signature_of_another_length_is_wrong(log: HandMadeLog, length: int) -> None:
    line = f"{DASH} {log.origin} {base64.b64encode(log.key_id + bytes(length)).decode()}\n"
    with pytest.raises(ArchiveIntegrityError):
        verify_note(parse_note(note("x\n", line)), parse_verifier_key(log.vkey))


def test_public_log_verifies_with_all_its_checkpoints() -> None:
    """Tessera's test log: sixteen signed heads, each root recomputed from the bundle of that size."""
    folder = require("tlog") / "log"
    key = parse_verifier_key(TESSERA_KEY)
    seen = 0
    for path in sorted(folder.glob("checkpoint*")):
        parsed = parse_note(path.read_bytes())
        verify_note(parsed, key)
        checkpoint = parse_checkpoint(parsed)
        leaves: list[bytes] = []
        if checkpoint.size:
            bundle = folder / "tile" / "entries" / "000.p" / str(checkpoint.size)
            leaves = split_entries(bundle.read_bytes(), checkpoint.size)
        hashes = [hash_leaf(leaf) for leaf in leaves]
        assert compute_root(hashes) == root_of(hashes) == checkpoint.root, path
        if leaves:
            tile = folder / "tile" / "0" / "000.p" / str(checkpoint.size)
            assert tile.read_bytes() == b"".join(hashes)
        seen += 1
    assert seen == 17


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_raise_outside_the_family(data: bytes) -> None:
    try:
        parse_checkpoint(parse_note(data))
    except ArchiveFormatError:
        return


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_what_is_accepted_has_one_spelling(data: st.DataObject) -> None:
    """Any edit of a note that still parses to the same checkpoint and signatures is the same bytes."""
    good = bytearray(note(f"example.com/log\n15\n{ROOT}\n"))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(good) - 1))
        good[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    original = parse_note(note(f"example.com/log\n15\n{ROOT}\n"))
    try:
        parsed = parse_note(bytes(good))
        same = parse_checkpoint(parsed) == parse_checkpoint(original)
    except ArchiveFormatError:
        return
    if same and parsed.signatures == original.signatures:
        assert bytes(good) == note(f"example.com/log\n15\n{ROOT}\n")
