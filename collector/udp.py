"""UDP receiver: datagrams as they came, whatever their bytes, in batches into the spool. One thread per
socket.
"""

import os
import socket
import struct
import threading
import time

from archive.clock import Clock, SystemClock
from archive.errors import SpoolError
from archive.spool_format import Batch
from collector.loss import KERNEL_SOCKET_DROPS, SPOOL_WRITE_FAILED, KernelDropCounter, LossAccount
from collector.mmsg import BATCH_DATAGRAMS, SO_TIMESTAMPNS, DatagramBuffers
from collector.receivers import (
    COALESCE_SECONDS,
    SPOOL_RETRY_SECONDS,
    STOP_POLL_SECONDS,
    ReceiverCounters,
    RecordWriter,
    bind_socket,
)

RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024
"""A burst of about 40,000 datagrams of 250 bytes, or a tenth of a second at the highest rate one core
receives."""
DROP_CHECK_SECONDS = 1.0
COALESCE_BYTES_PER_SECOND = 1024 * 1024 * 1024
"""Kernel memory the fastest sender can fill a second, rounded up; bounds the pause if the buffer is small."""
DRAIN_SECONDS = 2.0
"""Longest time spent on datagrams still queued in the kernel after stop."""
ERROR_PAUSE_SECONDS = 0.05
SO_RCVBUFFORCE = 33
_TIMEVAL = struct.Struct("@ll")


class UdpReceiver:
    """Binds at construction; `run` receives until stopped, then takes what the kernel still holds."""

    def __init__(
        self,
        name: str,
        address: str,
        port: int,
        *,
        receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES,
        batch_datagrams: int = BATCH_DATAGRAMS,
        clock: Clock | None = None,
    ) -> None:
        self._socket = bind_socket(socket.SOCK_DGRAM, address, port)
        self.port: int = self._socket.getsockname()[1]
        self.name = name.replace("-0", f"-{self.port}") if port == 0 else name
        self.counters = ReceiverCounters()
        self._set_buffer(receive_buffer_bytes)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        timeout = _TIMEVAL.pack(0, int(STOP_POLL_SECONDS * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        self._pause_seconds = min(COALESCE_SECONDS, self.counters.receive_buffer_bytes / COALESCE_BYTES_PER_SECOND)
        self._buffers = DatagramBuffers(self._socket.family, batch_datagrams)
        self._drops = KernelDropCounter(self._socket)
        self._losses = LossAccount(self.name, clock or SystemClock())

    def run(self, writer: RecordWriter, stop: threading.Event) -> None:
        """Receive until `stop`, then what is queued in the kernel. No datagram and no full disk ends it."""
        next_check = time.monotonic() + DROP_CHECK_SECONDS
        while not stop.is_set():
            count = self._receive_batch(writer, wait=True)
            if not count or time.monotonic() >= next_check:
                self._account_losses(writer)
                next_check = time.monotonic() + DROP_CHECK_SECONDS
            elif count < self._buffers.capacity:
                time.sleep(self._pause_seconds)
        end = time.monotonic() + DRAIN_SECONDS
        while self._receive_batch(writer, wait=False) and time.monotonic() < end:
            pass
        self._account_losses(writer)

    def close(self) -> None:
        self._socket.close()

    def _set_buffer(self, wanted_bytes: int) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, wanted_bytes)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted_bytes)
        # The kernel doubles the size asked for, to pay for its own structures, and returns it doubled
        # (socket(7)).
        effective = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        self.counters.receive_buffer_bytes = effective
        if effective < wanted_bytes:
            self.counters.warnings.append(
                f"{self.name}: the receive buffer is {effective} bytes instead of {wanted_bytes}; "
                f"bursts will be lost sooner. Set net.core.rmem_max to at least {wanted_bytes}."
            )

    def _receive_batch(self, writer: RecordWriter, *, wait: bool) -> int:
        buffers, counters = self._buffers, self.counters
        try:
            count = buffers.receive(self._socket.fileno(), wait=wait)
        except OSError as error:
            counters.receive_errors += 1
            if counters.receive_errors == 1:
                counters.warnings.append(f"{self.name}: receiving failed: {os.strerror(error.errno or 0)}")
            time.sleep(ERROR_PAUSE_SECONDS)
            return 0
        if not count:
            return 0
        lengths = buffers.lengths()
        truncated = buffers.truncated()
        batch = Batch(
            self.name,
            "udp",
            buffers.arrival_unix_ns(),
            buffers.source_address(),
            buffers.source_port(),
            truncated,
            lengths,
            buffers.payload(lengths),
        )
        try:
            writer.append_batch(batch)
        except (SpoolError, OSError):
            counters.unwritten_records += count
            self._losses.note(SPOOL_WRITE_FAILED, count)
            time.sleep(SPOOL_RETRY_SECONDS)
            return count
        counters.received_records += count
        counters.received_bytes += len(batch.payload)
        counters.truncated_records += int(truncated.sum())
        return count

    def _account_losses(self, writer: RecordWriter) -> None:
        grown = self._drops.update()
        self.counters.kernel_drops = self._drops.total
        if grown:
            writer.note_dropped(self.name, self._drops.total)
            self._losses.note(KERNEL_SOCKET_DROPS, grown)
        self._losses.flush(writer)
