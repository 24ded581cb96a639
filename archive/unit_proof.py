"""Units of sealed records with what proves each: its salt and the path to the root of its chunk (docs/FORMAT.md, "Unit
proofs"). One JSON object a line, the same in held files and in evidence packages. Pure."""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archive.errors import ArchiveFormatError, ArchiveIntegrityError
from archive.merkle import HASH_BYTES, inclusion_proof, leaf_hash, perfect_root, verify_inclusion
from archive.records_root import SALT_BYTES, Cuts

MAX_LINE_BYTES = 256 * 1024
"""A payload has at most 65,535 bytes, which are base64 here; a path has at most 24 hashes."""
_INTEGERS = ("leaf", "generation", "row", "offset", "unit", "units", "records_leaf")


@dataclass(frozen=True)
class UnitProof:
    """Bytes of unit `unit` of `units` of generation `generation` of data leaf `leaf`, at `offset` of record `row`;
    `records_leaf` states the root that `path` leads to."""

    leaf: int
    generation: int
    row: int
    offset: int
    unit: int
    units: int
    records_leaf: int
    salt: bytes
    data: bytes
    path: tuple[bytes, ...]

    def check(self, root: bytes) -> None:
        """Raises ArchiveIntegrityError unless the unit is under `root`."""
        verify_inclusion(leaf_hash(self.salt + self.data), self.unit, self.units, list(self.path), root)

    def encode(self) -> bytes:
        """One line with its newline."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _INTEGERS}
        values["salt"] = self.salt.hex()
        values["data"] = base64.b64encode(self.data).decode()
        values["path"] = [base64.b64encode(one).decode() for one in self.path]
        return json.dumps(values, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def decode_unit_proof(line: bytes) -> UnitProof:
    """The unit of a line. Raises ArchiveFormatError."""
    try:
        if len(line) > MAX_LINE_BYTES:
            raise ValueError("too long")
        values = json.loads(line)
        numbers = {name: values[name] for name in _INTEGERS}
        if any(type(number) is not int or number < 0 for number in numbers.values()):
            raise ValueError("a number")
        salt = bytes.fromhex(values["salt"])
        path = tuple(base64.b64decode(one, validate=True) for one in values["path"])
        proof = UnitProof(**numbers, salt=salt, data=base64.b64decode(values["data"], validate=True), path=path)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArchiveFormatError(f"not a unit with its proof: {error}") from error
    if len(salt) != SALT_BYTES or any(len(one) != HASH_BYTES for one in path) or proof.encode() != line:
        raise ArchiveFormatError("not a unit with its proof: another spelling")
    return proof


def locate_units(cuts: Cuts) -> tuple[np.ndarray, np.ndarray]:
    """Row and offset within its record of every unit, int64 [units] each, in order."""
    counts, lengths = cuts.counts.astype(np.int64), cuts.lengths.astype(np.int64)
    rows = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(lengths)
    first = np.cumsum(counts) - counts
    begins = (ends - lengths)[first] if len(first) else np.empty(0, np.int64)
    return rows, (ends - lengths) - np.repeat(begins, counts)


def prove_units(
    cuts: Cuts, payloads: memoryview | bytes, salts: bytes, wanted: Iterable[int], records_leaf: int
) -> Iterator[UnitProof]:
    """Proofs of the units numbered in `wanted`. `payloads` are those of the chunk one after another, `salts` of all its
    units (`make_salts`)."""
    lengths = cuts.lengths.astype(np.int64)
    ends = np.cumsum(lengths)
    rows, offsets = locate_units(cuts)
    view = memoryview(payloads)
    count = len(lengths)

    def entry(unit: int) -> tuple[bytes, bytes]:
        end = int(ends[unit])
        return salts[SALT_BYTES * unit : SALT_BYTES * (unit + 1)], bytes(view[end - int(lengths[unit]) : end])

    levels = _levels([leaf_hash(b"".join(entry(unit))) for unit in range(count)])

    def node(height: int, index: int) -> bytes:
        return levels[height][index]

    for unit in wanted:
        salt, data = entry(unit)
        path = tuple(inclusion_proof(unit, count, node))
        yield UnitProof(
            cuts.leaf_index, cuts.generation, int(rows[unit]), int(offsets[unit]), unit, count, records_leaf,
            salt, data, path,
        )  # fmt: skip


def _levels(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Roots of all perfect subtrees, by height."""
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([perfect_root(below[at : at + 2]) for at in range(0, len(below) - 1, 2)])
    return levels


def check_root(proofs: Iterable[UnitProof], root: bytes) -> None:
    """Raises ArchiveIntegrityError with the place of the first unit that is not under `root`."""
    for proof in proofs:
        try:
            proof.check(root)
        except ArchiveIntegrityError as error:
            raise ArchiveIntegrityError(f"leaf {proof.leaf}, unit {proof.unit}: {error}", code="unit_proof") from error
