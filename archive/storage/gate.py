"""A spool writer that takes no more of some records while the disk is full, and has begin and end of that sealed."""

import threading
from collections.abc import Collection
from typing import Any

from archive.clock import Clock
from archive.decoder import listener_kind
from archive.errors import SpoolError
from archive.event_record import encode_event
from archive.spool import SpoolWriter
from archive.storage.levels import Level
from archive.storage.watch import StorageWatch

STOPPED_EVENT, RESUMED_EVENT = "storage_stopped", "storage_resumed"
STORAGE_FULL = "storage_full"
"""Code of the error, and of the losses it leads to."""
EVENT_LISTENER = "system"


class StorageGate:
    """Takes the calls of a SpoolWriter. From level `stops_at` on records of listeners of `kinds` are refused with
    SpoolError `storage_full`; those of `counted` are said to be durable and only counted.

    Two records state each stop: when it began, and from when to when it lasted with what was refused and counted.
    """

    def __init__(
        self,
        writer: SpoolWriter,
        watch: StorageWatch,
        clock: Clock,
        process: str,
        *,
        stops_at: Level,
        kinds: Collection[str],
        counted: Collection[str] = (),
    ) -> None:
        self._writer, self._watch, self._clock, self._process = writer, watch, clock, process
        self._stops_at, self._kinds, self._counted = stops_at, frozenset(kinds), frozenset(counted)
        self._lock = threading.Lock()
        self._since_unix_ns: int | None = None
        self._to_state: list[dict[str, Any]] = []
        self._refusals: dict[str, int] = {}
        self._uncounted: dict[str, int] = {}

    def append(self, payload: bytes, *, listener: str, **more: Any) -> int:
        """As SpoolWriter.append; the ticket of a record that is only counted is one that is durable."""
        if self._is_stopped_for(listener, 1):
            return -1
        return self._writer.append(payload, listener=listener, **more)

    def append_batch(self, batch: Any) -> int:
        """As SpoolWriter.append_batch."""
        if self._is_stopped_for(batch.listener, len(batch)):
            return -1
        return self._writer.append_batch(batch)

    def wait_durable(self, ticket: int, timeout_seconds: float = 10.0) -> None:
        if ticket >= 0:
            self._writer.wait_durable(ticket, timeout_seconds)

    def note_dropped(self, listener: str, total_dropped: int) -> None:
        self._writer.note_dropped(listener, total_dropped)

    def counters(self) -> dict[str, int]:
        return self._writer.counters()

    def close(self) -> None:
        """State what is still to be stated, and close the writer."""
        self.tick()
        self._writer.close()

    def tick(self) -> None:
        """Look at the disk though nobody writes, and state what has begun or ended. Called every second or so."""
        self._look()
        with self._lock:
            waiting, self._to_state = self._to_state, []
        for number, values in enumerate(waiting):
            try:
                event = STOPPED_EVENT if values["to_unix_ns"] is None else RESUMED_EVENT
                record = encode_event(event, self._clock.unix_ns(), {"process": self._process, **values})
                self._writer.append(record, listener=EVENT_LISTENER)
            except SpoolError:
                with self._lock:
                    self._to_state = waiting[number:] + self._to_state
                return

    def _is_stopped_for(self, listener: str, count: int) -> bool:
        """Whether the record is only counted. Raises SpoolError where it is refused."""
        kind = listener_kind(listener)
        if kind not in self._kinds or not self._look():
            return False
        with self._lock:
            into = self._uncounted if kind in self._counted else self._refusals
            into[listener] = into.get(listener, 0) + count
        if kind in self._counted:
            return True
        raise SpoolError("the disk is full; records of this kind are not taken", code=STORAGE_FULL)

    def _look(self) -> bool:
        is_stopped = self._watch.level() >= self._stops_at
        if is_stopped == (self._since_unix_ns is not None):
            return is_stopped
        with self._lock:
            now = self._clock.unix_ns()
            if is_stopped and self._since_unix_ns is None:
                self._since_unix_ns = now
                self._to_state.append(self._interval(now, None))
            elif not is_stopped and self._since_unix_ns is not None:
                self._to_state.append(self._interval(self._since_unix_ns, now))
                self._since_unix_ns, self._refusals, self._uncounted = None, {}, {}
        return is_stopped

    def _interval(self, from_unix_ns: int, to_unix_ns: int | None) -> dict[str, Any]:
        space = self._watch.space()
        return {
            "from_unix_ns": str(from_unix_ns),
            "to_unix_ns": None if to_unix_ns is None else str(to_unix_ns),
            "kinds": sorted(self._kinds - self._counted),
            "counted_kinds": sorted(self._counted),
            "refused": dict(self._refusals),
            "not_recorded": dict(self._uncounted),
            "free_bytes": space.free_bytes,
            "reserve_bytes": self._watch.reserve_bytes,
        }
