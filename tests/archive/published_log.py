"""A published log that a test grows by hand, without a sealer, and a witness in memory."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from archive.cosignature import WitnessKey, sign_cosignature
from archive.durable import make_directory, replace_file
from archive.merkle import verify_consistency
from archive.note import Checkpoint, VerifierKey, open_checkpoint, sign_checkpoint, split_note
from archive.origin import ArchivePaths, default_paths
from archive.tree import TreeWriter
from archive.witness.client import Cosigned, ProofMaker, WitnessAheadError, WitnessError
from tests.clocks import NS, ManualClock


def private_key(seed: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())


@dataclass
class PublishedByHand:
    """`DIR/log` with tree, key and checkpoint. `origin` gives the key as well."""

    folder: Path
    origin: str = "phayan.test/anchored"
    tree: TreeWriter = field(init=False)

    def __post_init__(self) -> None:
        for folder in (self.paths.log, self.paths.run, self.paths.inbox):
            make_directory(folder)
        self.tree = TreeWriter(self.paths.log)
        replace_file(self.paths.log / "origin", f"{self.origin}\n".encode())
        replace_file(self.paths.log / "key.vkey", f"{self.key.text()}\n".encode())
        self.grow()

    @property
    def paths(self) -> ArchivePaths:
        return default_paths(self.folder)

    @property
    def key(self) -> VerifierKey:
        return VerifierKey(self.origin, private_key(self.origin).public_key().public_bytes_raw())

    @property
    def head(self) -> Checkpoint:
        return Checkpoint(self.origin, self.tree.size, self.tree.root())

    @property
    def note(self) -> bytes:
        return sign_checkpoint(self.head, private_key(self.origin))

    def grow(self, leaves: int = 1) -> bytes:
        """Add leaves and publish; returns the note."""
        for number in range(leaves):
            self.tree.append(f"{self.origin} {self.tree.size} {number}".encode())
        self.tree.store()
        replace_file(self.paths.log / "checkpoint", self.note)
        self.tree.remove_stale_partials()
        return self.note


@dataclass
class MemoryWitness:
    """Keeps every head it ever cosigned and checks each proof. `before` runs first in every request and may raise."""

    log_key: VerifierKey
    clock: ManualClock
    name: str = "witness.example/one"
    seen: list[tuple[bytes, Checkpoint]] = field(default_factory=list)
    asked: int = 0
    before: Callable[[], None] = field(default=lambda: None)

    @property
    def key(self) -> WitnessKey:
        return WitnessKey(self.name, private_key(self.name).public_key().public_bytes_raw())

    @property
    def size(self) -> int:
        return self.seen[-1][1].size if self.seen else 0

    def add_checkpoint(self, note: bytes, old_size: int, make_proof: ProofMaker) -> Cosigned:
        self.asked += 1
        self.before()
        checkpoint = open_checkpoint(note, self.log_key)
        if self.size > checkpoint.size:
            raise WitnessAheadError(self.name, self.size, checkpoint.size)
        if self.seen and self.size < checkpoint.size:
            proof = make_proof(self.size)
            verify_consistency(self.size, self.seen[-1][1].root, checkpoint.size, checkpoint.root, proof)
        self.seen.append((note, checkpoint))
        return self.cosign(note)

    def cosign(self, note: bytes) -> Cosigned:
        seconds = self.clock.unix_ns() // NS
        return Cosigned(sign_cosignature(split_note(note)[0], seconds, self.name, private_key(self.name)), seconds)

    def newest_checkpoint(self, origin: str) -> bytes | None:
        self.before()
        return self.seen[-1][0] if self.seen else None


def unreachable() -> None:
    """For `before`: the line is down."""
    raise WitnessError("no route", code="witness_unreachable")
