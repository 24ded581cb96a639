"""One log of the archive as packages read it: leaves, chunks, roots, units with their proofs, index rows."""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from archive.chunk import decode_chunk
from archive.errors import ArchiveError, ArchiveIntegrityError
from archive.index.carry_reader import CarryReader
from archive.index.engine import Engine
from archive.index.leaf_reader import LeafReader
from archive.index.worker import stored_chunk
from archive.origin import ArchivePaths
from archive.package.content import IndexRow
from archive.records_root import SALT_KEY_BYTES, Cuts, chunk_payloads, decode_parts, make_salts, part_places
from archive.retention.held_file import HELD_FOLDER, HELD_SUFFIX, HeldRecord, decode_held
from archive.schema import ADDRESS, SCHEMAS, TIME
from archive.sealing.record_roots import SALT_KEY_FILE, UNITS_SUFFIX
from archive.segment import read_stored_chunk
from archive.unit_proof import UnitProof, locate_units, prove_units

KEPT_CHUNKS = 8
NO_ROOT = (
    "leaf {leaf} of log {log} has no records root yet, so that no record of it can be proven alone; "
    "wait a quarter of an hour and try again / ใบ {leaf} ของบันทึก {log} ยังไม่มีรากของระเบียน จึงพิสูจน์ระเบียนเดี่ยวไม่ได้ "
    "โปรดรอสิบห้านาทีแล้วลองใหม่"
)
NO_ROOT_ENDED = (
    "leaf {leaf} of the ended log {log} never got a records root, so that no record of it can be proven alone; show "
    "the record with its whole chunk instead / ใบ {leaf} ของบันทึก {log} ที่สิ้นสุดแล้วไม่มีรากของระเบียน จึงพิสูจน์ระเบียนเดี่ยวไม่ได้ "
    "โปรดใช้หน้าระเบียนพร้อมก้อนข้อมูลแทน"
)


class SourceLog:
    """Log number `number` of the archive, the oldest 1. Reads only."""

    def __init__(self, number: int, paths: ArchivePaths, engine: Engine, *, is_newest: bool) -> None:
        self.number, self.paths, self.engine, self.is_newest = number, paths, engine, is_newest
        self.origin = paths.origin()
        self.leaves = LeafReader(paths)
        self.carries = CarryReader(paths)
        self._held: dict[tuple[int, int], tuple[HeldRecord, int]] | None = None
        self.chunk = lru_cache(KEPT_CHUNKS)(self._read_chunk)

    def has_chunk(self, leaf_index: int) -> bool:
        """Whether the segment of a data leaf is there."""
        return (self.paths.segments / self.leaves.leaf(leaf_index)["segment"]).exists()

    def _read_chunk(self, leaf_index: int) -> pa.Table:
        return decode_chunk(read_stored_chunk(self.paths.segments, stored_chunk(self.leaves.leaf(leaf_index))))

    def record(self, leaf_index: int, row: int) -> dict[str, Any]:
        """Columns of a record of a chunk. Raises ArchiveIntegrityError `cited_record_missing`."""
        leaf = self.leaves.leaf(leaf_index)
        if "segment" not in leaf or not 0 <= row < leaf["records"]:
            raise ArchiveIntegrityError(f"leaf {leaf_index} has no record {row}", code="cited_record_missing")
        return self.chunk(leaf_index).slice(row, 1).to_pylist()[0]

    def held(self, leaf_index: int, row: int) -> tuple[HeldRecord, int] | None:
        """A record of a purged day that is held, and the purge leaf whose file holds it."""
        return self._all_held().get((leaf_index, row))

    def held_records(self) -> list[HeldRecord]:
        """Every record of purged days that is held, in order."""
        return [record for _, (record, _) in sorted(self._all_held().items())]

    def _all_held(self) -> dict[tuple[int, int], tuple[HeldRecord, int]]:
        if self._held is None:
            self._held = {}
            for path in sorted((self.paths.log / HELD_FOLDER).glob(f"*/*{HELD_SUFFIX}")):
                file = decode_held(path.read_bytes())
                self._held |= {(one.leaf, one.row): (one, file.leaf) for one in file.records if one.log is None}
        return self._held

    def root_leaf(self, leaf_index: int) -> tuple[int, Cuts] | None:
        """The `records` leaf that states the newest root of a data leaf, and its units."""
        folder = self.paths.segments / Path(self.leaves.leaf(leaf_index)["segment"]).parent
        size = self.leaves.newest_size()
        found: tuple[int, Cuts] | None = None
        for path in sorted(folder.glob(f"*{UNITS_SUFFIX}")):
            if int(path.stem) >= size or int(path.stem) <= leaf_index:
                continue
            data = path.read_bytes()
            for leaf, offset, length in part_places(data):
                if leaf == leaf_index:
                    cuts = next(decode_parts(data[offset : offset + length]))
                    if found is None or cuts.generation > found[1].generation:
                        found = int(path.stem), cuts
        return found

    def prove(self, leaf_index: int, row: int, offsets: frozenset[int] | None) -> list[UnitProof]:
        """Units of a record with their proofs, those at `offsets` or all. Raises ArchiveError `no_records_root` or
        `no_records_root_ended`, ArchiveIntegrityError where a unit is not under the root of its leaf."""
        found = self.root_leaf(leaf_index)
        if found is None:
            text, code = (NO_ROOT, "no_records_root") if self.is_newest else (NO_ROOT_ENDED, "no_records_root_ended")
            raise ArchiveError(text.format(leaf=leaf_index, log=self.origin), code=code)
        records_leaf, cuts = found
        rows, starts = locate_units(cuts)
        numbers = [
            unit
            for unit in (rows == row).nonzero()[0].tolist()
            if offsets is None or int(starts[unit]) in offsets
        ]  # fmt: skip
        payloads, _ = chunk_payloads(self.chunk(leaf_index))
        folder = self.paths.segments / Path(self.leaves.leaf(leaf_index)["segment"]).parent
        key = (folder / SALT_KEY_FILE).read_bytes()
        if len(key) != SALT_KEY_BYTES:
            raise ArchiveIntegrityError(f"{folder / SALT_KEY_FILE} is not a key of {SALT_KEY_BYTES} bytes")
        salts = make_salts(key, leaf_index, cuts.generation, len(cuts.lengths))
        proofs = list(prove_units(cuts, payloads.to_pybytes(), salts, numbers, records_leaf))
        root = self.root(leaf_index, cuts.generation, records_leaf)
        for proof in proofs:
            proof.check(root)
        return proofs

    def unit_starts(self, leaf_index: int, row: int) -> list[tuple[int, int]]:
        """Offset and length of every unit of a record; empty where its leaf has no root yet."""
        found = self.root_leaf(leaf_index)
        if found is None:
            return []
        rows, starts = locate_units(found[1])
        return [(int(starts[unit]), int(found[1].lengths[unit])) for unit in (rows == row).nonzero()[0].tolist()]

    def root(self, leaf_index: int, generation: int, records_leaf: int) -> bytes:
        """The root that a `records` leaf states. Raises ArchiveIntegrityError."""
        for one in self.leaves.leaf(records_leaf).get("roots", ()):
            if (one["leaf"], one["generation"]) == (leaf_index, generation):
                return bytes.fromhex(one["root"])
        raise ArchiveIntegrityError(f"leaf {records_leaf} states no root of leaf {leaf_index}")

    def index_rows(self, leaf_index: int, row: int, tables: tuple[str, ...]) -> list[IndexRow]:
        """Rows of the index made from a record. Their offsets are not known to the index and 0."""
        found = []
        for table in tables:
            columns = ", ".join(
                f"toUnixTimestamp64Nano(`{one.name}`) AS `{one.name}`" if one.type == TIME else f"`{one.name}`"
                for one in SCHEMAS[table]
                if one.name not in ("leaf_index", "row")
            )
            rows = self.engine.query(
                f"SELECT {columns} FROM (SELECT * FROM {{db}}.{table} WHERE leaf_index = {{leaf:UInt64}} "
                "AND row = {row:UInt32})",
                {"leaf": leaf_index, "row": row},
            )
            found += [
                IndexRow(table, 0, {**_typed(table, values), "leaf_index": leaf_index, "row": row}) for values in rows
            ]
        return found

    def data_leaves_before(self, leaf_index: int, stream: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """A stream's data leaves from `leaf_index` back, itself first."""
        index: int | None = leaf_index
        while index is not None:
            leaf = self.leaves.leaf(index)
            if "segment" in leaf and leaf.get("stream") == stream:
                yield index, leaf
            previous = leaf.get("previous")
            index = previous["leaf"] if previous else None

    def clock_leaves_around(self, first: int, last: int, reach: int) -> list[tuple[int, dict[str, Any]]]:
        """The clock leaves next to an interval of leaves, at most `reach` leaves away from it."""
        found = []
        for numbers in (range(first, max(first - reach, -1), -1), range(last, min(last + reach, self._size()))):
            for index in numbers:
                if b'"kind":"clock"' in self.leaves.raw(index):
                    found.append((index, json.loads(self.leaves.raw(index))))
                    break
        return found

    def _size(self) -> int:
        return self.leaves.newest_size()


def _typed(table: str, values: dict[str, Any]) -> dict[str, Any]:
    """As the decoders give them: text is text, addresses are bytes."""
    typed = {}
    for name, value in values.items():
        kind = SCHEMAS[table].field(name).type
        if isinstance(value, bytes) and kind not in (ADDRESS,):
            value = value.decode("utf-8", "backslashreplace")
        typed[name] = value
    return typed
