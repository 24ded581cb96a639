"""The collector process: binds every listener, runs a thread for each, and shows their counters."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archive.clock import Clock, SystemClock
from archive.durable import make_directory
from archive.spool import CLOSE_AFTER_SECONDS, SpoolWriter
from archive.storage.gate import StorageGate
from archive.storage.levels import DEFAULT_RESERVE_BYTES, Level
from archive.storage.watch import StorageWatch
from collector.errors import CollectorError
from collector.listeners import Listener, TlsFiles, connections_each, open_receivers
from collector.loss_watch import LossWatch
from collector.receivers import Receiver
from collector.service_status import udp_memory_warning, write_status
from collector.sources import SourceTable

STREAM = "collector"
TRAFFIC_KINDS = ("syslog", "netflow", "sflow")
"""Kinds of listener that stop when the disk is full; log-ins and accounting go on from the reserve."""
STATUS_INTERVAL_SECONDS = 1.0
JOIN_SECONDS = 30.0
"""A receiver that has not ended this long after stop hangs in the file system; the process then ends without
it."""


@dataclass(frozen=True)
class CollectorSettings:
    """Where the collector writes and where it listens. `tls` is needed by listeners over tls alone; `reserve_bytes` of
    the disk are left for others."""

    spool_directory: Path
    run_directory: Path
    listeners: Sequence[Listener]
    close_after_seconds: float = CLOSE_AFTER_SECONDS
    tls: TlsFiles | None = None
    reserve_bytes: int = DEFAULT_RESERVE_BYTES


def run_collector(settings: CollectorSettings, stop: threading.Event, *, clock: Clock | None = None) -> None:
    """Receive until `stop` is set; on return everything received is durable.

    Every port is bound before the first datagram is taken and before the spool is opened. Raises
    CollectorError port_in_use, port_denied, address_unavailable, listener_unknown, listener_setting, tls_files;
    receiver_died when a thread ended by itself, so that whoever supervises this process starts it again instead of
    trusting a deaf listener.
    """
    clock = clock or SystemClock()
    receivers: list[Receiver] = []
    tables: list[SourceTable] = []
    connections = connections_each(settings.listeners)
    try:
        for listener in settings.listeners:
            table = SourceTable(listener.name, listener.silence_seconds, clock)
            tables.append(table)
            receivers += open_receivers(listener, table, clock, settings.tls, connections)
        _run_receivers(settings, receivers, LossWatch(tables, clock), stop, clock)
    finally:
        for receiver in receivers:
            receiver.close()


def _run_receivers(
    settings: CollectorSettings, receivers: list[Receiver], watch: LossWatch, stop: threading.Event, clock: Clock
) -> None:
    make_directory(settings.run_directory)
    spool = SpoolWriter(settings.spool_directory, STREAM, clock=clock, close_after_seconds=settings.close_after_seconds)
    disk = StorageWatch(settings.spool_directory, settings.reserve_bytes, clock)
    writer = StorageGate(spool, disk, clock, STREAM, stops_at=Level.FULL, kinds=TRAFFIC_KINDS)
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
            writer.tick()
            watch.check(writer)
            write_status(status_path, receivers, warnings + watch.warnings(), started_unix_ns, clock.unix_ns())
            died = [thread.name for thread in threads if not thread.is_alive()]
    finally:
        halt.set()
        for receiver in receivers:
            receiver.wake()
        end = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(end - time.monotonic(), 0))
        writer.close()
        write_status(status_path, receivers, warnings, started_unix_ns, clock.unix_ns())
    if died:
        raise CollectorError(f"The receiver of {', '.join(died)} ended by itself.", code="receiver_died")
