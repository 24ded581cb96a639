# pyright: reportAttributeAccessIssue=false
"""Decoding one sealed chunk with every decoder plugged in. Runs in the decode worker; pure but for the state
it keeps."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from archive.decoder import CarryingDecoder, Decoder, Units, ZonedDecoder, listener_kind
from archive.errors import ArchiveFormatError
from archive.index.carry import SETTINGS_LISTENER, Carry
from archive.index.realms import RealmTable
from archive.index.settings import DecodingSettings, decode_settings, settings_from

BOUNDARY_KINDS = frozenset({"netflow", "sflow"})
"""Kinds of listener whose first leaf of a UTC day is the boundary that a carry is made at."""
DAY_SECONDS = 86_400
NS = 1_000_000_000


@dataclass
class DecodedLeaf:
    """Rows per table, of this leaf and late rows of earlier ones, and what was counted on the way. `units` are those of
    records that hold several, this leaf's first, then those of earlier leaves. `places` are as in Decoded, one array
    for each table of `tables`. `decoder` is the fingerprint of what decoded."""

    tables: dict[str, list[pa.Table]] = field(default_factory=dict)
    waiting: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    listener_kinds: list[str] = field(default_factory=list)
    carry: Carry | None = None
    units: list[Units] = field(default_factory=list)
    places: dict[str, list[np.ndarray]] = field(default_factory=dict)
    decoder: str = ""


class ChunkDecoder:
    """Holds each decoder's state over the leaves of a log, which must come in order.

    `settings` count until the journal says otherwise: those of a settings record from the leaf after it on.
    `fingerprint` is equal for decoders that make the same rows of the same records.
    """

    def __init__(self, decoders: list[Decoder], settings: DecodingSettings, fingerprint: str) -> None:
        self._decoders = decoders
        self.fingerprint = fingerprint
        self._states: list[Any] = [decoder.initial_state() for decoder in decoders]
        self._days: set[int] = set()
        self._refused = 0
        self._use(settings)

    def decode(self, leaf_index: int, chunk: pa.Table) -> DecodedLeaf:
        """Decode the records of one leaf. Where it begins a UTC day, `carry` holds the state before it."""
        table = self._with_row_and_realm(chunk)
        kinds = _kinds(table.column("listener"))
        carry = self._carry_before(leaf_index, table, kinds)
        result = self._decode(leaf_index, table, kinds)
        result.carry = carry
        result.decoder = self.fingerprint
        if self._refused:
            result.counters["carry_items_refused"], self._refused = self._refused, 0
        return result

    def replay(self, leaf_index: int, chunk: pa.Table, only: Collection[str]) -> None:
        """Move the state of the kinds `only` on, as decoding the leaf did."""
        table = self._with_row_and_realm(chunk)
        kinds = {name: kind for name, kind in _kinds(table.column("listener")).items() if kind in only}
        self._begin_day(table, kinds)
        self._decode(leaf_index, table, kinds)

    def export_state(self) -> list[dict[str, Any]]:
        """What must be known of earlier leaves to go on from here, as JSON objects; `kind` says whose they are."""
        items = [{"kind": SETTINGS_LISTENER, "what": "settings", **self._settings.values()}]
        for decoder, state in zip(self._decoders, self._states, strict=True):
            if isinstance(decoder, CarryingDecoder):
                items += [{"kind": min(decoder.kinds), **item} for item in decoder.export_state(state)]
        return items

    def import_state(self, items: list[dict[str, Any]], only: Collection[str]) -> None:
        """Go on from exported items: the state of every kind of `only` is what they say and nothing else. Items that
        cannot be read are left out and counted in the next leaf."""
        for item in items if SETTINGS_LISTENER in only else ():
            if item.get("kind") == SETTINGS_LISTENER:
                try:
                    self._use(settings_from(item))
                except ArchiveFormatError:
                    self._refused += 1
        for position, decoder in enumerate(self._decoders):
            if isinstance(decoder, CarryingDecoder) and decoder.kinds <= set(only):
                own = [item for item in items if item.get("kind") in decoder.kinds]
                self._states[position], refused = decoder.import_state(self._states[position], own)
                self._refused += refused

    def _use(self, settings: DecodingSettings) -> None:
        self._settings = settings
        self._realms = RealmTable(settings.networks, listeners=settings.listeners)
        for decoder in self._decoders:
            if isinstance(decoder, ZonedDecoder):
                decoder.use_zone(settings.zone)

    def _carry_before(self, leaf_index: int, table: pa.Table, kinds: dict[str, str]) -> Carry | None:
        day = self._begin_day(table, kinds)
        if day is None:
            return None
        text = datetime.fromtimestamp(day * DAY_SECONDS, UTC).strftime("%Y%m%d")
        return Carry(text, leaf_index, self.export_state(), self.fingerprint)

    def _begin_day(self, table: pa.Table, kinds: dict[str, str]) -> int | None:
        """The UTC day (since 1970) that these flows are the first of. Any day not met before, not only a later one: a
        clock that was years ahead for an hour must not end the carries."""
        if BOUNDARY_KINDS.isdisjoint(kinds.values()):
            return None
        day = pc.min(table.column("received_unix_ns")).as_py() // (DAY_SECONDS * NS)
        if day in self._days:
            return None
        self._days.add(day)
        return day

    def _decode(self, leaf_index: int, table: pa.Table, kinds: dict[str, str]) -> DecodedLeaf:
        names = pc.unique(table.column("listener"))
        result = DecodedLeaf(listener_kinds=sorted(set(kinds.values())))
        for position, decoder in enumerate(self._decoders):
            listeners = [name for name, kind in kinds.items() if kind in decoder.kinds]
            if not listeners:
                continue
            part = table
            if len(listeners) < len(names):
                part = table.filter(pc.is_in(table.column("listener"), pa.array(listeners, pa.string())))
            decoded = decoder.decode(self._states[position], leaf_index, part)
            self._states[position] = decoded.state
            result.waiting += decoded.waiting
            for name, rows in decoded.tables.items():
                if rows.num_rows:
                    result.tables.setdefault(name, []).append(rows)
                    places = decoded.places.get(name)
                    whole = np.zeros(rows.num_rows, np.uint32)
                    result.places.setdefault(name, []).append(whole if places is None else places)
            for name, count in decoded.counters.items():
                result.counters[name] = result.counters.get(name, 0) + count
            result.units += [units for units in (decoded.units, decoded.late_units) if units is not None]
        known = {kind for decoder in self._decoders for kind in decoder.kinds}
        unknown = [name for name, kind in kinds.items() if kind not in known]
        if unknown:
            mask = pc.is_in(table.column("listener"), pa.array(unknown, pa.string()))
            result.counters["records_without_decoder"] = pc.sum(mask).as_py() or 0
        if SETTINGS_LISTENER in kinds.values():
            self._take_settings(table, result)
        return result

    def _take_settings(self, table: pa.Table, result: DecodedLeaf) -> None:
        records = table.filter(pc.equal(table.column("listener"), SETTINGS_LISTENER))
        for payload in records.column("payload").to_pylist():
            try:
                self._use(decode_settings(payload))
            except ArchiveFormatError:
                result.counters["settings_refused"] = result.counters.get("settings_refused", 0) + 1

    def _with_row_and_realm(self, chunk: pa.Table) -> pa.Table:
        count = chunk.num_rows
        realm = self._realm_column(chunk)
        columns = {
            "row": pa.array(np.arange(count, dtype=np.uint32)),
            **{name: chunk.column(name) for name in chunk.column_names},
            "realm": realm,
        }
        columns["transport"] = chunk.column("transport").cast(pa.string())
        columns["listener"] = chunk.column("listener").cast(pa.string())
        return pa.table(columns)

    def _realm_column(self, chunk: pa.Table) -> pa.Array:
        realms = self._realms
        named = [pa.repeat(pa.scalar(realms.default), chunk.num_rows)]
        if realms.listeners:
            named.insert(0, _by_value(chunk.column("listener"), pa.string(), realms.listener_realm))
        if realms.networks:
            named.insert(0, _by_value(chunk.column("source_address"), pa.binary(), realms.network_realm))
        return pc.coalesce(*named)


def _by_value(column: pa.ChunkedArray, kind: pa.DataType, name_it: Callable[[Any], str | None]) -> pa.Array:
    """`name_it` of every value, called once for each different one."""
    encoded = column.cast(kind).combine_chunks().dictionary_encode()
    names = pa.array([name_it(value.as_py()) for value in encoded.dictionary], pa.string())
    return names.take(encoded.indices)


def _kinds(listeners: pa.ChunkedArray) -> dict[str, str]:
    return {name: listener_kind(name) for name in pc.unique(listeners).to_pylist()}


DecoderFactory = Callable[[], ChunkDecoder]
