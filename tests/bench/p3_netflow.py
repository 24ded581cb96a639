"""P3: NetFlow v5, v9 and IPFIX, 30 flows a datagram, received + durable + sealed, against nfcapd -y."""

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from collector.wire.flows import FlowDecoder
from tests.bench.contestants import Nfcapd, Phayan
from tests.bench.figure import Figure
from tests.bench.senders import make_netflow_v5, make_template_message, send_udp

FLOWS_PER_DATAGRAM = 30
DATAGRAMS = 100_000
DISTINCT = 4000
"""Different datagrams sent over and over: 120,000 flows, more than either compressor's window sees at once."""
PER_SECOND = 20_000
TARGET = 1.8
ROOTS_TARGET = 1.3


def _datagrams(version: int) -> list[bytes]:
    if version == 5:
        return [make_netflow_v5(n) for n in range(DISTINCT)]
    data = [make_template_message(version, n) for n in range(DISTINCT - 1)]
    return [data[0][1], *(message for message, _ in data)]


def _send(port: int, version: int) -> int:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(send_udp, (port, _datagrams(version), DATAGRAMS, PER_SECOND))


def _ours(version: int) -> tuple[float, int, float]:
    """CPU seconds per million flows, bytes of journal, CPU seconds per million units for their records roots."""
    with Phayan(Path(tempfile.mkdtemp(prefix="phayan-p3-"))) as contestant:
        contestant.begin()
        sent = _send(contestant.netflow_port, version)
        contestant.wait_sealed(sent)
        flows, sealed = sent * FLOWS_PER_DATAGRAM, contestant.used()
        units, cutting = contestant.seal_roots(FlowDecoder(units=True))
        roots = (contestant.used() - sealed + cutting) / units * 1e6
        return sealed / flows * 1e6, contestant.journal_bytes(), roots


def _peer(version: int) -> tuple[float, int]:
    with Nfcapd(Path(tempfile.mkdtemp(prefix="phayan-p3-"))) as contestant:
        contestant.begin()
        sent = _send(contestant.netflow_port, version)
        time.sleep(2)
        written = contestant.finish()
        return contestant.final_cpu / (sent * FLOWS_PER_DATAGRAM) * 1e6, written


def figures(runs: int) -> Iterator[Figure]:
    """One figure per version."""
    for version, name in ((5, "NetFlow v5"), (9, "NetFlow v9"), (10, "IPFIX")):
        figure = Figure("P3", name, "CPU s per million flows", TARGET)
        rooted = Figure(
            "P3",
            f"{name}, records roots",
            "CPU s per million units",
            ROOTS_TARGET,
            notes="sealer, and what telling units apart costs the decoder; read from the sealed chunks",
        )
        flows = DATAGRAMS * FLOWS_PER_DATAGRAM
        for run in range(runs):
            ours, journal_bytes, roots = _ours(version)
            peer, written = _peer(version)
            figure.add(ours, peer)
            rooted.add_absolute(roots)
            figure.notes = (
                f"collector and sealer until the checkpoint is signed, index left out; none of {flows} flows lost; "
                f"journal {journal_bytes / flows:.1f} bytes a flow; nfcapd wrote {written} flows"
            )
            print(f"P3 {name}: {figure.ours[run]:.3f} / {figure.peer[run]:.3f}; {figure.notes}", file=sys.stderr)
        yield from (figure, rooted)
