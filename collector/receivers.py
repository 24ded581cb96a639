"""What UDP and TCP receivers share: binding, the spool they append to, and the counters they show."""

import errno
import os
import socket
import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

from archive.spool_batch import Batch, ReadBatch
from collector.errors import CollectorError

COALESCE_SECONDS = 0.02
"""Pause after a small batch, so that a steady trickle costs some 50 wake-ups a second instead of one per
record, and 20,000 datagrams a second come 256 at a time: 4 ms cost a tenth more CPU a flow. Arrival times are the
kernel's or taken before, and the spool's commit interval is 100 ms anyway."""
STOP_POLL_SECONDS = 1.0
"""Longest a receiver waits for data before it looks whether it shall stop, unless it is woken."""
SPOOL_RETRY_SECONDS = 0.05
"""Pause after the spool refused a batch, so that a full disk costs 20 attempts a second and what arrives meanwhile
stays in the kernel's buffer instead of being lost at once."""
ADDRESS_ANY = ("", "*", "::")


class RecordWriter(Protocol):
    """The part of `archive.spool.SpoolWriter` a receiver uses."""

    def append(self, payload: bytes, *, listener: str) -> int: ...

    def append_batch(self, batch: Batch | ReadBatch) -> int: ...

    def wait_durable(self, ticket: int, timeout_seconds: float = 10.0) -> None: ...

    def note_dropped(self, listener: str, total_dropped: int) -> None: ...


@dataclass
class ReceiverCounters:
    """Since the process started. Written by the receiver's thread alone; a reader may see it a moment old."""

    received_records: int = 0
    received_bytes: int = 0
    truncated_records: int = 0
    kernel_drops: int = 0
    unwritten_records: int = 0
    receive_errors: int = 0
    receive_buffer_bytes: int = 0
    connections: int = 0
    refused_connections: int = 0
    refused_records: int = 0
    malformed_frames: int = 0
    failed_handshakes: int = 0
    warnings: list[str] = field(default_factory=list)


class Receiver(Protocol):
    """One listening socket, bound when constructed. `run` returns when `stop` is set and is called once; `wake` makes
    it look at once.
    """

    name: str
    port: int
    counters: ReceiverCounters

    def run(self, writer: RecordWriter, stop: threading.Event) -> None: ...

    def wake(self) -> None: ...

    def close(self) -> None: ...


def bind_socket(kind: int, address: str, port: int, *, share_port: bool = False) -> socket.socket:
    """A bound socket. AF_INET6 taking IPv4 too, so that every source is an IPv6 address; AF_INET where IPv6
    is off.

    `address` is numeric; empty, `*` or `::` is every address of both families, `0.0.0.0` every IPv4 one.
    With `share_port` several sockets of this user may be bound to it and the kernel spreads the senders over them.
    Raises CollectorError: port_in_use, port_denied, address_unavailable.
    """
    protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
    mapped = f"::ffff:{address}" if "." in address and ":" not in address else address
    bound = None
    try:
        try:
            bound = socket.socket(socket.AF_INET6, kind | socket.SOCK_CLOEXEC)
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            place: Any = ("::" if address in ADDRESS_ANY else mapped, port)
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:
                raise
            bound = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC)
            place = ("0.0.0.0" if address in ADDRESS_ANY else address, port)  # noqa: S104 - the operator's choice
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(place)
        return bound
    except OSError as error:
        if bound is not None:
            bound.close()
        where = f"{protocol} port {port} on address {address or '*'}"
        if error.errno == errno.EADDRINUSE:
            raise CollectorError(f"{where} is already in use by another program.", code="port_in_use") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise CollectorError(f"{where} may not be opened by this user.", code="port_denied") from error
        reason = os.strerror(error.errno) if isinstance(error.errno, int) and error.errno > 0 else str(error)
        raise CollectorError(f"{where} cannot be opened: {reason}.", code="address_unavailable") from error
