"""Metrics as Prometheus itself reads them, and who may."""

from collections.abc import Callable
from typing import Any

import pytest
from conftest import Pages
from fake_services import FakeAsk
from prometheus_client.parser import text_string_to_metric_families

from admin_ui.metrics import METRICS, metrics_text
from admin_ui.pages.metrics import may_read

LOOPBACK = ("127.0.0.0/8", "::1/128")
NUMBERS: dict[str, Any] = {
    "streams": {"collector": {"received": 30, "sealed": 20, "indexed": 10}},
    "seal_lag_seconds": 3.5,
    "index_lag_seconds": 0.25,
    "index_lag_leaves": 4,
    "tree_size": 9,
    "torn_bytes": 7,
    "loss_sums": [
        {"listener": "syslog/udp-5514", "how": "kernel_socket_drops", "losses": 2, "count": 8},
        {"listener": "collector", "how": "udp_memory", "losses": 1, "count": None},
    ],
    "listeners": {
        'od"d\\name\n': {
            "received_records": 1, "received_bytes": 2, "kernel_drops": 3, "truncated_records": 4, "refused_records": 5,
            "refused_connections": 6, "malformed_frames": 7, "failed_handshakes": 8, "unwritten_records": 9,
            "receive_errors": 10, "receive_buffer_bytes": 11, "connections": 12, "warnings": 13,
        },
    },
    "silent_sources": {"syslog/udp-5514": 2},
    "integrity": {
        "signing_refused": "outside_head_ahead",
        "leaves_waiting_for_records_root": 5,
        "anchors": [{"kind": "witness", "name": "w.example/1", "age_seconds": 61.5}],
        "clock": {"synchronised": True, "offset_ns": -2_500_000, "dispersion_ns": 4_000_000},
        "verifications": {"quick": {"age_seconds": 9.0, "defects": 0}, "full": {"age_seconds": 90.0, "defects": 3}},
    },
    "alarms": {"seal_lag": 0, "source_silent": 2},
    "processes": {"collector": 0.5},
    "disk": {"total_bytes": 10**12, "free_bytes": 10**11},
}  # fmt: skip


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_number_is_read_back_under_its_name() -> None:
    found = samples(metrics_text(NUMBERS))
    odd = 'od"d\\name\n'
    assert {key[0] for key in found} == {metric.name for metric in METRICS}
    assert found["phayan_sealed_records_total", "collector"] == 20
    assert found["phayan_seal_lag_seconds",] == 3.5
    assert found["phayan_index_lag_seconds",] == 0.25
    assert found["phayan_kernel_drops_total", odd] == 3
    assert found["phayan_receive_buffer_bytes", odd] == 11
    assert found["phayan_alarms", "source_silent"] == 2
    assert found["phayan_disk_free_bytes",] == 10**11
    assert found["phayan_signing_refused",] == 1
    assert found["phayan_anchor_age_seconds", "witness", "w.example/1"] == 61.5
    assert found["phayan_clock_offset_seconds",] == -0.0025
    assert found["phayan_verify_defects", "full"] == 3
    lost = {key: value for key, value in found.items() if key[0] == "phayan_lost_records_total"}
    assert list(lost.values()) == [8], "a count that is not known is no sample, and no zero"
    assert len([key for key in found if key[0] == "phayan_losses_total"]) == 2


def test_families_are_of_the_kind_their_names_say() -> None:
    kinds = {family.name: family.type for family in text_string_to_metric_families(metrics_text(NUMBERS))}
    for metric in METRICS:
        assert kinds[metric.name.removesuffix("_total")] == metric.kind


@pytest.mark.parametrize(
    "numbers",
    [{}, {"listeners": None, "disk": 7, "loss_sums": None, "integrity": None}, {"alarms": {"x": "y"}, "integrity": {}}],
)
def test_what_is_missing_is_left_out(numbers: dict[str, Any]) -> None:
    assert samples(metrics_text(numbers)) == {}


@pytest.mark.parametrize(
    ("address", "networks", "expected"),
    [
        ("127.0.0.1", LOOPBACK, True),
        ("::1", LOOPBACK, True),
        ("::ffff:127.0.0.1", LOOPBACK, True),
        ("10.0.0.1", LOOPBACK, False),
        ("::ffff:10.0.0.1", LOOPBACK, False),
        ("fe80::1%eth0", LOOPBACK, False),
        ("", LOOPBACK, False),
        ("unix:", LOOPBACK, False),
        ("10.0.0.1", ("10.0.0.0/24",), True),
        ("127.0.0.1", ("10.0.0.0/24",), False),
        ("127.0.0.1", (), False),
    ],
)
def test_only_listed_networks_may_read(address: str, networks: tuple[str, ...], expected: bool) -> None:
    assert may_read(address, networks) is expected


def test_a_server_reads_without_signing_in_and_leaves_no_trace(make_pages: Callable[..., Pages]) -> None:
    pages = make_pages(FakeAsk(text="syslog/udp-5514"))
    answer = pages.get("/metrics")
    assert (answer.status_code, answer.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert samples(answer.text)["phayan_received_records_total", "syslog/udp-5514"] == 30
    assert "Set-Cookie" not in answer.headers
    assert [(op, arguments) for op, arguments in pages.ask.requests] == [("metrics", {"from_pages": True})]


@pytest.mark.parametrize("forwarded", [{}, {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}])
@pytest.mark.parametrize("signed_in", [True, False])
def test_others_are_refused_and_nothing_is_asked(
    make_pages: Callable[..., Pages], signed_in: bool, forwarded: dict[str, str]
) -> None:
    pages = make_pages()
    if signed_in:
        pages.sign_in()
    answer = pages.get("/metrics", environ_base={"REMOTE_ADDR": "192.0.2.1"}, headers=forwarded)
    assert answer.status_code == 403
    assert "phayan_" not in answer.text
    assert pages.ask.requests == []


def test_without_the_service_it_is_an_error_and_no_zero(make_pages: Callable[..., Pages]) -> None:
    pages = make_pages()
    pages.client.application.extensions["ask"]._socket_path = "/nonexistent/ask.sock"
    answer = pages.get("/metrics")
    assert answer.status_code == 503
    assert "phayan_" not in answer.text
    assert "/nonexistent" not in answer.text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("th", ["จุดรับข้อมูล", "ปฏิเสธ", "24 ชั่วโมงล่าสุด", "เลขลำดับขาด"]),
        ("en", ["Listeners", "Refused", "Last 24 hours", "gap in sequence numbers"]),
    ],
)
def test_the_status_page_shows_listeners_and_losses(
    make_pages: Callable[..., Pages], language: str, words: list[str]
) -> None:
    pages = make_pages(FakeAsk(text="syslog/udp-5514"))
    pages.sign_in()
    text = pages.get(f"/status?lang={language}").text
    for shown in [*words, "syslog/udp-5514", ">345<", ">77<"]:
        assert shown in text
    assert "udp_memory" not in text, "nothing of it in the last day"
