"""Loss accounting without a network: intervals, retries and the wrapping kernel counter."""

import json
import struct

from collector.loss import KernelDropCounter, LossAccount
from tests.collector.net.failing_writer import FailingWriter


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
