"""C2SP signed-note and tlog-checkpoint: text of heads and keys. Pure; the signing key is handed in."""

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from archive.errors import ArchiveFormatError, ArchiveIntegrityError

ED25519_TYPE = 0x01
MAX_NOTE_BYTES = 64 * 1024
"""A checkpoint with sixteen signatures is about 3 KiB."""
_SIZE = re.compile(r"(?:0|[1-9][0-9]{0,15})\Z", re.ASCII)
_NAME = re.compile(r"[^\s+\x00-\x1f]{1,255}\Z")


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
        data = self.name.encode() + b"\n" + bytes([ED25519_TYPE]) + self.public_key
        return hashlib.sha256(data).digest()[:4]

    def text(self) -> str:
        """`name+hex id+base64(type || key)`."""
        encoded = base64.b64encode(bytes([ED25519_TYPE]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


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


def parse_verifier_key(text: str) -> VerifierKey:
    """Parse `name+id+key`. Raises ArchiveFormatError."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise ArchiveFormatError("verifier key has not three parts")
    name, key_id, encoded = parts
    data = decode_base64(encoded)
    if len(data) != 33 or data[0] != ED25519_TYPE or not is_key_name(name):
        raise ArchiveFormatError("verifier key is not Ed25519")
    key = VerifierKey(name, data[1:])
    if key.key_id.hex() != key_id:
        raise ArchiveFormatError("key id does not belong to the key")
    return key


def format_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The three signed lines."""
    root = base64.b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n".encode()


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> bytes:
    """A whole signed note. Ed25519 is deterministic: equal input gives equal bytes."""
    body = format_checkpoint(checkpoint)
    verifier = VerifierKey(checkpoint.origin, key.public_key().public_bytes_raw())
    signature = base64.b64encode(verifier.key_id + key.sign(body)).decode()
    return body + f"\n— {checkpoint.origin} {signature}\n".encode()


def open_checkpoint(note: bytes, key: VerifierKey) -> Checkpoint:
    """The checkpoint in `note` if `key` signed it.

    Raises ArchiveFormatError for anything that is not a note of three lines, ArchiveIntegrityError for a missing or
    wrong signature. Signatures of other keys are ignored.
    """
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
    body += "\n"
    signed = False
    for line in signatures[:-1].split("\n"):
        prefix, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if prefix != "—" or not name:
            raise ArchiveFormatError("malformed signature line")
        blob = decode_base64(encoded)
        if name != key.name or blob[:4] != key.key_id:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(blob[4:], body.encode())
        except InvalidSignature as error:
            raise ArchiveIntegrityError(f"signature of {name} does not verify") from error
        signed = True
    if not signed:
        raise ArchiveIntegrityError(f"no signature of {key.name}")
    checkpoint = parse_checkpoint_body(body)
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
