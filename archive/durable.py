"""File operations with their durability said. The only place that calls fsync outside the spool and segments."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PRIVATE_FILE_MODE = 0o600
MAX_PARTS = 1024
"""IOV_MAX of Linux."""
PIECE_BYTES = 1024 * 1024
"""Read back at a time."""


def sync_directory(directory: Path) -> None:
    """Make names created, renamed or removed in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` at `path` so that after a crash either the old or the new bytes are there, durably on return.

    Order: temporary file, fsync, read back, rename, fsync of the directory. Raises OSError, with EIO where other bytes
    are read back than were written; the old ones are then still there.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
        if not _reads_back(descriptor, data):
            raise OSError(errno.EIO, "a file does not read back as written", str(temporary))
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    sync_directory(path.parent)


def _reads_back(descriptor: int, data: bytes) -> bool:
    """Whether the file holds `data` and nothing else."""
    view = memoryview(data)
    pieces = ((start, view[start : start + PIECE_BYTES]) for start in range(0, len(view), PIECE_BYTES))
    return all(os.pread(descriptor, PIECE_BYTES, start) == piece for start, piece in pieces) and not os.pread(
        descriptor, 1, len(view)
    )


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte; a short write is continued, not lost. Raises OSError as the kernel gives it."""
    view = memoryview(data)
    while view:
        written = os.write(descriptor, view)
        view = view[written:]


def write_parts(descriptor: int, parts: Sequence[bytes | memoryview]) -> None:
    """Write the parts one after another, without joining them first. Raises OSError as the kernel gives it."""
    if len(parts) > MAX_PARTS:
        write_all(descriptor, b"".join(parts))
        return
    written = os.writev(descriptor, parts)
    if written < sum(map(len, parts)):
        write_all(descriptor, memoryview(b"".join(parts))[written:])


def make_directory(path: Path, *, mode: int = 0o755) -> None:
    """Create `path` and its missing parents durably."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=mode, exist_ok=True)
    sync_directory(path.parent)


@contextmanager
def open_descriptor(path: Path, flags: int, mode: int = 0o644) -> Iterator[int]:
    """`os.open` closed at the end of the block; close-on-exec always."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
