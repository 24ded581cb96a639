"""What an answer is made of: steps with their evidence, candidates, the verdict. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from archive.attribution.certainty import Certainty, weakest
from archive.attribution.folding import Evidence


@dataclass(frozen=True)
class Step:
    """One link of the chain. `value` is what it found; `start_ns`/`end_ns` None means not recorded."""

    step: str
    value: str
    certainty: Certainty
    why: str
    evidence: Evidence | None = None
    start_ns: int | None = None
    end_ns: int | None = None


@dataclass(frozen=True)
class Seen:
    """Who reported a translation, and the outside address: what tells the route."""

    sender_address: bytes
    outside_address: bytes


@dataclass(frozen=True)
class Holder:
    """An inside address over the part of the window in which it held what was asked for, and the steps that led to
    it; without any, the address itself was asked for."""

    realm: str
    address: bytes
    start_ns: int
    end_ns: int
    steps: tuple[Step, ...] = ()
    seen: Seen | None = None


@dataclass
class Candidate:
    """Somebody who fits. `certainty` is that of the weakest step."""

    realm: str
    address: bytes
    steps: list[Step] = field(default_factory=list)
    account: str | None = None
    person: str | None = None
    device: str | None = None
    seen: Seen | None = None

    @property
    def holder(self) -> tuple[str, str, bytes]:
        """The account, or the inside address where no account is known: who counts as one holder."""
        return ("account", self.account, b"") if self.account else ("address", self.realm, self.address)

    @property
    def certainty(self) -> Certainty:
        return weakest([step.certainty for step in self.steps])

    def weaken(self, certainty: Certainty, why: str) -> None:
        """Let the first step be no better than `certainty`."""
        first = self.steps[0]
        if weakest([first.certainty, certainty]) != first.certainty:
            self.steps[0] = replace(first, certainty=certainty, why=why)


def merge(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate per account, session and inside address; the best proven stands for the others."""
    kept: dict[tuple[Any, ...], Candidate] = {}
    for candidate in candidates:
        key = (candidate.realm, *((s.step, s.value) for s in candidate.steps))
        other = kept.get(key)
        if other is None or weakest([candidate.certainty, other.certainty]) != candidate.certainty:
            kept[key] = candidate
    return list(kept.values())


@dataclass
class Answer:
    """All candidates; `verdict` is a Certainty or `no_record`."""

    verdict: str
    candidates: list[Candidate]
    why: str = ""
