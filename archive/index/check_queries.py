"""Questions as people ask them, for values that rows have, with the engine's skip indexes and projections and without.

Both must find the same records, and among them the one that the value is from.
"""

import random
from typing import Any, NamedTuple

from archive.addresses import format_address
from archive.index.check_run import CheckRun, NotQuietError
from archive.query.parse import Term
from archive.query.sql import where_clause

SAMPLED_QUERIES = 24
LEAVES_A_QUESTION = 4
"""Leaves drawn until one has a row with such a value."""
LONGEST_WINDOW_SECONDS = 3_600
"""A question covers up to so long before and after its row."""
LONGEST_WORD = 40
NS = 1_000_000_000
PLAIN = " SETTINGS use_skip_indexes = 0, optimize_use_projections = 0, optimize_use_implicit_projections = 0"


class _Question(NamedTuple):
    """Fields of the filter language, and the column each takes its value from."""

    table: str
    columns: dict[str, str]


QUESTIONS = (
    _Question("flows", {"src": "source_address"}),
    _Question("flows", {"dst": "destination_address", "dport": "destination_port"}),
    _Question("nat", {"ip": "outside_address", "port": "outside_port_low"}),
    _Question("logs", {"text": "message"}),
    _Question("logs", {"src": "source_address"}),
    _Question("logs", {"user": "user"}),
    _Question("sessions", {"user": "account"}),
    _Question("sessions", {"ip": "address"}),
    _Question("identity", {"user": "account"}),
    _Question("losses", {"text": "how"}),
    _Question("events", {"event": "code"}),
    _Question("flows", {}),
)


class QueryCheck:
    def __init__(self, run: CheckRun) -> None:
        self._run, self._engine, self._findings = run, run.engine, run.findings
        self._random = random.Random(run.seed)  # noqa: S311 - a sample

    def check(self) -> bool:
        """Whether every question was asked in time."""
        for number in range(SAMPLED_QUERIES):
            if self._run.is_over():
                return False
            question = QUESTIONS[number % len(QUESTIONS)]
            row = self._draw_row(question)
            if row is not None:
                self._ask(question, row)
        return True

    def _draw_row(self, question: _Question) -> dict[str, Any] | None:
        leaves = self._engine.query(
            "SELECT leaf_index, first_unix_ns, last_unix_ns FROM {db}.leaves WHERE rows_written[{table:String}] > 0 "
            "AND leaf_index < {next:UInt64} ORDER BY cityHash64(leaf_index, {seed:UInt64}) LIMIT {limit:UInt32}",
            {
                "table": question.table,
                "next": self._run.next_leaf,
                "seed": self._random.getrandbits(63),
                "limit": LEAVES_A_QUESTION,
            },
        )
        has_value = " AND ".join(f"isNotNull(`{name}`) AND notEmpty(toString(`{name}`))" for name in _values(question))
        for leaf in leaves:
            rows = self._engine.query(
                f"SELECT *, toUnixTimestamp64Nano(received) AS received_unix_ns FROM {{db}}.{question.table} "
                "WHERE leaf_index = {leaf:UInt64} AND received >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') "
                f"AND received <= fromUnixTimestamp64Nano({{last:Int64}}, 'UTC') AND {has_value or 1} "
                "ORDER BY cityHash64(row, {seed:UInt64}) LIMIT 1",
                {
                    "leaf": leaf["leaf_index"],
                    "first": leaf["first_unix_ns"],
                    "last": leaf["last_unix_ns"],
                    "seed": self._random.getrandbits(63),
                },
            )
            if rows:
                return rows[0]
        return None

    def _ask(self, question: _Question, row: dict[str, Any]) -> None:
        terms = [Term(field, _text(row[name]), False, 0) for field, name in question.columns.items()]
        clause = where_clause([term for term in terms if term.value], question.table)
        if clause is None:
            return
        condition, parameters = clause
        window = self._random.randrange(LONGEST_WINDOW_SECONDS) * NS
        parameters |= {
            "since": row["received_unix_ns"] - window,
            "until": row["received_unix_ns"] + window,
            "next": self._run.next_leaf,
            "leaf": row["leaf_index"],
            "row": row["row"],
        }
        # Late rows may come between the two; what differs is asked again while none do.
        with_indexes, without = (self._answer(question.table, condition, parameters, end) for end in ("", PLAIN))
        if with_indexes != without or not with_indexes["own"]:
            try:
                with self._run.quiet():
                    with_indexes, without = (
                        self._answer(question.table, condition, parameters, end) for end in ("", PLAIN)
                    )
            except NotQuietError:
                return
        self._findings.sampled_queries += 1
        index = int(row["leaf_index"])
        if with_indexes != without:
            counts = {"count": with_indexes["n"], "without": without["n"]}
            self._findings.add("query_differs", question.table, index, **counts)
        elif not with_indexes["own"]:
            self._findings.add("row_not_found", question.table, index)

    def _answer(self, table: str, condition: str, parameters: dict[str, Any], end: str) -> dict[str, Any]:
        """How many records, two sums over which they are, and how often the drawn one is among them."""
        (found,) = self._engine.query(
            "SELECT count() AS n, sum(cityHash64(leaf_index, row)) AS sums, "
            "groupBitXor(cityHash64(row, leaf_index)) AS mixed, "
            f"countIf(leaf_index = {{leaf:UInt64}} AND row = {{row:UInt32}}) AS own FROM {{db}}.{table} "
            "WHERE received >= fromUnixTimestamp64Nano({since:Int64}, 'UTC') "
            "AND received <= fromUnixTimestamp64Nano({until:Int64}, 'UTC') "
            f"AND leaf_index < {{next:UInt64}} AND ({condition}){end}",
            parameters,
        )
        return found


def _values(question: _Question) -> list[str]:
    return list(question.columns.values())


def _text(value: Any) -> str:
    """As it would be typed: an address, a number, a name, and of a sentence its longest word."""
    if isinstance(value, bytes):
        return format_address(value)
    words = str(value).split()
    return max(words, key=len)[:LONGEST_WORD] if len(words) > 1 else str(value)[:LONGEST_WORD]
