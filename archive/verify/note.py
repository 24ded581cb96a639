"""Signed notes, verifier keys and checkpoints, parsed strictly (C2SP signed-note, tlog-checkpoint). Pure.

Python's own `int`, `b64decode` and `splitlines` accept many spellings of one value; here each value has one
spelling, because whoever may choose between spellings can show two people different bytes.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from archive.errors import ArchiveFormatError, ArchiveIntegrityError

MAX_NOTE_BYTES = 1024 * 1024
"""signed-note: at least 16 signatures, and post-quantum ones have nearly 5 kB."""
MAX_SIGNATURES = 100
"""signed-note asks for at least 16; the bound keeps a hostile note cheap."""
MAX_SIZE_DIGITS = 16
"""Tree sizes stay below 2^53 as every integer of docs/FORMAT.md does."""
ED25519_TYPE = 1
ED25519_SIGNATURE_BYTES = 64
KEY_ID_BYTES = 4
HASH_BYTES = 32
SIGNATURE_START = "\u2014 "

_DECIMAL = re.compile(r"0|[1-9][0-9]*")
_KEY_HASH = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: key name, key id (4 bytes) and the signature itself."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True)
class Note:
    """`text` ends in a newline and is what the signatures cover."""

    text: bytes
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True)
class VerifierKey:
    """An Ed25519 key with the name it signs under."""

    name: str
    key_id: bytes
    public_key: bytes


@dataclass(frozen=True)
class Checkpoint:
    """Tree head: log name, number of leaves, root hash (32 bytes)."""

    origin: str
    size: int
    root: bytes


def parse_note(data: bytes) -> Note:
    """Raises ArchiveFormatError for anything signed-note does not allow."""
    if len(data) > MAX_NOTE_BYTES:
        raise ArchiveFormatError(f"note longer than {MAX_NOTE_BYTES} bytes")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArchiveFormatError("note is not UTF-8") from error
    if any(ord(character) < 0x20 and character != "\n" for character in whole):
        raise ArchiveFormatError("note holds a control character")
    text, separator, rest = whole.rpartition("\n\n")
    if not separator or not rest.endswith("\n"):
        raise ArchiveFormatError("note has no empty line before its signatures, or no newline at its end")
    lines = rest[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise ArchiveFormatError(f"note has more than {MAX_SIGNATURES} signatures")
    return Note(f"{text}\n".encode(), tuple(parse_signature_line(line) for line in lines))


def parse_signature_line(line: str) -> NoteSignature:
    """One signature line without its newline. Raises ArchiveFormatError."""
    name, space, encoded = line.removeprefix(SIGNATURE_START).partition(" ")
    if not line.startswith(SIGNATURE_START) or not space or not is_key_name(name):
        raise ArchiveFormatError("signature line of a note is malformed")
    blob = decode_base64(encoded)
    if len(blob) <= KEY_ID_BYTES:
        raise ArchiveFormatError("signature of a note is too short")
    return NoteSignature(name, blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])


def is_key_name(name: str) -> bool:
    """Not empty, no Unicode space, no plus sign."""
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def decode_base64(text: str) -> bytes:
    """Standard alphabet with padding; the one spelling that encodes to itself. Raises ArchiveFormatError."""
    try:
        value = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ArchiveFormatError("malformed base64") from error
    if base64.b64encode(value).decode() != text:
        raise ArchiveFormatError("base64 with another spelling than its own")
    return value


def parse_verifier_key(text: str) -> VerifierKey:
    """`name+hash+base64(type || key)` for Ed25519. Raises ArchiveFormatError."""
    name, _, rest = text.partition("+")
    key_hash, plus, encoded = rest.partition("+")
    if not is_key_name(name) or not plus or not _KEY_HASH.fullmatch(key_hash):
        raise ArchiveFormatError("malformed verifier key")
    blob = decode_base64(encoded)
    if len(blob) != 1 + HASH_BYTES or blob[0] != ED25519_TYPE:
        raise ArchiveFormatError("verifier key is not Ed25519")
    key_id = hashlib.sha256(name.encode() + b"\n" + blob).digest()[:KEY_ID_BYTES]
    if key_id.hex() != key_hash:
        raise ArchiveFormatError("verifier key does not match its own hash")
    return VerifierKey(name, key_id, blob[1:])


def verify_note(note: Note, key: VerifierKey) -> None:
    """Check every signature that claims to be by `key`; others are ignored.

    Raises ArchiveIntegrityError when there is none or when one is bad.
    """
    claimed = [s for s in note.signatures if (s.name, s.key_id) == (key.name, key.key_id)]
    if not claimed:
        raise ArchiveIntegrityError("note has no signature by the key of this log", code="signature_missing")
    public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
    for signature in claimed:
        try:
            if len(signature.signature) != ED25519_SIGNATURE_BYTES:
                raise InvalidSignature
            public_key.verify(signature.signature, note.text)
        except InvalidSignature as error:
            raise ArchiveIntegrityError("signature of a note is wrong", code="signature_wrong") from error


def parse_checkpoint(note: Note) -> Checkpoint:
    """The three lines of a checkpoint and no more. Raises ArchiveFormatError."""
    lines = note.text.decode("utf-8").split("\n")
    if len(lines) != 4:
        raise ArchiveFormatError("checkpoint does not have three lines")
    origin, size, root, _ = lines
    if not origin or not _DECIMAL.fullmatch(size) or len(size) > MAX_SIZE_DIGITS:
        raise ArchiveFormatError("checkpoint has no origin or a malformed size")
    root_hash = decode_base64(root)
    if len(root_hash) != HASH_BYTES:
        raise ArchiveFormatError("root hash of a checkpoint is not 32 bytes")
    return Checkpoint(origin, int(size), root_hash)
