"""The logs of one archive, oldest first: those that ended when a key was changed or an older state was put back, and
the one that is written."""

from collections.abc import Sequence
from dataclasses import dataclass

from archive.errors import AskError
from archive.index.engine import Engine
from archive.origin import ArchivePaths
from archive.succession import former_folders


@dataclass(frozen=True)
class LogIndex:
    """A log and the tables of its own rows."""

    paths: ArchivePaths
    engine: Engine

    @property
    def origin(self) -> str:
        return self.engine.origin


class ArchiveLogs:
    """`reader` reads the rows of every log, and is the newest log's own engine where it is the only one."""

    def __init__(self, newest: LogIndex, former: Sequence[LogIndex] = (), reader: Engine | None = None) -> None:
        self.newest = newest
        self.former = tuple(former)
        self.reader = reader or newest.engine

    def of(self, origin: str) -> LogIndex:
        """The log of that name; the newest for an empty one. Raises AskError `no_such_record`."""
        for one in (self.newest, *self.former):
            if origin in ("", one.origin):
                return one
        raise AskError(f"this archive has no log {origin[:80]!r}", code="no_such_record")


def former_paths(paths: ArchivePaths) -> list[ArchivePaths]:
    """Where the earlier logs of an archive lie, oldest first. A folder without a log is passed over: `verify` says what
    is gone."""
    found = [ArchivePaths(folder, folder / "head") for folder in former_folders(paths)]
    return [one for one in found if (one.log / "origin").exists()]


def open_logs(dsn: str, paths: ArchivePaths) -> ArchiveLogs:
    """Every log of the archive with its tables. Raises IndexUnavailableError, ArchiveStateError."""
    former = [LogIndex(one, Engine(dsn, one.origin())) for one in former_paths(paths)]
    newest = LogIndex(paths, Engine(dsn, paths.origin()))
    origins = [one.origin for one in former]
    return ArchiveLogs(newest, former, Engine(dsn, newest.origin, former=origins) if former else None)
