"""Where cosignatures and time stamps go: `anchors/`, files to copy and keep elsewhere, and `inbox/anchors/`, from where
the sealer takes them into the log."""

import json
import os
import re
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

from archive.anchor.published import PublishedHead
from archive.clock import Clock
from archive.durable import make_directory, replace_file, sync_directory
from archive.errors import AnchorError
from archive.note import MAX_NOTE_BYTES, VerifierKey, parse_signature_line, split_note
from archive.origin import ArchivePaths

MAX_WAITING_FILES = 4096
"""Of the inbox, beyond which cosignatures are no longer handed over: a sealer that is down for two weeks."""
KEEP_ALL_SECONDS = 2 * 3600
HOURLY_SECONDS = 100 * 86_400
"""One an hour is kept for a hundred days: what is kept for the least time the law allows, and ten days more."""
DAILY_SECONDS = 900 * 86_400
"""One a day is kept for longer than records may be (archive.retention_days, at most 800)."""
NS = 1_000_000_000
_NAME = re.compile(r"([0-9]{1,16})\.(checkpoint|(?:[a-z0-9_-]{1,32}\.)(?:unread\.)?tsr)\Z", re.ASCII)


class AnchorStore:
    """Writes both. Any number of threads of one process; everything is durable on return, failures are OSError."""

    def __init__(self, paths: ArchivePaths, clock: Clock) -> None:
        self.folder = paths.directory / "anchors"
        self.inbox = paths.inbox / "anchors"
        self._clock = clock
        self._lock = threading.Lock()
        self.not_handed_over = 0

    def open(self, log_key: VerifierKey) -> None:
        """Make the folders, and remove what a crash left half written. Files of another log, which counts its leaves
        from 0 too, are put into a folder of theirs, `anchors/<key id of that log>/`.
        """
        make_directory(self.folder)
        make_directory(self.inbox)
        for folder in (self.folder, self.inbox):
            for path in folder.glob(".*.tmp"):
                path.unlink()
        mark = self.folder / "log.vkey"
        former = mark.read_text(encoding="utf-8").strip() if mark.exists() else ""
        if former == log_key.text():
            return
        if former:
            aside = self.folder / re.sub(r"[^0-9a-f]", "", former.split("+")[1])[:8]
            make_directory(aside)
            for path, _, _ in self._kept():
                os.replace(path, aside / path.name)
            sync_directory(aside)
        replace_file(mark, (log_key.text() + "\n").encode())

    def keep_cosignature(self, head: PublishedHead, line: str) -> None:
        """Add a signature line (no newline) to `<size>.checkpoint`; of each witness the first one, as it is the oldest.

        Raises AnchorError when another head of this size is there.
        """
        with self._lock:
            path = self.folder / f"{head.checkpoint.size}.checkpoint"
            content = self._kept_note(path, head)
            signer = parse_signature_line(line)
            _, signatures = split_note(content)
            if any((one.name, one.key_id) == (signer.name, signer.key_id) for one in signatures):
                return
            self._write(path, content + f"{line}\n".encode())

    def keep_token(self, head: PublishedHead, authority: str, response: bytes, *, unread: bool = False) -> None:
        """`<size>.<authority>.tsr`, and the checkpoint beside it. The token is over the checkpoint's first five lines,
        which is the note as we published it: `head -n 5 <size>.checkpoint`."""
        with self._lock:
            path = self.folder / f"{head.checkpoint.size}.checkpoint"
            if not path.exists():
                self._write(path, self._kept_note(path, head))
            ending = "unread.tsr" if unread else "tsr"
            self._write(self.folder / f"{head.checkpoint.size}.{authority}.{ending}", response)

    def hand_over(self, fields: dict[str, str], *, may_be_left_out: bool) -> bool:
        """Put the fields of an `anchor` leaf where the sealer takes them from. With `may_be_left_out` they are only
        counted where the sealer has taken nothing for long. Returns whether they were handed over."""
        if may_be_left_out and sum(1 for _ in self.inbox.iterdir()) >= MAX_WAITING_FILES:
            self.not_handed_over += 1
            return False
        name = f"{self._clock.unix_ns():020d}-{secrets.token_hex(4)}.json"
        replace_file(self.inbox / name, json.dumps(fields).encode())
        return True

    def thin_out(self) -> int:
        """Remove what is too many; a checkpoint stays as long as a token over it. Returns how many files went."""
        now = self._clock.unix_ns() // NS
        newest: dict[tuple[str, str, int], tuple[int, Path]] = {}
        kept: set[Path] = set()
        found = list(self._kept())
        for path, size, series in found:
            modified = path.stat().st_mtime_ns // NS
            age = now - modified
            if age < KEEP_ALL_SECONDS:
                kept.add(path)
            elif age < DAILY_SECONDS:
                step = 3600 if age < HOURLY_SECONDS else 86_400
                place = (series, str(step), modified // step)
                newest[place] = max(newest.get(place, (0, path)), (size, path))
        kept |= {path for _, path in newest.values()}
        kept |= {path.with_name(f"{path.name.split('.')[0]}.checkpoint") for path in kept}
        gone = [path for path, _, _ in found if path not in kept]
        with self._lock:
            for path in gone:
                path.unlink(missing_ok=True)
        return len(gone)

    def _kept(self) -> Iterator[tuple[Path, int, str]]:
        """Path, size and the rest of the name of what lies in `anchors/`."""
        for path in sorted(self.folder.iterdir()):
            match = _NAME.match(path.name)
            if match:
                yield path, int(match[1]), match[2]

    def _kept_note(self, path: Path, head: PublishedHead) -> bytes:
        try:
            with path.open("rb") as file:
                content = file.read(MAX_NOTE_BYTES)
        except FileNotFoundError:
            return head.note
        if not content.startswith(head.note):
            raise AnchorError(f"{path} is another head with as many leaves; two heads of one size are a forked log")
        return content

    def _write(self, path: Path, content: bytes) -> None:
        replace_file(path, content)
        # The time by which files are thinned out is the clock's that everything else here goes by.
        os.utime(path, ns=(self._clock.unix_ns(), self._clock.unix_ns()))
