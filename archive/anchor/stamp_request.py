"""Time stamps that other processes of the appliance ask for: they have no network, the anchor process has no key. A
request is a file `stamps/<name>.request`, the bytes to be stamped; the answer `<name>.tsr` (DER TimeStampResp), or
`<name>.reason`, why there is none."""

import logging
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from archive.clock import Clock
from archive.durable import make_directory, replace_file
from archive.errors import ArchiveError
from archive.timestamp.client import request_timestamp
from archive.timestamp.token import Authority

WAIT_SECONDS = 60.0
"""Longest a package waits for its time stamp."""
REQUEST_TIMEOUT_SECONDS = 15.0
"""Of one authority, so that a second one can be asked within the wait."""
MAX_REQUEST_BYTES = 64 * 1024
STALE_SECONDS = 600
"""Nobody waits for an answer any more."""
POLL_SECONDS = 0.1
NO_ANSWER = "the anchor process gave no answer"
_NAME = re.compile(r"[0-9A-Za-z-]{1,64}\.request\Z", re.ASCII)
_SUFFIXES = (".request", ".tsr", ".reason")
NS = 1_000_000_000

Request = Callable[[Authority, bytes, float], bytes]

log = logging.getLogger(__name__)


class StampDesk:
    """The part of the anchor process: answers what lies in the folder, one request at a time."""

    def __init__(
        self, folder: Path, authorities: Sequence[Authority], clock: Clock, request: Request = request_timestamp
    ) -> None:
        self._folder, self._authorities, self._clock, self._request = folder, authorities, clock, request

    def answer_requests(self) -> int:
        """Answer each request. Returns how many there were. Raises OSError."""
        if not self._folder.is_dir():
            return 0
        answered = 0
        for path in sorted(self._folder.iterdir()):
            if self._clock.unix_ns() - path.stat().st_mtime_ns > STALE_SECONDS * NS:
                path.unlink(missing_ok=True)
            elif _NAME.match(path.name) and path.stat().st_size <= MAX_REQUEST_BYTES:
                self._answer(path)
                answered += 1
        return answered

    def _answer(self, path: Path) -> None:
        data = path.read_bytes()
        problems = []
        for authority in self._authorities:
            try:
                response = self._request(authority, data, REQUEST_TIMEOUT_SECONDS)
            except ArchiveError as error:
                problems.append(str(error))
                continue
            replace_file(path.with_suffix(".tsr"), response)
            path.unlink(missing_ok=True)
            return
        reason = "; ".join(problems) or "no time stamp authority is configured"
        log.warning("%s: %s", path.name, reason)
        replace_file(path.with_suffix(".reason"), reason.encode())
        path.unlink(missing_ok=True)


def ask_for_stamp(
    folder: Path,
    name: str,
    data: bytes,
    wait_seconds: float = WAIT_SECONDS,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[bytes | None, str]:
    """The response over `data`, not verified, or None and why there is none. Raises OSError."""
    make_directory(folder)
    path = folder / f"{name}.request"
    try:
        replace_file(path, data)
        waited = 0.0
        while waited < wait_seconds:
            with suppress(FileNotFoundError):
                return path.with_suffix(".tsr").read_bytes(), ""
            with suppress(FileNotFoundError):
                return None, path.with_suffix(".reason").read_text(encoding="utf-8")
            pause(POLL_SECONDS)
            waited += POLL_SECONDS
        return None, NO_ANSWER
    finally:
        for suffix in _SUFFIXES:
            path.with_suffix(suffix).unlink(missing_ok=True)
