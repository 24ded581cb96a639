"""What a report says besides defects: times, outages, clock changes, losses, and files of a crash."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archive.verify.report import Report, format_time
from archive.verify.tiles import TileStore, bundle_path, level_widths, tile_path

SPOOL_SUFFIXES = (".open", ".spool")


@dataclass
class Observations:
    """Facts gathered from the leaves, in order. `last_unix_ns` is the newest leaf's own time, as it stands
    there.
    """

    last_unix_ns: str | None = None
    chunks: int = 0
    torn_bytes: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    outages: list[dict[str, Any]] = field(default_factory=list)
    clocks: list[dict[str, Any]] = field(default_factory=list)

    def add_leaf(self, fields: dict[str, Any]) -> None:
        """A leaf with well-formed fields."""
        kind = fields["kind"]
        if kind == "data":
            self.chunks += 1
            self.last_unix_ns = fields["last_unix_ns"]
        elif kind in ("heartbeat", "key"):
            self.last_unix_ns = fields["unix_ns"]
        elif kind in ("outage", "clock"):
            self.last_unix_ns = fields["to_unix_ns"]
            found = {name: fields[name] for name in ("from_unix_ns", "to_unix_ns", "boot_id")}
            if kind == "outage":
                found |= {name: fields[name] for name in ("why", "cut_bytes")}
            (self.outages if kind == "outage" else self.clocks).append(found)
        if fields.get("torn_bytes"):
            self.torn_bytes += fields["torn_bytes"]
        if fields.get("dropped"):
            for listener, count in fields["dropped"].items():
                self.dropped[listener] = self.dropped.get(listener, 0) + count


def state_surroundings(directory: Path, store: TileStore, seen: Observations, report: Report) -> None:
    """Put everything that is no defect into the report."""
    report.records = sum(summary.records for summary in report.streams.values())
    report.bytes = sum(summary.bytes for summary in report.streams.values())
    report.chunks = seen.chunks
    report.last_leaf_unix_ns = None if seen.last_unix_ns is None else int(seen.last_unix_ns)
    report.outages, report.clock_statements = seen.outages, seen.clocks
    last = "unknown time" if report.last_leaf_unix_ns is None else format_time(report.last_leaf_unix_ns)
    report.add_statement("head_time_unknown", last)
    for outage in seen.outages:
        interval = f"{_interval(outage)}, {outage['why']}, {outage['cut_bytes']} bytes cut off"
        report.add_statement("outage", interval)
    for clock in seen.clocks:
        report.add_statement("clock_back", _interval(clock))
    if seen.torn_bytes:
        report.add_statement("torn", seen.torn_bytes)
    if dropped := {listener: count for listener, count in sorted(seen.dropped.items()) if count}:
        report.add_statement("dropped", ", ".join(f"{count} at {name}" for name, count in dropped.items()))
    if surplus := _count_surplus_tiles(directory / "log", store):
        report.add_statement("tiles_beyond_head", surplus)
    _count_spool(directory / "spool", report)
    report.add_statement("index_not_checked")
    if report.defect_count > len(report.defects):
        report.add_statement("more_defects", report.defect_count - len(report.defects))


def _interval(values: dict[str, Any]) -> str:
    return f"{format_time(int(values['from_unix_ns']))} to {format_time(int(values['to_unix_ns']))}"


def _count_surplus_tiles(log: Path, store: TileStore) -> int:
    """Files of the tree that are none of this head's: older partial ones and those a newer head will need."""
    expected = set(store.partial_paths())
    levels = {0: store.size} | dict(level_widths(store.size))
    for level, nodes in levels.items():
        full = nodes // 256
        expected.update(tile_path(level, index) for index in range(full))
    expected.update(bundle_path(index) for index in range(levels[0] // 256))
    found = (path.relative_to(log).as_posix() for path in (log / "tile").rglob("*") if path.is_file())
    return sum(1 for path in found if path not in expected)


def _count_spool(spool: Path, report: Report) -> None:
    """Spool files beyond each stream's last sealed one. Those up to it are being removed and say nothing."""
    for folder in sorted(path for path in spool.glob("*") if path.is_dir()):
        summary = report.streams.get(folder.name)
        sealed = -1 if summary is None else summary.last_sequence
        count = sum(
            1
            for path in folder.iterdir()
            if path.suffix in SPOOL_SUFFIXES and path.stem.isdecimal() and int(path.stem) > sealed
        )
        if count:
            report.unsealed_spool_files[folder.name] = count
    if report.unsealed_spool_files:
        files = ", ".join(f"{count} files of {name}" for name, count in report.unsealed_spool_files.items())
        report.add_statement("unsealed_spool", files)
