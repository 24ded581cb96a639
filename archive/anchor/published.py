"""The newest published head, shared by all threads, and proofs that it continues an older one."""

import threading
from dataclasses import dataclass

from archive.errors import ArchiveStateError
from archive.merkle import consistency_proof
from archive.note import Checkpoint, open_checkpoint, parse_verifier_key
from archive.origin import ArchivePaths
from archive.tree import TreeReader


class HeadReplacedError(ArchiveStateError):
    """A newer head came out and took the tiles that a proof needs with it; the newer one is to be taken."""

    code = "head_replaced"


@dataclass(frozen=True)
class PublishedHead:
    """A signed note as it was published, and what it says."""

    note: bytes
    checkpoint: Checkpoint


class PublishedLog:
    """Reads `log/checkpoint` of the log that was there at the start, whose key is `key`; a signature is verified once
    for each head. Any number of threads."""

    def __init__(self, paths: ArchivePaths) -> None:
        """Raises OSError, or ArchiveFormatError for a key that is none."""
        self._paths = paths
        self._key_path = paths.log / "key.vkey"
        self.key = parse_verifier_key(self._key_path.read_text(encoding="utf-8").strip())
        self._lock = threading.Lock()
        self._newest: PublishedHead | None = None

    def is_begun_anew(self) -> bool:
        """Whether another log has taken this one's place in the directory. Raises OSError."""
        return self._key_path.read_text(encoding="utf-8").strip() != self.key.text()

    def newest(self) -> PublishedHead:
        """Raises OSError, or an ArchiveError for a head that does not verify."""
        note = (self._paths.log / "checkpoint").read_bytes()
        with self._lock:
            if self._newest is None or self._newest.note != note:
                self._newest = PublishedHead(note, open_checkpoint(note, self.key))
            return self._newest

    def proof(self, head: PublishedHead, old_size: int) -> list[bytes]:
        """Hashes from the tree of `old_size` leaves to that of `head`. Raises HeadReplacedError."""
        try:
            return consistency_proof(
                old_size, head.checkpoint.size, TreeReader(self._paths.log, head.checkpoint.size).node
            )
        except FileNotFoundError as error:
            raise HeadReplacedError(f"the tree of {head.checkpoint.size} leaves is replaced by a newer one") from error
