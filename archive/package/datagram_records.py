"""A cited datagram of flows: the units of the cited rows, what is needed to read them, and the rows decoded again from
nothing but those units."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from archive.addresses import format_address
from archive.errors import AskError
from archive.index.carry import CARRY_LISTENER
from archive.index.settings import DecodingSettings
from archive.package.content import CARRIED_TEMPLATE, TEMPLATE, CitedRecord, IndexRow, Place
from archive.package.datagram_units import (
    TEMPLATED,
    find_template,
    needed_units,
    observation_domain,
    set_headers,
    template_units,
    version_of,
)
from archive.package.decode_again import Decode, DecodeRequest, settings_item
from archive.package.flow_context import carried_place, comparable, find_context
from archive.package.record_reader import bare_record, chunk_of, disagrees, fill_text, prove_record
from archive.package.source_log import SourceLog
from archive.reduced_datagram import companions, reduce_datagram
from archive.retention.held_file import HeldRecord


def held_templates_of(record: HeldRecord) -> Iterator[dict[str, Any]]:
    """What a held record teaches: of a carry its item, of a datagram the units of templates that were kept of it."""
    if record.listener == CARRY_LISTENER:
        try:
            item = json.loads(record.units[0].data)
            if item.get("what") == "template":
                yield item
        except (ValueError, AttributeError):
            return
    elif record.listener.partition("/")[0] == "netflow" and record.units[0].offset == 0:
        header = record.units[0].data
        exporter = {
            "what": "template",
            "exporter_address": record.source_address,
            "source_port": record.source_port,
            "version": version_of(header),
            "observation_domain": observation_domain(header),
        }
        for offset, (number, is_options) in template_units([(u.offset, u.data) for u in record.units]).items():
            yield {**exporter, "template_id": number, "place": offset, "is_options": is_options}


class DatagramReader:
    """Reads datagrams with a decoding process."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode

    def read(
        self,
        log: SourceLog,
        record: CitedRecord,
        chosen: list[IndexRow],
        flows: list[IndexRow],
        settings: DecodingSettings,
    ) -> list[CitedRecord]:
        """The records that taught its templates, and the record with the units of the rows `chosen` and of those of
        `flows` that stand in them. Raises AskError, ArchiveError."""
        place = record.place
        items: list[dict[str, Any]] = []
        if record.purge_leaf is None:
            context = find_context(log, place.leaf, place.row, chosen, settings, self._decode)
            items = context.items
            wanted = {comparable(row) for row in (*chosen, *flows)}
            of_steps = {comparable(row) for row in chosen}
            offsets = frozenset(row.offset for row in context.rows if comparable(row) in of_steps)
            record.rows = [row for row in context.rows if row.offset in offsets and comparable(row) in wanted]
            payload = log.record(place.leaf, place.row)["payload"]
            record.units = prove_record(log, record, offsets.union(companions(payload, sorted(offsets))))
        else:
            record.units = prove_record(log, record, None)
            offsets = frozenset(set_headers(_plain(record)))
            record.rows = [IndexRow(row.table, min(offsets, default=0), row.values) for row in chosen]
        missing = offsets - {unit.offset for unit in record.units}
        if missing or not offsets:
            raise AskError(
                f"units of leaf {place.leaf} row {place.row} are not told apart yet; try again in a minute",
                code="no_records_root",
            )
        templates = self._templates(log, record, sorted(offsets), items)
        self._check_datagram(record, templates, sorted(offsets), items, settings)
        return [*(one for one, _ in templates), record]

    def _templates(
        self, log: SourceLog, record: CitedRecord, offsets: list[int], items: list[dict[str, Any]]
    ) -> list[tuple[CitedRecord, dict[str, Any]]]:
        """The records that taught the templates of some units, each with the template as an item of a carry."""
        units = _plain(record)
        header = units[0][1]
        if version_of(header) not in TEMPLATED or record.listener.partition("/")[0] != "netflow":
            return []
        covering = set_headers(units)
        numbers = {int.from_bytes(one[1][:2], "big") for offset in offsets if (one := covering[offset]) is not None}
        known = {item["template_id"]: item for item in items if item.get("what") == "template"}
        for item in self._carried_items(log, record, header) if numbers - known.keys() else ():
            known.setdefault(item["template_id"], item)
        if numbers - known.keys():
            raise AskError(f"no template {min(numbers - known.keys())} is known", code="template_missing")
        return [(self._template(log, record, known[number]), known[number]) for number in sorted(numbers)]

    def _carried_items(self, log: SourceLog, record: CitedRecord, header: bytes) -> list[dict[str, Any]]:
        own = format_address(record.source_address), record.source_port, version_of(header), observation_domain(header)
        marks = log.carries.carries()
        before = [mark for mark in marks if mark.before_leaf <= record.place.leaf]
        found = self._held_items(log, record, own) if record.purge_leaf is not None else []
        for mark in [*reversed(before), *(mark for mark in marks if mark not in before)]:
            found += [
                item
                for item in log.carries.items(mark)
                if item.get("what") == "template"
                and (item["exporter_address"], item["source_port"], item["version"], item["observation_domain"]) == own
            ]
        return found

    @staticmethod
    def _held_items(log: SourceLog, record: CitedRecord, own: tuple[Any, ...]) -> list[dict[str, Any]]:
        """Templates that were held with a datagram, as items of a carry; the one nearest before it comes first."""
        here = record.place.leaf, record.place.row
        found: list[tuple[tuple[int, int], dict[str, Any]]] = []
        for one in log.held_records():
            at = one.leaf, one.row
            for item in held_templates_of(one):
                if (item["exporter_address"], item["source_port"], item["version"], item["observation_domain"]) == own:
                    found.append((at, {**item, "held_at": at}))
        before, after = [one for one in found if one[0] <= here], [one for one in found if one[0] > here]
        return [item for _, item in [*reversed(before), *after]]

    def _template(self, log: SourceLog, record: CitedRecord, item: dict[str, Any]) -> CitedRecord:
        leaf, row, number = item.get("leaf_index"), item.get("row"), item["template_id"]
        if leaf is not None and row is not None and log.has_chunk(leaf):
            taught = bare_record(log, Place(log.number, leaf, row), TEMPLATE)
            payload = log.record(leaf, row)["payload"]
            starts = [start for start, _ in log.unit_starts(leaf, row)]
            found = find_template(payload, starts, number)
            if found is None:
                # Without a root of its leaf nothing of it can be proven: `prove` says so.
                log.prove(leaf, row, frozenset({0}))
                raise AskError(f"leaf {leaf} row {row} does not teach template {number}", code="template_missing")
            taught.units = prove_record(log, taught, frozenset({found[0], *companions(payload, [found[0]])}))
            taught.template_offset, taught.template_is_options = found
        elif "held_at" in item and "leaf_index" not in item:
            taught = bare_record(log, Place(log.number, *item["held_at"]), TEMPLATE)
            taught.template_offset, taught.template_is_options = item["place"], item["is_options"]
            units = prove_record(log, taught, None)
            kept = {offset for offset, _ in needed_units([(u.offset, u.data) for u in units], [item["place"]])}
            taught.units = [unit for unit in units if unit.offset in kept]
        else:
            carried = item.get("held_at") or carried_place(log, item)
            taught = bare_record(log, Place(log.number, *carried), CARRIED_TEMPLATE)
            fill_text(log, taught)
        taught.template_id, taught.template_for = number, record.place
        return taught

    def _check_datagram(
        self,
        record: CitedRecord,
        templates: list[tuple[CitedRecord, dict[str, Any]]],
        offsets: list[int],
        items: list[dict[str, Any]],
        settings: DecodingSettings,
    ) -> None:
        """Its rows are decoded again from its units and those of the templates. What an exporter said elsewhere of the
        time it started at is taken from the state that decoding left."""
        carried = [item for one, item in templates if one.role == CARRIED_TEMPLATE]
        known = [item for item in items if item.get("what") == "system_init"]
        taught = [_alone(one, one.template_offset) for one, _ in templates if one.role == TEMPLATE]
        payloads = [*taught, *(_alone(record, offset) for offset in offsets)]
        leaf = record.place.leaf
        wanted = frozenset((leaf, len(taught) + number) for number in range(len(offsets)))
        request = DecodeRequest(
            [(leaf, chunk_of(record, payloads))], wanted, [settings_item(settings), *carried, *known]
        )
        result = self._decode(request)
        made = {
            offset: Counter(comparable(row) for row in result.rows.get((leaf, len(taught) + number), []))
            for number, offset in enumerate(offsets)
        }
        placed = []
        for row in record.rows:
            candidates = [row.offset] if record.purge_leaf is None else offsets
            at = next((offset for offset in candidates if made[offset][comparable(row)] > 0), None)
            if at is None:
                raise disagrees(record)
            made[at][comparable(row)] -= 1
            placed.append(IndexRow(row.table, at, row.values))
        record.rows = placed
        if record.purge_leaf is not None:
            self._keep_cited(record)

    @staticmethod
    def _keep_cited(record: CitedRecord) -> None:
        """A held datagram may hold further units of the hold, which this answer does not cite."""
        kept = {offset for offset, _ in needed_units(_plain(record), (row.offset for row in record.rows))}
        record.units = [unit for unit in record.units if unit.offset in kept]


def _plain(record: CitedRecord) -> list[tuple[int, bytes]]:
    return [(unit.offset, unit.data) for unit in record.units]


def _alone(record: CitedRecord, offset: int) -> bytes:
    """A datagram of one of a record's units."""
    return reduce_datagram(needed_units(_plain(record), [offset]))
