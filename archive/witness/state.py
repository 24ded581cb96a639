"""The logs a witness knows and the newest head of each, one file a log: `<SHA-256 of the origin>.json`.

A head is replaced only while the log's lock is held from the comparison to the durable write, so that two processes of
one directory cannot cosign two histories. A log that was removed keeps its head: it cannot come back with another past.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archive.durable import make_directory, open_descriptor, replace_file
from archive.errors import ArchiveError, ArchiveStateError
from archive.merkle import EMPTY_ROOT
from archive.note import Checkpoint, VerifierKey, open_checkpoint, parse_verifier_key
from archive.witness.protocol import hash_origin

VERSION = 1
MAX_NAME_CHARACTERS = 200
"""Of a school, for people."""
_FIELDS = {"v", "vkey", "name", "removed", "checkpoint"}


@dataclass(frozen=True)
class WitnessedLog:
    """A log and its newest cosigned note, with the log's signature and ours; empty before the first."""

    key: VerifierKey
    name: str
    removed: bool
    note: bytes

    def head(self) -> Checkpoint:
        """The newest cosigned head; that of no leaves before the first."""
        return open_checkpoint(self.note, self.key) if self.note else Checkpoint(self.key.name, 0, EMPTY_ROOT)


Decide = Callable[[WitnessedLog, Checkpoint], bytes]
"""The log and its head -> the note that is to be the newest; raises to leave everything as it is."""


class WitnessState:
    """The directory of the files. Any number of processes and threads may use it at once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        make_directory(directory, mode=0o700)

    def find(self, origin_hash: str) -> WitnessedLog | None:
        """The log, or None if it was never added. `origin_hash` is 64 hexadecimal digits.

        Raises ArchiveStateError for a damaged file.
        """
        path = self._path(origin_hash)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        log = _decode(data, path)
        if hash_origin(log.key.name) != origin_hash:
            raise ArchiveStateError(f"{path} is of another log", code="witness_state")
        return log

    def logs(self) -> list[WitnessedLog]:
        """Every log that is not removed, by origin."""
        found = (self.find(path.stem) for path in self.directory.glob("*.json"))
        return sorted((log for log in found if log and not log.removed), key=lambda log: log.key.name)

    def add(self, key: VerifierKey, name: str) -> None:
        """Let the log in, under a name for people. One that was removed goes on from its head. Durable on return.

        Raises ArchiveStateError if it was cosigned, or is there, with another key.
        """
        if not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
            raise ArchiveStateError(
                f"the name {name!r} is not one line of at most {MAX_NAME_CHARACTERS} characters", code="witness_log"
            )
        origin_hash = hash_origin(key.name)
        with self._locked(origin_hash):
            known = self.find(origin_hash)
            if known is not None and known.key != key and (known.note or not known.removed):
                raise ArchiveStateError(
                    f"{key.name} is known with another key, {known.key.text()}; a log with a new key has a new name",
                    code="witness_log",
                )
            note = known.note if known else b""
            self._store(WitnessedLog(key, name, False, note))

    def remove(self, origin: str) -> None:
        """Do not cosign for this log any more; its head stays. Raises ArchiveStateError if there is none."""
        origin_hash = hash_origin(origin)
        with self._locked(origin_hash):
            known = self.find(origin_hash)
            if known is None or known.removed:
                raise ArchiveStateError(
                    f"no log {origin} is known; `phayan witness list` shows them", code="witness_log"
                )
            self._store(replace(known, removed=True))

    def advance(self, origin_hash: str, decide: Decide) -> bytes | None:
        """Compare and swap: what `decide` makes of the head is durable when this returns it; None for no such log."""
        if not self._path(origin_hash).exists():
            return None
        with self._locked(origin_hash):
            log = self.find(origin_hash)
            if log is None or log.removed:
                return None
            note = decide(log, log.head())
            self._store(replace(log, note=note))
            return note

    def _path(self, origin_hash: str) -> Path:
        return self.directory / f"{origin_hash}.json"

    def _store(self, log: WitnessedLog) -> None:
        value = {
            "v": VERSION,
            "vkey": log.key.text(),
            "name": log.name,
            "removed": log.removed,
            "checkpoint": log.note.decode(),
        }
        data = json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"
        replace_file(self._path(hash_origin(log.key.name)), data, mode=0o600)

    @contextlib.contextmanager
    def _locked(self, origin_hash: str) -> Iterator[None]:
        """A lock of this call alone: flock keeps threads apart too, because each opens the file anew."""
        with open_descriptor(self.directory / f"{origin_hash}.lock", os.O_RDWR | os.O_CREAT, 0o600) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield


def _decode(data: bytes, path: Path) -> WitnessedLog:
    try:
        value: Any = json.loads(data)
        if not isinstance(value, dict) or value.keys() != _FIELDS or value["v"] != VERSION:
            raise ValueError("it has other fields")
        name, removed, note = value["name"], value["removed"], value["checkpoint"]
        if not (isinstance(name, str) and isinstance(removed, bool) and isinstance(note, str)):
            raise ValueError("it has fields of other types")
        log = WitnessedLog(parse_verifier_key(str(value["vkey"])), name, removed, note.encode())
        log.head()
    except (ValueError, RecursionError, ArchiveError) as error:
        raise ArchiveStateError(f"{path} is damaged: {error}", code="witness_state") from error
    return log
