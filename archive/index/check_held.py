"""Rows of purged days against what their purge leaves say is held: no more, or a purge was not done; no less, or what a
hold keeps cannot be found."""

from archive.index.check_run import CheckRun
from archive.index.purged import PURGE, PURGED_TABLES, held_rows_of


class HeldCheck:
    """Every purged day, by the newest purge leaf of each."""

    def __init__(self, run: CheckRun) -> None:
        self._run, self._engine, self._findings = run, run.engine, run.findings

    def check(self) -> bool:
        """Whether everything was compared in time."""
        for index in self._newest_of_each_day():
            if self._run.is_over():
                return False
            leaf = self._run.leaves.leaf(index)
            if leaf["kind"] == PURGE:
                self._compare(
                    index, leaf["day"], {t: r.num_rows for t, r in held_rows_of(self._run.paths.log, leaf).items()}
                )
        return True

    def _newest_of_each_day(self) -> list[int]:
        rows = self._engine.query(
            "SELECT max(leaf_index) AS newest FROM {db}.leaves WHERE kind = {kind:String} "
            "AND leaf_index < {next:UInt64} GROUP BY first_unix_ns ORDER BY newest",
            {"kind": PURGE, "next": self._run.next_leaf},
        )
        return [int(row["newest"]) for row in rows]

    def _compare(self, index: int, day: str, wanted: dict[str, int]) -> None:
        for table in PURGED_TABLES:
            # By the partition and not by time: a row's day of receipt is its partition.
            (row,) = self._engine.query(
                f"SELECT count() AS n FROM {{db}}.{table} WHERE toYYYYMMDD(received) = {{day:UInt32}}",
                {"day": int(day)},
            )
            surplus = int(row["n"]) - wanted.get(table, 0)
            if surplus:
                what = "held_rows_missing" if surplus < 0 else "held_rows_extra"
                self._findings.add(what, table, index, count=abs(surplus), day=day)
