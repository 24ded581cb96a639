"""The collector process: binds every listener, runs a thread for each, and shows their counters."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archive.clock import Clock, SystemClock
from archive.durable import make_directory
from archive.spool import CLOSE_AFTER_SECONDS, SpoolWriter
from collector.errors import CollectorError
from collector.receivers import Receiver
from collector.service_status import udp_memory_warning, write_status
from collector.tcp import TcpReceiver
from collector.udp import UdpReceiver

STREAM = "collector"
STATUS_INTERVAL_SECONDS = 1.0
JOIN_SECONDS = 30.0
"""A receiver that has not ended this long after stop hangs in the file system; the process then ends without
it."""


@dataclass(frozen=True)
class Listener:
    """One listening socket. `kind` is syslog or netflow, `transport` udp or tcp (netflow: udp alone)."""

    kind: str
    transport: str
    address: str
    port: int

    @property
    def name(self) -> str:
        """What the records of this listener are called by, e.g. `syslog/udp-5514`."""
        return f"{self.kind}/{self.transport}-{self.port}"


@dataclass(frozen=True)
class CollectorSettings:
    """Where the collector writes and where it listens."""

    spool_directory: Path
    run_directory: Path
    listeners: Sequence[Listener]
    close_after_seconds: float = CLOSE_AFTER_SECONDS


def run_collector(settings: CollectorSettings, stop: threading.Event, *, clock: Clock | None = None) -> None:
    """Receive until `stop` is set; on return everything received is durable.

    Every port is bound before the first datagram is taken and before the spool is opened. Raises
    CollectorError port_in_use, port_denied, address_unavailable, listener_unknown; receiver_died when a
    thread ended by itself, so that whoever supervises this process starts it again instead of trusting a deaf
    listener.
    """
    clock = clock or SystemClock()
    receivers: list[Receiver] = []
    try:
        for listener in settings.listeners:
            receivers.append(_open_receiver(listener, clock))
        _run_receivers(settings, receivers, stop, clock)
    finally:
        for receiver in receivers:
            receiver.close()


def _open_receiver(listener: Listener, clock: Clock) -> Receiver:
    if listener.kind in ("syslog", "netflow") and listener.transport == "udp":
        return UdpReceiver(listener.name, listener.address, listener.port, clock=clock)
    if listener.kind == "syslog" and listener.transport == "tcp":
        return TcpReceiver(listener.name, listener.address, listener.port, clock=clock)
    raise CollectorError(f"There is no {listener.kind} receiver over {listener.transport}.", code="listener_unknown")


def _run_receivers(settings: CollectorSettings, receivers: list[Receiver], stop: threading.Event, clock: Clock) -> None:
    make_directory(settings.run_directory)
    writer = SpoolWriter(
        settings.spool_directory, STREAM, clock=clock, close_after_seconds=settings.close_after_seconds
    )
    halt = threading.Event()
    threads = [threading.Thread(target=receiver.run, args=(writer, halt), name=receiver.name) for receiver in receivers]
    warnings = udp_memory_warning(receivers)
    status_path = settings.run_directory / "collector.json"
    started_unix_ns = clock.unix_ns()
    for thread in threads:
        thread.start()
    died: list[str] = []
    try:
        while not died and not stop.wait(STATUS_INTERVAL_SECONDS):
            write_status(status_path, receivers, warnings, started_unix_ns, clock.unix_ns())
            died = [thread.name for thread in threads if not thread.is_alive()]
    finally:
        halt.set()
        end = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(end - time.monotonic(), 0))
        writer.close()
        write_status(status_path, receivers, warnings, started_unix_ns, clock.unix_ns())
    if died:
        raise CollectorError(f"The receiver of {', '.join(died)} ended by itself.", code="receiver_died")
