"""Loss accounting without a network: intervals, retries and the wrapping kernel counter."""

import json
import socket
import struct
from contextlib import ExitStack
from pathlib import Path

import pytest

from archive.spool import SpoolWriter
from collector.listeners import Listener, open_receivers
from collector.loss import MAX_NAMED_SOURCES, KernelDropCounter, LossAccount
from collector.sources import SourceTable
from tests.clocks import ManualClock
from tests.collector.net.failing_writer import FailingWriter
from tests.collector.net.spool_reading import losses, read_records, running, wait_until
from tests.collector.net.test_net_allow import column


class SteppingClock:
    def __init__(self) -> None:
        self.now = 100

    def unix_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.now

    def boot_id(self) -> str:
        return "boot"


class CountingSocket:
    """Stands for a socket whose SO_MEMINFO says `drops`."""

    drops = 0

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (option, size) == (55, 36)
        return struct.pack("=9I", 1, 2, 3, 4, 5, 6, 7, 8, self.drops)


def told(writer: FailingWriter) -> list[tuple[str, int, int, int]]:
    events = [json.loads(payload) for _, payload in writer.events]
    return [(e["how"], e["count"], int(e["from_unix_ns"]), int(e["to_unix_ns"])) for e in events]


def test_each_interval_begins_where_the_last_ended() -> None:
    clock, writer = SteppingClock(), FailingWriter()
    writer.full = False
    account = LossAccount("syslog/udp-1", clock)
    clock.now = 200
    account.note("kernel_socket_drops", 3)
    account.flush(writer)
    clock.now = 300
    account.flush(writer)
    clock.now = 400
    account.note("kernel_socket_drops", 4)
    account.note("connection_refused", 1)
    account.flush(writer)
    assert told(writer) == [
        ("kernel_socket_drops", 3, 100, 200),
        ("kernel_socket_drops", 4, 300, 400),
        ("connection_refused", 1, 300, 400),
    ]


def test_loss_the_spool_refuses_is_added_up_and_keeps_its_beginning() -> None:
    clock, writer = SteppingClock(), FailingWriter()
    account = LossAccount("syslog/udp-1", clock)
    for now in (200, 300):
        clock.now = now
        account.note("spool_write_failed", 2)
        account.flush(writer)
    writer.full = False
    clock.now = 400
    account.flush(writer)
    account.flush(writer)
    assert told(writer) == [("spool_write_failed", 4, 100, 400)]


def test_nothing_lost_says_nothing() -> None:
    writer = FailingWriter()
    writer.full = False
    account = LossAccount("syslog/udp-1", SteppingClock())
    account.note("kernel_socket_drops", 0)
    account.flush(writer)
    assert writer.events == []


def test_kernel_counter_may_wrap() -> None:
    source = CountingSocket()
    source.drops = 2**32 - 2
    counter = KernelDropCounter(source)  # type: ignore[arg-type]
    source.drops = 3
    assert counter.update() == 5
    assert counter.update() == 0
    assert counter.total == 2**32 + 3


def test_kernel_drops_name_no_source_but_all_who_may_be_hit() -> None:
    clock, writer = ManualClock(), FailingWriter()
    table = SourceTable("syslog/udp-1", 0, clock)
    account = LossAccount("syslog/udp-1", clock, table)
    for number in range(MAX_NAMED_SOURCES + 4):
        table.observe(column(f"10.0.0.{number}"))
        clock.advance(1)
    account.note("kernel_socket_drops", 3)
    account.note("truncated_datagram", 1)
    account.flush(writer)
    clock.advance(30)
    writer.full = False
    account.flush(writer)
    drops, cut = (json.loads(payload) for _, payload in writer.events)
    assert (drops["how"], drops["count"], drops["source"]) == ("kernel_socket_drops", 3, "unknown")
    assert drops["active_sources"] == [f"10.0.0.{number}" for number in range(19, 3, -1)]
    assert "source" not in cut


@pytest.mark.parametrize("receivers", [1, 2])
def test_each_socket_of_a_port_names_the_sources_of_the_port(
    writer: SpoolWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receivers: int
) -> None:
    monkeypatch.setattr("collector.udp.DROP_CHECK_SECONDS", 0.05)
    clock = ManualClock()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        listener = Listener("syslog", "udp", "127.0.0.1", probe.getsockname()[1], receivers=receivers)
    opened = open_receivers(listener, SourceTable(listener.name, 0, clock), clock, None, 10)
    counted = {receiver.name: CountingSocket() for receiver in opened}
    for receiver in opened:
        counted[receiver.name].drops = 0
        receiver._drops = KernelDropCounter(counted[receiver.name])  # type: ignore[attr-defined,arg-type]
    with ExitStack() as stack:
        for receiver in opened:
            stack.enter_context(running(receiver, writer))
        peer = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        peer.sendto(b"<13>x", ("127.0.0.1", listener.port))
        wait_until(lambda: sum(receiver.counters.received_records for receiver in opened) == 1)
        for number, receiver in enumerate(opened, 5):
            counted[receiver.name].drops = number
        wait_until(lambda: all(receiver.counters.kernel_drops for receiver in opened))
    writer.close()
    said = losses(read_records(tmp_path / "spool"))
    assert sorted((loss["listener"], loss["count"]) for loss in said) == [
        (receiver.name, number) for number, receiver in enumerate(opened, 5)
    ]
    assert {loss["source"] for loss in said} == {"unknown"}
    assert [loss["active_sources"] for loss in said] == [["127.0.0.1"]] * receivers
