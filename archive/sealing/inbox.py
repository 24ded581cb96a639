"""What other processes hand to the sealer as files of `inbox/`: each becomes part of a leaf and is removed once a
signed head covers that leaf. A crash in between seals it twice, which says nothing wrong."""

import errno
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from archive.durable import make_directory, open_descriptor
from archive.errors import ArchiveError, ArchiveFormatError
from archive.sealing.spool_watch import TIMESTAMP_TICK_NS

REFUSED_KEPT = 20
"""Files of a kind that are kept for a person to look at; the others are removed, all are counted."""

log = logging.getLogger(__name__)


def read_handed_in(path: Path, max_bytes: int) -> bytes:
    """The bytes of a regular file of the inbox. Raises ArchiveFormatError for anything else that lies there, and for a
    file that is too long: whoever may write here may write what he likes."""
    try:
        with open_descriptor(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ArchiveFormatError("not a regular file")
            with os.fdopen(os.dup(descriptor), "rb") as file:
                data = file.read(max_bytes + 1)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise ArchiveFormatError("not a regular file") from error
        raise
    if len(data) > max_bytes:
        raise ArchiveFormatError(f"longer than {max_bytes} bytes")
    return data


@dataclass(frozen=True)
class PreparedLeaf:
    """A leaf to append, and the files that are done with once it is covered.

    A leaf that is not `urgent` waits for the next head that something else, or the heartbeat, makes due: else a log
    that is anchored would grow by its own anchors.
    """

    kind: str
    fields: dict[str, Any]
    files: tuple[Path, ...] = ()
    urgent: bool = True


class LeafSource(Protocol):
    """Makes leaves of what lies in the inbox. `prepare` may raise OSError; it is called again at the next turn."""

    def prepare(self, taken: set[Path]) -> Iterator[PreparedLeaf]:
        """Leaves that are due. Files of `taken` are in a leaf that waits for its head."""
        ...


@dataclass
class InboxFolder:
    """Files with one suffix in one folder of the inbox, in the order of their names."""

    folder: Path
    suffix: str
    refused: int = 0
    _seen_ns: int = field(default=-1, init=False)

    def files(self, taken: set[Path]) -> list[Path]:
        """What is there and not in `taken`; empty while the folder has not changed since the last call."""
        try:
            changed_ns = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            return []
        if changed_ns == self._seen_ns:
            return []
        # Within one tick of the file system's clock another file leaves the same time.
        is_settled = time.time_ns() - changed_ns > TIMESTAMP_TICK_NS
        self._seen_ns = changed_ns if is_settled else -1
        return sorted(path for path in self.folder.iterdir() if path.suffix == self.suffix and path not in taken)

    def look_again(self) -> None:
        """Not everything that `files` gave could be taken."""
        self._seen_ns = -1

    def refuse(self, path: Path, reason: ArchiveError | OSError | ValueError) -> None:
        """Put a file aside that cannot be sealed, so that it holds nothing up."""
        self.refused += 1
        log.error("%s/%s is not sealed: %s", self.folder.name, path.name, reason)
        aside = self.folder / "refused"
        make_directory(aside)
        if sum(1 for _ in aside.iterdir()) < REFUSED_KEPT:
            os.replace(path, aside / path.name)
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
