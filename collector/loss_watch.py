"""Losses no single receiver sees: UDP memory of the machine exhausted, sources that fall silent."""

from collections.abc import Callable, Sequence
from typing import Any

from archive.clock import Clock
from collector.loss import (
    SOURCE_RETURNED,
    SOURCE_SILENT,
    UDP_MEMORY,
    append_loss,
    loss_record,
    source_text,
    unknown_source,
)
from collector.receivers import RecordWriter
from collector.sources import NS, SourceTable
from collector.udp_memory import UdpCounters, read_counters

PAUSE_NS = 10 * NS
"""A check that comes this late means that the process stood still; nobody is missed until the receivers have had
the next interval to read what waited in the kernel."""
MAX_PENDING = 1_024
"""Records kept for a spool that refuses; a silence lasts, so the newest are worth more than the oldest."""


class LossWatch:
    """Called about once a second by the collector's own thread."""

    def __init__(
        self, tables: Sequence[SourceTable], clock: Clock, read: Callable[[], UdpCounters] = read_counters
    ) -> None:
        self._tables = tables
        self._clock = clock
        self._read = read
        self._before = read()
        self._checked_ns = clock.monotonic_ns()
        self._settled_unix_ns = clock.unix_ns()
        self._pending: list[tuple[str, int, dict[str, Any]]] = []

    def check(self, writer: RecordWriter) -> None:
        """Append what happened since the last check; what the spool refuses is offered again."""
        now_ns, now_unix_ns = self._clock.monotonic_ns(), self._clock.unix_ns()
        stood_still = now_ns - self._checked_ns > PAUSE_NS
        self._checked_ns = now_ns
        self._look_at_memory(now_unix_ns)
        if not stood_still:
            self._look_for_silence(now_unix_ns)
        self._settled_unix_ns = now_unix_ns
        del self._pending[:-MAX_PENDING]
        self._pending = [one for one in self._pending if not append_loss(writer, *one)]

    def warnings(self) -> list[str]:
        """One sentence for each listener with more sources than can be watched."""
        return [
            f"{table.listener}: more than {len(table)} sources; {table.unwatched_records} records came from "
            "sources that are not watched for silence."
            for table in self._tables
            if table.unwatched_records
        ]

    def _look_at_memory(self, now_unix_ns: int) -> None:
        """`count` is unknown: the counters are those of all programs, and what was lost at one of our sockets is
        already counted there as kernel_socket_drops."""
        counters = self._read()
        grown, self._before = counters.since(self._before), counters
        if not grown.memory_errors:
            return
        record = loss_record("collector", UDP_MEMORY, self._settled_unix_ns, now_unix_ns, None)
        active = [source for table in self._tables if "/udp-" in table.listener for source in table.active()]
        record |= unknown_source(active)
        record["mem_errors"] = grown.memory_errors
        record["in_errors"] = grown.in_errors
        record["receive_buffer_errors"] = grown.receive_buffer_errors
        self._pending.append(("loss", now_unix_ns, record))

    def _look_for_silence(self, now_unix_ns: int) -> None:
        for table in self._tables:
            for silence in table.check():
                how = SOURCE_RETURNED if silence.returned else SOURCE_SILENT
                record = loss_record(table.listener, how, silence.since_unix_ns, silence.until_unix_ns, None)
                record["source"] = source_text(silence.source)
                self._pending.append((how, now_unix_ns, record))
