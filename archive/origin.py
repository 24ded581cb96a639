"""Making a new log: origin, keys, leaf 0 and the first checkpoint."""

import datetime
import shutil
from dataclasses import dataclass
from pathlib import Path

from archive.clock import Clock
from archive.durable import make_directory, replace_file
from archive.errors import ArchiveStateError
from archive.head import HeadFile
from archive.key_source import KeySource
from archive.keys import LogKeys
from archive.leaf import encode_leaf
from archive.note import Checkpoint, is_key_name, parse_verifier_key
from archive.tree import TreeWriter


@dataclass(frozen=True)
class ArchivePaths:
    """Where everything of one archive lies."""

    directory: Path
    head: Path

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def segments(self) -> Path:
        return self.log / "segments"

    @property
    def spool(self) -> Path:
        return self.directory / "spool"

    @property
    def keys(self) -> Path:
        return self.directory / "keys"

    @property
    def run(self) -> Path:
        return self.directory / "run"

    @property
    def inbox(self) -> Path:
        return self.directory / "inbox"

    @property
    def index(self) -> Path:
        return self.directory / "index"

    def origin(self) -> str:
        """The log's name. Raises ArchiveStateError when there is no log here."""
        try:
            return (self.log / "origin").read_text(encoding="utf-8").strip()
        except FileNotFoundError as error:
            raise ArchiveStateError(f"no log in {self.directory}; `phayan init` makes one", code="no_log") from error


def default_paths(directory: Path) -> ArchivePaths:
    """The head beside the data directory, as `DIR.head`."""
    return ArchivePaths(directory, directory.with_name(directory.name + ".head"))


@dataclass(frozen=True)
class FormerLog:
    """The log that a new one continues: its newest known checkpoint, as text, and why it ended."""

    origin: str
    vkey: str
    checkpoint: str
    why: str

    def values(self) -> dict[str, str]:
        """As in leaf 0 (docs/FORMAT.md)."""
        return {"origin": self.origin, "vkey": self.vkey, "checkpoint": self.checkpoint, "why": self.why}


def create_log(
    paths: ArchivePaths,
    origin: str,
    clock: Clock,
    *,
    source: KeySource | None = None,
    former: FormerLog | None = None,
) -> LogKeys:
    """Make keys and a log of one leaf, the key leaf, with its signed checkpoint. Durable on return. Keys come from
    `source`, by default from files of `paths.keys`.

    Raises ArchiveStateError if a log, keys or a head are there already: a lost log is continued by a new origin, never
    by making the same one again. What an earlier call left that was cut off is removed first; it never held a record.
    """
    if not is_key_name(origin):
        raise ArchiveStateError(f"origin {origin!r} may not hold white space or a plus sign", code="origin")
    mark = paths.directory / "making"
    if mark.exists() and not (paths.log / "origin").exists():
        _remove_half_made(paths)
    if paths.log.exists() or paths.head.exists():
        raise ArchiveStateError(f"{paths.directory} or {paths.head} already belongs to a log", code="log_exists")
    if paths.keys.exists() and any(paths.keys.iterdir()):
        raise ArchiveStateError(f"{paths.keys} already holds keys")
    make_directory(paths.directory)
    replace_file(mark, b"")
    now_ns = clock.unix_ns()
    now = datetime.datetime.fromtimestamp(now_ns / 1e9, datetime.UTC)
    keys = (source or KeySource(paths.keys)).create(origin, now)
    verifier = keys.verifier_key(origin)
    for folder in (paths.log, paths.segments, paths.spool, paths.run):
        make_directory(folder)
    tree = TreeWriter(paths.log)
    fields = {
        "vkey": verifier.text(),
        "package_certificate_sha256": keys.certificate_sha256(),
        "unix_ns": str(now_ns),
        "former": former.values() if former else None,
    }
    tree.append(encode_leaf("key", origin, fields))
    tree.store()
    replace_file(paths.log / "package.crt", keys.certificate_pem())
    replace_file(paths.log / "key.vkey", (verifier.text() + "\n").encode())
    head = HeadFile(paths.head, parse_verifier_key(verifier.text()))
    try:
        note = head.advance(None, Checkpoint(origin, tree.size, tree.root()), keys.checkpoint)
    finally:
        head.close()
    replace_file(paths.log / "checkpoint", note)
    replace_file(paths.log / "origin", (origin + "\n").encode())
    mark.unlink()
    return keys


def _remove_half_made(paths: ArchivePaths) -> None:
    """The mark says that nothing of it was here before, the missing origin that it was not finished."""
    for folder in (paths.log, paths.keys):
        if folder.exists():
            shutil.rmtree(folder)
    paths.head.unlink(missing_ok=True)
