"""Sources that are not allowed: not stored, counted, said at most once a second, whatever the family."""

import ipaddress
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.spool import SpoolWriter
from collector.allow_list import AllowList
from collector.loss import MAX_NAMED_SOURCES
from collector.tcp import TcpReceiver
from collector.udp import UdpReceiver
from tests.collector.net.spool_reading import losses, read_records, running, wait_until


def column(*texts: str) -> np.ndarray:
    """The address column of these sources."""
    rows = []
    for text in texts:
        address = ipaddress.ip_address(text)
        rows.append(address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ([], [True, True, True, True]),
        (["10.1.0.0/16"], [True, False, False, False]),
        (["10.1.2.3"], [True, False, False, False]),
        (["2001:db8::/33"], [False, False, True, False]),
        (["0.0.0.0/0"], [True, True, False, False]),
        (["::/0"], [False, False, True, True]),
        (["10.2.0.0/15", "2001:db8:8000::/33"], [False, True, False, True]),
    ],
)
def test_prefixes_of_both_families(networks: list[str], expected: list[bool]) -> None:
    sources = column("10.1.2.3", "10.3.255.255", "2001:db8:7fff::1", "2001:db8:8000::1")
    assert AllowList(networks).allowed(sources).tolist() == expected


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1), st.integers(0, 128), st.booleans())
def test_mask_agrees_with_the_definition(number: int, near: int, prefix: int, ipv4: bool) -> None:
    bits = 32 if ipv4 else 128
    prefix = min(prefix, bits)
    kind = ipaddress.IPv4Address if ipv4 else ipaddress.IPv6Address
    base, tail = number >> (128 - bits), near >> (128 - bits)
    source = kind((base >> (bits - prefix) << (bits - prefix)) | (tail & ((1 << (bits - prefix)) - 1)))
    network = ipaddress.ip_network(f"{kind(base)}/{prefix}", strict=False)
    mapped = not ipv4 and ipaddress.IPv6Address(int(source)).ipv4_mapped is not None
    expected = source in network and not mapped
    assert AllowList([str(network)]).allowed(column(str(source))).tolist() == [expected]


def test_a_network_with_host_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="host bits"):
        AllowList(["10.0.0.1/8"])


def send(port: int, *parts: tuple[str, bytes]) -> None:
    """Datagrams from loopback addresses of the senders' choice."""
    for source, payload in parts:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((source, 0))
            peer.sendto(payload, ("127.0.0.1", port))


def test_udp_keeps_the_allowed_and_says_how_many_others_came_and_from_where(
    writer: SpoolWriter, tmp_path: Path
) -> None:
    receiver = UdpReceiver("syslog/udp-0", "127.0.0.1", 0, allow=AllowList(["127.0.0.0/30"]))
    refused = [f"127.0.1.{n}" for n in range(1, 21)]
    parts = [(source, b"no") for source in refused]
    parts[3:3] = [("127.0.0.1", b"<13>first"), ("127.0.0.2", b"<13>second, longer")]
    send(receiver.port, *parts)
    started = time.monotonic()
    with running(receiver, writer):
        wait_until(lambda: receiver.counters.received_records == 2 and receiver.counters.refused_records == 20)
        send(receiver.port, ("127.0.9.9", b"no"))
        wait_until(lambda: receiver.counters.refused_records == 21)
    writer.close()
    records = read_records(tmp_path / "spool")
    kept = [(r.address[12:], r.payload, r.truncated) for r in records if r.listener != "loss"]
    assert kept == [(b"\x7f\0\0\1", b"<13>first", False), (b"\x7f\0\0\2", b"<13>second, longer", False)]
    said = losses(records)
    assert {loss["how"] for loss in said} == {"refused_source"}
    assert sum(int(str(loss["count"])) for loss in said) == 21
    assert len(said) <= 1 + (time.monotonic() - started), "at most one record a second, and one at the end"
    assert said[0]["sources"] == refused[:MAX_NAMED_SOURCES]


def test_udp_with_only_refused_sources_stores_nothing(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = UdpReceiver("netflow/udp-0", "127.0.0.1", 0, allow=AllowList(["192.0.2.0/24"]))
    with running(receiver, writer):
        send(receiver.port, ("127.0.0.1", b"x"), ("127.0.0.1", b""))
        wait_until(lambda: receiver.counters.refused_records == 2)
    writer.close()
    assert receiver.counters.received_records == 0
    assert [record.listener for record in read_records(tmp_path / "spool")] == ["loss"]


def test_tcp_refuses_at_accept(writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0, allow=AllowList(["127.0.0.2/32"]))
    with running(receiver, writer):
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as refused:
            assert refused.recv(1) == b""
        with socket.create_connection(("127.0.0.1", receiver.port), 10, ("127.0.0.2", 0)) as allowed:
            allowed.sendall(b"<13>kept\n")
            wait_until(lambda: receiver.counters.received_records == 1)
    writer.close()
    records = read_records(tmp_path / "spool")
    assert [record.payload for record in records if record.listener != "loss"] == [b"<13>kept"]
    assert [(loss["how"], loss["count"], loss["sources"]) for loss in losses(records)] == [
        ("refused_source", 1, ["127.0.0.1"])
    ]
    assert (receiver.counters.refused_connections, receiver.counters.connections) == (1, 0)
