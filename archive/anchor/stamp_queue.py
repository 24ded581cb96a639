"""One time stamp authority: once an interval the newest head is due, and waits while the authority is away."""

import base64
import logging
from collections.abc import Callable
from typing import Any

from archive.anchor.check import AUTHORITY
from archive.anchor.published import PublishedHead, PublishedLog
from archive.anchor.store import AnchorStore
from archive.anchor.target import NS, POLL_SECONDS, Backoff, StateFile
from archive.clock import Clock
from archive.errors import ArchiveError
from archive.note import open_checkpoint
from archive.timestamp.client import UnreadTimestampError, request_timestamp
from archive.timestamp.token import Authority, read_token

MAX_QUEUED = 336
"""One an hour for two weeks, a school's break without a line. Then the oldest goes, and is counted: a stamp on a later
head covers it too, only later."""
STAMP_PAUSE_SECONDS = 5.0
"""Between two requests when many are queued: free authorities refuse those who ask too fast."""

Request = Callable[[Authority, bytes], bytes]

log = logging.getLogger(__name__)


class StampQueue:
    """Not thread-safe: one thread calls `step`. `report` may be called by another."""

    kind = AUTHORITY

    def __init__(
        self,
        authority: Authority,
        published: PublishedLog,
        store: AnchorStore,
        clock: Clock,
        interval_seconds: int,
        request: Request = request_timestamp,
    ) -> None:
        self._authority = authority
        self._published = published
        self._store = store
        self._clock = clock
        self._interval_ns = interval_seconds * NS
        # Free authorities are asked by many logs: each has a moment of its own in the hour.
        self._offset_ns = int.from_bytes(published.key.key_id, "big") * NS % self._interval_ns
        self._request = request
        self._backoff = Backoff()
        self._state_file = StateFile(store.folder, AUTHORITY, authority.name, published.key.text())
        self._state = self._state_file.load(
            {"size": 0, "last_success_unix_ns": 0, "interval": -1, "queue": [], "dropped": 0}
        )
        self._queue = self._read_queue()
        self._problem: str | None = None

    @property
    def name(self) -> str:
        return self._authority.name

    def step(self) -> float:
        """Queue what is due and bring one head to the authority, the newest first. Returns the seconds until it is
        worth calling again."""
        try:
            self._queue_if_due()
            if not self._queue:
                return POLL_SECONDS
            left = self._backoff.seconds_left(self._clock.monotonic_ns())
            if left > 0:
                return min(left, POLL_SECONDS)
            self._stamp(self._queue[-1])
        except (ArchiveError, OSError) as error:
            self.fail(error)
        return POLL_SECONDS

    def finish(self) -> None:
        """Nothing: what is due is in the queue, which outlives the process."""

    def fail(self, error: Exception) -> None:
        """Say what went wrong and wait longer each time."""
        if self._problem != str(error):
            log.warning("%s: %s", self._authority.name, error)
        self._problem = str(error)
        self._backoff.fail(self._clock.monotonic_ns())

    def report(self) -> dict[str, Any]:
        """What `status` shows of it."""
        return {
            "name": self._authority.name,
            "last_success_unix_ns": str(self._state["last_success_unix_ns"]),
            "size": self._state["size"],
            "queue": len(self._queue),
            "interval_seconds": self._interval_ns // NS,
            "dropped": self._state["dropped"],
            "problem": self._problem,
        }

    def _queue_if_due(self) -> None:
        """Once in each interval of wall time; a head that is stamped or queued is not due again."""
        interval = (self._clock.unix_ns() + self._offset_ns) // self._interval_ns
        if interval == self._state["interval"]:
            return
        head = self._published.newest()
        known = max([self._state["size"], *(one.checkpoint.size for one in self._queue)])
        queue = [*self._queue, head] if head.checkpoint.size > known else self._queue
        dropped = max(0, len(queue) - MAX_QUEUED)
        self._save(queue[dropped:], interval=interval, dropped=self._state["dropped"] + dropped)

    def _stamp(self, head: PublishedHead) -> None:
        others = [one for one in self._queue if one is not head]
        try:
            response = self._request(self._authority, head.note)
        except UnreadTimestampError as error:
            self._store.keep_token(head, self._authority.name, error.response, unread=True)
            self._save(others)
            raise
        self._store.keep_token(head, self._authority.name, response)
        fields = {
            "by": AUTHORITY,
            "name": self._authority.name,
            "checkpoint": head.note.decode(),
            "unix_ns": str(read_token(response).unix_ns),
            "vkey": "",
            "evidence": base64.b64encode(response).decode(),
        }
        self._store.hand_over(fields, may_be_left_out=False)
        size = max(self._state["size"], head.checkpoint.size)
        self._save(others, size=size, last_success_unix_ns=self._clock.unix_ns())
        self._problem = None
        self._backoff.succeed(self._clock.monotonic_ns(), STAMP_PAUSE_SECONDS)

    def _save(self, queue: list[PublishedHead], **changes: int) -> None:
        """Durable before it counts."""
        state = {**self._state, **changes, "queue": [head.note.decode() for head in queue]}
        self._state_file.save(state)
        self._state, self._queue = state, queue

    def _read_queue(self) -> list[PublishedHead]:
        key = self._published.key
        queue = []
        for text in self._state["queue"][-MAX_QUEUED:]:
            try:
                note = str(text).encode()
                queue.append(PublishedHead(note, open_checkpoint(note, key)))
            except (ArchiveError, UnicodeEncodeError) as error:
                log.warning("a queued head is left out: %s", error)
        return queue
