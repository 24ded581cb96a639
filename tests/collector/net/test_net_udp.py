"""UDP over loopback: every byte, source and arrival time reaches the spool; what did not is said exactly."""

import random
import socket
import time
from pathlib import Path

import pytest

from archive.event_record import decode_event
from archive.spool import SpoolWriter
from collector.udp import RECEIVE_BUFFER_BYTES, UdpReceiver
from tests.collector.net.failing_writer import FailingWriter
from tests.collector.net.spool_reading import losses, read_records, running, wait_until

LOOPBACK = bytes(10) + b"\xff\xff\x7f\x00\x00\x01"
SMALL_BUFFER_BYTES = 8_192


def sender(port: int) -> socket.socket:
    created = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    created.connect(("127.0.0.1", port))
    return created


def hostile_payloads() -> list[bytes]:
    chooser = random.Random(7)
    sizes = [0, 1, 65_507, 0, 2_048, 1_472] + [chooser.randint(0, 2_000) for _ in range(600)] + [65_507, 0]
    return [chooser.randbytes(size) for size in sizes]


@pytest.mark.parametrize("payloads", [hostile_payloads(), [b"<13>same"] * 700, [b""] * 300, [b"one"]])
def test_bytes_sources_and_times_are_kept(payloads: list[bytes], writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = UdpReceiver("syslog/udp-0", "127.0.0.1", 0, receive_buffer_bytes=RECEIVE_BUFFER_BYTES)
    before = time.time_ns()
    with sender(receiver.port) as peer, running(receiver, writer):
        source_port = peer.getsockname()[1]
        for number, payload in enumerate(payloads):
            peer.send(payload)
            if number % 100 == 99:
                wait_until(lambda number=number: receiver.counters.received_records > number)
        wait_until(lambda: receiver.counters.received_records == len(payloads))
    writer.close()
    records = read_records(tmp_path / "spool")
    assert [record.payload for record in records] == payloads
    assert {(r.listener, r.transport, r.address, r.port, r.truncated) for r in records} == {
        (f"syslog/udp-{receiver.port}", "udp", LOOPBACK, source_port, False)
    }
    arrivals = [record.received_unix_ns for record in records]
    assert before - 1_000_000 <= arrivals[0]
    assert arrivals[-1] <= time.time_ns()
    assert sorted(arrivals) == arrivals
    assert receiver.counters.received_bytes == sum(map(len, payloads))
    assert receiver.counters.kernel_drops == receiver.counters.unwritten_records == 0


def test_arrival_is_that_in_the_kernel_not_that_of_reading(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = UdpReceiver("syslog/udp-0", "127.0.0.1", 0)
    with sender(receiver.port) as peer:
        peer.send(b"<13>early")
        sent_unix_ns = time.time_ns()
        time.sleep(0.3)
        with running(receiver, writer):
            wait_until(lambda: receiver.counters.received_records == 1)
    writer.close()
    [record] = read_records(tmp_path / "spool")
    assert abs(record.received_unix_ns - sent_unix_ns) < 200_000_000


def test_ipv6_and_ipv4_arrive_at_one_socket(writer: SpoolWriter, tmp_path: Path) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("IPv6 is off on this machine")
    receiver = UdpReceiver("syslog/udp-0", "", 0)
    with sender(receiver.port) as peer, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer6:
        with running(receiver, writer):
            peer.send(b"4")
            peer6.sendto(b"6", ("::1", receiver.port))
            wait_until(lambda: receiver.counters.received_records == 2)
    writer.close()
    assert {record.payload: record.address for record in read_records(tmp_path / "spool")} == {
        b"4": LOOPBACK,
        b"6": bytes(15) + b"\x01",
    }


def test_without_ipv6_addresses_are_mapped(
    writer: SpoolWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.socket

    def no_ipv6(family: int = -1, kind: int = -1, *rest: object) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, kind, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("collector.receivers.socket.socket", no_ipv6)
    receiver = UdpReceiver("syslog/udp-0", "", 0)
    monkeypatch.undo()
    with sender(receiver.port) as peer, running(receiver, writer):
        source_port = peer.getsockname()[1]
        peer.send(b"4")
        wait_until(lambda: receiver.counters.received_records == 1)
    writer.close()
    [record] = read_records(tmp_path / "spool")
    assert (record.address, record.port) == (LOOPBACK, source_port)


def test_paused_receiver_reports_exactly_what_the_kernel_dropped(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = UdpReceiver("syslog/udp-0", "127.0.0.1", 0, receive_buffer_bytes=SMALL_BUFFER_BYTES)
    with sender(receiver.port) as peer:
        for number in range(500):
            peer.send(b"<13>%d" % number)
        with running(receiver, writer):
            wait_until(lambda: receiver.counters.kernel_drops > 0)
    writer.close()
    records = read_records(tmp_path / "spool")
    kept = [record for record in records if record.listener != "loss"]
    lost = 500 - len(kept)
    assert 0 < lost < 500
    assert receiver.counters.kernel_drops == lost
    [loss] = losses(records)
    assert (loss["event"], loss["listener"], loss["how"]) == ("loss", receiver.name, "kernel_socket_drops")
    assert loss["count"] == lost
    assert int(str(loss["from_unix_ns"])) <= kept[0].received_unix_ns <= int(str(loss["to_unix_ns"]))


def test_drops_are_told_per_socket(writer: SpoolWriter, tmp_path: Path) -> None:
    hit = UdpReceiver("syslog/udp-0", "127.0.0.1", 0, receive_buffer_bytes=SMALL_BUFFER_BYTES)
    spared = UdpReceiver("netflow/udp-0", "127.0.0.1", 0, receive_buffer_bytes=SMALL_BUFFER_BYTES)
    with sender(hit.port) as first, sender(spared.port) as second:
        second.send(b"x")
        for _ in range(300):
            first.send(b"y")
        with running(hit, writer), running(spared, writer):
            wait_until(lambda: hit.counters.kernel_drops > 0 and spared.counters.received_records == 1)
    assert spared.counters.kernel_drops == 0
    assert hit.counters.kernel_drops + hit.counters.received_records == 300


def test_small_buffer_is_warned_of_with_the_setting_to_change() -> None:
    receiver = UdpReceiver("syslog/udp-0", "127.0.0.1", 0, receive_buffer_bytes=1 << 30)
    receiver.close()
    # The kernel caps any buffer below 2^30 bytes, even a forced one.
    assert receiver.counters.receive_buffer_bytes < 1 << 30
    [warning] = receiver.counters.warnings
    assert "net.core.rmem_max" in warning
    assert str(1 << 30) in warning


def test_datagrams_queued_at_stop_are_taken(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = UdpReceiver("syslog/udp-0", "127.0.0.1", 0)
    with sender(receiver.port) as peer:
        with running(receiver, writer):
            peer.send(b"<13>first")
            wait_until(lambda: receiver.counters.received_records == 1)
            for _ in range(600):
                peer.send(b"<13>late")
    assert receiver.counters.received_records == 601


def test_full_disk_is_counted_and_said_once_there_is_room() -> None:
    writer = FailingWriter()
    receiver = UdpReceiver("syslog/udp-0", "127.0.0.1", 0)
    with sender(receiver.port) as peer, running(receiver, writer):
        for _ in range(5):
            peer.send(b"<13>lost")
        wait_until(lambda: receiver.counters.unwritten_records == 5)
        writer.full = False
        wait_until(lambda: bool(writer.events))
        peer.send(b"<13>kept")
        wait_until(lambda: receiver.counters.received_records == 1)
    [(listener, payload)] = writer.events
    loss = decode_event(payload)
    assert (listener, loss["how"], loss["count"]) == ("loss", "spool_write_failed", 5)
    assert [p for batch in writer.batches for p in batch.payloads()] == [b"<13>kept"]
