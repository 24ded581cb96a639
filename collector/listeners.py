"""From a listener of the settings to its open receivers."""

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from archive.clock import Clock
from collector.allow_list import AllowList
from collector.commit_queue import CommitQueue
from collector.errors import CollectorError
from collector.receivers import Receiver
from collector.relp_connection import RelpConnection
from collector.sources import SourceTable
from collector.tcp import MAX_CONNECTIONS, TcpReceiver
from collector.tls import TlsConnection, make_tls_context
from collector.udp import UdpReceiver

STREAM_TRANSPORTS = ("tcp", "tls", "relp")
UDP_KINDS = ("syslog", "netflow", "sflow")
OTHER_DESCRIPTORS = 128
"""Kept free of connections: the spool's files, listening and UDP sockets, what Python itself opens."""


@dataclass(frozen=True)
class Listener:
    """One port. `kind` is syslog, netflow or sflow, `transport` udp, tcp, tls or relp (netflow, sflow: udp alone).

    `allow` are networks of allowed sources, none meaning everybody. `receivers` is how many sockets share a UDP port.
    A source that sent regularly is missed after `silence_seconds`, 0 for never.
    """

    kind: str
    transport: str
    address: str
    port: int
    allow: tuple[str, ...] = ()
    receivers: int = 1
    silence_seconds: float = 0.0

    @property
    def name(self) -> str:
        """What the records of this listener are called by, e.g. `syslog/udp-5514`."""
        return f"{self.kind}/{self.transport}-{self.port}"


@dataclass(frozen=True)
class TlsFiles:
    """PEM files. With `client_ca` a client needs a certificate of that authority."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


def connections_each(listeners: Sequence[Listener]) -> int:
    """Connections each stream listener may have, so that together they leave descriptors for the spool.

    Raises this process's soft limit of descriptors to what the system allows.
    """
    streams = sum(listener.transport in STREAM_TRANSPORTS for listener in listeners)
    if not streams:
        return MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = streams * MAX_CONNECTIONS + OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(min(MAX_CONNECTIONS, (soft - OTHER_DESCRIPTORS) // streams), 1)


def open_receivers(
    listener: Listener, table: SourceTable, clock: Clock, tls: TlsFiles | None, max_connections: int
) -> list[Receiver]:
    """The bound receivers of a listener. Raises CollectorError as `run_collector` says."""
    try:
        allow = AllowList(listener.allow)
    except ValueError as error:
        raise CollectorError(f"{listener.name}: {error}.", code="listener_setting") from error
    if listener.kind in UDP_KINDS and listener.transport == "udp":
        return _open_udp(listener, table, clock, allow)
    if listener.kind != "syslog" or listener.transport not in STREAM_TRANSPORTS:
        raise CollectorError(
            f"There is no {listener.kind} receiver over {listener.transport}.", code="listener_unknown"
        )
    open_stream = partial(
        TcpReceiver,
        listener.name,
        listener.address,
        listener.port,
        max_connections=max_connections,
        clock=clock,
        allow=allow,
        sources=table,
        transport=listener.transport,
    )
    if listener.transport == "relp":
        return [open_stream(open_connection=RelpConnection, commits=CommitQueue())]
    if listener.transport == "tcp":
        return [open_stream()]
    if tls is None:
        raise CollectorError(f"{listener.name} needs a TLS certificate.", code="listener_setting")
    context = make_tls_context(tls.certificate, tls.key, tls.client_ca)
    return [open_stream(open_connection=partial(TlsConnection, context))]


def _open_udp(listener: Listener, table: SourceTable, clock: Clock, allow: AllowList) -> list[Receiver]:
    """One receiver, or several that share the port; the second is called `syslog/udp-5514.2`, so that drops stay per
    socket."""
    opened: list[Receiver] = []
    try:
        for number in range(1, listener.receivers + 1):
            name = listener.name if number == 1 else f"{listener.name}.{number}"
            receiver = UdpReceiver(
                name,
                listener.address,
                listener.port,
                clock=clock,
                allow=allow,
                sources=table,
                share_port=listener.receivers > 1,
            )
            opened.append(receiver)
    except CollectorError:
        for receiver in opened:
            receiver.close()
        raise
    return opened
