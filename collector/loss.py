"""Loss accounting: what a receiver knows it lost becomes a `loss` record in the stream itself."""

import ipaddress
import socket
import struct
from collections.abc import Iterable
from typing import Any

from archive.clock import Clock
from archive.errors import SpoolError
from archive.event_record import encode_event
from collector.receivers import RecordWriter
from collector.sources import SourceTable

LOSS_LISTENER = "loss"
KERNEL_SOCKET_DROPS = "kernel_socket_drops"
SPOOL_WRITE_FAILED = "spool_write_failed"
STORAGE_FULL = "storage_full"
CONNECTION_REFUSED = "connection_refused"
MALFORMED_FRAMING = "malformed_framing"
REFUSED_SOURCE = "refused_source"
TRUNCATED_DATAGRAM = "truncated_datagram"
TLS_HANDSHAKE_FAILED = "tls_handshake_failed"
TLS_FAILED = "tls_failed"
RELP_MALFORMED = "relp_malformed"
UDP_MEMORY = "udp_memory"
SOURCE_SILENT = "source_silent"
SOURCE_RETURNED = "source_returned"
MAX_NAMED_SOURCES = 16
"""Sources a record names. Enough to find a wrong setting; bounds what forged sources can make us write."""
SO_MEMINFO = 55
SK_MEMINFO_DROPS = 8
"""Index in the array of nine 32-bit values SO_MEMINFO returns (linux/sock_diag.h). Unlike SO_RXQ_OVFL, which
comes with the next delivered datagram, it also counts what was dropped after the last one."""
_MEMINFO = struct.Struct("=9I")
_WRAP = 1 << 32


class KernelDropCounter:
    """Datagrams the kernel dropped at one socket because its buffer was full (or their checksum wrong)."""

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound
        self._last = self._read()
        self.total = self._last

    def update(self) -> int:
        """Read the kernel's counter; returns by how much it grew. The 32-bit counter may wrap between two
        calls.
        """
        value = self._read()
        grown = (value - self._last) % _WRAP
        self._last = value
        self.total += grown
        return grown

    def _read(self) -> int:
        raw = self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size)
        return _MEMINFO.unpack(raw)[SK_MEMINFO_DROPS]


class _Pending:
    """Losses of one kind not yet written; `sources` keeps the first ones named, in order."""

    def __init__(self, from_unix_ns: int) -> None:
        self.from_unix_ns = from_unix_ns
        self.count = 0
        self.sources: dict[bytes, None] = {}


class LossAccount:
    """Losses of one listener by the way they happened, kept until the spool has taken the record that says
    so. Where nobody can tell whose datagrams were lost, those of `table` who were active are named.
    """

    def __init__(self, listener: str, clock: Clock, table: SourceTable | None = None) -> None:
        self._listener = listener
        self._clock = clock
        self._table = table
        self._settled_unix_ns = clock.unix_ns()
        self._pending: dict[str, _Pending] = {}

    def note(self, how: str, count: int, sources: Iterable[bytes] = ()) -> None:
        """`count` records (or connections) were lost since the last `flush` or earlier unwritten ones.

        Of `sources`, 16 bytes each, the first MAX_NAMED_SOURCES different ones are named.
        """
        if not count:
            return
        pending = self._pending.setdefault(how, _Pending(self._settled_unix_ns))
        pending.count += count
        for source in sources:
            if len(pending.sources) >= MAX_NAMED_SOURCES:
                break
            pending.sources[source] = None

    def names_more(self, how: str) -> bool:
        """Whether another source of this kind of loss would still be named, so that looking for it pays."""
        pending = self._pending.get(how)
        return pending is None or len(pending.sources) < MAX_NAMED_SOURCES

    def flush(self, writer: RecordWriter) -> None:
        """Append a record for each kind of loss; what the spool refuses now is offered again next time."""
        now = self._clock.unix_ns()
        for how, pending in list(self._pending.items()):
            record = loss_record(self._listener, how, pending.from_unix_ns, now, pending.count)
            if how == KERNEL_SOCKET_DROPS:
                record |= unknown_source(self._table.active() if self._table is not None else ())
            if pending.sources:
                record["sources"] = [source_text(source) for source in pending.sources]
            if append_loss(writer, "loss", now, record):
                del self._pending[how]
        self._settled_unix_ns = now


def refused_how(error: SpoolError | OSError) -> str:
    """Why the spool did not take records: the reserve of the disk begins, or it could not be written."""
    return STORAGE_FULL if isinstance(error, SpoolError) and error.code == STORAGE_FULL else SPOOL_WRITE_FAILED


def loss_record(listener: str, how: str, from_unix_ns: int, to_unix_ns: int, count: int | None) -> dict[str, Any]:
    """What every loss record says; `count` None means how many is not known."""
    return {
        "listener": listener,
        "from_unix_ns": str(from_unix_ns),
        "to_unix_ns": str(to_unix_ns),
        "count": count,
        "how": how,
    }


def unknown_source(active: Iterable[bytes]) -> dict[str, Any]:
    """What a record of a loss says that no source can be named for: who was active, the latest first and not twice."""
    named = list(dict.fromkeys(active))[:MAX_NAMED_SOURCES]
    return {"source": "unknown", "active_sources": [source_text(source) for source in named]}


def append_loss(writer: RecordWriter, event: str, now_unix_ns: int, record: dict[str, Any]) -> bool:
    """Append a loss record; False when the spool refused it."""
    try:
        writer.append(encode_event(event, now_unix_ns, record), listener=LOSS_LISTENER)
    except (SpoolError, OSError):
        return False
    return True


def source_text(source: bytes) -> str:
    """A 16-byte source as people write it."""
    address = ipaddress.IPv6Address(source)
    return str(address.ipv4_mapped or address)
