"""C2SP tlog-cosignature, cosignature/v1: a witness's dated Ed25519 signature over a checkpoint. Pure; the signing key
and the time are handed in."""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from archive.errors import ArchiveFormatError, ArchiveIntegrityError
from archive.note import (
    ED25519_KEY_BYTES,
    NoteSignature,
    compute_key_id,
    format_key_text,
    is_key_name,
    parse_checkpoint_body,
    parse_key_text,
    parse_signature_line,
)

COSIGNATURE_TYPE = 0x04
TIME_BYTES = 8
SIGNATURE_BYTES = 64
MAX_UNIX_SECONDS = 253_402_300_799
"""The end of the year 9999: what a calendar can show. tlog-cosignature allows up to 2^63 - 1."""


@dataclass(frozen=True)
class WitnessKey:
    """A witness's name and Ed25519 public key (32 bytes). One key serves one name: the name is not signed."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        return compute_key_id(self.name, COSIGNATURE_TYPE, self.public_key)

    def text(self) -> str:
        """`name+hex id+base64(0x04 || key)`."""
        return format_key_text(self.name, COSIGNATURE_TYPE, self.public_key)


def parse_witness_key(text: str) -> WitnessKey:
    """Parse the `name+id+key` of a witness. Raises ArchiveFormatError, also for a log's key (type 1)."""
    return WitnessKey(*parse_key_text(text, COSIGNATURE_TYPE, ED25519_KEY_BYTES))


def sign_cosignature(checkpoint_body: bytes, unix_seconds: int, name: str, key: Ed25519PrivateKey) -> str:
    """The signature line, without its newline. Raises ArchiveFormatError for anything but a checkpoint's three lines,
    a name that is none and a time outside 0 to MAX_UNIX_SECONDS."""
    parse_checkpoint_body(checkpoint_body.decode("utf-8", "replace"))
    if not is_key_name(name) or not 0 <= unix_seconds <= MAX_UNIX_SECONDS:
        raise ArchiveFormatError("cosignature with a name or time out of range")
    witness = WitnessKey(name, key.public_key().public_bytes_raw())
    signature = key.sign(_signed_message(checkpoint_body, unix_seconds))
    return NoteSignature(name, witness.key_id, unix_seconds.to_bytes(TIME_BYTES, "big") + signature).text()


def verify_cosignature(line: str, checkpoint_body: bytes, witness_key: WitnessKey) -> int:
    """When the witness signed `checkpoint_body`, in seconds since 1970.

    `line` has no newline. Raises ArchiveFormatError for another form, ArchiveIntegrityError if it is of another key or
    does not verify.
    """
    found = parse_signature_line(line)
    if (found.name, found.key_id) != (witness_key.name, witness_key.key_id):
        raise ArchiveIntegrityError(f"signature is not of {witness_key.name}")
    unix_seconds = read_cosignature_time(found)
    try:
        Ed25519PublicKey.from_public_bytes(witness_key.public_key).verify(
            found.signature[TIME_BYTES:], _signed_message(checkpoint_body, unix_seconds)
        )
    except InvalidSignature as error:
        raise ArchiveIntegrityError(f"cosignature of {witness_key.name} does not verify") from error
    return unix_seconds


def read_cosignature_time(signature: NoteSignature) -> int:
    """The time a cosignature states, unverified. Raises ArchiveFormatError for a signature of another form."""
    if len(signature.signature) != TIME_BYTES + SIGNATURE_BYTES:
        raise ArchiveFormatError(f"cosignature is not {TIME_BYTES + SIGNATURE_BYTES} bytes")
    unix_seconds = int.from_bytes(signature.signature[:TIME_BYTES], "big")
    if unix_seconds > MAX_UNIX_SECONDS:
        raise ArchiveFormatError("cosignature is dated after the year 9999")
    return unix_seconds


def _signed_message(checkpoint_body: bytes, unix_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {unix_seconds}\n".encode() + checkpoint_body
