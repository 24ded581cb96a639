"""Memory of requests, so that a retransmission is neither worked on twice nor answered differently (RFC 5080
section 2.2.2). Pure: time is handed in. Safe for several threads."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

ANSWER_KEPT_NS = 5_000_000_000
"""A NAS retries after 1 to 5 s; RFC 5080 asks for 5 to 30 s, and FreeRADIUS ships 5."""
RUNNING_KEPT_NS = 30_000_000_000
"""A request that took longer has been given up by every NAS."""
MAX_REQUESTS = 16_384
"""FreeRADIUS' `max_requests`: 64 sockets of 256 identifiers each; about 8 MB."""

Key = tuple[str, int, str, int, int]
"""(source address, source port, destination address, code, identifier)."""


@dataclass(slots=True)
class Entry:
    """One request. `reply` is None while it is worked on."""

    key: Key
    authenticator: bytes
    length_bytes: int
    expires_ns: int
    reply: bytes | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """`new`: work on it. `running`: drop. `answered`: send `entry.reply` again."""

    kind: Literal["new", "running", "answered"]
    entry: Entry


class DuplicateCache:
    """Bounded; when full the oldest request is forgotten, which costs one repeated piece of work."""

    def __init__(self, max_requests: int = MAX_REQUESTS) -> None:
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._max_requests = max_requests
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def admit(self, key: Key, authenticator: bytes, length_bytes: int, now_ns: int) -> Admission:
        """Look up a request and remember it. Another authenticator under the same key abandons the old
        one."""
        with self._lock:
            entry = self._entries.get(key)
            if (
                entry is not None
                and entry.expires_ns > now_ns
                and entry.authenticator == authenticator
                and entry.length_bytes == length_bytes
            ):
                return Admission("running" if entry.reply is None else "answered", entry)
            entry = Entry(key, authenticator, length_bytes, now_ns + RUNNING_KEPT_NS)
            self._entries[key] = entry
            self._entries.move_to_end(key)
            self._forget_old(now_ns)
            return Admission("new", entry)

    def answer(self, entry: Entry, reply: bytes, now_ns: int) -> bool:
        """Keep the reply. False if the request was abandoned meanwhile: then it must not be sent."""
        with self._lock:
            if self._entries.get(entry.key) is not entry:
                return False
            entry.reply, entry.expires_ns = reply, now_ns + ANSWER_KEPT_NS
            self._entries.move_to_end(entry.key)
            return True

    def abandon(self, entry: Entry) -> None:
        """Forget a request that gets no answer, so that its retransmission is worked on."""
        with self._lock:
            if self._entries.get(entry.key) is entry:
                del self._entries[entry.key]

    def _forget_old(self, now_ns: int) -> None:
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if oldest.expires_ns > now_ns and len(self._entries) <= self._max_requests:
                return
            del self._entries[oldest.key]
