"""Peers that send without end, or connect and say nothing: memory and connections stay bounded, others are served."""

import resource
import socket
from pathlib import Path

import pytest

from archive.spool import SpoolWriter
from collector.errors import CollectorError
from collector.framing_frames import MAX_FRAME_BYTES
from collector.listeners import OTHER_DESCRIPTORS, Listener, connections_each, open_receivers
from collector.sources import SourceTable
from collector.tcp import MAX_CONNECTIONS, TcpReceiver
from tests.clocks import ManualClock
from tests.collector.net.spool_reading import losses, read_records, running, wait_until


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_endless_line_is_kept_in_flagged_pieces_while_others_are_served(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0)
    size = 40 * MAX_FRAME_BYTES
    with running(receiver, writer), connect(receiver.port) as endless, connect(receiver.port) as good:
        for _ in range(size // 65_536):
            endless.sendall(b"x" * 65_536)
        good.sendall(b"<13>served\n")
        wait_until(lambda: receiver.counters.received_records >= 40)
        endless.sendall(b"y")
    writer.close()
    records = read_records(tmp_path / "spool")
    pieces = [record for record in records if record.payload[:1] in (b"x", b"y")]
    assert b"".join(record.payload for record in pieces) == b"x" * size + b"y"
    assert max(len(record.payload) for record in pieces) == MAX_FRAME_BYTES
    assert all(record.truncated for record in pieces)
    assert b"<13>served" in {record.payload for record in records}


def test_idle_connections_fill_only_their_bound(writer: SpoolWriter, tmp_path: Path) -> None:
    bound = 300
    receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0, max_connections=bound)
    with running(receiver, writer):
        good = connect(receiver.port)
        idle = [connect(receiver.port) for _ in range(bound + 20)]
        wait_until(lambda: receiver.counters.refused_connections == 21)
        assert receiver.counters.connections == bound
        good.sendall(b"<13>served\n")
        wait_until(lambda: receiver.counters.received_records == 1)
        for one in idle:
            one.close()
        wait_until(lambda: receiver.counters.connections == 1)
        with connect(receiver.port) as room_again:
            room_again.sendall(b"<13>again\n")
            wait_until(lambda: receiver.counters.received_records == 2)
        good.close()
    writer.close()
    said = losses(read_records(tmp_path / "spool"))
    assert {loss["how"] for loss in said} == {"connection_refused"}
    assert sum(int(str(loss["count"])) for loss in said) == 21


def listeners(*transports: str) -> list[Listener]:
    return [Listener("syslog", transport, "127.0.0.1", 0) for transport in transports]


def test_all_listeners_together_leave_descriptors_for_the_spool(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(1_024, 1_024)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert connections_each(listeners("udp", "tcp", "tls", "relp")) == (1_024 - OTHER_DESCRIPTORS) // 3
    limits[:] = [(1_024, 1_048_576)]
    assert connections_each(listeners("udp", "tcp", "tls", "relp")) == MAX_CONNECTIONS
    assert limits[-1] == (3 * MAX_CONNECTIONS + OTHER_DESCRIPTORS, 1_048_576)
    limits[:] = [(resource.RLIM_INFINITY, resource.RLIM_INFINITY)]
    assert connections_each(listeners("tcp")) == MAX_CONNECTIONS
    assert limits == [(resource.RLIM_INFINITY, resource.RLIM_INFINITY)]


@pytest.mark.parametrize(
    ("listener", "code"),
    [
        (Listener("syslog", "udp", "127.0.0.1", 0, allow=("10.0.0.1/8",)), "listener_setting"),
        (Listener("syslog", "tls", "127.0.0.1", 0), "listener_setting"),
        (Listener("netflow", "relp", "127.0.0.1", 0), "listener_unknown"),
    ],
)
def test_a_listener_that_cannot_be_is_refused(listener: Listener, code: str) -> None:
    clock = ManualClock()
    with pytest.raises(CollectorError) as caught:
        open_receivers(listener, SourceTable(listener.name, 0, clock), clock, None, 10)
    assert caught.value.code == code


def test_shared_port_opens_receivers_with_names_of_their_own() -> None:
    clock = ManualClock()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    listener = Listener("syslog", "udp", "127.0.0.1", port, receivers=3)
    receivers = open_receivers(listener, SourceTable(listener.name, 0, clock), clock, None, 10)
    try:
        assert [receiver.name for receiver in receivers] == [
            f"syslog/udp-{port}", f"syslog/udp-{port}.2", f"syslog/udp-{port}.3",
        ]  # fmt: skip
        assert {receiver.port for receiver in receivers} == {port}
    finally:
        for receiver in receivers:
            receiver.close()
