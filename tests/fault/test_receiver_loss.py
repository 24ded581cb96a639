"""A collector that stands still while datagrams pour in: what was lost is told exactly, by socket for all senders, by
source for those who number what they send."""

import collections
import ipaddress
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lab import wait_until
from tests.fault.collecting import Collecting
from tests.fault.numbered_sources import NumberedSource, netflow5_source, syslog_source, template_source

SYSLOG_RECEIVERS = 2
DATAGRAM_KERNEL_BYTES = 768
"""What one small datagram is charged against a receive buffer (its skb and data, x86-64); measured on loopback."""
OVERFILL = 2
"""So many times what the buffers of a port hold is sent while nobody reads."""
MAX_DATAGRAMS = 400_000
"""To one socket."""
BEFORE, AFTER = 50, 20
"""Sent by each source while the collector reads. Those after it close the gaps."""
SETTLE_SECONDS = 3.0
"""The receiver looks for drops once a second."""


Sockets = dict[str, list[NumberedSource]]
"""Sources by the name of the socket that gets their datagrams."""


def _fill(collecting: Collecting, sockets: Sockets) -> None:
    """The sources of each socket in turn, until it has got OVERFILL times what it can hold."""
    for listener, sources in sockets.items():
        buffer_bytes = 2 * collecting.status()["listeners"][listener]["receive_buffer_bytes"]
        wanted = min(OVERFILL * buffer_bytes // DATAGRAM_KERNEL_BYTES, MAX_DATAGRAMS)
        for _ in range(wanted // len(sources)):
            for source in sources:
                source.send()


def _sort_by_socket(collecting: Collecting, sources: list[NumberedSource], port: int) -> Sockets:
    """The sources by the socket the kernel gives them to, at least one to each: source n sends 2^n datagrams, so that
    the counters tell. A source is added to `sources` as long as a socket has none."""
    first, second = f"syslog/udp-{port}", f"syslog/udp-{port}.2"
    for number, source in enumerate(sources):
        for _ in range(1 << number):
            source.send()
    _wait_read(collecting, sources)
    mask = collecting.status()["listeners"][second]["received_records"]
    sockets: Sockets = {first: [], second: []}
    for number, source in enumerate(sources):
        sockets[second if mask >> number & 1 else first].append(source)
    while not all(sockets.values()):
        sources.append(syslog_source(f"127.0.0.{40 + len(sources)}", port))
        before = collecting.status()["listeners"][second]["received_records"]
        sources[-1].send()
        _wait_read(collecting, sources)
        grown = collecting.status()["listeners"][second]["received_records"] - before
        sockets[second if grown else first].append(sources[-1])
    return sockets


def _send_slowly(sources: list[NumberedSource], count: int) -> None:
    for _ in range(count):
        for source in sources:
            source.send()
        time.sleep(0.002)


@pytest.mark.slow
def test_every_datagram_lost_in_a_pause_is_told(tmp_path: Path) -> None:
    with Collecting(tmp_path / "office", syslog=f"udp_receivers = {SYSLOG_RECEIVERS}") as collecting:
        udp, netflow = collecting.ports["udp"], collecting.ports["netflow"]
        syslog = [syslog_source(f"127.0.0.{n}", udp) for n in range(11, 17)]
        syslog += [syslog_source(f"127.0.0.{n}", udp, counted=False) for n in (18, 19)]
        flows = [netflow5_source(f"127.0.0.{n}", netflow) for n in (21, 22)]
        flows += [template_source("127.0.0.23", netflow, 9), template_source("127.0.0.23", netflow, 9)]
        flows += [template_source("127.0.0.24", netflow, 10), template_source("127.0.0.25", netflow, 10)]
        sockets = _sort_by_socket(collecting, syslog, udp) | {f"netflow/udp-{netflow}": flows}
        sources = syslog + flows
        _send_slowly(sources, BEFORE)
        _wait_read(collecting, sources)
        collecting.signal_collector(signal.SIGSTOP)
        paused_ns = time.time_ns()
        _fill(collecting, sockets)
        collecting.signal_collector(signal.SIGCONT)
        time.sleep(SETTLE_SECONDS)
        _send_slowly(sources, AFTER)
        _wait_read(collecting, sources)
        time.sleep(SETTLE_SECONDS)
        collecting.stop()
        for source in sources:
            source.close()
        rows = collecting.rows()
        stored = _count_stored(collecting)
        _check_sockets(sources, stored, rows["losses"], paused_ns)
        _check_sources(sources, stored, rows["losses"])
        collecting.check_verified()


def _wait_read(collecting: Collecting, sources: list[NumberedSource]) -> None:
    """Until the collector has read or missed everything sent so far."""

    def done() -> bool:
        listeners = collecting.status()["listeners"].values()
        known = sum(one["received_records"] + one["kernel_drops"] for one in listeners)
        return known >= sum(source.sent for source in sources)

    wait_until(done, 30, "everything is read or counted as dropped")


def _count_stored(collecting: Collecting) -> dict[tuple[str, int], collections.Counter[str]]:
    """Sealed datagrams of each address and port, by listener; the templates of IPFIX have no number and are left
    out."""
    stored: dict[tuple[str, int], collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for _, chunk in collecting.chunks():
        names = ("source_address", "source_port", "listener", "payload")
        columns = [chunk.column(name).to_pylist() for name in names]
        for address, port, listener, payload in zip(*columns, strict=True):
            is_ipfix_template = payload[:2] == b"\0\x0a" and payload[16:18] == b"\0\2"
            if listener.startswith(("syslog/", "netflow/")) and not is_ipfix_template:
                stored[_text(address), port][listener] += 1
    return stored


def _text(address: bytes) -> str:
    plain = ipaddress.IPv6Address(address)
    return str(plain.ipv4_mapped or plain)


def _check_sockets(
    sources: list[NumberedSource],
    stored: dict[tuple[str, int], collections.Counter[str]],
    losses: list[dict[str, Any]],
    paused_ns: int,
) -> None:
    """The kernel gives all datagrams of a sender to one socket, so that what was sent to each is known."""
    sent: collections.Counter[str] = collections.Counter()
    kept: collections.Counter[str] = collections.Counter()
    for source in sources:
        [(listener, count)] = stored[source.address, source.port].items()
        sent[listener] += source.sent
        kept[listener] += count
    told = [row for row in losses if row["how"] == "kernel_socket_drops"]
    for listener, count in sent.items():
        lost = count - kept[listener]
        share = lost / count
        print(f"{listener}: sent {count}, stored {kept[listener]}, lost {lost} ({share:.0%})")
        assert 0.2 <= share <= 0.8
        assert sum(row["count"] for row in told if row["listener"] == listener) == lost
    assert {row["listener"] for row in told} == set(sent)
    assert len(sent) == SYSLOG_RECEIVERS + 1
    for row in told:
        assert row["start"] <= row["end"]
        assert row["end"] >= paused_ns
        assert row["sender_address"] is None
        details = json.loads(row["details"])
        # Of lines without numbers this is all there is, so it lists who may be hit.
        assert details["source"] == "unknown"
        assert isinstance(details["active_sources"], list)


def _check_sources(
    sources: list[NumberedSource],
    stored: dict[tuple[str, int], collections.Counter[str]],
    losses: list[dict[str, Any]],
) -> None:
    gaps: collections.Counter[str] = collections.Counter()
    for row in losses:
        if row["how"] == "sequence_gap":
            gaps[_text(row["sender_address"])] += row["count"]
    lost: collections.Counter[str] = collections.Counter()
    for source in sources:
        if source.counted:
            lost[source.address] += source.sent - stored[source.address, source.port].total()
    assert gaps == lost
    assert min(lost.values()) > 0
    assert not [row for row in losses if row["how"] == "sequence_unusable"]
    print(f"by source, told by their own numbers: {dict(lost)}")
