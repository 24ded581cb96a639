"""Threat 18: bytes made to be read in two ways."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.cosignature import parse_witness_key
from archive.errors import ArchiveError
from archive.merkle import verify_consistency, verify_inclusion
from archive.note import open_checkpoint, parse_verifier_key, split_note
from archive.policy import parse_policy
from archive.verify.leaf import parse_leaf
from archive.verify.note import parse_checkpoint, parse_note, parse_signature_line
from archive.verify.note import parse_verifier_key as parse_key
from archive.verify.tiles import decode_bundle
from archive.witness.protocol import parse_request
from tests.archive.verify.hand_made_log import HandMadeLog, HandMadeWitness, encode_bundle
from tests.archive.witnessed_logs import GrowingLog

SAMPLE_INPUTS, FULL_INPUTS = 10_000, 100_000
"""In all, over the parsers alike."""
TRICKS = (
    b" ", b"+", b"_", b"0", b"\r", b"\n", b"\t", b"\x00", b"=", b"==", "\uff11".encode(), "\u0661".encode(),
    "\u2028".encode(), "\u00a0".encode(), b"\xff", b"\xed\xa0\x80", b"-", "\u2014 ".encode(), b"\n\n", b"1e1", b"{",
    b"\\u0000",
)  # fmt: skip
"""What Python's own `int`, `b64decode`, `splitlines` and `json` take for something else (integrity.md 1.5)."""

Parser = tuple[bytes, Callable[[bytes], object]]


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        return parse(text)

    return read


@pytest.fixture
def parsers(tmp_path: Path) -> dict[str, Parser]:
    log = HandMadeLog(tmp_path / "data").fill(5)
    grown = GrowingLog().grow(9)
    witness = HandMadeWitness("witness.example/a")
    note = log.checkpoint(5)
    key = parse_verifier_key(log.vkey)
    line = witness.cosign(note, 1_795_000_000).decode().removesuffix("\n")
    return {
        "note": (note, lambda data: parse_note(data)),
        "checkpoint": (note, lambda data: (parse_checkpoint(parse_note(data)), parse_note(data).signatures)),
        "opened": (note, lambda data: open_checkpoint(data, key)),
        "split": (note, split_note),
        "verifier key": (log.vkey.encode(), _text(parse_verifier_key)),
        "key of the verifier": (log.vkey.encode(), _text(parse_key)),
        "witness key": (witness.vkey.encode(), _text(parse_witness_key)),
        "signature line": (line.encode(), _text(parse_signature_line)),
        "policy": (f"witness a {witness.vkey}\nquorum a\n".encode(), parse_policy),
        "request": (grown.request(4), parse_request),
        "leaf": (log.leaves[1], parse_leaf),
        "bundle": (encode_bundle(log.leaves), lambda data: decode_bundle(data, 5)),
    }


def _mutate(data: bytes, chooser: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chooser.randint(1, 3)):
        place = chooser.randrange(len(changed) + 1)
        kind = chooser.randrange(4)
        if kind == 0:
            changed[place:place] = chooser.choice(TRICKS)
        elif kind == 1:
            changed[place : place + chooser.randint(1, 4)] = chooser.choice(TRICKS)
        elif kind == 2:
            changed[place : place + chooser.randint(1, 40)] = b""
        elif place < len(changed):
            changed[place] ^= 1 << chooser.randrange(8)
    return bytes(changed)


def test_no_input_is_read_in_two_ways(parsers: dict[str, Parser], full_counts: bool) -> None:
    """Refused in the family, or it says something else than the original did: no two spellings of one thing."""
    chooser = random.Random(18)
    count = (FULL_INPUTS if full_counts else SAMPLE_INPUTS) // len(parsers) + 1
    refused = 0
    for name, (original, parse) in parsers.items():
        meant = parse(original)
        assert meant is not None
        for _ in range(count):
            data = _mutate(original, chooser)
            try:
                found = parse(data)
            except ArchiveError:
                refused += 1
                continue
            if data != original and name not in ("split", "policy"):
                assert found != meant, f"{name}: {data!r}"
    print(f"row 18: {count * len(parsers)} inputs, {refused} refused")


def test_no_changed_proof_is_a_proof(full_counts: bool) -> None:
    log = GrowingLog().grow(200)
    chooser = random.Random(19)
    count = (FULL_INPUTS if full_counts else SAMPLE_INPUTS) // 10
    for _ in range(count):
        old, new = sorted(chooser.sample(range(1, 200), 2))
        proof = log.proof(old, new)
        roots = log.head(old).root, log.head(new).root
        verify_consistency(old, roots[0], new, roots[1], proof)
        place = chooser.randrange(len(proof))
        flipped = bytearray(proof[place])
        flipped[chooser.randrange(32)] ^= 1 << chooser.randrange(8)
        changes = (
            [*proof[:place], bytes(flipped), *proof[place + 1 :]], proof[:place] + proof[place + 1 :],
            [*proof, proof[place]], [*proof[:place], proof[place][:31], *proof[place + 1 :]],
        )  # fmt: skip
        with pytest.raises(ArchiveError):
            verify_consistency(old, roots[0], new, roots[1], chooser.choice(changes))
        with pytest.raises(ArchiveError):
            verify_inclusion(log.leaves[old], old, new + 1, proof, roots[0])
    print(f"row 18: {count} proofs changed")
