"""`phayan status` on a terminal: every loss it was told is on it."""

from typing import Any

from deploy.status_text import status_lines

COUNTERS = {
    "received_records": 41, "kernel_drops": 3, "truncated_records": 4, "refused_records": 5, "refused_connections": 6,
    "malformed_frames": 7, "failed_handshakes": 8, "unwritten_records": 9, "receive_errors": 10, "connections": 12,
}  # fmt: skip

DISK = {
    "total_bytes": 10**12, "free_bytes": 4 * 10**11, "used_percent": 61.0, "level": "normal",
    "bytes_per_day": 2 * 10**9, "days_left": 199.6, "is_enough": True, "days_without_index": [],
}  # fmt: skip


def status(**changes: Any) -> dict[str, Any]:
    return {
        "log": "x", "tree_size": 9, "demo": False, "received": 3, "sealed": 2, "indexed": 1, "streams": {},
        "seal_lag_seconds": 1.5, "index_lag_seconds": 0.2, "index_lag_leaves": 4, "torn_bytes": 0, "kernel_drops": 3,
        "listeners": {}, "warnings": [], "loss_sums": [], "losses": [], "alarms": [], "disk": DISK, **changes,
    }  # fmt: skip


def test_counters_of_a_listener_that_are_not_zero_are_shown() -> None:
    lines = list(status_lines(status(listeners={"syslog/udp-5514": COUNTERS, "syslog/tcp-5514": {}})))
    (busy,) = [line for line in lines if "udp-5514" in line]
    assert busy.split(maxsplit=1)[1] == (
        "received 41, dropped by the kernel 3, truncated 4, refused 5, connections refused 6, malformed 7, "
        "failed handshakes 8, refused by the disk 9, receive errors 10, 12 connections open"
    )
    (quiet,) = [line for line in lines if "tcp-5514" in line]
    assert quiet.split(maxsplit=1)[1] == "received 0"


def test_losses_of_the_last_day_are_summed_and_older_ones_left_out() -> None:
    row = {"listener": "syslog/udp-5514", "how": "sequence_gap", "losses": 9, "count": 99}
    recent = {**row, "losses_24h": 2, "count_24h": 77}
    unknown = {**row, "how": "udp_memory", "losses_24h": 1, "count_24h": None}
    old = {**row, "how": "refused_source", "losses_24h": 0, "count_24h": None}
    text = "\n".join(status_lines(status(loss_sums=[recent, unknown, old], warnings=["The buffer is small."])))
    assert "sequence_gap: 2 times, count 77" in text
    assert "udp_memory: 1 times, count unknown" in text
    assert "refused_source" not in text
    assert "warning: The buffer is small." in text
    assert "no losses in the last 24 hours" in "\n".join(status_lines(status(loss_sums=[old])))


def test_each_source_says_whether_it_can_answer_a_port_question() -> None:
    one = {
        "name": None, "address": "192.0.2.1", "port": 2055, "version": "ipfix", "observation_domain": 7,
        "answers_ports": "no", "code": "no_translated_port", "text": {"en": "Without ports.", "th": "ไม่มีพอร์ต"},
    }  # fmt: skip
    syslog = {
        **one, "name": "gw", "address": "2001:db8::1", "port": None, "version": "syslog", "observation_domain": None,
        "answers_ports": "yes", "code": "nat_events",
    }  # fmt: skip
    lines = list(status_lines(status(exporters=[one, syslog, {**one, "answers_ports": "only_at_end"}])))
    shown = [line.strip() for line in lines]
    assert "192.0.2.1:2055 ipfix domain 7: NO (no_translated_port) Without ports." in shown
    assert "gw 2001:db8::1 syslog: yes (nat_events) Without ports." in shown
    assert any("only at the end of a connection" in line for line in shown)
    assert shown.count("ไม่มีพอร์ต") == 3


def test_the_disk_says_how_long_it_lasts_and_what_is_not_searchable() -> None:
    text = "\n".join(status_lines(status()))
    assert "disk 61.0 % used (normal), 400.0 of 1000.0 GB free" in text
    assert "2.000 GB a day, lasts 200 days\n" in text
    full = {**DISK, "level": "tight", "is_enough": False, "days_without_index": ["20261101", "20261102"]}
    text = "\n".join(status_lines(status(disk=full)))
    assert "NOT enough for what has to be kept" in text
    assert "days without index: 20261101, 20261102; `phayan reindex` brings them back" in text
    unknown = {**DISK, "bytes_per_day": None, "days_left": None, "is_enough": None}
    assert "GB a day" not in "\n".join(status_lines(status(disk=unknown)))
