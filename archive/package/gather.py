"""From an answer to the records it cites: their units with proofs, and their index rows, decoded again from nothing but
those units."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from archive.errors import AskError
from archive.index.settings import DecodingSettings
from archive.package.citations import LOSS_TABLE, STEP_TABLES, Citation, citations, rows_of_steps, says
from archive.package.content import CITED, LOSS, SUPPORT, CitedRecord, Place
from archive.package.datagram_records import DatagramReader
from archive.package.decode_again import Decode, DecodeRequest, settings_item
from archive.package.flow_context import comparable
from archive.package.record_reader import bare_record, chunk_of, disagrees, fill_text, prove_record
from archive.package.session_places import session_places
from archive.package.source_log import SourceLog

MAX_CITED_RECORDS = 3_000
"""Records that one package may cite: with a raw file, a leaf, a records leaf and their proofs each, they stay below the
20,000 files that verify_package.py reads."""
_OWN_LOSSES = ("loss", "restart")
"""Listeners of records that say of themselves that something was lost. What is known from a gap in the numbers of a
sender's lines is cited by the line after it, which may be anybody's: its bytes are withheld."""


@dataclass
class Gathered:
    """`answer` with carries in the place of originals that are gone; `zones`: zone of local times by `log-leaf`."""

    answer: dict[str, Any]
    records: list[CitedRecord] = field(default_factory=list)
    zones: dict[str, str] = field(default_factory=dict)
    withheld: Counter[str] = field(default_factory=Counter)


def gather_records(
    logs: Mapping[str, SourceLog], answer: dict[str, Any], decode: Decode, settings: DecodingSettings
) -> Gathered:
    """Everything the answer cites. `settings` count where the journal has none. Raises AskError `answer_disagrees`
    where the index says other than the package's bytes, ArchiveError where a record is gone or not provable alone."""
    return _Gatherer(logs, decode, settings).gather(answer)


class _Gatherer:
    def __init__(self, logs: Mapping[str, SourceLog], decode: Decode, settings: DecodingSettings) -> None:
        self._logs, self._decode, self._settings = logs, decode, settings
        self._datagrams = DatagramReader(decode)
        self._by_number = {log.number: log for log in logs.values()}

    def gather(self, answer: dict[str, Any]) -> Gathered:
        answer = self._with_records_at_hand(answer)
        result = Gathered(answer)
        numbers = {origin: log.number for origin, log in self._logs.items()}
        cited = citations(answer, numbers)
        if len(cited) > MAX_CITED_RECORDS:
            raise AskError(
                f"the answer cites {len(cited)} records and a package holds at most {MAX_CITED_RECORDS}; ask for less "
                "with --port, --to or a smaller --tolerance",
                code="too_wide",
            )
        for citation in cited:
            result.records += self._records_of(citation, result)
        places = {record.place for record in result.records}
        for citation in cited:
            for record in self._supports(citation, result.records):
                if record.place not in places:
                    places.add(record.place)
                    self._check_text(record)
                    result.records.append(record)
        for record in result.records:
            zone = self._settings_at(record.place).zone
            result.zones[f"{record.place.log}-{record.place.leaf}"] = zone
        self._count_withheld(result)
        return result

    def _with_records_at_hand(self, answer: dict[str, Any]) -> dict[str, Any]:
        newest = list(self._logs)[-1]

        def at_hand(step: dict[str, Any]) -> dict[str, Any]:
            carried = step.get("carried_leaf_index")
            if step["leaf_index"] is None:
                return step
            log = self._log(step["log"] or newest)
            if carried is None or log.has_chunk(step["leaf_index"]) or log.held(step["leaf_index"], step["row"]):
                return {**step, "log": log.origin}
            carried_log = step.get("carried_log") or newest
            return {**step, "log": carried_log, "leaf_index": carried, "row": step["carried_row"]}

        candidates = [{**one, "steps": [at_hand(step) for step in one["steps"]]} for one in answer["candidates"]]
        losses = [{**loss, "log": loss["log"] or newest} for loss in answer["losses"]]
        return {**answer, "candidates": candidates, "losses": losses}

    def _log(self, origin: str) -> SourceLog:
        if origin not in self._logs:
            raise AskError(f"this archive has no log {origin[:80]!r}", code="no_such_record")
        return self._logs[origin]

    def _settings_at(self, place: Place) -> DecodingSettings:
        return self._by_number[place.log].carries.settings_at(place.leaf) or self._settings

    def _records_of(self, citation: Citation, result: Gathered) -> list[CitedRecord]:
        log, place = self._by_number[citation.place.log], citation.place
        tables = (*(STEP_TABLES if citation.groups else ()), *((LOSS_TABLE,) if citation.is_loss else ()))
        rows = log.index_rows(place.leaf, place.row, tables)
        losses = [row for row in rows if row.table == LOSS_TABLE]
        record = bare_record(log, place, CITED if citation.groups else LOSS)
        if not record.is_datagram:
            record.rows = rows
            is_own = record.listener.partition("/")[0] in _OWN_LOSSES
            if citation.groups or is_own:
                fill_text(log, record)
                self._check_text(record)
            self._require_said(citation, record)
            return [record]
        if not citation.groups:
            record.rows, record.units = losses, prove_record(log, record, frozenset({0}))
            return [record]
        chosen = rows_of_steps(citation, [row for row in rows if row.table == "nat"])
        if not chosen:
            raise AskError(
                f"the index has no translation of leaf {place.leaf} row {place.row} that says what the answer says",
                code="answer_disagrees",
            )
        flows = [row for row in rows if row.table == "flows"]
        found = self._datagrams.read(log, record, chosen, flows, self._settings_at(place))
        record.rows += losses
        return found

    def _check_text(self, record: CitedRecord) -> None:
        """Its rows are decoded again from its units."""
        payload = b"".join(unit.data for unit in record.units)
        request = DecodeRequest(
            [(record.place.leaf, chunk_of(record, [payload]))],
            frozenset({(record.place.leaf, 0)}),
            [settings_item(self._settings_at(record.place))],
        )
        made = Counter(comparable(row) for rows in self._decode(request).rows.values() for row in rows)
        for row in record.rows:
            if made[comparable(row)] < 1:
                raise disagrees(record)
            made[comparable(row)] -= 1

    def _require_said(self, citation: Citation, record: CitedRecord) -> None:
        if citation.groups and not record.rows:
            raise AskError(
                f"the index has no row of leaf {record.place.leaf} row {record.place.row}", code="answer_disagrees"
            )

    def _supports(self, citation: Citation, records: list[CitedRecord]) -> list[CitedRecord]:
        """Records of the same sessions for what the cited record alone does not say: a session may name its address or
        its account later than it began."""
        found: list[CitedRecord] = []
        own = [record for record in records if record.place == citation.place]
        own_rows = [row for one in own for row in one.rows]
        if all(any(says(step, row) for row in own_rows) for step in citation.steps):
            return found
        sessions = [row for row in own_rows if row.table == "sessions" and row.values["session_id"]]
        places = session_places(self._logs.values(), citation, sessions)
        known = [row for one in records if one.place in places for row in one.rows]
        for step in citation.steps:
            rows = [*own_rows, *known, *(row for one in found for row in one.rows)]
            if any(says(step, row) for row in rows):
                continue
            record = next(self._session_records(places, step), None)
            if record is None:
                raise AskError(
                    f"no record says {step['value']!r}, which the answer gives as {step['step']}",
                    code="answer_disagrees",
                )
            found.append(record)
        return found

    def _session_records(self, places: list[Place], step: dict[str, Any]) -> Iterator[CitedRecord]:
        for place in places:
            log = self._by_number[place.log]
            found = log.index_rows(place.leaf, place.row, ("sessions", "identity"))
            is_there = log.has_chunk(place.leaf) or log.held(place.leaf, place.row) is not None
            if is_there and any(says(step, row) for row in found):
                record = bare_record(log, place, SUPPORT)
                record.rows = found
                fill_text(log, record)
                yield record

    def _count_withheld(self, result: Gathered) -> None:
        """Units of the same datagrams, and records of the same chunks, that are not in the package."""
        shown: dict[tuple[int, int], set[int]] = {}
        for record in result.records:
            shown.setdefault((record.place.log, record.place.leaf), set()).add(record.place.row)
            log = self._by_number[record.place.log]
            if record.units and record.is_datagram and record.purge_leaf is None:
                total = len(log.unit_starts(record.place.leaf, record.place.row))
                result.withheld["units_of_cited_datagrams"] += total - len(record.units)
            if not record.units:
                result.withheld["cited_losses_without_bytes"] += 1
        for (number, leaf), rows in shown.items():
            records = self._by_number[number].leaves.leaf(leaf)["records"]
            result.withheld["records_of_cited_chunks"] += records - len(rows)
