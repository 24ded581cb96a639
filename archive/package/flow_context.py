# pyright: reportAttributeAccessIssue=false
"""What a datagram of flows needs to be decoded: found by walking back over its exporter's datagrams, from the carry of
the day, or forward where its template came later."""

import json
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from archive.addresses import format_address
from archive.errors import ArchiveError, AskError
from archive.index.settings import DecodingSettings
from archive.package.content import IndexRow
from archive.package.datagram_units import observation_domain, version_of
from archive.package.decode_again import Decode, DecodeRequest, settings_item
from archive.package.source_log import SourceLog

FLOW_KINDS = ("netflow", "sflow")
MAX_FORWARD_LEAVES = 512
"""Leaves after a datagram's in which its template is looked for: exporters send templates within minutes."""
MAX_BACK_LEAVES = 20_000
"""Leaves before it: two days of a leaf every ten seconds, where there is no carry to begin from."""


@dataclass(frozen=True)
class FlowContext:
    """Rows of the datagram with their places, and what of the decoders' state is its exporter's: templates and system
    start times as items of a carry, rows numbered as in the log."""

    rows: list[IndexRow]
    items: list[dict[str, Any]]


def find_context(
    log: SourceLog, leaf_index: int, row: int, wanted: list[IndexRow], settings: DecodingSettings, decode: Decode
) -> FlowContext:
    """Decode a datagram as the index did: with as little as makes it say the rows `wanted`. Raises AskError
    `answer_disagrees` where nothing does."""
    record = log.record(leaf_index, row)
    search = _Search(log, leaf_index, row, record, settings, decode)
    for context in search.attempts():
        if _has(context.rows, wanted):
            return context
    raise AskError(
        f"leaf {leaf_index} row {row} of {log.origin} does not decode to what the index says; run `phayan reindex`",
        code="answer_disagrees",
    )


def comparable(row: IndexRow) -> tuple[Any, ...]:
    """A row as what two decodings of one record must agree on: where it stands is compared apart, and whether a line
    repeats an earlier one is said of that one too."""
    values = {name: value for name, value in row.values.items() if name not in ("leaf_index", "row", "repeated")}
    return row.table, tuple(sorted((name, repr(value)) for name, value in values.items()))


def _has(rows: list[IndexRow], wanted: list[IndexRow]) -> bool:
    found = {comparable(one) for one in rows}
    return all(comparable(one) in found for one in wanted)


class _Search:
    def __init__(
        self,
        log: SourceLog,
        leaf_index: int,
        row: int,
        record: dict[str, Any],
        settings: DecodingSettings,
        decode: Decode,
    ) -> None:
        self._log, self._leaf, self._row, self._record = log, leaf_index, row, record
        self._settings, self._decode = settings, decode
        self._numbers: dict[int, np.ndarray] = {}
        marks = [mark for mark in log.carries.carries() if mark.before_leaf <= leaf_index]
        self._mark = marks[-1] if marks else None

    def attempts(self) -> Any:
        """Contexts of growing reach."""
        stream = self._log.leaves.leaf(self._leaf)["stream"]
        boundary = self._mark.before_leaf if self._mark else 0
        walk = self._log.data_leaves_before(self._leaf, stream)
        back: list[int] = []
        step = 1
        while True:
            more = [index for index, _ in islice(walk, step) if index >= boundary and self._log.has_chunk(index)]
            back += more
            is_end = len(more) < step or len(back) >= MAX_BACK_LEAVES
            yield self._attempt(sorted(back), with_carry=is_end, until_row=True)
            if is_end:
                break
            step *= 2
        for count in (8, 64, MAX_FORWARD_LEAVES):
            last = min(self._leaf + count, self._log.leaves.newest_size() - 1)
            later = [index for index in range(self._leaf + 1, last + 1) if self._is_of(index, stream)]
            yield self._attempt([self._leaf, *later], with_carry=True, until_row=False)

    def _is_of(self, index: int, stream: str) -> bool:
        leaf = self._log.leaves.leaf(index)
        return leaf.get("stream") == stream and "segment" in leaf and self._log.has_chunk(index)

    def _attempt(self, leaves: list[int], *, with_carry: bool, until_row: bool) -> FlowContext:
        items = [settings_item(self._settings)]
        if with_carry and self._mark is not None:
            items += [one for one in self._log.carries.items(self._mark) if self._is_own(one)]
        chunks = [(index, self._chunk(index, until_row=until_row)) for index in leaves]
        place = int(np.searchsorted(self._numbers[self._leaf], self._row))
        request = DecodeRequest([one for one in chunks if one[1].num_rows], frozenset({(self._leaf, place)}), items)
        result = self._decode(request)
        return FlowContext(result.rows.get((self._leaf, place), []), self._own_items(result.state))

    def _chunk(self, index: int, *, until_row: bool) -> pa.Table:
        """Datagrams of this exporter in a leaf; their numbers there are kept."""
        chunk = self._log.chunk(index)
        listeners = chunk.column("listener").cast(pa.string())
        names = [one for one in pc.unique(listeners).to_pylist() if one.partition("/")[0] in FLOW_KINDS]
        source = pa.scalar(self._record["source_address"], chunk.schema.field("source_address").type)
        mask = pc.and_(
            pc.is_in(listeners, pa.array(names, pa.string())), pc.equal(chunk.column("source_address"), source)
        )
        numbers = np.flatnonzero(mask.combine_chunks().to_numpy(zero_copy_only=False))
        if index == self._leaf and until_row:
            numbers = numbers[numbers <= self._row]
        self._numbers[index] = numbers
        return chunk.take(pa.array(numbers))

    def _is_own(self, item: dict[str, Any]) -> bool:
        own = format_address(self._record["source_address"])
        return item.get("kind") == "netflow" and item.get("exporter_address") == own

    def _own_items(self, state: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Templates and start times of the exporter, with the rows that their leaves have in the log."""
        payload = self._record["payload"]
        key = (self._record["source_port"], version_of(payload), observation_domain(payload))
        found = []
        for item in state:
            if not self._is_own(item) or item.get("what") not in ("template", "system_init"):
                continue
            if (item["source_port"], item["version"], item["observation_domain"]) != key:
                continue
            numbers = self._numbers.get(item.get("leaf_index", -1))
            found.append(item if numbers is None else {**item, "row": int(numbers[item["row"]])})
        return found


def carried_place(log: SourceLog, item: dict[str, Any]) -> tuple[int, int]:
    """Leaf and row of the record of stream `carry` that says what a template is. Raises ArchiveError."""
    names = ("exporter_address", "source_port", "version", "observation_domain", "template_id", "leaf_index", "row")
    for mark in reversed(log.carries.carries()):
        for leaf_index in mark.leaves:
            payloads = log.chunk(leaf_index).column("payload").to_pylist()
            for row, payload in enumerate(payloads):
                if _same_template(payload, item, names):
                    return leaf_index, row
    raise ArchiveError("the datagram that taught a template is gone and no carry has it", code="template_missing")


def _same_template(payload: bytes, item: dict[str, Any], names: tuple[str, ...]) -> bool:
    if b'"template"' not in payload:
        return False
    try:
        found = json.loads(payload)
    except ValueError:
        return False
    return found.get("what") == "template" and all(found.get(name) == item.get(name) for name in names)
