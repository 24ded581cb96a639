"""C2SP signed-note and tlog-checkpoint: text of heads and keys. Pure; the signing key is handed in."""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from archive.errors import ArchiveFormatError, ArchiveIntegrityError

ED25519_TYPE = 0x01
ED25519_KEY_BYTES = 32
KEY_ID_BYTES = 4
MAX_NOTE_BYTES = 64 * 1024
"""A checkpoint with sixteen signatures is about 3 KiB."""
SIGNATURE_START = "\u2014 "
_SIZE = re.compile(r"(?:0|[1-9][0-9]{0,15})\Z", re.ASCII)
_NAME = re.compile(r"[^\s+\x00-\x1f]{1,255}\Z")


class CheckpointKey(Protocol):
    """What signs checkpoints: an Ed25519PrivateKey, or a key that stays in its token."""

    def public_key(self) -> Ed25519PublicKey: ...

    def sign(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True)
class Checkpoint:
    """What a log commits to: `size` leaves under `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True)
class VerifierKey:
    """A named Ed25519 public key (32 bytes)."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        return compute_key_id(self.name, ED25519_TYPE, self.public_key)

    def text(self) -> str:
        """`name+hex id+base64(type || key)`."""
        return format_key_text(self.name, ED25519_TYPE, self.public_key)


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: who signed, with which key (4 bytes), and what follows the key id in the base64."""

    name: str
    key_id: bytes
    signature: bytes

    def text(self) -> str:
        """The line without its newline."""
        return f"{SIGNATURE_START}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}"


def compute_key_id(name: str, signature_type: int, public_key: bytes) -> bytes:
    """First four bytes of SHA-256(name || newline || type || key)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([signature_type]) + public_key).digest()[:KEY_ID_BYTES]


def format_key_text(name: str, signature_type: int, public_key: bytes) -> str:
    """`name+hex id+base64(type || key)`."""
    encoded = base64.b64encode(bytes([signature_type]) + public_key).decode()
    return f"{name}+{compute_key_id(name, signature_type, public_key).hex()}+{encoded}"


def decode_base64(text: str) -> bytes:
    """Strict base64: what does not re-encode to the same text is refused."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ArchiveFormatError("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise ArchiveFormatError("base64 is not canonical")
    return data


def is_key_name(name: str) -> bool:
    """Signed-note: no white space, no plus."""
    return bool(_NAME.match(name))


def parse_key_text(text: str, signature_type: int, key_bytes: int) -> tuple[str, bytes]:
    """Name and public key of `name+id+key`, a key of this type and length. Raises ArchiveFormatError."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise ArchiveFormatError("verifier key has not three parts")
    name, key_id, encoded = parts
    data = decode_base64(encoded)
    if len(data) != 1 + key_bytes or data[0] != signature_type or not is_key_name(name):
        raise ArchiveFormatError(f"verifier key is not of type {signature_type} with {key_bytes} bytes")
    if compute_key_id(name, signature_type, data[1:]).hex() != key_id:
        raise ArchiveFormatError("key id does not belong to the key")
    return name, data[1:]


def parse_verifier_key(text: str) -> VerifierKey:
    """Parse the `name+id+key` of a log. Raises ArchiveFormatError."""
    return VerifierKey(*parse_key_text(text, ED25519_TYPE, ED25519_KEY_BYTES))


def format_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The three signed lines."""
    root = base64.b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n".encode()


def sign_checkpoint(checkpoint: Checkpoint, key: CheckpointKey) -> bytes:
    """A whole signed note. Ed25519 is deterministic: equal input gives equal bytes."""
    body = format_checkpoint(checkpoint)
    verifier = VerifierKey(checkpoint.origin, key.public_key().public_bytes_raw())
    line = NoteSignature(checkpoint.origin, verifier.key_id, key.sign(body)).text()
    return body + f"\n{line}\n".encode()


def split_note(note: bytes) -> tuple[bytes, list[NoteSignature]]:
    """The signed body, with its last newline, and the signatures. Raises ArchiveFormatError."""
    if len(note) > MAX_NOTE_BYTES:
        raise ArchiveFormatError("note is too long")
    try:
        text = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArchiveFormatError("note is not UTF-8") from error
    if any(ord(c) < 0x20 and c != "\n" for c in text) or not text.endswith("\n"):
        raise ArchiveFormatError("note has control characters or no last newline")
    body, separator, signatures = text.rpartition("\n\n")
    if not separator or not signatures:
        raise ArchiveFormatError("note has no signature block")
    return f"{body}\n".encode(), [parse_signature_line(line) for line in signatures[:-1].split("\n")]


def parse_signature_line(line: str) -> NoteSignature:
    """One signature line without its newline. Raises ArchiveFormatError."""
    name, _, encoded = line.removeprefix(SIGNATURE_START).partition(" ")
    if not line.startswith(SIGNATURE_START) or not is_key_name(name):
        raise ArchiveFormatError("malformed signature line")
    blob = decode_base64(encoded)
    if len(blob) <= KEY_ID_BYTES:
        raise ArchiveFormatError("signature is too short")
    return NoteSignature(name, blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])


def open_checkpoint(note: bytes, key: VerifierKey) -> Checkpoint:
    """The checkpoint in `note` if `key` signed it.

    Raises ArchiveFormatError for anything that is not a note of three lines, ArchiveIntegrityError for a missing or
    wrong signature. Signatures of other keys are ignored.
    """
    body, signatures = split_note(note)
    signed = False
    for signature in signatures:
        if signature.name != key.name or signature.key_id != key.key_id:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature.signature, body)
        except InvalidSignature as error:
            raise ArchiveIntegrityError(f"signature of {key.name} does not verify") from error
        signed = True
    if not signed:
        raise ArchiveIntegrityError(f"no signature of {key.name}")
    checkpoint = parse_checkpoint_body(body.decode())
    if checkpoint.origin != key.name:
        raise ArchiveIntegrityError(f"{key.name} signed a checkpoint of {checkpoint.origin}")
    return checkpoint


def parse_checkpoint_body(body: str) -> Checkpoint:
    """Origin, size and root of a note's text; the signature is the caller's business."""
    lines = body.split("\n")
    if len(lines) != 4 or lines[3] or not is_key_name(lines[0]) or not _SIZE.match(lines[1]):
        raise ArchiveFormatError("checkpoint is not origin, size and root")
    root = decode_base64(lines[2])
    if len(root) != 32:
        raise ArchiveFormatError("root is not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)
