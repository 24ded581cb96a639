"""Rows of some leaves against what their sealed bytes decode to, column for column.

A leaf without flows is decoded by itself. One with flows needs the templates of before: the walk to it starts at the
carry of its day and moves the state on over every flow leaf between. Two things depend on what lies further back than
that, and are not compared: whether a line is `repeated`, and sequence gaps of syslog senders; those of flow exporters
are where a carry told their numbers. Late rows of a leaf are counted, not compared.

Leaves that other decoders made the rows of are not compared, nor what decoding would go on to from there: a walk starts
at a carry of the present decoders and ends before the first leaf of others.
"""

from typing import Any, NamedTuple

from archive.errors import ArchiveError, ArchiveIntegrityError
from archive.index.blocks import SEGMENT_MISSING, LeafBlocks
from archive.index.carry import SETTINGS_LISTENER, CarryMark
from archive.index.carry_reader import CarryReader, SettingsMark, settings_in_force
from archive.index.check_rows import Difference, RowComparison
from archive.index.check_run import CheckRun, NotQuietError
from archive.index.dropped import dropped_days
from archive.index.restore import STATEFUL_KINDS
from archive.index.worker import DecodeWorker, wait_result
from archive.segment import utc_day

MAX_WALK_RECORDS = 2_000_000
"""Datagrams of one walk, minutes of one core. Of a day with more (700 flows a second, all day) only its first part is
within reach."""
COMPARED_BEFORE_TARGET = 16
"""Leaves before the one that a walk leads to that are compared too: their state is there anyway."""

_INDEXED = (
    "toString(toYYYYMMDD(fromUnixTimestamp64Nano(first_unix_ns, 'UTC'))) "
    "NOT IN (SELECT arrayJoin({dropped:Array(String)}))"
)
_COMPARABLE = "decoder IN (SELECT arrayJoin({decoders:Array(String)}))"


class SampleSizes(NamedTuple):
    """How many leaves are drawn: the newest and any, without flows; and the same with flows, each with its walk."""

    newest: int = 8
    drawn: int = 24
    newest_flows: int = 1
    drawn_flows: int = 3


class ContentCheck:
    """Uses the worker for itself; its state is nobody else's."""

    def __init__(self, run: CheckRun, worker: DecodeWorker, carries: CarryReader, sizes: SampleSizes) -> None:
        self._run, self._engine, self._findings = run, run.engine, run.findings
        self._worker, self._carries, self._sizes = worker, carries, sizes
        self._rows = RowComparison(run.engine)
        self._settings: list[SettingsMark] = []
        self._decoder = ""
        self._dropped: list[str] = []

    def check(self) -> bool:
        """Whether everything drawn was compared in time."""
        self._settings = self._carries.settings_marks()
        self._decoder = wait_result(self._worker.fingerprint())
        self._findings.other_decoder = self._count_of_other_decoders()
        self._dropped = dropped_days(self._engine)
        for index in self._draw("NOT hasAny", self._sizes.newest, self._sizes.drawn):
            if self._run.is_over():
                return False
            self._decode_and_compare(index, self._run.leaves.leaf(index), gaps_of=())
        return self._walk_to_flows(self._draw("hasAny", self._sizes.newest_flows, self._sizes.drawn_flows))

    def _draw(self, which: str, newest: int, drawn: int) -> list[int]:
        found: set[int] = set()
        for order, limit in (("leaf_index DESC", newest), ("cityHash64(leaf_index, {seed:UInt64})", drawn)):
            rows = self._engine.query(
                f"SELECT leaf_index FROM {{db}}.leaves WHERE records > 0 AND leaf_index < {{next:UInt64}} "
                f"AND {_COMPARABLE} AND {_INDEXED} AND {which}(listener_kinds, {{kinds:Array(String)}}) "
                f"ORDER BY {order} LIMIT {{limit:UInt32}}",
                {
                    "next": self._run.next_leaf,
                    "kinds": [*STATEFUL_KINDS],
                    "seed": self._run.seed,
                    "limit": limit,
                    "decoders": self._decoders,
                    "dropped": self._dropped,
                },
            )
            found |= {int(row["leaf_index"]) for row in rows}
        return sorted(found)

    def _walk_to_flows(self, targets: list[int]) -> bool:
        marks = [mark for mark in self._carries.carries() if mark.decoder == self._decoder]
        starts: dict[int, tuple[CarryMark | None, list[int]]] = {}
        for target in targets:
            before = [mark for mark in marks if mark.before_leaf <= target]
            carry = before[-1] if before else None
            starts.setdefault(carry.before_leaf if carry else 0, (carry, []))[1].append(target)
        return all([self._walk(start, carry, wanted) for start, (carry, wanted) in starts.items()])

    def _walk(self, start: int, carry: CarryMark | None, targets: list[int]) -> bool:
        """Over all flow leaves from `start` to the last target, or as far as records are there. Whether in time."""
        try:
            items = self._carries.items(carry) if carry is not None else []
        except ArchiveIntegrityError:
            # Purged with its day; the state of then is known to nobody.
            return True
        wait_result(self._worker.import_state(items, frozenset(STATEFUL_KINDS)))
        path = self._path(start, targets[-1])
        places = {max(place for place, index in enumerate(path) if index <= target) for target in targets if path}
        compared = {path[at] for place in places for at in range(max(0, place - COMPARED_BEFORE_TARGET), place + 1)}
        for index in path:
            if self._run.is_over():
                return False
            leaf = self._run.leaves.leaf(index)
            if self._run.is_missing(index, leaf):
                return True
            if index in compared and utc_day(int(leaf["first_unix_ns"])) not in self._dropped:
                self._decode_and_compare(index, leaf, gaps_of=STATEFUL_KINDS if carry is not None else ())
            else:
                wait_result(self._worker.replay(index, leaf, frozenset(STATEFUL_KINDS)))
        return True

    def _path(self, start: int, last: int) -> list[int]:
        """Leaves with flows, and those of which nobody knows because they were gone: the walk ends there."""
        rows = self._engine.query(
            "SELECT leaf_index, sum(records) OVER (ORDER BY leaf_index) AS until, "
            f"countIf(NOT {_COMPARABLE}) OVER (ORDER BY leaf_index) AS others FROM {{db}}.leaves "
            "WHERE leaf_index >= {start:UInt64} AND leaf_index <= {last:UInt64} AND records > 0 "
            "AND (hasAny(listener_kinds, {kinds:Array(String)}) OR counters[{missing:String}] > 0) ORDER BY leaf_index",
            {
                "start": start,
                "last": last,
                "kinds": [*STATEFUL_KINDS],
                "missing": SEGMENT_MISSING,
                "decoders": self._decoders,
            },
        )
        return [int(row["leaf_index"]) for row in rows if row["until"] <= MAX_WALK_RECORDS and not row["others"]]

    @property
    def _decoders(self) -> list[str]:
        """Whose rows are compared. A leaf that nothing decoded was gone; if it is not, its rows are missing."""
        return [self._decoder, ""]

    def _count_of_other_decoders(self) -> int:
        (row,) = self._engine.query(
            f"SELECT count() AS n FROM {{db}}.leaves WHERE records > 0 AND leaf_index < {{next:UInt64}} "
            f"AND NOT {_COMPARABLE}",
            {"next": self._run.next_leaf, "decoders": self._decoders},
        )
        return int(row["n"])

    def _decode_and_compare(self, index: int, leaf: dict[str, Any], gaps_of: tuple[str, ...]) -> None:
        settings = settings_in_force(self._settings, index)
        if settings is not None:
            item = {"kind": SETTINGS_LISTENER, **settings.values()}
            wait_result(self._worker.import_state([item], frozenset({SETTINGS_LISTENER})))
        if self._run.is_missing(index, leaf):
            return
        try:
            blocks = wait_result(self._worker.submit(index, leaf))
        except ArchiveIntegrityError as error:
            # Defects of the journal are what `verify` tells; there is nothing to compare with.
            self._findings.problems.append(str(error))
            return
        try:
            self._compare(index, leaf, blocks, gaps_of)
        finally:
            blocks.discard()
        self._findings.sampled_leaves += 1

    def _compare(self, index: int, leaf: dict[str, Any], blocks: LeafBlocks, gaps_of: tuple[str, ...]) -> None:
        # One statement instead of nine tells which tables are worth a look.
        tables = self._rows.tables_of(index, leaf) | {block.table for block in blocks.blocks}
        for table in sorted(tables):
            decoded = self._rows.decoded(table, index, blocks, gaps_of)
            self._findings.sampled_rows += decoded.num_rows
            if not self._rows.difference(table, index, leaf, decoded, gaps_of):
                continue
            try:
                with self._run.quiet():
                    difference = self._rows.difference(table, index, leaf, decoded, gaps_of)
            except NotQuietError as error:
                raise ArchiveError("the index stands in the middle of a leaf") from error
            self._report(table, index, difference)

    def _report(self, table: str, index: int, difference: Difference) -> None:
        changed = min(difference.missing, difference.extra)
        for what, count in (
            ("rows_differ", changed),
            ("rows_missing", difference.missing - changed),
            ("rows_extra", difference.extra - changed),
        ):
            if count:
                self._findings.add(what, table, index, count=count)
