"""What of a log's leaves a purge speaks of, gathered range by range. Pure."""

from array import array
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from archive.verify.clock_history import ClockHistory
from archive.verify.spool_leaf import SpoolLeaf

CASES_STREAM = "cases"
_NAME_CHARACTERS = len("/000000.seg")


class Missing(NamedTuple):
    """A file that is not there, and the data leaves of `folder` (`<stream>/<day>`) that need it, first to last."""

    code: str
    file: str
    folder: str
    first: int
    last: int
    offset: int | None
    leaf: int


@dataclass
class Tally:
    """Data leaves of a folder."""

    first_leaf: int
    last_leaf: int
    chunks: int = 0
    records: int = 0
    bytes: int = 0


@dataclass
class RetentionFacts:
    """`episodes` are the folders' data leaves between purge leaves: `episodes[n]` come before `purges[n]`, the last
    after all of them."""

    episodes: list[dict[str, Tally]] = field(default_factory=lambda: [{}])
    purges: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    clock: ClockHistory = field(default_factory=ClockHistory)
    cases: array = field(default_factory=lambda: array("q"))

    def add_spool_leaf(self, number: int, leaf: SpoolLeaf) -> None:
        if leaf.segment is None:
            return
        folder = leaf.segment[:-_NAME_CHARACTERS]
        tally = self.episodes[-1].get(folder)
        if tally is None:
            tally = self.episodes[-1][folder] = Tally(number, number)
        tally.last_leaf = number
        tally.chunks += 1
        tally.records += leaf.records
        tally.bytes += leaf.length
        if leaf.stream == CASES_STREAM:
            self.cases.append(number)

    def add_leaf(self, number: int, fields: dict[str, Any]) -> None:
        """A leaf of no stream, with well-formed fields."""
        if fields["kind"] == "purge":
            self.purges.append((number, fields))
            self.episodes.append({})
        else:
            self.clock.add(number, fields)

    def absorb(self, following: "RetentionFacts") -> None:
        """Continue with the range of the log that follows."""
        merge_tallies(self.episodes[-1], following.episodes[0])
        self.episodes += following.episodes[1:]
        self.purges += following.purges
        self.clock.absorb(following.clock)
        self.cases += following.cases


def merge_tallies(known: dict[str, Tally], later: dict[str, Tally]) -> None:
    for folder, tally in later.items():
        before = known.get(folder)
        if before is None:
            known[folder] = tally
            continue
        before.last_leaf = tally.last_leaf
        before.chunks += tally.chunks
        before.records += tally.records
        before.bytes += tally.bytes
