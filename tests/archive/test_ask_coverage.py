"""Which losses can hide an answer."""

import re
from pathlib import Path

import pytest

from archive.ask.coverage import HARMLESS_LOSSES, can_hide_records

CONTRACT = (Path(__file__).parents[2] / "docs/CONTRACT.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("listener", "how", "expected"),
    [
        ("syslog/udp-5514", "kernel_socket_drops", True),
        ("syslog/udp-5514", "sequence_gap", True),
        ("syslog/tcp-5514", "connection_refused", True),
        ("collector", "writer_restart", True),
        ("radius-acct", "kernel_socket_drops", True),
        ("netflow/udp-2055", "refused_source", False),
        ("syslog/tls-6514", "tls_handshake_failed", False),
        ("syslog/relp-2514", "relp_malformed", False),
        ("syslog/udp-5514", "source_silent", False),
        ("audit", "writer_restart", False),
        ("system", "writer_restart", False),
    ],
)
def test_only_what_we_would_have_received_weakens_an_answer(listener: str, how: str, expected: bool) -> None:
    assert can_hide_records(listener, how) is expected


def test_every_harmless_loss_is_a_documented_one() -> None:
    table = CONTRACT[CONTRACT.index("## Losses") : CONTRACT.index("## Status")]
    documented = set(re.findall(r"`([a-z_]+)`", table))
    assert set(HARMLESS_LOSSES) <= documented
