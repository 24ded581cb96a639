"""Losses no receiver sees by itself: silence of regular sources, UDP memory, truncated datagrams."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest

import collector.sources as sources_module
from archive.spool import SpoolWriter
from collector import mmsg
from collector.loss_watch import LossWatch
from collector.sources import SourceTable
from collector.udp import UdpReceiver
from collector.udp_memory import UdpCounters, parse_counters, read_counters
from tests.clocks import ManualClock
from tests.collector.net.failing_writer import FailingWriter
from tests.collector.net.spool_reading import losses, read_records, running, wait_until
from tests.collector.net.test_net_allow import column

SILENCE = 900.0
NO_COUNTERS = UdpCounters(0, 0, 0)


class Watched:
    """A table of one listener and the watch over it, on a clock turned by hand."""

    def __init__(self, silence_seconds: float = SILENCE, listener: str = "syslog/udp-1") -> None:
        self.clock = ManualClock()
        self.table = SourceTable(listener, silence_seconds, self.clock)
        self.counters = NO_COUNTERS
        self.watch = LossWatch([self.table], self.clock, lambda: self.counters)
        self.writer = FailingWriter()
        self.writer.full = False

    def send_for(self, seconds: int, *texts: str, every: int = 5) -> None:
        for _ in range(0, seconds, every):
            if texts:
                self.table.observe(column(*texts))
            self.clock.advance(every)
            self.watch.check(self.writer)

    def said(self) -> list[tuple[str, str, str, int]]:
        """event, how, source, seconds of the interval."""
        records = [json.loads(payload) for _, payload in self.writer.events]
        assert {listener for listener, _ in self.writer.events} <= {"loss"}
        return [
            (r["event"], r["how"], r["source"], (int(r["to_unix_ns"]) - int(r["from_unix_ns"])) // 10**9)
            for r in records
        ]


def test_regular_source_is_missed_once_and_its_return_told() -> None:
    watched = Watched()
    watched.send_for(1_000, "10.0.0.1", "2001:db8::7")
    watched.send_for(2_000, "10.0.0.1")
    watched.send_for(100, "10.0.0.1", "2001:db8::7")
    assert watched.said() == [
        ("source_silent", "source_silent", "2001:db8::7", 905),
        ("source_returned", "source_returned", "2001:db8::7", 2_005),
    ]


def test_source_that_never_was_regular_is_not_missed_and_makes_room() -> None:
    watched = Watched()
    watched.send_for(100, "10.0.0.1", "10.0.0.2")
    assert len(watched.table) == 2
    watched.send_for(2_000)
    assert watched.said() == []
    assert len(watched.table) == 0


def test_silence_again_after_a_return_needs_regular_sending_again() -> None:
    watched = Watched()
    watched.send_for(1_000, "10.0.0.1")
    watched.send_for(1_000)
    watched.send_for(10, "10.0.0.1")
    watched.send_for(2_000)
    assert [how for _, how, _, _ in watched.said()] == ["source_silent", "source_returned"]


def test_zero_never_misses_anybody() -> None:
    watched = Watched(silence_seconds=0)
    watched.send_for(5_000, "10.0.0.1")
    watched.send_for(50_000, every=10)
    assert watched.said() == []


def test_nobody_is_missed_because_the_collector_stood_still() -> None:
    watched = Watched()
    watched.send_for(1_000, "10.0.0.1")
    watched.clock.advance(5_000)
    watched.watch.check(watched.writer)
    watched.send_for(1_000, "10.0.0.1")
    assert watched.said() == []


def test_a_wall_clock_that_jumps_makes_nobody_silent() -> None:
    watched = Watched()
    watched.send_for(1_000, "10.0.0.1")
    watched.clock.advance(1, wall_seconds=100_000)
    watched.watch.check(watched.writer)
    assert watched.said() == []


def test_silence_the_spool_refuses_is_told_later() -> None:
    watched = Watched()
    watched.send_for(1_000, "10.0.0.1")
    watched.writer.full = True
    watched.send_for(1_000)
    watched.writer.full = False
    watched.send_for(5)
    assert [how for _, how, _, _ in watched.said()] == ["source_silent"]


def test_table_of_sources_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_module, "MAX_SOURCES", 8)
    watched = Watched()
    many = [f"10.0.1.{n}" for n in range(20)]
    watched.table.observe(column(*many, "10.0.1.0"))
    assert len(watched.table) == 8
    assert watched.table.unwatched_records > 0
    assert "syslog/udp-1" in watched.watch.warnings()[0]


def test_a_full_table_gives_up_who_is_silent_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_module, "MAX_SOURCES", 2)
    watched = Watched()
    watched.send_for(1_000, "10.0.0.1", "10.0.0.2")
    watched.send_for(100, "10.0.0.2")
    watched.send_for(2_000)
    watched.table.observe(column("10.0.0.3"))
    assert [source[12:] for source in watched.table.active()] == [b"\x0a\0\0\3"]
    watched.table.observe(column("10.0.0.2"))
    watched.watch.check(watched.writer)
    assert [(how, source) for _, how, source, _ in watched.said()][-1] == ("source_returned", "10.0.0.2")


def test_same_source_twice_in_a_batch_counts_once() -> None:
    watched = Watched()
    watched.table.observe(np.repeat(column("10.0.0.1", "10.0.0.2"), 300, axis=0))
    assert len(watched.table) == 2


def test_udp_memory_pressure_names_the_active_sources() -> None:
    watched = Watched()
    watched.send_for(100, "10.0.0.1")
    watched.send_for(30, "10.0.0.2")
    watched.send_for(50, "10.0.0.3")
    watched.counters = UdpCounters(in_errors=9, receive_buffer_errors=2, memory_errors=7)
    watched.watch.check(watched.writer)
    watched.watch.check(watched.writer)
    [record] = [json.loads(payload) for _, payload in watched.writer.events]
    assert (record["event"], record["how"], record["source"], record["count"]) == (
        "loss", "udp_memory", "unknown", None,
    )  # fmt: skip
    assert record["active_sources"] == ["10.0.0.3", "10.0.0.2"]
    assert (record["mem_errors"], record["in_errors"], record["receive_buffer_errors"]) == (7, 9, 2)


def test_full_socket_buffers_of_other_programs_are_no_loss_of_ours() -> None:
    watched = Watched()
    watched.counters = UdpCounters(in_errors=5, receive_buffer_errors=5, memory_errors=0)
    watched.watch.check(watched.writer)
    assert watched.writer.events == []


def test_counters_of_both_families_are_added() -> None:
    snmp = "Ip: A B\nIp: 1 2\nUdp: InDatagrams InErrors RcvbufErrors MemErrors\nUdp: 100 5 3 1\nUdpLite: InErrors\n"
    snmp6 = "Udp6InDatagrams                 \t9\nUdp6InErrors                    \t40\nUdp6MemErrors     \t20\n"
    assert parse_counters(snmp, snmp6) == UdpCounters(45, 3, 21)
    assert parse_counters("Udp: InErrors\nUdp: x\n", "") == NO_COUNTERS
    assert parse_counters("", "\n\xff") == NO_COUNTERS


def test_counters_of_this_machine_can_be_read(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as full,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
    ):
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        full.bind(("127.0.0.1", 0))
        before = read_counters()
        for _ in range(100):
            peer.sendto(bytes(500), full.getsockname())
        assert read_counters().since(before).receive_buffer_errors > 0
    missing = (tmp_path / "a", tmp_path / "b")
    assert read_counters(missing) == NO_COUNTERS


def test_truncated_datagrams_are_kept_flagged_and_said(
    writer: SpoolWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mmsg, "SLOT_BYTES", 1_024)
    receiver = UdpReceiver("syslog/udp-0", "127.0.0.1", 0)
    with running(receiver, writer), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for size in (10, 1_024, 1_025, 9_000):
            peer.sendto(b"x" * size, ("127.0.0.1", receiver.port))
        wait_until(lambda: receiver.counters.received_records == 4)
    writer.close()
    records = read_records(tmp_path / "spool")
    kept = [(len(r.payload), r.truncated) for r in records if r.listener != "loss"]
    assert kept == [(10, False), (1_024, False), (1_024, True), (1_024, True)]
    assert [(loss["how"], loss["count"]) for loss in losses(records)] == [("truncated_datagram", 2)]


def test_receivers_that_share_a_port_lose_nothing(writer: SpoolWriter, tmp_path: Path) -> None:
    first = UdpReceiver("syslog/udp-0", "127.0.0.1", 0, share_port=True)
    second = UdpReceiver(f"syslog/udp-{first.port}.2", "127.0.0.1", first.port, share_port=True)
    with running(first, writer), running(second, writer):
        for n in range(200):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"<13>%d" % n, ("127.0.0.1", first.port))
        wait_until(lambda: first.counters.received_records + second.counters.received_records == 200)
    writer.close()
    records = read_records(tmp_path / "spool")
    assert {record.payload for record in records} == {b"<13>%d" % n for n in range(200)}
    assert {record.listener for record in records} == {first.name, second.name}
