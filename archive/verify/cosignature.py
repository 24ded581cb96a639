"""Cosignatures of witnesses (C2SP tlog-cosignature, cosignature/v1), verified strictly. Pure."""

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from archive.errors import ArchiveFormatError, ArchiveIntegrityError
from archive.verify.note import HASH_BYTES, KEY_ID_BYTES, Note, NoteSignature, decode_base64, is_key_name

COSIGNATURE_TYPE = 4
TIME_BYTES, SIGNATURE_BYTES = 8, 64
MAX_UNIX_SECONDS = 2**53 // 1_000
"""Beyond any calendar; keeps the time a number that every reader of the report can hold."""
NS = 1_000_000_000


@dataclass(frozen=True)
class WitnessKey:
    """An Ed25519 key that makes timestamped cosignatures under its name."""

    name: str
    key_id: bytes
    public_key: bytes


def parse_witness_key(text: str) -> WitnessKey:
    """`name+hash+base64(04 || key)`. Raises ArchiveFormatError."""
    name, _, rest = text.partition("+")
    key_hash, plus, encoded = rest.partition("+")
    if not is_key_name(name) or not plus:
        raise ArchiveFormatError("malformed witness key")
    blob = decode_base64(encoded)
    if len(blob) != 1 + HASH_BYTES or blob[0] != COSIGNATURE_TYPE:
        raise ArchiveFormatError("witness key is not of type cosignature/v1 with Ed25519")
    key_id = hashlib.sha256(name.encode() + b"\n" + blob).digest()[:KEY_ID_BYTES]
    if key_id.hex() != key_hash:
        raise ArchiveFormatError("witness key does not match its own hash")
    return WitnessKey(name, key_id, blob[1:])


def find_cosignatures(note: Note, key: WitnessKey) -> list[NoteSignature]:
    """The signature lines that claim to be by `key`."""
    return [line for line in note.signatures if (line.name, line.key_id) == (key.name, key.key_id)]


def verify_cosignature(text: bytes, line: NoteSignature, key: WitnessKey) -> int:
    """Nanoseconds since 1970 at which `key` cosigned the checkpoint `text` (the note without signatures).

    Raises ArchiveIntegrityError.
    """
    if (line.name, line.key_id) != (key.name, key.key_id):
        raise ArchiveIntegrityError("it is of another key", code="cosignature_key")
    if len(line.signature) != TIME_BYTES + SIGNATURE_BYTES:
        raise ArchiveIntegrityError("it is not 72 bytes long", code="cosignature_length")
    seconds = int.from_bytes(line.signature[:TIME_BYTES], "big")
    if not 0 < seconds <= MAX_UNIX_SECONDS:
        raise ArchiveIntegrityError("its time is none", code="cosignature_time")
    message = b"cosignature/v1\ntime %d\n" % seconds + text
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(line.signature[TIME_BYTES:], message)
    except (InvalidSignature, ValueError) as error:
        raise ArchiveIntegrityError("its signature is wrong", code="cosignature_wrong") from error
    return seconds * NS
