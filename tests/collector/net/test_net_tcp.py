"""TCP over loopback: both framings, many connections, hostile bytes, ends of every kind."""

import random
import socket
import struct
import time
from pathlib import Path

from archive.event_record import decode_event
from archive.spool import SpoolWriter
from collector.tcp import TcpReceiver
from tests.collector.net.failing_writer import FailingWriter
from tests.collector.net.spool_reading import losses, read_records, running, wait_until

LOOPBACK = bytes(10) + b"\xff\xff\x7f\x00\x00\x01"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def messages(count: int, seed: int) -> list[bytes]:
    chooser = random.Random(seed)
    return [b"<13>" + chooser.randbytes(chooser.randint(0, 400)).replace(b"\n", b" ") for _ in range(count)]


def test_both_framings_on_one_port(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0)
    lines, counted = messages(3_000, 1), messages(3_000, 2)
    before = time.time_ns()
    with running(receiver, writer):
        with connect(receiver.port) as first, connect(receiver.port) as second:
            ports = first.getsockname()[1], second.getsockname()[1]
            first.sendall(b"".join(line + b"\n" for line in lines))
            second.sendall(b"".join(b"%d %s" % (len(message), message) for message in counted))
            wait_until(lambda: receiver.counters.received_records == 6_000)
    writer.close()
    records = read_records(tmp_path / "spool")
    for port, sent in zip(ports, (lines, counted), strict=True):
        assert [record.payload for record in records if record.port == port] == sent
    assert {(r.listener, r.transport, r.address, r.truncated) for r in records} == {
        (f"syslog/tcp-{receiver.port}", "tcp", LOOPBACK, False)
    }
    assert all(before <= record.received_unix_ns <= time.time_ns() for record in records)
    assert receiver.counters.received_bytes == sum(map(len, lines + counted))


def test_fifty_connections_at_once_in_small_writes(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0)
    sent: dict[int, list[bytes]] = {}
    with running(receiver, writer):
        peers = [connect(receiver.port) for _ in range(50)]
        for number, peer in enumerate(peers):
            sent[peer.getsockname()[1]] = messages(40, number)
        for row in range(40):
            for peer in peers:
                message = sent[peer.getsockname()[1]][row]
                peer.sendall(message[:3])
                peer.sendall(message[3:] + b"\n")
        wait_until(lambda: receiver.counters.received_records == 2_000)
        assert receiver.counters.connections == 50
        for peer in peers:
            peer.close()
        wait_until(lambda: receiver.counters.connections == 0)
    writer.close()
    records = read_records(tmp_path / "spool")
    for port, expected in sent.items():
        assert [record.payload for record in records if record.port == port] == expected


def test_last_line_without_newline_is_kept_at_close_reset_and_stop(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0)
    with running(receiver, writer):
        closed, reset, still_open = (connect(receiver.port) for _ in range(3))
        closed.sendall(b"<13>whole\n<13>closed")
        closed.close()
        reset.sendall(b"<13>before reset\n")
        wait_until(lambda: receiver.counters.received_records == 3)
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        reset.close()
        wait_until(lambda: receiver.counters.connections == 1)
        still_open.sendall(b"<13>at stop")
    still_open.close()
    writer.close()
    payloads = {record.payload for record in read_records(tmp_path / "spool")}
    assert payloads == {b"<13>whole", b"<13>closed", b"<13>before reset", b"<13>at stop"}


def test_malformed_octet_counting_is_kept_raw_counted_said_and_closed(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0)
    with running(receiver, writer), connect(receiver.port) as peer:
        peer.sendall(b"5 helloXX raw\xff bytes")
        assert peer.recv(1) == b""
        wait_until(lambda: receiver.counters.received_records == 2)
    writer.close()
    records = read_records(tmp_path / "spool")
    kept = [(record.payload, record.truncated) for record in records if record.listener != "loss"]
    assert kept == [(b"hello", False), (b"XX raw\xff bytes", True)]
    assert (receiver.counters.malformed_frames, receiver.counters.truncated_records) == (1, 1)
    assert [(loss["how"], loss["count"]) for loss in losses(records)] == [("malformed_framing", 1)]


def test_connections_beyond_the_limit_are_refused_counted_and_said(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0, max_connections=2)
    with running(receiver, writer):
        first, second = connect(receiver.port), connect(receiver.port)
        wait_until(lambda: receiver.counters.connections == 2)
        with connect(receiver.port) as third:
            assert third.recv(1) == b""
        first.sendall(b"<13>still served\n")
        wait_until(lambda: receiver.counters.received_records == 1)
        second.close()
        wait_until(lambda: receiver.counters.connections == 1)
        with connect(receiver.port) as fourth:
            fourth.sendall(b"<13>room again\n")
            wait_until(lambda: receiver.counters.received_records == 2)
        first.close()
    writer.close()
    assert receiver.counters.refused_connections == 1
    said = losses(read_records(tmp_path / "spool"))
    assert [(loss["how"], loss["count"]) for loss in said] == [("connection_refused", 1)]


def test_full_disk_is_counted_and_the_connection_goes_on() -> None:
    writer = FailingWriter()
    receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0)
    with running(receiver, writer), connect(receiver.port) as peer:
        peer.sendall(b"<13>lost\n<13>lost too\n")
        wait_until(lambda: receiver.counters.unwritten_records == 2)
        writer.full = False
        peer.sendall(b"<13>kept\n")
        wait_until(lambda: receiver.counters.received_records == 1)
    assert [p for batch in writer.batches for p in batch.payloads()] == [b"<13>kept"]
    [loss] = [decode_event(payload) for _, payload in writer.events]
    assert (loss["how"], loss["count"]) == ("spool_write_failed", 2)


def test_slow_spool_stops_the_sender_instead_of_growing_memory() -> None:
    """While an append waits, one read is in our hands; the rest waits in the kernel and the sender."""

    class BlockedWriter(FailingWriter):
        def append_batch(self, batch):  # type: ignore[no-untyped-def]
            wait_until(lambda: not self.full)
            return super().append_batch(batch)

    writer = BlockedWriter()
    receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0)
    with running(receiver, writer), connect(receiver.port) as peer:
        peer.settimeout(0.5)
        block = b"<13>" + b"x" * 995 + b"\n"
        sent = 0
        try:
            while sent < 256 * 1024 * 1024:
                sent += peer.send(block * 1_000)
        except TimeoutError:
            pass
        assert sent < 256 * 1024 * 1024
        writer.full = False
        # A write may have ended inside a line; finish it so that all bytes sent can be told.
        peer.settimeout(10)
        peer.sendall(b"\n")
        wait_until(lambda: sum(int(b.payload_lengths.sum()) + len(b) for b in writer.batches) == sent + 1)
