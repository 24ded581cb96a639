"""A witness's own key: one line `PRIVATE+KEY+<name>+<key id>+base64(0x04 || seed)`, as Go's note package writes it.

Name and key lie in one file, so that they are made at once and belong together for ever.
"""

import base64
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from archive.cosignature import COSIGNATURE_TYPE, WitnessKey, sign_cosignature
from archive.durable import PRIVATE_FILE_MODE, make_directory, open_descriptor, replace_file
from archive.errors import ArchiveFormatError, ArchiveStateError
from archive.note import decode_base64, is_key_name

KEY_FILE = "witness.key"
SEED_BYTES = 32
_START = "PRIVATE+KEY+"


@dataclass(frozen=True)
class WitnessSigner:
    """The name and the private key."""

    name: str
    private_key: Ed25519PrivateKey

    @property
    def witness_key(self) -> WitnessKey:
        return WitnessKey(self.name, self.private_key.public_key().public_bytes_raw())

    def cosign(self, checkpoint_body: bytes, unix_seconds: int) -> str:
        """The signature line without its newline."""
        return sign_cosignature(checkpoint_body, unix_seconds, self.name, self.private_key)


def load_key(directory: Path) -> WitnessSigner | None:
    """The key of this directory, or None before one is made. Raises ArchiveStateError for a file that others may
    read or that holds no key."""
    path = directory / KEY_FILE
    try:
        with open_descriptor(path, os.O_RDONLY) as descriptor:
            if os.fstat(descriptor).st_mode & 0o077:
                raise ArchiveStateError(f"{path} can be read by others; its mode must be 0600", code="keys")
            data = os.read(descriptor, 4096)
    except FileNotFoundError:
        return None
    try:
        return _parse(data.decode("utf-8"))
    except (UnicodeDecodeError, ArchiveFormatError) as error:
        raise ArchiveStateError(f"{path} holds no key of a witness: {error}", code="keys") from error


def make_key(directory: Path, name: str) -> WitnessSigner:
    """The key of this directory, made if there is none; an existing one keeps its name. Durable on return.

    Raises ArchiveStateError for a name that a key may not have.
    """
    if not is_key_name(name):
        raise ArchiveStateError(
            f"a witness may not be called {name!r}: valid are 1 to 255 characters without spaces and plus signs",
            code="keys",
        )
    make_directory(directory, mode=0o700)
    with open_descriptor(directory / f"{KEY_FILE}.lock", os.O_RDWR | os.O_CREAT, PRIVATE_FILE_MODE) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = load_key(directory)
        if known is not None:
            return known
        signer = WitnessSigner(name, Ed25519PrivateKey.generate())
        replace_file(directory / KEY_FILE, _format(signer).encode(), mode=PRIVATE_FILE_MODE)
        return signer


def _format(signer: WitnessSigner) -> str:
    blob = bytes([COSIGNATURE_TYPE]) + signer.private_key.private_bytes_raw()
    key_id = signer.witness_key.key_id.hex()
    return f"{_START}{signer.name}+{key_id}+{base64.b64encode(blob).decode()}\n"


def _parse(text: str) -> WitnessSigner:
    parts = text.removeprefix(_START).removesuffix("\n").split("+", 2)
    if not text.startswith(_START) or len(parts) != 3 or not is_key_name(parts[0]):
        raise ArchiveFormatError("it is not PRIVATE+KEY+<name>+<id>+<key>")
    blob = decode_base64(parts[2])
    if len(blob) != 1 + SEED_BYTES or blob[0] != COSIGNATURE_TYPE:
        raise ArchiveFormatError(f"the key is not of type {COSIGNATURE_TYPE}")
    signer = WitnessSigner(parts[0], Ed25519PrivateKey.from_private_bytes(blob[1:]))
    if signer.witness_key.key_id.hex() != parts[1]:
        raise ArchiveFormatError("the key id does not belong to the key")
    return signer
