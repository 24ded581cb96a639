"""kill -9 of the collector under load: what RELP answered is sealed, what came twice is marked, and what plain TCP and
UDP lost lies within an interval that a sealed record tells."""

import collections
import itertools
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fault.collecting import Collecting
from tests.fault.load import Load
from tests.fault.relp_client import RelpClient

SAMPLE_KILLS, FULL_KILLS = 2, 50
"""The sample is what `make test` runs; `make fault` runs the full count."""
NUMBERED = re.compile(r"(relp|udp|tcp) number (\d{8})")
CLOCK_GRAIN_NS = 20_000_000
"""The kernel stamps files by its tick; a sign of life may look that much older or younger than our own clock."""


class LineLoad(Load):
    """Numbered lines over UDP and TCP alone."""

    def __init__(self, syslog_udp: int, syslog_tcp: int) -> None:
        super().__init__(syslog_udp, syslog_tcp, 0)

    def _account(self) -> None:
        return


@pytest.mark.slow
def test_kill_of_the_collector_under_load(tmp_path: Path, full_counts: bool) -> None:
    kills: list[int] = []
    chosen = random.Random(11)
    with Collecting(tmp_path / "office") as collecting:
        with (
            RelpClient(collecting.ports["relp"]) as client,
            LineLoad(collecting.ports["udp"], collecting.ports["tcp"]) as load,
        ):
            for _ in range(FULL_KILLS if full_counts else SAMPLE_KILLS):
                time.sleep(chosen.uniform(0.2, 0.8))
                collecting.kill("collector")
                kills.append(time.time_ns())
                collecting.start("collector")
                collecting.wait_ready()
            time.sleep(0.5)
            client.finish()
        collecting.stop()
        rows = collecting.rows()
        copies = _check_relp(client, rows["logs"])
        gaps = _check_gaps_are_told(rows, kills)
        collecting.check_verified()
    print(
        f"{len(kills)} kills: RELP sent {client.sent}, answered {len(client.answered)}, sent again "
        f"{client.sent_again} on {client.connections} connections, {copies} copies sealed and marked; "
        f"UDP lines sent {load.sent_lines}; {gaps} gaps in TCP and UDP lines, each within a told interval"
    )
    assert client.connections > len(kills)


def _check_relp(client: RelpClient, logs: list[dict[str, Any]]) -> int:
    marks: dict[int, list[bool]] = collections.defaultdict(list)
    for row in logs:
        match = NUMBERED.search(row["message"])
        if match and match[1] == "relp":
            marks[int(match[2])].append(row["repeated"])
        else:
            assert not row["repeated"]
    lost = [number for number in client.answered if number not in marks]
    assert lost == [], f"{len(lost)} of {len(client.answered)} answered messages are lost, first {sorted(lost)[:3]}"
    assert len(client.answered) > 100
    wrong = {number: found for number, found in marks.items() if found != [False] + [True] * (len(found) - 1)}
    assert wrong == {}, f"{len(wrong)} messages are marked wrongly: {dict(list(wrong.items())[:3])}"
    return sum(len(found) - 1 for found in marks.values())


def _check_gaps_are_told(rows: dict[str, list[dict[str, Any]]], kills: list[int]) -> int:
    told = [row for row in rows["losses"] if row["how"] == "writer_restart"]
    assert len(told) == len(kills)
    assert {(row["listener"], row["count"]) for row in told} == {("collector", None)}
    for killed, row in zip(kills, told, strict=True):
        assert row["start"] <= killed + CLOCK_GRAIN_NS
        assert row["end"] >= killed - CLOCK_GRAIN_NS
    gaps = 0
    for transport in ("tcp", "udp"):
        found = [
            (int(match[2]), row["received"])
            for row in rows["logs"]
            if (match := NUMBERED.search(row["message"])) and match[1] == transport
        ]
        assert len({number for number, _ in found}) == len(found) > 100, f"{transport} lines are sealed twice"
        for (before, before_ns), (after, after_ns) in itertools.pairwise(found):
            if after == before + 1:
                continue
            gaps += 1
            assert any(row["start"] <= after_ns and row["end"] >= before_ns for row in told), (
                f"{transport} lines {before + 1} to {after - 1} are missing and no record tells of that time"
            )
    assert gaps, "nothing was lost, so nothing was tried"
    return gaps
