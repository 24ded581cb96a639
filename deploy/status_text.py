"""The `status` object of docs/CONTRACT.md as lines for a terminal. Pure."""

from collections.abc import Iterator
from typing import Any

SHOWN_COUNTERS = (
    ("kernel_drops", "dropped by the kernel"),
    ("truncated_records", "truncated"),
    ("refused_records", "refused"),
    ("refused_connections", "connections refused"),
    ("malformed_frames", "malformed"),
    ("failed_handshakes", "failed handshakes"),
    ("unwritten_records", "refused by the disk"),
    ("receive_errors", "receive errors"),
)
"""Counters of a listener that are shown where they are not zero, and their words."""
SHOWN_LOSSES = 5
GB = 1e9
ANSWERS = {"yes": "yes", "no": "NO", "only_at_end": "only at the end of a connection"}
"""Words for whether a source can answer a port question."""


def status_lines(status: dict[str, Any]) -> Iterator[str]:
    """Lines without their ends."""
    yield f"log {status['log']}, {status['tree_size']} leaves" + (", DEMO DATA" if status["demo"] else "")
    yield f"received {status['received']}, sealed {status['sealed']}, indexed {status['indexed']} records"
    for name, counts in status["streams"].items():
        yield f"  {name:10} received {counts['received']}, sealed {counts['sealed']}, indexed {counts['indexed']}"
    yield (
        f"oldest unsealed file {status['seal_lag_seconds']} s, index {status['index_lag_seconds']} s and "
        f"{status['index_lag_leaves']} leaves behind"
    )
    if status["torn_bytes"]:
        yield f"{status['torn_bytes']} bytes of half-written records were cut off after a crash"
    yield from _listener_lines(status["listeners"])
    yield from _disk_lines(status["disk"])
    for text in status["warnings"]:
        yield f"warning: {text}"
    yield f"datagrams dropped by the kernel: {status['kernel_drops']}"
    yield from _loss_lines(status)
    yield from _exporter_lines(status.get("exporters") or [])
    for alarm in status["alarms"]:
        yield f"ALARM {alarm['code']} ({alarm['source']}) since {alarm['since']}: {alarm['message']}"
        yield f"      {alarm['details']}; {alarm['what_to_do']}"
    if not status["alarms"]:
        yield "no alarms"


def _disk_lines(disk: dict[str, Any]) -> Iterator[str]:
    free, total = disk["free_bytes"] / GB, disk["total_bytes"] / GB
    yield f"disk {disk['used_percent']} % used ({disk['level']}), {free:.1f} of {total:.1f} GB free"
    if disk["bytes_per_day"] is not None:
        left = "" if disk["days_left"] is None else f", lasts {disk['days_left']:.0f} days"
        enough = "" if disk["is_enough"] else "; NOT enough for what has to be kept"
        yield f"  {disk['bytes_per_day'] / GB:.3f} GB a day{left}{enough}"
    if disk["days_without_index"]:
        yield f"  days without index: {', '.join(disk['days_without_index'])}; `phayan reindex` brings them back"


def _listener_lines(listeners: dict[str, dict[str, Any]]) -> Iterator[str]:
    if listeners:
        yield "listeners since the collector's start:"
    for name, counters in listeners.items():
        parts = [f"received {counters.get('received_records', 0)}"]
        parts += [f"{words} {counters[counter]}" for counter, words in SHOWN_COUNTERS if counters.get(counter)]
        if counters.get("connections"):
            parts.append(f"{counters['connections']} connections open")
        yield f"  {name:20} {', '.join(parts)}"


def _exporter_lines(exporters: list[dict[str, Any]]) -> Iterator[str]:
    if exporters:
        yield "can it be asked who had an outside port (sources of the last 24 hours):"
    for one in exporters:
        domain = "" if one["observation_domain"] is None else f" domain {one['observation_domain']}"
        name = f"{one['name']} " if one["name"] else ""
        place = one["address"] if one["port"] is None else format_place(one["address"], one["port"])
        answer = f"{ANSWERS[one['answers_ports']]} ({one['code']})"
        yield f"  {name}{place} {one['version']}{domain}: {answer} {one['text']['en']}"
        yield f"      {one['text']['th']}"


def format_place(address: str, port: int) -> str:
    """Address and port as text."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _loss_lines(status: dict[str, Any]) -> Iterator[str]:
    recent = [row for row in status["loss_sums"] if row["losses_24h"]]
    yield "losses of the last 24 hours:" if recent else "no losses in the last 24 hours"
    for row in recent:
        count = "unknown" if row["count_24h"] is None else row["count_24h"]
        yield f"  {row['listener']:20} {row['how']}: {row['losses_24h']} times, count {count}"
    for loss in status["losses"][:SHOWN_LOSSES]:
        yield f"loss: {loss['from']} to {loss['until']} at {loss['listener']} ({loss['how']})"
