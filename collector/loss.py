"""Loss accounting: what a receiver knows it lost becomes a `loss` record in the stream itself."""

import socket
import struct

from archive.clock import Clock
from archive.errors import SpoolError
from archive.event_record import encode_event
from collector.receivers import RecordWriter

LOSS_LISTENER = "loss"
KERNEL_SOCKET_DROPS = "kernel_socket_drops"
SPOOL_WRITE_FAILED = "spool_write_failed"
CONNECTION_REFUSED = "connection_refused"
MALFORMED_FRAMING = "malformed_framing"
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


class LossAccount:
    """Losses of one listener by the way they happened, kept until the spool has taken the record that says
    so.
    """

    def __init__(self, listener: str, clock: Clock) -> None:
        self._listener = listener
        self._clock = clock
        self._settled_unix_ns = clock.unix_ns()
        self._pending: dict[str, tuple[int, int]] = {}

    def note(self, how: str, count: int) -> None:
        """`count` records (or connections) were lost since the last `flush` or earlier unwritten ones."""
        if count:
            from_unix_ns, before = self._pending.get(how, (self._settled_unix_ns, 0))
            self._pending[how] = (from_unix_ns, before + count)

    def flush(self, writer: RecordWriter) -> None:
        """Append a record for each kind of loss; what the spool refuses now is offered again next time."""
        now = self._clock.unix_ns()
        for how, (from_unix_ns, count) in list(self._pending.items()):
            record = {
                "listener": self._listener,
                "from_unix_ns": str(from_unix_ns),
                "to_unix_ns": str(now),
                "count": count,
                "how": how,
            }
            try:
                writer.append(encode_event("loss", now, record), listener=LOSS_LISTENER)
            except (SpoolError, OSError):
                continue
            del self._pending[how]
        self._settled_unix_ns = now
