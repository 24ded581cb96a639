"""Bringing a whole copy here, to be verified before anything is made of it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from archive.copies.copier import read_mark
from archive.copies.others import bundle_names
from archive.copies.target import CopyError, Target, check_name
from archive.durable import make_directory, sync_directory, write_all

FETCHED_PARTS = ("log/", "former/", "anchors/")
GROWING_PARTS = ("log/segments/", "log/tile/")
"""What is there never becomes something else; a head of the same size may be another one."""


def plan_fetch(target: Target) -> dict[str, tuple[str, int]]:
    """Names as they are to lie here, with the name at the target and the size in bytes. A copy that was cut off while
    it took over another log is that of the newest whole one. Raises CopyError where there is no copy."""
    if read_mark(target) is None:
        raise CopyError(f"{target.address} holds no copy of an archive")
    found = {name: size for part in FETCHED_PARTS for name, size in target.list(part).items()}
    found |= target.list("head")
    renamed = {}
    if "head" not in found or "log/checkpoint" not in found:
        numbers = [int(name.split("/")[1]) for name in found if name.startswith("former/")]
        if not numbers:
            raise CopyError(f"the copy at {target.address} has no head: its first pass never ended")
        renamed = {f"former/{max(numbers)}/": ""}
        found = {name: size for name, size in found.items() if not name.startswith("log/")}
    plan = {}
    for name, size in found.items():
        check_name(name)
        here = name
        for old, new in renamed.items():
            here = new + name.removeprefix(old) if name.startswith(old) else name
        plan[here] = (name, size)
    if "head" not in plan:
        raise CopyError(f"the copy at {target.address} has no head")
    return plan


def fetch(target: Target, folder: Path, plan: dict[str, tuple[str, int]], tell: Callable[[int], None]) -> None:
    """Write all of `plan` below `folder`. What lies there from a try before stays if it only grows and has its whole
    size; everything is verified afterwards. Durable on return. Raises CopyError, OSError."""
    folders = set()
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in plan:
            path.unlink()
    for here, (name, size) in plan.items():
        path = folder / check_name(here)
        is_growing = any(part in here for part in GROWING_PARTS)
        if not (is_growing and path.is_file() and path.stat().st_size == size):
            make_directory(path.parent)
            _write(path, target.read(name))
            folders.add(path.parent)
        tell(size)
    for one in folders:
        sync_directory(one)


def fetch_newest_bundle(target: Target, path: Path) -> str | None:
    """The newest state bundle; returns its name, None where there is none. Raises CopyError, OSError."""
    names = bundle_names(target)
    if not names:
        return None
    _write(path, target.read(names[-1]))
    return names[-1]


def _write(path: Path, blocks: Iterator[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        for block in blocks:
            write_all(descriptor, block)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
