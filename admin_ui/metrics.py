"""Numbers of the appliance as text that Prometheus reads: the answer to `metrics` of docs/CONTRACT.md. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The text format, which every version of Prometheus reads."""

Samples = Iterable[tuple[tuple[str, ...], Any]]


@dataclass(frozen=True)
class Metric:
    """One family. A counter's `name` ends in `_total`; `samples` are (label values, number) of the numbers given, and
    what is no number is left out."""

    name: str
    labels: tuple[str, ...]
    meaning: str
    samples: Callable[[dict[str, Any]], Samples]

    @property
    def kind(self) -> str:
        return "counter" if self.name.endswith("_total") else "gauge"


def _one(*path: str) -> Callable[[dict[str, Any]], Samples]:
    def samples(numbers: dict[str, Any]) -> Samples:
        value: Any = numbers
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return [((), value)]

    return samples


def _each(section: str, name: str | None = None) -> Callable[[dict[str, Any]], Samples]:
    """A sample for every key of a section: its value, or the value called `name` in it."""
    return lambda numbers: [
        ((key,), value if name is None else value.get(name)) for key, value in (numbers.get(section) or {}).items()
    ]


def _loss(name: str) -> Callable[[dict[str, Any]], Samples]:
    return lambda numbers: [((row["listener"], row["how"]), row.get(name)) for row in numbers.get("loss_sums") or []]


def _listener(name: str, counter: str, meaning: str) -> Metric:
    return Metric(name, ("listener",), meaning, _each("listeners", counter))


def _integrity(numbers: dict[str, Any]) -> dict[str, Any]:
    return numbers.get("integrity") or {}


def _signing_refused(numbers: dict[str, Any]) -> Samples:
    integrity = _integrity(numbers)
    return [((), int(bool(integrity["signing_refused"])))] if "signing_refused" in integrity else []


def _anchor(numbers: dict[str, Any]) -> Samples:
    return [((one["kind"], one["name"]), one.get("age_seconds")) for one in _integrity(numbers).get("anchors") or []]


def _flag(name: str) -> Callable[[dict[str, Any]], Samples]:
    return lambda numbers: [((), int(bool(clock[name])))] if (clock := _integrity(numbers).get("clock")) else []


def _clock(name: str) -> Callable[[dict[str, Any]], Samples]:
    def samples(numbers: dict[str, Any]) -> Samples:
        nanoseconds = (_integrity(numbers).get("clock") or {}).get(f"{name}_ns")
        return [] if nanoseconds is None else [((), nanoseconds / 1e9)]

    return samples


def _verified(name: str) -> Callable[[dict[str, Any]], Samples]:
    return lambda numbers: [
        ((kind,), result.get(name)) for kind, result in (_integrity(numbers).get("verifications") or {}).items()
    ]


METRICS = (
    Metric("phayan_received_records_total", ("stream",), "Records durable on disk", _each("streams", "received")),
    Metric("phayan_sealed_records_total", ("stream",), "Records under a signed checkpoint", _each("streams", "sealed")),
    Metric("phayan_indexed_records_total", ("stream",), "Searchable records", _each("streams", "indexed")),
    Metric("phayan_seal_lag_seconds", (), "Age of the oldest closed file that is not sealed", _one("seal_lag_seconds")),
    Metric("phayan_index_lag_seconds", (), "Time since everything sealed was searchable", _one("index_lag_seconds")),
    Metric("phayan_index_lag_leaves", (), "Sealed leaves that are not searchable yet", _one("index_lag_leaves")),
    Metric("phayan_log_leaves_total", (), "Leaves of the log", _one("tree_size")),
    Metric("phayan_torn_bytes_total", (), "Bytes of half-written records cut off after a crash", _one("torn_bytes")),
    Metric(
        "phayan_losses_total",
        ("listener", "how"),
        "Sealed losses: intervals, whatever was lost in them",
        _loss("losses"),
    ),
    Metric(
        "phayan_lost_records_total",
        ("listener", "how"),
        "What was lost in them as far as it is known, in the unit of docs/CONTRACT.md",
        _loss("count"),
    ),
    _listener("phayan_listener_records_total", "received_records", "Records taken since the collector's start"),
    _listener("phayan_listener_bytes_total", "received_bytes", "Their bytes"),
    _listener("phayan_kernel_drops_total", "kernel_drops", "Datagrams the kernel dropped at this socket"),
    _listener("phayan_truncated_records_total", "truncated_records", "Records stored cut short"),
    _listener("phayan_refused_records_total", "refused_records", "Datagrams of sources that are not allowed"),
    _listener("phayan_refused_connections_total", "refused_connections", "Connections not allowed or too many"),
    _listener("phayan_malformed_frames_total", "malformed_frames", "Connections closed for what they sent"),
    _listener("phayan_failed_handshakes_total", "failed_handshakes", "TLS handshakes that failed"),
    _listener("phayan_unwritten_records_total", "unwritten_records", "Records the disk refused"),
    _listener("phayan_receive_errors_total", "receive_errors", "Failed system calls of the receiver"),
    _listener("phayan_receive_buffer_bytes", "receive_buffer_bytes", "Receive buffer the kernel granted"),
    _listener("phayan_connections", "connections", "Open connections"),
    _listener("phayan_listener_warnings", "warnings", "Warnings of this listener; `phayan status` shows them"),
    Metric("phayan_silent_sources", ("listener",), "Regular sources that have stopped", _each("silent_sources")),
    Metric("phayan_signing_refused", (), "1 while a head kept outside forbids signing", _signing_refused),
    Metric(
        "phayan_records_root_lag_leaves",
        (),
        "Sealed chunks whose units are known and have no root yet",
        _one("integrity", "leaves_waiting_for_records_root"),
    ),
    Metric(
        "phayan_anchor_age_seconds", ("kind", "name"), "Time since a witness or authority confirmed a head", _anchor
    ),
    Metric("phayan_clock_synchronised", (), "1 while the system clock is synchronised", _flag("synchronised")),
    Metric(
        "phayan_clock_offset_seconds", (), "System time minus true time, as the time service says", _clock("offset")
    ),
    Metric("phayan_clock_dispersion_seconds", (), "Largest error the time service admits", _clock("dispersion")),
    Metric("phayan_verify_age_seconds", ("kind",), "Time since a verification ended", _verified("age_seconds")),
    Metric("phayan_verify_defects", ("kind",), "Defects it found", _verified("defects")),
    Metric("phayan_alarms", ("code",), "Standing alarms", _each("alarms")),
    Metric("phayan_process_report_age_seconds", ("process",), "Time since a process last reported", _each("processes")),
    Metric("phayan_disk_size_bytes", (), "Size of the file system of the archive", _one("disk", "total_bytes")),
    Metric("phayan_disk_free_bytes", (), "Free bytes of it", _one("disk", "free_bytes")),
)


class _Numbers(Collector):
    def __init__(self, numbers: dict[str, Any]) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for metric in METRICS:
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            made = family(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in metric.samples(self._numbers):
                if isinstance(value, int | float):
                    made.add_metric(labels, value)
            yield made


def metrics_text(numbers: dict[str, Any]) -> str:
    """The whole page of CONTENT_TYPE."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(numbers))
    return generate_latest(registry).decode()
