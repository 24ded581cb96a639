"""The clock's own state over time, from the samples in `clock` leaves. Pure."""

from dataclasses import dataclass, field
from typing import Any

MAX_LISTED_INTERVALS = 1_000
"""Intervals of a report; beyond it they are only counted."""


@dataclass
class ClockRun:
    """Samples in a row that say the same of `synchronised`; times are decimal strings of nanoseconds since 1970."""

    synchronised: bool
    from_unix_ns: str
    to_unix_ns: str
    samples: int = 1


@dataclass
class ClockSamples:
    """Fed every sample in order, or ranges of the log one after the other."""

    count: int = 0
    largest_offset_ns: int | None = None
    runs: list[ClockRun] = field(default_factory=list)

    def add(self, sample: dict[str, Any]) -> None:
        self._note(1, sample["offset_ns"])
        self._continue(ClockRun(sample["synchronised"], sample["unix_ns"], sample["unix_ns"]))

    def absorb(self, following: "ClockSamples") -> None:
        self._note(following.count, following.largest_offset_ns)
        for run in following.runs:
            self._continue(run)

    def _note(self, count: int, offset_ns: int | None) -> None:
        self.count += count
        if offset_ns is not None and abs(offset_ns) > abs(self.largest_offset_ns or 0):
            self.largest_offset_ns = offset_ns
        elif self.largest_offset_ns is None:
            self.largest_offset_ns = offset_ns

    def _continue(self, run: ClockRun) -> None:
        last = self.runs[-1] if self.runs else None
        if last is None or last.synchronised != run.synchronised:
            self.runs.append(run)
        else:
            last.to_unix_ns = run.to_unix_ns
            last.samples += run.samples

    def unsynchronised(self) -> list[ClockRun]:
        return [run for run in self.runs if not run.synchronised]

    def to_values(self) -> dict[str, Any]:
        """As the report has it."""
        intervals = self.unsynchronised()
        return {
            "samples": self.count,
            "largest_offset_ns": self.largest_offset_ns,
            "unsynchronised_samples": sum(run.samples for run in intervals),
            "unsynchronised_intervals": len(intervals),
            "unsynchronised": [
                {"from_unix_ns": run.from_unix_ns, "to_unix_ns": run.to_unix_ns, "samples": run.samples}
                for run in intervals[:MAX_LISTED_INTERVALS]
            ],
        }
