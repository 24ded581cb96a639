"""What a place for copies can do. A name is a path below the copy's root, with `/`; a file grows by `append` or is
replaced whole by `put`."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from archive.errors import ArchiveError

BLOCK_BYTES = 4 * 1024 * 1024
MARK_FILE = "phayan-copy.json"
"""Says that a copy lies here, and of which log. A directory without it may be a mount point without its disk."""
MISSING, LOCKED, CHANGED, UNREACHABLE, FOREIGN = "missing", "locked", "changed", "unreachable", "foreign"


class CopyError(ArchiveError):
    """A target that could not do what it was asked, or a copy that is not what it should be."""

    code = "copy"


class Target(Protocol):
    """Every call may raise CopyError: `missing` for a name that is not there, `locked` for one that may not be removed
    yet, `unreachable` where nothing can be done at present. What a call has written is durable on return, as far as the
    place can say so. Not thread-safe.
    """

    address: str
    needs_mark: bool
    """Whether nothing may be written before somebody has marked the place."""

    def append(self, name: str, offset: int, data: bytes, *, retain_until_unix_ns: int | None = None) -> None:
        """Put `data` at `offset` of a growing file, in place of whatever lies there or behind."""
        ...

    def put(self, name: str, data: bytes | Path, *, retain_until_unix_ns: int | None = None) -> None:
        """Replace a file whole."""
        ...

    def read(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]: ...

    def list(self, prefix: str) -> dict[str, int]:
        """Names and sizes in bytes of all files in folder `prefix` (with `/` at its end) and below, or of one file."""
        ...

    def remove(self, name: str) -> None:
        """Nothing happens where it is not there."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Move a file or a folder (no `/` at its end). Nothing happens where it is not there."""
        ...

    def close(self) -> None: ...


def check_name(name: str) -> str:
    """Raises CopyError for a name that is none below the root."""
    parts = name.split("/")
    if not name or any(part in ("", ".", "..") for part in parts) or "\0" in name or "\\" in name:
        raise CopyError(f"{name!r} is no name of a file in a copy")
    return name


def read_whole(target: Target, name: str, limit_bytes: int) -> bytes:
    """A small file. Raises CopyError also where it is larger than `limit_bytes`."""
    data = b"".join(target.read(name, 0, limit_bytes + 1))
    if len(data) > limit_bytes:
        raise CopyError(f"{name} at {target.address} is larger than {limit_bytes} bytes")
    return data


def check_arrival(target: Target, name: str, offset: int, length: int, sha256: bytes) -> None:
    """Read back what was written. Raises CopyError `changed` where it is something else."""
    digest, got = hashlib.sha256(), 0
    for block in target.read(name, offset, length):
        digest.update(block)
        got += len(block)
    if got != length or digest.digest() != sha256:
        raise CopyError(f"{name} at {target.address} does not read back as it was sent", code=CHANGED)


def blocks_of(data: bytes | Path) -> Iterator[bytes]:
    """Of what is put. Raises OSError."""
    if isinstance(data, bytes):
        yield data
        return
    with data.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
