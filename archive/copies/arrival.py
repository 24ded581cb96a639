"""Sending one thing to a target and reading it back. What does not fit its leaf is not sent: a copy shall not take over
a damage of this disk."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from archive.copies.target import CHANGED, CopyError, Target, check_arrival
from archive.copies.wanted import HeadReplacedError, Run, retain_until


class Sender:
    """`log` is the folder of the log that is sent, `retention_days` how long what belongs to a day is locked;
    `tell(bytes)` is called after each file or run."""

    def __init__(self, target: Target, log: Path, retention_days: int, tell: Callable[[int], None]) -> None:
        self._target, self._log, self._retention_days, self._tell = target, log, retention_days, tell

    def send_run(self, run: Run, known_bytes: int) -> None:
        """Chunks of a segment. Those that lie in the first `known_bytes` of it at the target are read there first, and
        sent only if they are others.

        Raises HeadReplacedError where the segment is gone, CopyError for chunks that are not those of their leaves.
        """
        name, length = f"log/{run.segment}", run.length
        if run.offset + length <= known_bytes and self._is_there(name, run):
            self._tell(length)
            return
        data = self._read(run)
        at = 0
        for size, sha256 in run.chunks:
            if hashlib.sha256(data[at : at + size]).hexdigest() != sha256:
                raise CopyError(
                    f"{run.segment} at byte {run.offset + at} is not what its leaf says; it is not copied. Run `phayan "
                    "verify`",
                    code=CHANGED,
                )
            at += size
        due = retain_until(run.segment, self._retention_days)
        self._target.append(name, run.offset, data, retain_until_unix_ns=due)
        check_arrival(self._target, name, run.offset, length, hashlib.sha256(data).digest())
        self._tell(length)

    def send_file(self, name: str, sha256: str | None, *, known_bytes: int | None) -> None:
        """A file of the log that never changes, unless it is there. Raises as `send_run`."""
        path = self._log / name
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise HeadReplacedError(f"{name} is gone: a newer head says why") from error
        digest = hashlib.sha256(data)
        if sha256 is not None and digest.hexdigest() != sha256:
            raise CopyError(f"{name} is not what its leaf says; it is not copied. Run `phayan verify`", code=CHANGED)
        if known_bytes == len(data):
            try:
                check_arrival(self._target, f"log/{name}", 0, len(data), digest.digest())
                return
            except CopyError as error:
                if error.code != CHANGED:
                    raise
        self.put(f"log/{name}", data, retain_until(name, self._retention_days))

    def put(self, name: str, data: bytes, retain_until_unix_ns: int | None = None) -> None:
        """Small enough for the memory; replaced whole."""
        self._target.put(name, data, retain_until_unix_ns=retain_until_unix_ns)
        check_arrival(self._target, name, 0, len(data), hashlib.sha256(data).digest())
        self._tell(len(data))

    def put_file(self, name: str, path: Path) -> None:
        """Of any size. Raises FileNotFoundError where it is gone."""
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as file:
            while block := file.read(1024 * 1024):
                digest.update(block)
                size += len(block)
        self._target.put(name, path)
        check_arrival(self._target, name, 0, size, digest.digest())
        self._tell(size)

    def _is_there(self, name: str, run: Run) -> bool:
        at = run.offset
        try:
            for size, sha256 in run.chunks:
                check_arrival(self._target, name, at, size, bytes.fromhex(sha256))
                at += size
        except CopyError as error:
            if error.code != CHANGED:
                raise
            return False
        return True

    def _read(self, run: Run) -> bytes:
        try:
            with (self._log / run.segment).open("rb") as file:
                file.seek(run.offset)
                return file.read(run.length)
        except FileNotFoundError as error:
            raise HeadReplacedError(f"{run.segment} is gone: a newer head says why") from error
