"""What a report says besides defects: times, outages, clock changes, losses, and files of a crash."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archive.verify.clock_samples import ClockSamples
from archive.verify.report import Report, format_time
from archive.verify.silence import Silence
from archive.verify.spool_leaf import SpoolLeaf
from archive.verify.tiles import TileStore, bundle_path, level_widths, tile_path

SPOOL_SUFFIXES = (".open", ".spool")


@dataclass
class Observations:
    """Facts gathered from the leaves, in order. `last_unix_ns` is the newest leaf's own time, as it stands
    there.
    """

    last_unix_ns: int | None = None
    chunks: int = 0
    torn_bytes: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    outages: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    clock: ClockSamples = field(default_factory=ClockSamples)
    silence: Silence = field(default_factory=Silence)
    former: dict[str, str] | None = None
    begun_unix_ns: int | None = None

    def add_spool_leaf(self, leaf: SpoolLeaf) -> None:
        if leaf.segment is not None:
            self.chunks += 1
            self.last_unix_ns = leaf.last_unix_ns
            self.silence.see(leaf.first_unix_ns, is_received=True)
        self.torn_bytes += leaf.torn_bytes
        for listener, count in leaf.dropped.items():
            self.dropped[listener] = self.dropped.get(listener, 0) + count

    def add_leaf(self, fields: dict[str, Any]) -> None:
        """A leaf of no stream, with well-formed fields."""
        kind = fields["kind"]
        if kind in ("heartbeat", "key", "successor"):
            self.last_unix_ns = int(fields["unix_ns"])
            self.silence.see(self.last_unix_ns)
            if kind == "key":
                self.former, self.begun_unix_ns = fields["former"], self.last_unix_ns
        elif kind == "outage":
            self.last_unix_ns = int(fields["to_unix_ns"])
            self.silence.set_to(self.last_unix_ns)
            names = ("from_unix_ns", "to_unix_ns", "boot_id", "why", "cut_bytes")
            self.outages.append({name: fields[name] for name in names})
        elif kind == "clock":
            self._add_clock(fields)

    def _add_clock(self, fields: dict[str, Any]) -> None:
        for sample in fields["samples"]:
            self.clock.add(sample)
            self.last_unix_ns = int(sample["unix_ns"])
            self.silence.see(self.last_unix_ns)
        if fields["step"] is not None:
            self.last_unix_ns = int(fields["step"]["to_unix_ns"])
            self.silence.set_to(self.last_unix_ns, back_from_unix_ns=int(fields["step"]["from_unix_ns"]))
            self.steps.append(fields["step"] | {"boot_id": fields["boot_id"]})

    def absorb(self, following: "Observations") -> None:
        """Continue with the range of the log that follows."""
        if following.last_unix_ns is not None:
            self.last_unix_ns = following.last_unix_ns
        self.chunks += following.chunks
        self.torn_bytes += following.torn_bytes
        for listener, count in following.dropped.items():
            self.dropped[listener] = self.dropped.get(listener, 0) + count
        self.outages += following.outages
        self.steps += following.steps
        self.clock.absorb(following.clock)
        self.silence.absorb(following.silence)
        self.former = self.former or following.former
        if self.begun_unix_ns is None:
            self.begun_unix_ns = following.begun_unix_ns


def state_surroundings(
    directory: Path, store: TileStore, seen: Observations, times_backwards: int, report: Report
) -> None:
    """Put everything that is no defect into the report."""
    report.records = sum(summary.records for summary in report.streams.values())
    report.bytes = sum(summary.bytes for summary in report.streams.values())
    report.chunks = seen.chunks
    report.last_leaf_unix_ns = seen.last_unix_ns
    report.outages, report.clock_statements, report.clock = seen.outages, seen.steps, seen.clock.to_values()
    last = "unknown time" if report.last_leaf_unix_ns is None else format_time(report.last_leaf_unix_ns)
    report.add_statement("head_time_unknown", last)
    for outage in seen.outages:
        interval = f"{_interval(outage)}, {outage['why']}, {outage['cut_bytes']} bytes cut off"
        report.add_statement("outage", interval)
    for step in seen.steps:
        report.add_statement("clock_back", _interval(step))
    _state_silence(seen.silence, report)
    _state_clock(seen.clock, report)
    if times_backwards:
        report.add_statement("times_backwards", times_backwards)
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


def _state_clock(clock: ClockSamples, report: Report) -> None:
    """One sentence, however many intervals there are; the report's JSON has them."""
    intervals = clock.unsynchronised()
    if not intervals:
        return
    first, last = format_time(int(intervals[0].from_unix_ns)), format_time(int(intervals[-1].to_unix_ns))
    samples = sum(run.samples for run in intervals)
    detail = f"{samples} of {clock.count} samples, {len(intervals)} intervals between {first} and {last}"
    report.add_statement("clock_unsynchronised", detail)


def _state_silence(silence: Silence, report: Report) -> None:
    """One sentence, however many there are: the longest tells most."""
    gaps = silence.gaps()
    if gaps:
        start, end = max(gaps, key=lambda gap: gap[1] - gap[0])
        longest = f"{format_time(start)} to {format_time(end)}"
        report.add_statement("silent_gap", longest if len(gaps) == 1 else f"{len(gaps)} times, longest {longest}")


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
