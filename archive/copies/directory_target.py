"""A copy in a directory: a USB disk, a network file system."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archive.copies.target import BLOCK_BYTES, CHANGED, MISSING, UNREACHABLE, CopyError, blocks_of, check_name
from archive.durable import make_directory, sync_directory, write_all

PART_SUFFIX = ".part"
"""Of a file that is being written; left by a crash, and written over."""


class DirectoryTarget:
    """`root` has to be there already."""

    needs_mark = True

    def __init__(self, root: Path) -> None:
        self.address = str(root)
        self._root = root

    def append(self, name: str, offset: int, data: bytes, *, retain_until_unix_ns: int | None = None) -> None:
        path = self._path(name)
        with self._failures(name):
            make_directory(path.parent)
            is_new = not path.exists()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                if os.fstat(descriptor).st_size < offset:
                    raise CopyError(f"{name} at {self.address} is shorter than it was", code=CHANGED)
                os.ftruncate(descriptor, offset)
                os.lseek(descriptor, offset, os.SEEK_SET)
                write_all(descriptor, data)
                _settle(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                sync_directory(path.parent)

    def put(self, name: str, data: bytes | Path, *, retain_until_unix_ns: int | None = None) -> None:
        path = self._path(name)
        with self._failures(name):
            make_directory(path.parent)
            part = path.with_name(f".{path.name}{PART_SUFFIX}")
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
            try:
                for block in blocks_of(data):
                    write_all(descriptor, block)
                _settle(descriptor)
            finally:
                os.close(descriptor)
            os.replace(part, path)
            sync_directory(path.parent)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        path = self._path(name)
        left = length
        with self._failures(name), path.open("rb", buffering=0) as file:
            file.seek(offset)
            while left is None or left > 0:
                block = file.read(BLOCK_BYTES if left is None else min(left, BLOCK_BYTES))
                if not block:
                    return
                left = None if left is None else left - len(block)
                yield block

    def list(self, prefix: str) -> dict[str, int]:
        with self._failures(prefix):
            self._check_root()
            if not prefix.endswith("/") and prefix:
                path = self._path(prefix)
                return {prefix: path.stat().st_size} if path.is_file() else {}
            folder = self._root / prefix
            return {
                path.relative_to(self._root).as_posix(): path.stat().st_size
                for path in folder.rglob("*")
                if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
            }

    def remove(self, name: str) -> None:
        path = self._path(name)
        with self._failures(name):
            if not path.exists():
                return
            path.unlink()
            sync_directory(path.parent)
            self._remove_empty(path.parent)

    def rename(self, old: str, new: str) -> None:
        source, place = self._path(old), self._path(new)
        with self._failures(old):
            if not source.exists():
                return
            make_directory(place.parent)
            if place.is_dir():
                shutil.rmtree(place)
            os.replace(source, place)
            for folder in {source.parent, place.parent}:
                sync_directory(folder)

    def close(self) -> None:
        """Nothing is held."""

    def _remove_empty(self, folder: Path) -> None:
        while folder != self._root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _path(self, name: str) -> Path:
        self._check_root()
        return self._root / check_name(name)

    def _check_root(self) -> None:
        if not self._root.is_dir():
            raise CopyError(f"{self.address} is not there; is the disk connected and mounted?", code=UNREACHABLE)

    @contextmanager
    def _failures(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if error.filename is not None and not str(error.filename).startswith(self.address):
                raise  # A file of ours that was to be sent.
            raise CopyError(f"{name} is not at {self.address}", code=MISSING) from error
        except OSError as error:
            raise CopyError(f"{name} at {self.address}: {error.strerror}", code=UNREACHABLE) from error


def _settle(descriptor: int) -> None:
    """On the disk, and out of memory, so that it is read back from the disk as far as the kernel heeds that."""
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
