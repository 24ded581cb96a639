"""One figure: ours, the peer's, the ratio, the target, and every run behind the medians."""

import json
import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Figure:
    """`better` is `lower` or `higher`; a figure is met when the median ratio keeps to the target."""

    id: str
    what: str
    unit: str
    target: float | None
    better: str = "lower"
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    notes: str = ""

    def add(self, ours: float, peer: float) -> None:
        """One pair of runs, taken one after the other."""
        self.ours.append(ours)
        self.peer.append(peer)

    def add_absolute(self, ours: float) -> None:
        """One run of a figure whose target is a number, not a peer."""
        self.ours.append(ours)

    def to_json(self) -> str:
        ratios = [a / b for a, b in zip(self.ours, self.peer, strict=False) if b]
        ratio = statistics.median(ratios) if ratios else None
        met = None
        measured = ratio if self.peer else statistics.median(self.ours)
        if measured is not None and self.target is not None:
            met = measured <= self.target if self.better == "lower" else measured >= self.target
        values: dict[str, Any] = {
            "id": self.id,
            "what": self.what,
            "unit": self.unit,
            "ours": round(statistics.median(self.ours), 4),
            "peer": round(statistics.median(self.peer), 4) if self.peer else None,
            "ratio": round(ratio, 3) if ratio is not None else None,
            "ratio_min": round(min(ratios), 3) if ratios else None,
            "ratio_max": round(max(ratios), 3) if ratios else None,
            "target": self.target,
            "met": met,
            "runs": [
                [round(value, 4) for value in pair]
                for pair in (zip(self.ours, self.peer, strict=True) if self.peer else zip(self.ours, strict=True))
            ],
            "notes": self.notes,
        }
        return json.dumps(values, ensure_ascii=False)
