"""UDP receiver: datagrams as they came, whatever their bytes, in batches into the spool. One thread per
socket.
"""

import os
import select
import socket
import threading
import time

import numpy as np
from numpy.typing import NDArray

from archive.clock import Clock, SystemClock
from archive.errors import SpoolError
from archive.spool_batch import Batch
from collector.allow_list import AllowList
from collector.loss import (
    KERNEL_SOCKET_DROPS,
    REFUSED_SOURCE,
    TRUNCATED_DATAGRAM,
    KernelDropCounter,
    LossAccount,
    refused_how,
)
from collector.mmsg import BATCH_DATAGRAMS, SO_TIMESTAMPNS, DatagramBuffers
from collector.receivers import (
    COALESCE_SECONDS,
    SPOOL_RETRY_SECONDS,
    STOP_POLL_SECONDS,
    ReceiverCounters,
    RecordWriter,
    bind_socket,
)
from collector.sources import SourceTable

RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024
"""A burst of about 40,000 datagrams of 250 bytes, or a tenth of a second at the highest rate one core
receives."""
DROP_CHECK_SECONDS = 1.0
"""Losses are looked for and said at most this often."""
COALESCE_BYTES_PER_SECOND = 1024 * 1024 * 1024
"""Kernel memory the fastest sender can fill a second, rounded up; bounds the pause if the buffer is small."""
DRAIN_SECONDS = 2.0
"""Longest time spent on datagrams still queued in the kernel after stop."""
ERROR_PAUSE_SECONDS = 0.05
SO_RCVBUFFORCE = 33


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
        allow: AllowList | None = None,
        sources: SourceTable | None = None,
        share_port: bool = False,
    ) -> None:
        """With `share_port` each of several receivers of a port gets the senders the kernel's hash gives it.

        Raises CollectorError as `bind_socket` does.
        """
        self._socket = bind_socket(socket.SOCK_DGRAM, address, port, share_port=share_port)
        self.port: int = self._socket.getsockname()[1]
        self.name = name.replace("-0", f"-{self.port}") if port == 0 else name
        self.counters = ReceiverCounters()
        self._set_buffer(receive_buffer_bytes)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)
        self._pause_seconds = min(COALESCE_SECONDS, self.counters.receive_buffer_bytes / COALESCE_BYTES_PER_SECOND)
        self._buffers = DatagramBuffers(self._socket.family, batch_datagrams)
        self._drops = KernelDropCounter(self._socket)
        self._losses = LossAccount(self.name, clock or SystemClock(), sources)
        self._allow = allow or AllowList()
        self._sources = sources

    def run(self, writer: RecordWriter, stop: threading.Event) -> None:
        """Receive until `stop`, then what is queued in the kernel. No datagram and no full disk ends it."""
        next_check = time.monotonic() + DROP_CHECK_SECONDS
        while not stop.is_set():
            count = self._receive_batch(writer)
            if not count:
                self._poll.poll(STOP_POLL_SECONDS * 1000)
            if time.monotonic() >= next_check:
                self._account_losses(writer)
                next_check = time.monotonic() + DROP_CHECK_SECONDS
            elif 0 < count < self._buffers.capacity:
                time.sleep(self._pause_seconds)
        end = time.monotonic() + DRAIN_SECONDS
        while self._receive_batch(writer) and time.monotonic() < end:
            pass
        self._account_losses(writer)

    def wake(self) -> None:
        os.eventfd_write(self._woken, 1)

    def close(self) -> None:
        self._socket.close()
        os.close(self._woken)

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

    def _receive_batch(self, writer: RecordWriter) -> int:
        buffers, counters = self._buffers, self.counters
        try:
            count = buffers.receive(self._socket.fileno())
        except OSError as error:
            counters.receive_errors += 1
            if counters.receive_errors == 1:
                counters.warnings.append(f"{self.name}: receiving failed: {os.strerror(error.errno or 0)}")
            time.sleep(ERROR_PAUSE_SECONDS)
            return 0
        if not count:
            return 0
        self._append(writer)
        return count

    def _append(self, writer: RecordWriter) -> None:
        """Append the datagrams in the buffers that come from allowed sources."""
        buffers, counters = self._buffers, self.counters
        lengths = buffers.lengths()
        truncated = buffers.truncated()
        addresses = buffers.source_address()
        ports = buffers.source_port()
        arrival = buffers.arrival_unix_ns()
        wanted = None
        if not self._allow.allows_everybody:
            allowed = self._allow.allowed(addresses)
            if not allowed.all():
                self._refuse(addresses[~allowed])
                wanted = allowed
                lengths, truncated, addresses = lengths[wanted], truncated[wanted], addresses[wanted]
                ports, arrival = ports[wanted], arrival[wanted]
        batch = Batch(self.name, "udp", arrival, addresses, ports, truncated, lengths, buffers.payload(lengths, wanted))
        if not len(batch):
            return
        if self._sources is not None:
            self._sources.observe(addresses)
        try:
            writer.append_batch(batch)
        except (SpoolError, OSError) as error:
            counters.unwritten_records += len(batch)
            self._losses.note(refused_how(error), len(batch))
            time.sleep(SPOOL_RETRY_SECONDS)
            return
        cut = int(truncated.sum())
        counters.received_records += len(batch)
        counters.received_bytes += len(batch.payload)
        counters.truncated_records += cut
        self._losses.note(TRUNCATED_DATAGRAM, cut)

    def _refuse(self, addresses: NDArray[np.uint8]) -> None:
        self.counters.refused_records += len(addresses)
        different = np.unique(addresses, axis=0) if self._losses.names_more(REFUSED_SOURCE) else []
        self._losses.note(REFUSED_SOURCE, len(addresses), [address.tobytes() for address in different])

    def _account_losses(self, writer: RecordWriter) -> None:
        grown = self._drops.update()
        self.counters.kernel_drops = self._drops.total
        if grown:
            writer.note_dropped(self.name, self._drops.total)
            self._losses.note(KERNEL_SOCKET_DROPS, grown)
        self._losses.flush(writer)
