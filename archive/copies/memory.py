"""What the copier remembers of one target, in `DIR/copies/<name>.json`. It can be lost: the copy says itself how far it
is."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from archive.copies.target import CopyError
from archive.durable import make_directory, replace_file

MAX_BYTES = 16 * 1024 * 1024


@dataclass
class Memory:
    """`head_size` is that of the head at the copy, `leaves` up to where what leaves name has arrived. `purges` wait for
    their removal there (`leaf`, `day`, `folders`). Times are nanoseconds since 1970, 0 for never."""

    vkey: str = ""
    head_size: int = 0
    leaves: int = 0
    purges: list[dict[str, Any]] = field(default_factory=list)
    former: list[str] = field(default_factory=list)
    state_sha256: str = ""
    state_unix_ns: int = 0
    last_success_unix_ns: int = 0


class MemoryFile:
    """Of one target at one address: another address is another copy."""

    def __init__(self, folder: Path, name: str, address: str) -> None:
        self._path = folder / f"{name}.json"
        self._address = address

    def load(self) -> Memory:
        """An empty one where nothing fitting is there."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return Memory()
        if not isinstance(found, dict) or found.pop("address", None) != self._address:
            return Memory()
        blank = asdict(Memory())
        names = {one.name for one in fields(Memory)}
        if found.keys() != names or any(type(found[name]) is not type(blank[name]) for name in names):
            return Memory()
        return Memory(**found)

    def save(self, memory: Memory) -> None:
        """Durable on return. Raises OSError."""
        make_directory(self._path.parent, mode=0o700)
        replace_file(self._path, json.dumps({"address": self._address, **asdict(memory)}).encode(), mode=0o600)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While one process makes a pass. Raises CopyError `busy`, OSError."""
        make_directory(self._path.parent, mode=0o700)
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise CopyError(f"copy {self._path.stem} is being made already", code="busy") from error
            yield
        finally:
            os.close(descriptor)
