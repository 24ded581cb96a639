"""Sealed days on a second disk: a day's folder is copied, read back, and a symbolic link takes its place at once, so
that every reader finds it where its leaves say. Done by the sealer, who owns the segments; may be cut off anywhere."""

import ctypes
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from archive.durable import make_directory, sync_directory
from archive.errors import ArchiveError

BLOCK_BYTES = 4 * 1024 * 1024
MARK = "phayan-second-disk"
LINK_SUFFIX, PART_SUFFIX = ".link", ".part"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


class SecondDiskError(ArchiveError):
    """A day that cannot be moved; it stays where it is."""

    code = "second_disk"


def open_second(second: Path, origin: str, first: Path) -> Path:
    """Where days of the log `origin` lie on the second disk. The directory gets a mark when it is first used; later one
    without it is an empty mount point. Raises SecondDiskError."""
    folder = second / hashlib.sha256(origin.encode()).hexdigest()[:16]
    mark = second / MARK
    try:
        if second.stat().st_dev == first.stat().st_dev:
            raise SecondDiskError(f"{second} is on the disk of the archive itself; nothing would be gained")
        if not mark.exists():
            if any(_links_into(first, second)):
                raise SecondDiskError(f"{second} has no {MARK}, and days lie there: is the disk mounted?")
            mark.write_text("days of a Phayan archive\n", encoding="ascii")
    except FileNotFoundError as error:
        raise SecondDiskError(f"{second} is not there; is the disk mounted?") from error
    make_directory(folder)
    return folder


def _links_into(segments: Path, second: Path) -> Iterator[Path]:
    for path in segments.glob("*/[0-9]*"):
        if path.is_symlink() and second in Path(os.readlink(path)).parents:
            yield path


def movable_days(segments: Path, before_day: str, since_day: str = "") -> list[Path]:
    """Folders `<stream>/<day>` of days from `since_day` to the one before `before_day` that are not moved yet, oldest
    first."""
    folders = (path for path in segments.glob("*/[0-9]*") if path.name.isdecimal() and len(path.name) == 8)
    return sorted(
        (path for path in folders if since_day <= path.name < before_day and path.is_dir() and not path.is_symlink()),
        key=lambda path: (path.name, path.parent.name),
    )


def move_day(folder: Path, second: Path, lock: AbstractContextManager[object]) -> int:
    """Move a day's folder to `second/<stream>/<day>`. Returns its bytes. Durable on return. `lock` is held by whoever
    writes into such folders, and here for the moment in which the folders change places.

    Raises SecondDiskError where the copy does not read back as it was; OSError. Then the folder is as it was.
    """
    target = second / folder.parent.name / folder.name
    part = target.with_name(target.name + PART_SUFFIX)
    shutil.rmtree(part, ignore_errors=True)
    make_directory(part)
    size = sum(_copy(path, part / path.name) for path in sorted(folder.iterdir()))
    sync_directory(part)
    if target.exists():
        # A move before this one was cut off behind its copy.
        shutil.rmtree(target)
    os.rename(part, target)
    sync_directory(target.parent)
    link = folder.with_name(folder.name + LINK_SUFFIX)
    link.unlink(missing_ok=True)
    with lock:
        if _sizes(folder) != _sizes(target):
            shutil.rmtree(target)
            raise SecondDiskError(f"{folder} has changed while it was copied")
        link.symlink_to(target)
        _exchange(link, folder)
    sync_directory(folder.parent)
    # What the link's name holds now is the old folder.
    shutil.rmtree(link)
    sync_directory(folder.parent)
    return size


def finish_moves(segments: Path) -> None:
    """What moves that were cut off have left. Part of every start."""
    for path in segments.glob(f"*/*{LINK_SUFFIX}"):
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path)


def remove_day_folder(folder: Path) -> None:
    """Remove a day's empty folder wherever it lies. Raises OSError."""
    if folder.is_symlink():
        target = folder.resolve()
        folder.unlink()
        if target.is_dir():
            os.rmdir(target)
            sync_directory(target.parent)
    else:
        os.rmdir(folder)
    sync_directory(folder.parent)


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def _copy(source: Path, target: Path) -> int:
    with source.open("rb") as reading, target.open("xb") as writing:
        wanted = hashlib.sha256()
        for block in _blocks(reading):
            wanted.update(block)
            writing.write(block)
        writing.flush()
        os.fsync(writing.fileno())
        # From the disk and not from memory, as far as the kernel heeds it.
        os.posix_fadvise(writing.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        size = writing.tell()
    os.chmod(target, source.stat().st_mode & 0o777)
    found = hashlib.sha256()
    with target.open("rb") as reading:
        for block in _blocks(reading):
            found.update(block)
    if found.digest() != wanted.digest():
        raise SecondDiskError(f"{target} does not read back as it was written")
    return size


def _blocks(file: object) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):  # type: ignore[attr-defined]
        yield block


def _exchange(one: Path, other: Path) -> None:
    """renameat2(2) with RENAME_EXCHANGE: nobody sees a moment without the folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS):
            raise SecondDiskError("this file system cannot exchange two names; days stay on the first disk")
        raise OSError(number, os.strerror(number), str(other))
