"""C2SP tlog-witness on the wire: the request of add-checkpoint and the bodies of its answers. Pure."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from archive.errors import ArchiveFormatError
from archive.merkle import HASH_BYTES
from archive.note import MAX_NOTE_BYTES, decode_base64

MAX_PROOF_LINES = 63
"""tlog-witness: a client must not send more."""
MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 4096
"""The longest note, 63 hashes of 45 bytes and the size line."""
MAX_SIZE_BODY_BYTES = 32
"""A decimal tree size and a newline."""
MAX_SIGNATURES_BODY_BYTES = 16 * 1024
"""A witness's own lines; one of Ed25519 is about 200 bytes, one of ML-DSA-44 about 3,500."""
SIZE_CONTENT_TYPE = "text/x.tlog.size"
_SIZE = re.compile(r"(?:0|[1-9][0-9]{0,15})\Z", re.ASCII)


@dataclass(frozen=True)
class AddCheckpoint:
    """A request: the size from which `proof` leads to `checkpoint`, a signed note."""

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: bytes


def format_request(old_size: int, proof: Sequence[bytes], checkpoint: bytes) -> bytes:
    """The body of add-checkpoint. Raises ArchiveFormatError for more hashes than allowed."""
    if len(proof) > MAX_PROOF_LINES:
        raise ArchiveFormatError(f"a proof has at most {MAX_PROOF_LINES} hashes, not {len(proof)}")
    lines = [f"old {old_size}", *(base64.b64encode(value).decode() for value in proof)]
    return "".join(f"{line}\n" for line in lines).encode() + b"\n" + checkpoint


def parse_request(body: bytes) -> AddCheckpoint:
    """Parse the body of add-checkpoint; the checkpoint is left as it is. Raises ArchiveFormatError."""
    if len(body) > MAX_REQUEST_BYTES:
        raise ArchiveFormatError(f"request is longer than {MAX_REQUEST_BYTES} bytes")
    start, separator, checkpoint = body.partition(b"\n\n")
    if not separator or not start.isascii():
        raise ArchiveFormatError("request has no empty line after its proof, or a proof that is not ASCII")
    first, *hashes = start.decode("ascii").split("\n")
    if not first.startswith("old "):
        raise ArchiveFormatError("request does not start with `old <size>`")
    if len(hashes) > MAX_PROOF_LINES:
        raise ArchiveFormatError(f"proof has more than {MAX_PROOF_LINES} hashes")
    return AddCheckpoint(_parse_size(first.removeprefix("old ")), tuple(map(_parse_hash, hashes)), checkpoint)


def format_size_body(size: int) -> bytes:
    """The body of answer 409."""
    return f"{size}\n".encode()


def parse_size_body(body: bytes) -> int:
    """The size that a witness says it has. Raises ArchiveFormatError."""
    if not body.isascii() or not body.endswith(b"\n"):
        raise ArchiveFormatError("tree size is not a decimal number and a newline")
    return _parse_size(body[:-1].decode("ascii"))


def parse_signatures_body(body: bytes) -> list[str]:
    """The lines of answer 200, without their newlines and not looked into. Raises ArchiveFormatError."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArchiveFormatError("signature lines are not UTF-8") from error
    if not text.endswith("\n"):
        raise ArchiveFormatError("signature lines do not end in a newline")
    return text[:-1].split("\n")


def hash_origin(origin: str) -> str:
    """The part of an address that stands for a log: SHA-256 of its origin in hexadecimal."""
    return hashlib.sha256(origin.encode()).hexdigest()


def _parse_size(text: str) -> int:
    if not _SIZE.match(text):
        raise ArchiveFormatError("tree size is not a decimal number without leading zeros")
    return int(text)


def _parse_hash(line: str) -> bytes:
    value = decode_base64(line)
    if len(value) != HASH_BYTES:
        raise ArchiveFormatError(f"a hash of the proof is not {HASH_BYTES} bytes")
    return value
