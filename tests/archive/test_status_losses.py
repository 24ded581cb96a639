"""What `status`, the metrics and the alarms say of listeners and of what was lost at them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ask_desk import STRANGER, AskDesk

from archive.alarms import ALARMS
from archive.ask.status import MAX_SILENT_ALARMS
from archive.event_record import encode_event

UDP = "syslog/udp-5514"
SOURCE = "192.0.2.254"
SMALL = f"{UDP}: the receive buffer is 212992 bytes instead of 33554432."
MEMORY = "The UDP buffers together may take too much."
COUNTERS = {"received_records": 7, "kernel_drops": 3, "truncated_records": 1, "receive_buffer_bytes": 212_992}
"""Of one listener, as the collector writes them each second."""
NS = 1_000_000_000


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[AskDesk]:
    made = AskDesk(tmp_path)
    yield made
    made.close()


def lose(desk: AskDesk, how: str, count: int | None = None, listener: str = UDP, **more: Any) -> None:
    now = desk.log.clock.unix_ns()
    values = {
        "listener": listener,
        "how": how,
        "count": count,
        "from_unix_ns": str(now),
        "to_unix_ns": str(now),
        **more,
    }
    desk.log.put("other", ("loss", encode_event(how, now, values)))


def report(desk: AskDesk, **values: Any) -> None:
    desk.log.paths.run.mkdir(exist_ok=True)
    (desk.log.paths.run / "collector.json").write_text(json.dumps(values), encoding="utf-8")


def raised(desk: AskDesk, *codes: str) -> list[tuple[str, str]]:
    return [(c.code, c.source) for c in desk.desk.status.conditions() if c.code in codes]


def test_counters_of_each_listener_and_sums_of_sealed_losses(desk: AskDesk) -> None:
    lose(desk, "kernel_socket_drops", 5)
    desk.log.clock.advance(25 * 3600)
    lose(desk, "kernel_socket_drops", 3)
    lose(desk, "sequence_gap", 77, "netflow/udp-2055")
    lose(desk, "udp_memory", None, "collector")
    report(desk, listeners={UDP: {**COUNTERS, "warnings": [SMALL]}}, warnings=[MEMORY, SMALL])
    status = desk.ask("status")
    assert status["listeners"] == {UDP: {**COUNTERS, "warnings": [SMALL]}}
    assert status["warnings"] == [MEMORY, SMALL]
    sums = {(r["listener"], r["how"]): r for r in status["loss_sums"]}
    names = ("losses", "count", "losses_24h", "count_24h")
    assert {key: tuple(row[name] for name in names) for key, row in sums.items() if key[1] != "writer_restart"} == {
        (UDP, "kernel_socket_drops"): (2, 8, 1, 3),
        ("netflow/udp-2055", "sequence_gap"): (1, 77, 1, 77),
        ("collector", "udp_memory"): (1, None, 1, None),
    }
    assert status["received"] == sum(count["received"] for count in status["streams"].values()) > 0


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"listeners": 7}', '{"listeners": {"a": 7}, "warnings": 7}', '{"warnings": [7]}']
)
def test_a_report_that_is_none_breaks_nothing(desk: AskDesk, text: str) -> None:
    report(desk)
    (desk.log.paths.run / "collector.json").write_text(text, encoding="utf-8")
    assert desk.ask("status")["listeners"] == desk.ask("metrics")["listeners"] == {}
    desk.desk.status.conditions()


def test_warnings_of_receivers_are_alarms(desk: AskDesk) -> None:
    report(desk, listeners={UDP: {**COUNTERS, "warnings": [SMALL]}, "x": {"warnings": []}}, warnings=[MEMORY, SMALL])
    found = [c for c in desk.desk.status.conditions() if c.code == "receiver_warning"]
    assert [(c.source, c.details) for c in found] == [(UDP, SMALL), ("collector", MEMORY)]
    report(desk, listeners={UDP: {**COUNTERS, "warnings": []}}, warnings=[])
    assert raised(desk, "receiver_warning") == []


def test_exhausted_memory_is_an_alarm_for_an_hour(desk: AskDesk) -> None:
    lose(desk, "udp_memory", None, "collector")
    lose(desk, "kernel_socket_drops", 4)
    assert raised(desk, "udp_memory", "kernel_drops") == [("kernel_drops", UDP), ("udp_memory", "collector")]
    desk.log.clock.advance(3601)
    assert raised(desk, "udp_memory", "kernel_drops") == []


def test_a_silent_source_is_an_alarm_until_it_returns(desk: AskDesk) -> None:
    report(desk, listeners={UDP: COUNTERS}, warnings=[])
    lose(desk, "source_silent", source=SOURCE)
    (condition,) = [c for c in desk.desk.status.conditions() if c.code == "source_silent"]
    assert condition.source == f"{SOURCE} {UDP}"
    assert condition.details.startswith("no record since 2026-")
    desk.desk.alarms.update([condition])
    (alarm,) = desk.ask("status")["alarms"]
    assert (alarm["code"], alarm["message_th"]) == ("source_silent", ALARMS["source_silent"].thai)
    assert desk.ask("metrics")["silent_sources"] == {UDP: 1}
    lose(desk, "source_returned", source=SOURCE)
    assert raised(desk, "source_silent") == []
    desk.desk.alarms.update([])
    assert desk.ask("status")["alarms"] == []
    assert desk.ask("metrics")["silent_sources"] == {}


def test_many_silent_sources_are_counted_and_not_all_alarmed(desk: AskDesk) -> None:
    now = desk.log.clock.unix_ns()
    values = {"listener": UDP, "how": "source_silent", "from_unix_ns": str(now), "to_unix_ns": str(now)}
    many = MAX_SILENT_ALARMS + 5
    desk.log.put(
        "other",
        *(("loss", encode_event("source_silent", now, {**values, "source": f"10.0.0.{n}"})) for n in range(many)),
    )
    assert len(raised(desk, "source_silent")) == MAX_SILENT_ALARMS
    assert desk.ask("metrics")["silent_sources"] == {UDP: many}


def test_metrics_are_numbers_that_anybody_at_the_socket_may_read_unrecorded(desk: AskDesk) -> None:
    report(desk, listeners={UDP: {**COUNTERS, "warnings": [SMALL]}}, warnings=[SMALL])
    lose(desk, "source_silent", source=SOURCE)
    (condition,) = [c for c in desk.desk.status.conditions() if c.code == "source_silent"]
    desk.desk.alarms.update([condition])
    before = desk.audit()
    numbers = desk.ask_as(STRANGER, "metrics", from_pages=True)
    assert desk.audit() == before
    assert SOURCE not in json.dumps(numbers)
    assert "buffer is" not in json.dumps(numbers)
    assert numbers["alarms"] == {**dict.fromkeys(ALARMS, 0), "source_silent": 1}
    assert numbers["listeners"][UDP]["warnings"] == 1
