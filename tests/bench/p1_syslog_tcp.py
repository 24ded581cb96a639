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


def _send(port: int, connections: int, octet_counted: bool) -> int:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(send_tcp, (port, LINES, connections), {"octet_counted": octet_counted})


def _ours(connections: int, octet_counted: bool) -> float:
    with Phayan(Path(tempfile.mkdtemp(prefix="phayan-p1-"))) as contestant:
        contestant.begin()
        sent = _send(contestant.syslog_port, connections, octet_counted)
        contestant.wait_sealed(sent)
        return contestant.used() / sent * 1e6


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
            for run in range(runs):
                figure.add(_ours(connections, octet_counted), _peer(connections, octet_counted))
                print(f"P1 {framing} {connections}: {figure.ours[run]:.3f} / {figure.peer[run]:.3f}", file=sys.stderr)
            yield figure
