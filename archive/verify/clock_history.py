"""What the log states of its clock, as far as a purge rests on it (docs/FORMAT.md, "Retention and purge"): which clock
leaf dates a folder, and where the clock jumped. Pure."""

from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

NS = 1_000_000_000
DAY_NS = 86_400 * NS
SAMPLE_AGE_NS = 3 * 3_600 * NS
STRAY_NS = 60 * NS
AHEAD_NS = 60 * DAY_NS
CALM_NS = 7 * DAY_NS
ANCHOR_NS = 3_600 * NS

ReadLeaf = Callable[[int], dict[str, Any] | None]


class Sample(NamedTuple):
    unix_ns: int
    monotonic_ns: int
    synchronised: bool
    boot_id: str


class ClockLeaf(NamedTuple):
    """What a clock leaf's samples come to, so that they need not be kept. `jump` is its last one inside, from and to;
    `calm_ns` lies behind it, or between all of its samples."""

    leaf: int
    first: Sample
    last: Sample
    jump: tuple[int, int] | None
    calm_ns: int
    last_synchronised_ns: int | None


class Jump(NamedTuple):
    leaf: int
    over_by: int | None


@dataclass
class ClockHistory:
    """Fed clock, heartbeat, outage and anchor leaves in order, or ranges of the log one after the other."""

    clocks: list[ClockLeaf] = field(default_factory=list)
    boots: dict[str, int] = field(default_factory=dict)
    """The first leaf that states each boot."""
    anchors: array = field(default_factory=lambda: array("q"))
    """Leaf and time of each anchor."""

    def add(self, number: int, fields: dict[str, Any]) -> None:
        kind = fields["kind"]
        if kind in ("clock", "heartbeat", "outage"):
            self.boots.setdefault(fields["boot_id"], number)
        if kind == "anchor":
            self.anchors.extend((number, _within(int(fields["unix_ns"]))))
        elif kind == "clock" and fields["samples"]:
            self.clocks.append(_sum_up(number, samples_of(fields)))

    def absorb(self, following: "ClockHistory") -> None:
        self.clocks += following.clocks
        self.anchors += following.anchors
        for boot_id, leaf in following.boots.items():
            self.boots.setdefault(boot_id, leaf)

    def jumps(self) -> list[Jump]:
        """All of them, with the leaf that ended each: after a week of synchronised samples, or by an anchor."""
        found: list[list[int | None]] = []
        calm_ns, before = 0, None
        anchors = list(zip(self.anchors[0::2], self.anchors[1::2], strict=True))
        place = 0

        def end_by_anchors(until: int) -> None:
            nonlocal place
            while place < len(anchors) and anchors[place][0] < until:
                leaf, unix_ns = anchors[place]
                if found and found[-1][1] is None and before and abs(unix_ns - before.unix_ns) <= ANCHOR_NS:
                    found[-1][1] = leaf
                place += 1

        for clock in self.clocks:
            end_by_anchors(clock.leaf)
            if before is not None and is_jump(before, clock.first):
                found.append([clock.leaf, None])
                calm_ns = 0
            elif before is not None:
                calm_ns += calm_between(before, clock.first)
            if clock.jump is not None:
                found.append([clock.leaf, None])
                calm_ns = 0
            calm_ns += clock.calm_ns
            if found and found[-1][1] is None and calm_ns >= CALM_NS:
                found[-1][1] = clock.leaf
            before = clock.last
        end_by_anchors(2**63)
        return [Jump(leaf or 0, over_by) for leaf, over_by in found]


class FolderDater:
    """Says when the age of a folder starts. `read` gives a leaf of the log again."""

    def __init__(self, history: ClockHistory, read: ReadLeaf) -> None:
        self._clocks = history.clocks
        self._boots = history.boots
        self._read = read
        self._by_boot: dict[str, list[tuple[int, int]]] = {}
        for clock in history.clocks:
            if clock.last_synchronised_ns is not None:
                known = self._by_boot.setdefault(clock.first.boot_id, [])
                known.append((clock.last_synchronised_ns, clock.leaf))
        for known in self._by_boot.values():
            known.sort()

    def date(self, data: dict[str, Any], number: int, before: int) -> tuple[int, int] | None:
        """When the age of what data leaf `number` ends starts, by a clock leaf before `before`, and that leaf's number;
        None while no clock can tell."""
        start = _start_of(data)
        if start is not None:
            boot_id, monotonic_ns = start
            known = self._by_boot.get(boot_id, [])
            for _, leaf in known[bisect_left(known, (monotonic_ns, -1)) :]:
                if leaf < before:
                    samples = [one for one in self._synchronised(leaf) if one.monotonic_ns >= monotonic_ns]
                    least = min(samples, key=lambda sample: sample.monotonic_ns, default=None)
                    return None if least is None else (least.unix_ns - (least.monotonic_ns - monotonic_ns), leaf)
        # A boot that was stated before is over, or is that of the records: its samples may be older than they are.
        for clock in self._clocks[bisect_left(self._clocks, number, key=lambda one: one.leaf) :]:
            if clock.leaf >= before:
                return None
            if clock.last_synchronised_ns is not None and self._boots[clock.first.boot_id] > number:
                first = next(iter(self._synchronised(clock.leaf)), None)
                return None if first is None else (first.unix_ns, clock.leaf)
        return None

    def _synchronised(self, leaf: int) -> list[Sample]:
        fields = self._read(leaf)
        return [one for one in samples_of(fields) if one.synchronised] if fields else []


def samples_of(fields: dict[str, Any]) -> list[Sample]:
    """Of a clock leaf with well-formed fields."""
    return [
        Sample(_within(int(one["unix_ns"])), _within(int(one["monotonic_ns"])), one["synchronised"], fields["boot_id"])
        for one in fields["samples"]
    ]


def is_jump(before: Sample, after: Sample) -> bool:
    wall_ns = after.unix_ns - before.unix_ns
    if before.boot_id == after.boot_id:
        return abs(wall_ns - (after.monotonic_ns - before.monotonic_ns)) > STRAY_NS
    return not -STRAY_NS <= wall_ns <= AHEAD_NS


def calm_between(before: Sample, after: Sample) -> int:
    """Time between two neighbouring samples that counts as steady."""
    passed_ns = after.monotonic_ns - before.monotonic_ns
    if before.boot_id != after.boot_id or not (before.synchronised and after.synchronised):
        return 0
    return passed_ns if 0 <= passed_ns <= SAMPLE_AGE_NS else 0


def _sum_up(number: int, samples: list[Sample]) -> ClockLeaf:
    jump, calm_ns = None, 0
    for before, after in pairwise(samples):
        if is_jump(before, after):
            jump, calm_ns = (before.unix_ns, after.unix_ns), 0
        else:
            calm_ns += calm_between(before, after)
    synchronised = [sample.monotonic_ns for sample in samples if sample.synchronised]
    return ClockLeaf(number, samples[0], samples[-1], jump, calm_ns, max(synchronised, default=None))


def _start_of(data: dict[str, Any]) -> tuple[str, int] | None:
    """Boot and monotonic time from which on the age of a data leaf's records counts."""
    if data["closed"] is not None:
        return data["closed"]["boot_id"], int(data["closed"]["monotonic_ns"])
    if data["opened"] is not None:
        return data["opened"]["boot_id"], int(data["opened"]["monotonic_ns"]) + DAY_NS
    return None


def _within(number: int) -> int:
    """A stated time may have 20 digits; beyond 64 bits it is as wrong at the end of time."""
    return max(-(2**63), min(2**63 - 1, number))
