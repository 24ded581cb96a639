"""Step 4 of a purge: what a purge leaf lists is removed, once a published head covers that leaf. May be repeated, and
is at every start."""

import os
from collections.abc import Iterator
from pathlib import Path

from archive.durable import make_directory, replace_file, sync_directory
from archive.origin import ArchivePaths
from archive.retention.held_file import HELD_FOLDER
from archive.retention.purge_leaf import PurgeLeaf
from archive.sealing.record_roots import SALT_KEY_FILE, UNITS_SUFFIX
from archive.segment import PURGED_SUFFIX, first_number, segment_numbers
from archive.storage.second_disk import remove_day_folder


def bar_folder(paths: ArchivePaths, folder: str, next_number: int) -> None:
    """From here on what comes late for `<stream>/<day>` goes into segment `next_number` or a later one. Durable; raises
    OSError."""
    path = paths.segments / folder
    if first_number(path) < next_number:
        replace_file(path.with_name(path.name + PURGED_SUFFIX), f"{next_number}\n".encode())


def remove_day(paths: ArchivePaths, leaf: int, purge: PurgeLeaf, *, is_repeated: bool) -> Iterator[Path]:
    """Remove the files of a purge one after another; yields after each. `is_repeated`: after a start, when the key of
    the salts may be that of records that came late. Raises OSError."""
    for folder in purge.streams:
        directory = paths.segments / folder.stream / purge.day
        bar = first_number(directory)
        if not directory.is_dir():
            continue
        for number in segment_numbers(directory):
            if number < bar:
                yield _remove(directory / f"{number:06d}.seg")
        for path in sorted(directory.glob(f"*{UNITS_SUFFIX}")):
            if path.stem.isdecimal() and int(path.stem) < leaf:
                yield _remove(path)
        yield from _remove_rest(directory, is_repeated)
    yield from _remove_held_before(paths, leaf, purge)


def _remove_rest(directory: Path, is_repeated: bool) -> Iterator[Path]:
    """The key of the salts, and the folder if nothing came late."""
    late = [path for path in directory.iterdir() if path.name != SALT_KEY_FILE and not path.name.startswith(".")]
    key = directory / SALT_KEY_FILE
    if key.exists() and not (late and is_repeated):
        yield _remove(key)
    if not late:
        for path in directory.iterdir():
            yield _remove(path)
        remove_day_folder(directory)
        yield directory


def _remove_held_before(paths: ArchivePaths, leaf: int, purge: PurgeLeaf) -> Iterator[Path]:
    """Held files of the day that an earlier leaf named."""
    for path in sorted((paths.log / HELD_FOLDER / purge.day).glob("*")):
        if path.stem.isdecimal() and int(path.stem) < leaf:
            yield _remove(path)


def is_removed(paths: ArchivePaths, leaf: int, purge: PurgeLeaf) -> bool:
    """Whether nothing is there that `remove_day` would look at."""
    if any((paths.segments / folder.stream / purge.day).is_dir() for folder in purge.streams):
        return False
    return not any(int(path.stem) < leaf for path in (paths.log / HELD_FOLDER / purge.day).glob("[0-9]*"))


def remove_unnamed_held(paths: ArchivePaths, size: int, purges: dict[str, list[tuple[int, PurgeLeaf]]]) -> None:
    """At a start: held files that no leaf of the `size` published ones names. Raises OSError."""
    named = {
        name
        for of_day in purges.values()
        for _, purge in of_day
        if purge.held is not None
        for name in (purge.held.file, purge.held.rows_file)
    }
    for path in (paths.log / HELD_FOLDER).glob("*/*"):
        if path.relative_to(paths.log).as_posix() not in named:
            _remove(path)


def write_held(paths: ArchivePaths, name: str, data: bytes) -> None:
    """A held or rows file `name` below `log/`: durable on return, and read back. Raises OSError."""
    path = paths.log / name
    make_directory(path.parent)
    replace_file(path, data, mode=0o640)


def _remove(path: Path) -> Path:
    os.unlink(path)
    sync_directory(path.parent)
    return path
