"""Table `leaves` against the sealed leaves: each once, and with what the journal states of it."""

import random
from typing import Any

from archive.index.check_counts import LEAVES_A_LOOK, LEAVES_A_STATEMENT
from archive.index.check_run import CheckRun
from archive.index.leaf_rows import sealed_counters, sealed_values

RECENT_LEAVES = 60_000
"""Newest leaves, each of which is compared: two days of three streams with a leaf every ten seconds."""
OLDER_RANGES = 100
RANGE_LEAVES = 256
"""Of older leaves so many ranges are drawn; a range is an entry bundle, which is read whole anyway."""
LEAVES_A_READ = 8_192

_COLUMNS = (
    "leaf_index, log, kind, stream, spool_sequence, records, first_unix_ns, last_unix_ns, "
    "counters['torn_bytes'] AS torn_bytes, counters['dropped'] AS dropped"
)


class LeafCheck:
    """Presence of all leaves; fields of the newest and of some older ones."""

    def __init__(self, run: CheckRun) -> None:
        self._run, self._engine, self._findings = run, run.engine, run.findings

    def check(self) -> bool:
        """Whether everything was compared in time."""
        self._findings.leaves = self._run.next_leaf
        for first in range(0, self._run.next_leaf, LEAVES_A_STATEMENT):
            self._count(first, min(first + LEAVES_A_STATEMENT, self._run.next_leaf))
        for first, last in self._ranges():
            if self._run.is_over():
                return False
            self._compare(first, last)
        return True

    def _count(self, first: int, last: int) -> None:
        rows = self._engine.query(
            "SELECT number AS leaf_index, n FROM numbers({first:UInt64}, {count:UInt64}) AS every LEFT JOIN "
            "(SELECT leaf_index, count() AS n FROM {db}.leaves WHERE leaf_index >= {first:UInt64} "
            "AND leaf_index < {last:UInt64} GROUP BY leaf_index) AS found ON every.number = found.leaf_index "
            "WHERE n != 1 ORDER BY leaf_index LIMIT {limit:UInt32}",
            {"first": first, "last": last, "count": last - first, "limit": LEAVES_A_LOOK},
        )
        for row in rows:
            self._findings.add("leaf_twice" if row["n"] else "leaf_missing", "leaves", int(row["leaf_index"]))

    def _ranges(self) -> list[tuple[int, int]]:
        recent = max(0, self._run.next_leaf - RECENT_LEAVES)
        older = range(0, recent, RANGE_LEAVES)
        drawn = random.Random(self._run.seed).sample(older, min(OLDER_RANGES, len(older)))  # noqa: S311 - a sample
        ranges = [(first, min(first + RANGE_LEAVES, recent)) for first in sorted(drawn)]
        starts = range(recent, self._run.next_leaf, LEAVES_A_READ)
        return ranges + [(first, min(first + LEAVES_A_READ, self._run.next_leaf)) for first in starts]

    def _compare(self, first: int, last: int) -> None:
        rows = self._engine.query(
            f"SELECT {_COLUMNS} FROM {{db}}.leaves WHERE leaf_index >= {{first:UInt64}} "
            "AND leaf_index < {last:UInt64} ORDER BY leaf_index",
            {"first": first, "last": last},
        )
        for row in rows:
            index = int(row.pop("leaf_index"))
            leaf = self._run.leaves.leaf(index)
            sealed: dict[str, Any] = {**sealed_values(leaf), **sealed_counters(leaf)}
            if row != sealed:
                names = ", ".join(name for name, value in row.items() if sealed[name] != value)
                self._findings.add("leaf_differs", "leaves", index, names=names)
