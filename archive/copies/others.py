"""What a copy holds beside the log: earlier logs, anchors as files, the encrypted state."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from archive.clock import Clock
from archive.copies.arrival import Sender
from archive.copies.memory import Memory
from archive.copies.state_bundle import StateSource, encrypt_bundle, write_bundle
from archive.copies.target import CHANGED, CopyError, Target, check_arrival
from archive.durable import make_directory
from archive.origin import ArchivePaths
from archive.succession import former_folders

NS = 1_000_000_000
STATE_BUNDLES = 30
"""At a target: a month of days, or more than a day of hours."""
STATE_SECONDS = 3600
"""Accounts change with every log-in that is counted; a bundle an hour is enough."""


def copy_former(paths: ArchivePaths, target: Target, sender: Sender, done: list[str]) -> None:
    """Earlier logs do not change any more: what is there already is read once and left. Never their keys."""
    for folder in former_folders(paths):
        if folder.name in done:
            continue
        prefix = f"former/{folder.name}"
        found = target.list(f"{prefix}/")
        # The head last, as ever.
        for path in (*_files(folder / "log"), folder / "head"):
            name = f"{prefix}/{path.relative_to(folder).as_posix()}"
            if not _is_there(target, name, path, found):
                sender.put_file(name, path)
        done.append(folder.name)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))


def _is_there(target: Target, name: str, path: Path, found: dict[str, int]) -> bool:
    size = path.stat().st_size
    if found.get(name) != size:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1024 * 1024):
            digest.update(block)
    try:
        check_arrival(target, name, 0, size, digest.digest())
    except CopyError as error:
        if error.code != CHANGED:
            raise
        return False
    return True


def copy_anchors(paths: ArchivePaths, target: Target, sender: Sender, size: int) -> None:
    """Those of heads of up to `size` leaves, for a copy with an anchor beyond its head would look cut off."""
    folder = paths.directory / "anchors"
    wanted = {
        f"anchors/{path.relative_to(folder).as_posix()}": path
        for path in _files(folder)
        if path.relative_to(folder).parts[0] != "state" and (path.parent != folder or _size_of(path) <= size)
    }
    found = target.list("anchors/")
    for name, path in wanted.items():
        try:
            if found.get(name) != path.stat().st_size:
                sender.put(name, path.read_bytes())
        except FileNotFoundError:
            continue  # Thinned out meanwhile.
    for name in found.keys() - wanted.keys():
        target.remove(name)


def _size_of(path: Path) -> int:
    number = path.name.split(".")[0]
    return int(number) if number.isdecimal() else 0


def copy_state(
    source: StateSource | None, paths: ArchivePaths, target: Target, sender: Sender, memory: Memory, clock: Clock
) -> None:
    """A bundle if the state is another one than an hour ago; the newest of them are kept."""
    recipient = source.recipient() if source is not None else None
    if source is None or recipient is None:
        return
    now_ns = clock.unix_ns()
    if 0 <= now_ns - memory.state_unix_ns < STATE_SECONDS * NS:
        return
    make_directory(paths.directory / "copies", mode=0o700)
    with tempfile.TemporaryDirectory(dir=paths.directory / "copies") as temporary:
        plain, encrypted = Path(temporary) / "state.tar", Path(temporary) / "state.tar.age"
        digest = hashlib.sha256(write_bundle(source.entries(), plain) + recipient.encode()).hexdigest()
        if digest != memory.state_sha256:
            encrypt_bundle(plain, encrypted, recipient)
            sender.put_file(f"state/{now_ns // NS}.tar.age", encrypted)
    memory.state_sha256, memory.state_unix_ns = digest, now_ns
    for name in bundle_names(target)[:-STATE_BUNDLES]:
        target.remove(name)


def bundle_names(target: Target) -> list[str]:
    """State bundles, oldest first."""
    names = [name for name in target.list("state/") if name.endswith(".tar.age")]
    numbers = {name: name.removeprefix("state/").removesuffix(".tar.age") for name in names}
    return sorted((name for name in names if numbers[name].isdecimal()), key=lambda name: int(numbers[name]))
