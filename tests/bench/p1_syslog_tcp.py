"""P1: syslog over TCP, 180-byte firewall lines, received + durable + sealed, against rsyslogd imtcp -> omfile."""

import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.contestants import Phayan, Rsyslogd
from tests.bench.figure import Figure
from tests.bench.senders import LINE_BYTES, send_tcp

LINES = 1_000_000
TARGETS = {False: 0.6, True: 0.9}
TARGET_WITH_ROOTS = 1.4


def _send(port: int, connections: int, octet_counted: bool) -> int:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(send_tcp, (port, LINES, connections), {"octet_counted": octet_counted})


def _ours(connections: int, octet_counted: bool) -> tuple[float, float]:
    """CPU seconds per million lines until the last checkpoint, and until every line's root is sealed too."""
    with Phayan(Path(tempfile.mkdtemp(prefix="phayan-p1-"))) as contestant:
        contestant.begin()
        sent = _send(contestant.syslog_port, connections, octet_counted)
        contestant.wait_sealed(sent)
        sealed = contestant.used()
        contestant.seal_roots()
        return sealed / sent * 1e6, contestant.used() / sent * 1e6


def _peer(connections: int, octet_counted: bool) -> float:
    with Rsyslogd(Path(tempfile.mkdtemp(prefix="phayan-p1-"))) as contestant:
        contestant.begin()
        sent = _send(contestant.syslog_port, connections, octet_counted)
        contestant.wait_written(sent, LINE_BYTES + 1)
        return contestant.used() / sent * 1e6


def figures(runs: int) -> Iterator[Figure]:
    """One figure per framing and number of connections."""
    for octet_counted in (False, True):
        for connections in (1, 50):
            framing = "octet-counted" if octet_counted else "newline"
            figure = Figure(
                "P1",
                f"syslog TCP, {framing}, {connections} connections",
                "CPU s per million lines",
                TARGETS[octet_counted],
                notes="collector and sealer, until the last checkpoint is signed; index and records roots left out",
            )
            with_roots = Figure(
                "P1",
                f"{figure.what}, with records roots",
                figure.unit,
                TARGET_WITH_ROOTS,
                notes="and until a root over each line is sealed; lines cost the decode worker nothing for it",
            )
            for _ in range(runs):
                (ours, rooted), peer = _ours(connections, octet_counted), _peer(connections, octet_counted)
                figure.add(ours, peer)
                with_roots.add(rooted, peer)
                print(f"P1 {framing} {connections}: {ours:.3f}, {rooted:.3f} / {peer:.3f}", file=sys.stderr)
            yield from (figure, with_roots)
