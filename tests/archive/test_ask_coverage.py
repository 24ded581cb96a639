"""Which losses can hide an answer."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from indexed_log import IndexedLog

from archive.ask.coverage import HARMLESS_LOSSES, MAX_LOSSES, Coverage
from archive.event_record import encode_event

CONTRACT = (Path(__file__).parents[2] / "docs/CONTRACT.md").read_text(encoding="utf-8")


T = 1_795_000_000 * 1_000_000_000
CASES = [
    ("syslog/udp-5514", "kernel_socket_drops", True),
    ("syslog/udp-5514", "sequence_gap", True),
    ("syslog/tcp-5514", "connection_refused", True),
    ("collector", "writer_restart", True),
    ("radius-acct", "kernel_socket_drops", True),
    ("netflow/udp-2055", "refused_source", False),
    ("syslog/tls-6514", "tls_handshake_failed", False),
    ("syslog/relp-2514", "relp_malformed", False),
    ("sflow/udp-6343", "kernel_socket_drops", True),
    ("syslog/udp-5514", "source_silent", False),
    ("audit", "writer_restart", False),
    ("system", "writer_restart", False),
]


def loss(listener: str, how: str, start_ns: int = T, end_ns: int = T) -> tuple[str, bytes]:
    values = {"listener": listener, "how": how, "count": 1, "from_unix_ns": str(start_ns), "to_unix_ns": str(end_ns)}
    return "loss", encode_event("loss", T, values)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IndexedLog]:
    made = IndexedLog.make(tmp_path)
    yield made
    made.close()


def test_only_what_we_would_have_received_weakens_an_answer(log: IndexedLog) -> None:
    log.put("collector", *(loss(listener, how) for listener, how, _ in CASES))
    found = [(row["listener"], row["how"]) for row in Coverage(0, 0).losses_touching(log.engine, T, T)]
    assert found == [(listener, how) for listener, how, weakens in CASES if weakens]


def test_what_hides_nothing_hides_no_loss_behind_it(log: IndexedLog) -> None:
    """Losses of our own audit and of strangers come first and fill what is listed at most."""
    harmless = [loss("audit", "writer_restart"), loss("syslog/udp-5514", "refused_source")] * MAX_LOSSES
    log.put("collector", *harmless, loss("syslog/udp-5514", "kernel_socket_drops", T + 1, T + 1))
    found = Coverage(0, 0).losses_touching(log.engine, T - 1, T + 2)
    assert [(row["listener"], row["how"]) for row in found] == [("syslog/udp-5514", "kernel_socket_drops")]


@pytest.mark.parametrize(
    ("start", "end", "touches"), [(5, 9, True), (9, 20, True), (0, 5, True), (0, 4, False), (10, 20, False)]
)
def test_a_loss_touches_what_it_overlaps(log: IndexedLog, start: int, end: int, touches: bool) -> None:
    log.put("collector", loss("netflow/udp-2055", "sequence_gap", T + 5, T + 9))
    assert bool(Coverage(0, 0).losses_touching(log.engine, T + start, T + end)) is touches


def test_every_harmless_loss_is_a_documented_one() -> None:
    table = CONTRACT[CONTRACT.index("## Losses") : CONTRACT.index("## Status")]
    documented = set(re.findall(r"`([a-z_]+)`", table))
    assert set(HARMLESS_LOSSES) <= documented
