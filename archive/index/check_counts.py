"""Rows of each leaf in each table against what table `leaves` says was written. Counted by the engine."""

from typing import Any

from archive.index.blocks import SEGMENT_MISSING
from archive.index.check_run import CheckRun, NotQuietError
from archive.index.dropped import dropped_days
from archive.index.purged import PURGE
from archive.schema import SCHEMAS

LEAVES_A_STATEMENT = 500_000
"""Groups of one statement: some 100 MB in the engine, whatever the number of rows."""
LEAVES_A_LOOK = 1_000
"""Leaves that seem to differ, looked at again at once and named at most, for each table and statement."""

_DAY = "toString(toYYYYMMDD(fromUnixTimestamp64Nano(first_unix_ns, 'UTC')))"
_RANGE = "leaf_index >= {first:UInt64} AND leaf_index < {last:UInt64}"
_ONLY = "leaf_index IN (SELECT arrayJoin({only:Array(UInt64)}))"
_WRITTEN = (
    "SELECT leaf_index, toInt64(0), toInt64(rows_written[{table:String}]) - "
    "toInt64(arraySum(arrayMap((t, n) -> if(t = {table:String}, n, 0), late_tables, late_counts))) "
    "FROM {db}.leaves WHERE CHOSEN UNION ALL "
    "SELECT leaf_index, toInt64(0), toInt64(late) FROM (SELECT late_leaf AS leaf_index, late "
    "FROM (SELECT late_tables, late_leaves, late_counts FROM {db}.leaves WHERE notEmpty(late_tables)) "
    "ARRAY JOIN late_tables AS late_table, late_leaves AS late_leaf, late_counts AS late "
    "WHERE late_table = {table:String}) WHERE CHOSEN"
)
_UNCOMPARED = (
    f"SELECT leaf_index FROM {{db}}.leaves WHERE records > 0 AND ({_DAY} IN (SELECT arrayJoin({{kept:Array(String)}})) "
    f"OR concat(stream, '/', {_DAY}) IN (SELECT arrayJoin({{gone:Array(String)}})))"
)


class CountCheck:
    """Every leaf but those whose segments are gone: a purge may have taken their rows.

    A reindex keeps a day of which segments are gone as it was, while `leaves` says what the journal still tells; so
    the leaves of such a day are not compared either, and counted as `uncompared`.
    """

    def __init__(self, run: CheckRun) -> None:
        self._run, self._engine, self._findings = run, run.engine, run.findings
        self._leaves_a_statement = LEAVES_A_STATEMENT
        self._passed_over: dict[str, Any] = {"kept": [], "gone": []}

    def check(self) -> bool:
        """Whether everything was compared in time."""
        self._pass_over()
        for table in SCHEMAS:
            for first in range(0, self._run.next_leaf, self._leaves_a_statement):
                if self._run.is_over():
                    return False
                self._compare(table, first, min(first + self._leaves_a_statement, self._run.next_leaf))
            self._find_rows_of_no_leaf(table)
            self._findings.rows += int(self._engine.query(f"SELECT count() AS n FROM {{db}}.{table}")[0]["n"])
        return True

    def _compare(self, table: str, first: int, last: int) -> None:
        while first < last:
            rows = self._differing(table, _RANGE, {"first": first, "last": last})
            suspects = [int(row["leaf_index"]) for row in rows if not self._is_missing(int(row["leaf_index"]))]
            if suspects:
                self._look_again(table, suspects)
            if len(rows) < LEAVES_A_LOOK or self._findings.defects >= LEAVES_A_LOOK:
                return
            first = int(rows[-1]["leaf_index"]) + 1

    def _look_again(self, table: str, suspects: list[int]) -> None:
        """While nothing is inserted: rows that came late for these leaves are then in both counts."""
        try:
            with self._run.quiet():
                rows = self._differing(table, _ONLY, {"only": suspects})
        except NotQuietError:
            self._findings.uncompared += len(suspects)
            return
        for row in rows:
            surplus = int(row["found"]) - int(row["wanted"])
            what = "rows_missing" if surplus < 0 else "rows_extra"
            self._findings.add(what, table, int(row["leaf_index"]), count=abs(surplus))

    def _differing(self, table: str, chosen: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return self._engine.query(
            "SELECT leaf_index, sum(a) AS found, sum(b) AS wanted FROM (SELECT leaf_index, toInt64(count()) AS a, "
            f"toInt64(0) AS b FROM {{db}}.{table} WHERE {chosen} GROUP BY leaf_index UNION ALL "
            f"{_WRITTEN.replace('CHOSEN', chosen)}) WHERE leaf_index NOT IN ({_UNCOMPARED}) "
            "GROUP BY leaf_index HAVING found != wanted ORDER BY leaf_index LIMIT {limit:UInt32} "
            "SETTINGS max_threads = 1",
            {**parameters, **self._passed_over, "table": table, "limit": LEAVES_A_LOOK},
        )

    def _find_rows_of_no_leaf(self, table: str) -> None:
        """Rows beyond the journal's end as it is after they were counted."""
        rows = self._engine.query(
            f"SELECT leaf_index, count() AS n FROM {{db}}.{table} WHERE leaf_index >= {{first:UInt64}} "
            "GROUP BY leaf_index ORDER BY leaf_index LIMIT {limit:UInt32} SETTINGS max_threads = 1",
            {"first": self._run.next_leaf, "limit": LEAVES_A_LOOK},
        )
        size = self._run.leaves.newest_size() if rows else 0
        for row in rows:
            if int(row["leaf_index"]) >= size:
                self._findings.add("rows_extra", table, int(row["leaf_index"]), count=int(row["n"]))

    def _is_missing(self, leaf_index: int) -> bool:
        return self._run.is_missing(leaf_index, self._run.leaves.leaf(leaf_index))

    def _pass_over(self) -> None:
        """Which days of which streams are gone altogether, and which days a reindex kept."""
        days = self._engine.query(
            f"SELECT stream, {_DAY} AS day, count() AS n, countIf(counters[{{missing:String}}] > 0) AS lost, "
            "minIf(leaf_index, counters[{missing:String}] > 0) AS lost_leaf "
            "FROM {db}.leaves WHERE records > 0 AND leaf_index < {next:UInt64} GROUP BY stream, day",
            {"missing": SEGMENT_MISSING, "next": self._run.next_leaf},
        )
        gone = [one for one in days if not (self._run.paths.segments / one["stream"] / one["day"]).exists()]
        # Believed of the journal only: a counter in the index alone keeps no day from being compared.
        kept = {one["day"] for one in days if one["lost"] and self._is_missing(int(one["lost_leaf"]))}
        kept |= self._purged_days() | set(dropped_days(self._engine))
        self._findings.missing_days = sum(int(one["n"]) for one in gone)
        self._findings.uncompared = sum(int(one["n"]) for one in days if one in gone or one["day"] in kept)
        self._passed_over = {"kept": sorted(kept), "gone": [f"{one['stream']}/{one['day']}" for one in gone]}

    def _purged_days(self) -> set[str]:
        """Days whose rows a purge took, though a segment may still be there: what is left of them is compared apart."""
        rows = self._engine.query(
            "SELECT leaf_index FROM {db}.leaves WHERE kind = {kind:String} AND leaf_index < {next:UInt64}",
            {"kind": PURGE, "next": self._run.next_leaf},
        )
        leaves = (self._run.leaves.leaf(int(row["leaf_index"])) for row in rows)
        return {leaf["day"] for leaf in leaves if leaf["kind"] == PURGE}
