"""The collector as a whole: binding, counters file, stopping."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import collector.service as service
from archive.clock import SystemClock
from collector.errors import CollectorError
from collector.listeners import Listener
from collector.receivers import ReceiverCounters
from collector.service import CollectorSettings, run_collector
from collector.service_status import udp_memory_warning
from tests.collector.net.spool_reading import DEADLINE_SECONDS, read_records, wait_until


def settings_of(tmp_path: Path, *listeners: Listener) -> CollectorSettings:
    return CollectorSettings(tmp_path / "spool", tmp_path / "run", listeners)


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started(settings: CollectorSettings) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=run_collector, args=(settings, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()


def read_status(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "run" / "collector.json").read_text(encoding="utf-8"))


def test_three_listeners_one_stream(tmp_path: Path) -> None:
    udp_port, tcp_port, flow_port = (
        free_port(socket.SOCK_DGRAM),
        free_port(socket.SOCK_STREAM),
        free_port(socket.SOCK_DGRAM),
    )
    listeners = (
        Listener("syslog", "udp", "127.0.0.1", udp_port),
        Listener("syslog", "tcp", "127.0.0.1", tcp_port),
        Listener("netflow", "udp", "", flow_port),
    )
    with started(settings_of(tmp_path, *listeners)):
        wait_until((tmp_path / "run" / "collector.json").exists)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.sendto(b"<13>udp", ("127.0.0.1", udp_port))
            peer.sendto(b"\x00\x05", ("127.0.0.1", flow_port))
        with socket.create_connection(("127.0.0.1", tcp_port)) as peer:
            peer.sendall(b"<13>tcp\n")
            wait_until(
                lambda: (
                    sum(listener["received_records"] for listener in read_status(tmp_path)["listeners"].values()) == 3
                )
            )
            assert read_status(tmp_path)["listeners"][f"syslog/tcp-{tcp_port}"]["connections"] == 1
    status = read_status(tmp_path)
    assert set(status["listeners"]) == {listener.name for listener in listeners}
    shown = status["listeners"][f"syslog/udp-{udp_port}"]
    assert (shown["received_bytes"], shown["kernel_drops"], shown["truncated_records"]) == (7, 0, 0)
    assert shown["receive_buffer_bytes"] > 0
    assert {(record.listener, record.payload) for record in read_records(tmp_path / "spool")} == {
        (f"syslog/udp-{udp_port}", b"<13>udp"),
        (f"syslog/tcp-{tcp_port}", b"<13>tcp"),
        (f"netflow/udp-{flow_port}", b"\x00\x05"),
    }
    assert not list((tmp_path / "spool" / "collector").glob("*.open"))


@pytest.mark.parametrize(("transport", "kind"), [("udp", socket.SOCK_DGRAM), ("tcp", socket.SOCK_STREAM)])
def test_port_in_use_is_one_sentence_and_leaves_no_trace(tmp_path: Path, transport: str, kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        free = Listener("syslog", "udp", "127.0.0.1", free_port(socket.SOCK_DGRAM))
        settings = settings_of(tmp_path, free, Listener("syslog", transport, "127.0.0.1", port))
        with pytest.raises(CollectorError) as caught:
            run_collector(settings, threading.Event())
    assert caught.value.code == "port_in_use"
    assert str(caught.value) == (
        f"{transport.upper()} port {port} on address 127.0.0.1 is already in use by another program."
    )
    assert not (tmp_path / "spool").exists()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", free.port))


def test_foreign_address_is_named(tmp_path: Path) -> None:
    with pytest.raises(CollectorError, match=r"UDP port 5514 on address 192\.0\.2\.1 cannot be opened") as caught:
        run_collector(settings_of(tmp_path, Listener("syslog", "udp", "192.0.2.1", 5514)), threading.Event())
    assert caught.value.code == "address_unavailable"


def test_sflow_is_received_over_udp(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    with started(settings_of(tmp_path, Listener("sflow", "udp", "127.0.0.1", port, receivers=2))):
        wait_until((tmp_path / "run" / "collector.json").exists)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.sendto(b"\0\0\0\x05", ("127.0.0.1", port))
            wait_until(lambda: sum(one["received_records"] for one in read_status(tmp_path)["listeners"].values()) == 1)
    assert set(read_status(tmp_path)["listeners"]) == {f"sflow/udp-{port}", f"sflow/udp-{port}.2"}
    (record,) = [one for one in read_records(tmp_path / "spool") if one.listener.startswith("sflow/")]
    assert (record.listener.partition(".")[0], record.payload) == (f"sflow/udp-{port}", b"\0\0\0\x05")


@pytest.mark.parametrize(
    "listener",
    [Listener("netflow", "tcp", "", 0), Listener("sflow", "tcp", "", 0), Listener("mail", "udp", "", 0)],
)
def test_unknown_listener_is_refused(tmp_path: Path, listener: Listener) -> None:
    with pytest.raises(CollectorError) as caught:
        run_collector(settings_of(tmp_path, listener), threading.Event())
    assert caught.value.code == "listener_unknown"


def test_a_receiver_that_dies_ends_the_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class DyingReceiver:
        name, port = "syslog/udp-1", 1

        def __init__(self) -> None:
            self.counters = ReceiverCounters()

        def run(self, writer: object, stop: threading.Event) -> None:
            return

        def wake(self) -> None:
            return

        def close(self) -> None:
            return

    monkeypatch.setattr(service, "open_receivers", lambda *_: [DyingReceiver()])
    monkeypatch.setattr(service, "STATUS_INTERVAL_SECONDS", 0.01)
    settings = settings_of(tmp_path, Listener("syslog", "udp", "", 1))
    with pytest.raises(CollectorError, match="syslog/udp-1") as caught:
        run_collector(settings, threading.Event(), clock=SystemClock())
    assert caught.value.code == "receiver_died"


def test_buffers_beyond_what_udp_may_take_are_warned_of(tmp_path: Path) -> None:
    class Shown:
        name, port = "syslog/udp-1", 1
        counters = ReceiverCounters(receive_buffer_bytes=32 * 1024 * 1024)

    limits = tmp_path / "udp_mem"
    limits.write_text("1\t2\t4096\n", encoding="ascii")
    [warning] = udp_memory_warning([Shown()], limits)  # type: ignore[list-item]
    assert "net.ipv4.udp_mem" in warning
    limits.write_text("1\t2\t1000000\n", encoding="ascii")
    assert udp_memory_warning([Shown()], limits) == []  # type: ignore[list-item]
    assert udp_memory_warning([Shown()], tmp_path / "missing") == []  # type: ignore[list-item]
