"""Steps 1 and 2 of a purge: verify the chunks and records roots of a day, and gather what holds keep of it. Reads only;
in a thread of its own, for a day of records takes longer than sealing may wait."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from archive.addresses import format_address
from archive.chunk import decode_chunk
from archive.errors import ArchiveIntegrityError
from archive.leaf import StoredChunk
from archive.origin import ArchivePaths
from archive.records_root import Cuts, check_cuts, chunk_payloads, compute_records_root, decode_parts, make_salts
from archive.retention.held_file import HeldRecord, decode_held, decode_rows, merge_records
from archive.retention.journal import Journal
from archive.retention.limits import RetentionError
from archive.retention.plan import DayPlan, Folder
from archive.retention.purge_leaf import PurgeLeaf
from archive.retention.request import PurgeRequest
from archive.sealing.record_roots import SALT_KEY_FILE
from archive.segment import read_stored_chunk
from archive.unit_proof import locate_units, prove_units


class RootMissingError(RetentionError):
    """A leaf whose units are to be kept has no records root yet."""

    code = "retention_root"


@dataclass(frozen=True)
class _Root:
    """The newest root of a data leaf: where it is sealed, and the units it is over."""

    records_leaf: int
    root: str
    cuts: Cuts


@dataclass(frozen=True)
class Kept:
    """What stays of a day: records with their held units, rows by table; and the size of each of its segments, by path
    below `log/segments`, as far as leaves go."""

    records: tuple[HeldRecord, ...] = ()
    rows: dict[str, pa.Table] = field(default_factory=dict)
    segment_ends: dict[str, int] = field(default_factory=dict)

    def unit_count(self) -> int:
        return sum(len(record.units) for record in self.records)


class DayCheck:
    """`is_stopped` is asked between chunks, so that a stop of the process waits for none but the one at hand."""

    def __init__(self, paths: ArchivePaths, journal: Journal, is_stopped: Callable[[], bool]) -> None:
        self._paths = paths
        self._journal = journal
        self._is_stopped = is_stopped

    def gather(self, request: PurgeRequest, plan: DayPlan | None, earlier: PurgeLeaf | None) -> Kept:
        """What `request` keeps of the folders of `plan` (None: none is left) and of the held file of `earlier`, the
        day's last purge. Raises ArchiveError, with what differs, where a chunk, a root or a wanted unit is not there;
        OSError."""
        wanted = _by_leaf(request)
        ends: dict[str, int] = {}
        found: list[HeldRecord] = []
        for folder in plan.folders if plan else ():
            found += self._check_folder(folder, wanted, ends)
        kept_before, rows_before = self._held_before(earlier)
        again = [_narrow(record, wanted[record.leaf]) for record in kept_before if record.leaf in wanted]
        for record in kept_before:
            wanted.pop(record.leaf, None)
        if wanted:
            leaf = min(wanted)
            raise RetentionError(
                f"units of leaf {leaf} are to be kept, which is no data leaf of {request.day} and in no held file of it"
            )
        records = merge_records(found, (record for record in again if record is not None))
        _check_all_found(request, records)
        _check_rows(request, records, {record.leaf for record in kept_before}, rows_before)
        return Kept(records, {name: rows for name, rows in request.rows.items() if len(rows)}, ends)

    # One folder

    def _check_folder(self, folder: Folder, wanted: dict[int, set], ends: dict[str, int]) -> Iterator[HeldRecord]:
        name = f"{folder.stream}/{folder.day}"
        roots = self._roots(name)
        key = self._salt_key(name) if roots else b""
        chunks = 0
        for index, leaf in self._journal.data_leaves(folder):
            if self._is_stopped():
                raise OSError(0, "the sealer stops", name)
            chunk = StoredChunk(leaf["segment"], leaf["offset"], leaf["length"], leaf["sha256"])
            stored = read_stored_chunk(self._paths.segments, chunk)
            ends[chunk.segment] = chunk.offset + chunk.length
            chunks += 1
            root, places = roots.get(index), wanted.pop(index, None)
            if root is None and places is not None:
                raise RootMissingError(f"leaf {index}, of which units are to be kept, has no records root")
            if root is not None:
                yield from self._check_root(index, decode_chunk(stored), root, key, places or set())
        if chunks != folder.chunks:
            raise ArchiveIntegrityError(f"{name} has {chunks} chunks instead of {folder.chunks}", code="purge_range")

    def _check_root(
        self, index: int, chunk: pa.Table, root: _Root, key: bytes, places: set[tuple[int, int]]
    ) -> Iterator[HeldRecord]:
        payloads, lengths = chunk_payloads(chunk)
        cuts = root.cuts
        check_cuts(cuts, lengths)
        salts = make_salts(key, index, cuts.generation, len(cuts.lengths))
        if compute_records_root(cuts, payloads, salts).hex() != root.root:
            raise ArchiveIntegrityError(f"the units of leaf {index} do not lead to its records root", code="unit_root")
        if not places:
            return
        numbers = _unit_numbers(index, cuts, places)
        proofs: dict[int, list] = {}
        for proof in prove_units(cuts, memoryview(payloads), salts, numbers, root.records_leaf):
            proof.check(bytes.fromhex(root.root))
            proofs.setdefault(proof.row, []).append(proof)
        for values in chunk.drop_columns(["payload"]).take(pa.array(list(proofs))).to_pylist():
            row = next(iter(proofs))
            yield HeldRecord(
                index, row, values["received_unix_ns"], format_address(values["source_address"]), values["source_port"],
                values["transport"], values["listener"], values["truncated"], int(lengths[row]),
                tuple(proofs.pop(row)),
            )  # fmt: skip

    def _roots(self, folder: str) -> dict[int, _Root]:
        """The newest root of each data leaf of a folder. Every units file is hashed."""
        found: dict[int, _Root] = {}
        for number in self._journal.records_leaves.get(folder, ()):
            leaf = self._journal.leaf(number)
            data = _read(self._paths.segments / leaf["file"])
            if hashlib.sha256(data).hexdigest() != leaf["sha256"]:
                raise ArchiveIntegrityError(f"{leaf['file']} is not what leaf {number} says", code="units_changed")
            for values, cuts in zip(leaf["roots"], decode_parts(data), strict=True):
                if (values["leaf"], values["generation"]) != (cuts.leaf_index, cuts.generation):
                    raise ArchiveIntegrityError(f"{leaf['file']} is not in the order of leaf {number}")
                found[cuts.leaf_index] = _Root(number, values["root"], cuts)
        return found

    def _salt_key(self, folder: str) -> bytes:
        return _read(self._paths.segments / folder / SALT_KEY_FILE)

    # What an earlier purge kept

    def _held_before(self, earlier: PurgeLeaf | None) -> tuple[tuple[HeldRecord, ...], dict[str, pa.Table]]:
        if earlier is None or earlier.held is None:
            return (), {}
        files = ((earlier.held.file, earlier.held.sha256), (earlier.held.rows_file, earlier.held.rows_sha256))
        held, rows = (_read_sealed(self._paths.log / name, sha256) for name, sha256 in files)
        return decode_held(held).records, decode_rows(rows)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArchiveIntegrityError(f"{path} is missing", code="purge_file_missing") from error


def _read_sealed(path: Path, sha256: str) -> bytes:
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ArchiveIntegrityError(f"{path} is not what its purge leaf says", code="held_changed")
    return data


def _by_leaf(request: PurgeRequest) -> dict[int, set[tuple[int, int]]]:
    """Row and offset of the wanted units of each leaf."""
    found: dict[int, set[tuple[int, int]]] = {}
    for leaf, row, offset in zip(request.leaf.tolist(), request.row.tolist(), request.offset.tolist(), strict=True):
        found.setdefault(leaf, set()).add((row, offset))
    return found


def _unit_numbers(index: int, cuts: Cuts, places: set[tuple[int, int]]) -> list[int]:
    rows, offsets = locate_units(cuts)
    keys = (rows.astype(np.uint64) << np.uint64(32)) | offsets.astype(np.uint64)
    wanted = np.array(sorted(row << 32 | offset for row, offset in places), np.uint64)
    numbers = np.searchsorted(keys, wanted)
    is_known = numbers < len(keys)
    is_known[is_known] = keys[numbers[is_known]] == wanted[is_known]
    if not is_known.all():
        row, offset = divmod(int(wanted[~is_known][0]), 2**32)
        raise RetentionError(f"a unit that is to be kept is none: leaf {index}, row {row}, offset {offset}")
    return numbers.tolist()


def _narrow(record: HeldRecord, places: set[tuple[int, int]]) -> HeldRecord | None:
    """The record with those of its held units that are wanted."""
    units = tuple(unit for unit in record.units if (unit.row, unit.offset) in places)
    return replace(record, units=units) if units else None


def _check_all_found(request: PurgeRequest, records: tuple[HeldRecord, ...]) -> None:
    found = {(unit.leaf, unit.row, unit.offset) for record in records for unit in record.units}
    for place in zip(request.leaf.tolist(), request.row.tolist(), request.offset.tolist(), strict=True):
        if place not in found:
            leaf, row, offset = place
            raise RetentionError(
                f"leaf {leaf}, row {row}, offset {offset} was purged and not held before: a hold cannot bring it back"
            )


def _check_rows(
    request: PurgeRequest, records: tuple[HeldRecord, ...], leaves_before: set[int], rows_before: dict[str, pa.Table]
) -> None:
    """Rows are of records that stay; those of an earlier purge are rows it kept."""
    kept = {(record.leaf, record.row) for record in records}
    for name, rows in request.rows.items():
        places = zip(rows.column("leaf_index").to_pylist(), rows.column("row").to_pylist(), strict=True)
        again = []
        for number, place in enumerate(places):
            if place not in kept:
                raise RetentionError(f"a row of {name} is of leaf {place[0]}, row {place[1]}, of which nothing is kept")
            if place[0] in leaves_before:
                again.append(number)
        if again:
            before = rows_before.get(name, rows.slice(0, 0))
            columns = [column for column in rows.column_names if column in before.column_names]
            known = set(_tuples(before.select(columns)))
            if any(row not in known for row in _tuples(rows.select(columns).take(pa.array(again)))):
                raise RetentionError(f"a row of {name} is not among those that were held before")


def _tuples(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    columns = [_plain(column) for column in rows.columns]
    return zip(*columns, strict=True)


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Times as integers: Python's have no nanoseconds."""
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
