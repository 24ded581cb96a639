"""A new log that continues an older one, whose key was changed or whose machine was put back to an older state. One key
per log: witnesses refuse a log that changes its key.

The new log is made whole beside the old one; then a mark is set, and the folders change places. From the mark on a
crash is repaired by `finish_change`, before it nothing has happened.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archive.clock import Clock
from archive.durable import make_directory, replace_file, sync_directory
from archive.errors import ArchiveStateError
from archive.head import HeadFile
from archive.key_source import KeySource
from archive.leaf import decode_leaf
from archive.note import VerifierKey, open_checkpoint, parse_verifier_key, split_note
from archive.origin import ArchivePaths, FormerLog, create_log
from archive.tree import TreeReader

KEY_CHANGED, RESTORED, MOVED = "key_changed", "restored", "moved"
REASONS = (KEY_CHANGED, RESTORED)
"""For a log that goes on where it is; one that moves is continued elsewhere."""
SUCCESSOR = "successor"
MARK = "changing"


def former_folders(paths: ArchivePaths) -> list[Path]:
    """Folders of the archive's earlier logs, oldest first."""
    folders = (paths.directory / "former").glob("*")
    return sorted((path for path in folders if path.name.isdecimal()), key=lambda path: int(path.name))


def begin_new_log(
    paths: ArchivePaths, source: KeySource, origin: str, why: str, clock: Clock, *, known: bytes | None = None
) -> None:
    """Make log `origin` and put it in the place of the one that is there. `known` is the old log's newest checkpoint
    where somebody outside has a newer one than we. Durable on return.

    Raises ArchiveStateError `head_locked` while a sealer runs, `origin` for a name that a log of this archive had,
    `moved` where the old log names a successor: for MOVED another one, else any for KEY_CHANGED.
    """
    finish_change(paths)
    _check_successor(paths, source, origin, why)
    vkey = (paths.log / "key.vkey").read_text(encoding="utf-8").strip()
    key = parse_verifier_key(vkey)
    names = {key.name, *(read_origin(folder) for folder in former_folders(paths))}
    if origin in names:
        raise ArchiveStateError(f"this archive has a log {origin} already; a new log needs a new name", code="origin")
    head = HeadFile(paths.head, key)
    try:
        notes = [_own_note(note, key) for note in (known, *_own_notes(paths)) if note is not None]
        if not notes:
            raise ArchiveStateError(f"neither {paths.head} nor a published checkpoint is there", code="head_missing")
        note = max(notes, key=lambda one: open_checkpoint(one, key).size)
        following = _next_paths(paths)
        _remove_half_made(following)
        former = FormerLog(key.name, vkey, note.decode("utf-8"), why)
        create_log(following, origin, clock, source=source.at(following.keys), former=former)
        number = int(former_folders(paths)[-1].name) + 1 if former_folders(paths) else 1
        replace_file(paths.directory / MARK, str(number).encode())
        finish_change(paths)
    finally:
        head.close()


def finish_change(paths: ArchivePaths) -> None:
    """Put the new log in its place if a mark says that it is to be. Part of every start; may be repeated."""
    mark = paths.directory / MARK
    if not mark.exists():
        return
    following = _next_paths(paths)
    former = paths.directory / "former" / mark.read_text(encoding="ascii")
    make_directory(former)
    if following.log.exists() and paths.log.exists():
        _move(paths.log, former / "log")
    if following.head.exists() and not (former / "head").exists() and paths.head.exists():
        replace_file(former / "head", paths.head.read_bytes())
    if following.keys.exists():
        if paths.keys.exists() and not (former / "keys").exists():
            _move(paths.keys, former / "keys")
        _move(following.keys, paths.keys)
    if following.head.exists():
        _move(following.head, paths.head)
    if following.log.exists():
        _move(following.log, paths.log)
    # Reports and anchors in the inbox speak of leaves of the old log.
    for folder in ("units", "anchors"):
        shutil.rmtree(paths.inbox / folder, ignore_errors=True)
    _remove_half_made(following)
    mark.unlink()
    sync_directory(paths.directory)


def read_successor(paths: ArchivePaths) -> dict[str, Any] | None:
    """The fields of the log's last published leaf if it names a successor: after it nothing may be signed. Raises
    OSError, ArchiveError."""
    key = parse_verifier_key((paths.log / "key.vkey").read_text(encoding="utf-8").strip())
    size = open_checkpoint((paths.log / "checkpoint").read_bytes(), key).size
    fields = decode_leaf(TreeReader(paths.log, size).leaf(size - 1))
    return fields if fields["kind"] == SUCCESSOR else None


def _check_successor(paths: ArchivePaths, source: KeySource, origin: str, why: str) -> None:
    fields = read_successor(paths) if why != RESTORED else None
    if why == MOVED:
        prepared = source.given.checkpoint if source.given is not None else None
        if fields is None:
            raise ArchiveStateError(
                "the last leaf of this log names no successor; say `phayan move name-successor` on the old box",
                code=MOVED,
            )
        ours = prepared and VerifierKey(origin, prepared.public_key().public_bytes_raw()).text()
        if fields["vkey"] != ours:
            raise ArchiveStateError(f"this log names another successor: {fields['vkey']}", code=MOVED)
    elif fields is not None:
        raise ArchiveStateError(f"this log was moved to {fields['origin']}; nothing more is signed here", code=MOVED)


def read_origin(folder: Path) -> str:
    """Name of the log in a folder of `former/`."""
    return (folder / "log" / "origin").read_text(encoding="utf-8").strip()


def _own_notes(paths: ArchivePaths) -> list[bytes]:
    """The signed head and the published checkpoint, as far as they are there."""
    return [path.read_bytes() for path in (paths.head, paths.log / "checkpoint") if path.exists()]


def _own_note(note: bytes, key: VerifierKey) -> bytes:
    """The note with our signature alone; a witness hands it out with its own. Raises ArchiveError."""
    open_checkpoint(note, key)
    body, signatures = split_note(note)
    ours = next(line for line in signatures if (line.name, line.key_id) == (key.name, key.key_id))
    return body + f"\n{ours.text()}\n".encode()


def _next_paths(paths: ArchivePaths) -> ArchivePaths:
    return ArchivePaths(paths.directory / "next", paths.head.with_name(paths.head.name + ".next"))


def _remove_half_made(following: ArchivePaths) -> None:
    shutil.rmtree(following.directory, ignore_errors=True)
    for path in _head_files(following.head):
        path.unlink(missing_ok=True)


def _head_files(head: Path) -> Iterator[Path]:
    yield head
    yield head.with_name(head.name + ".lock")


def _move(source: Path, target: Path) -> None:
    os.replace(source, target)
    for folder in {source.parent, target.parent}:
        sync_directory(folder)
