"""The head file: the newest checkpoint this log ever signed, kept outside the data directory, under a lock.

Whoever wants to sign compares with it first. A restored or copied data directory is behind its head and may not sign.
"""

import fcntl
import os
from pathlib import Path

from archive.durable import make_directory, replace_file
from archive.errors import ArchiveStateError
from archive.note import Checkpoint, CheckpointKey, VerifierKey, open_checkpoint, sign_checkpoint


class HeadFile:
    """Exclusive holder of the head; the lock lives as long as the object."""

    def __init__(self, path: Path, key: VerifierKey) -> None:
        self.path = path
        self._key = key
        make_directory(path.parent)
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise ArchiveStateError(
                f"another sealer holds {path}; two of them would fork the log", code="head_locked"
            ) from error

    def load(self) -> Checkpoint | None:
        """The newest signed checkpoint, or None before the first. Raises if it does not verify."""
        if not self.path.exists():
            return None
        return open_checkpoint(self.path.read_bytes(), self._key)

    def advance(self, expected: Checkpoint | None, following: Checkpoint, key: CheckpointKey) -> bytes:
        """Compare-and-swap: sign `following` only if the head still is `expected`; durable on return.

        Raises ArchiveStateError `head_moved` otherwise, and for a checkpoint that does not grow the log.
        """
        if self.load() != expected:
            raise ArchiveStateError(f"{self.path} was changed by someone else", code="head_moved")
        if expected is not None and following.size <= expected.size:
            raise ArchiveStateError("a head must grow", code="head_moved")
        note = sign_checkpoint(following, key)
        replace_file(self.path, note)
        return note

    def close(self) -> None:
        os.close(self._lock)
