"""A log that a test can grow, fork and sign, and a witness application that a test can call."""

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from archive.merkle import consistency_proof, leaf_hash, perfect_root, tree_root
from archive.note import Checkpoint, VerifierKey, sign_checkpoint
from archive.witness.protocol import format_request


def private_key(seed: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())


@dataclass
class GrowingLog:
    """A log of one-number leaves; `branch` makes another history from the same key."""

    origin: str = "school.example/log"
    leaves: list[bytes] = field(default_factory=list)

    @property
    def key(self) -> VerifierKey:
        return VerifierKey(self.origin, private_key(self.origin).public_key().public_bytes_raw())

    def grow(self, count: int = 1, branch: str = "") -> "GrowingLog":
        self.leaves += [leaf_hash(f"{branch}{len(self.leaves) + n}".encode()) for n in range(count)]
        return self

    def fork(self, size: int, branch: str, count: int = 1) -> "GrowingLog":
        return GrowingLog(self.origin, self.leaves[:size]).grow(count, branch)

    def head(self, size: int | None = None) -> Checkpoint:
        size = len(self.leaves) if size is None else size
        return Checkpoint(self.origin, size, tree_root(size, self._read_node))

    def note(self, size: int | None = None) -> bytes:
        return sign_checkpoint(self.head(size), private_key(self.origin))

    def proof(self, old: int, size: int | None = None) -> list[bytes]:
        return consistency_proof(old, len(self.leaves) if size is None else size, self._read_node)

    def request(self, old: int, size: int | None = None) -> bytes:
        return format_request(old, self.proof(old, size), self.note(size))

    def _read_node(self, height: int, index: int) -> bytes:
        return perfect_root(self.leaves[index << height : (index + 1) << height])


@dataclass(frozen=True)
class Reply:
    """What an application answered."""

    status: int
    headers: dict[str, str]
    body: bytes


def call(app: Any, method: str, path: str, body: bytes = b"", **environ: Any) -> Reply:
    """One request to a WSGI application."""
    answer: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        answer["status"], answer["headers"] = int(status.split()[0]), dict(headers)

    values = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body), **environ}
    if method == "POST":
        values.setdefault("CONTENT_LENGTH", str(len(body)))
    data = b"".join(app(values, start_response))
    return Reply(answer["status"], answer["headers"], data)
