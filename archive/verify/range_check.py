"""Checks the leaves of a range of bundles, and keeps what the ranges beside it and the whole log need of it."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archive.errors import ArchiveFormatError
from archive.verify.anchors import Anchor, AnchorReader, Trust
from archive.verify.leaf import check_fields, parse_leaf, parse_leaves
from archive.verify.merkle import hash_leaf
from archive.verify.note import VerifierKey
from archive.verify.report import Findings
from archive.verify.retention_facts import Missing, RetentionFacts
from archive.verify.segments import ChunkCheck
from archive.verify.spool_leaf import SpoolLeaf, compile_reader, from_fields
from archive.verify.statements import Observations
from archive.verify.streams import Continuity
from archive.verify.tile_check import TileCheck
from archive.verify.tiles import TILE_WIDTH, TileStore, bundle_path, decode_bundle

KEY_FILE = "log/key.vkey"
UNREAD, OTHER, DATA = 0, 1, 2
"""What is known of a leaf: nothing, that it is no data leaf, that it is one."""


@dataclass(frozen=True)
class LogJob:
    """One log to verify, as every process that checks a part of it gets it. `log` is its folder, `key_text` its
    verifier key as the file has it (None when unusable), `keys` those that may have signed anchored heads, the log's
    own first.
    """

    log: Path
    store: TileStore
    root: bytes
    origin: str
    key_text: str | None
    key: VerifierKey | None = None
    trust: Trust | None = None
    reads_chunks: bool = True


@dataclass
class RangeResult:
    """Of bundles `first` to before `end`. `nodes` are the roots of full bundles, None where unknown; `rightmost` the
    hashes of the partial one; `kinds` has a byte a leaf. `roots` has three numbers for each root of a `records` leaf:
    that leaf, the data leaf and the generation.
    """

    first: int
    end: int
    findings: Findings
    continuity: Continuity
    observations: Observations = field(default_factory=Observations)
    retention: RetentionFacts = field(default_factory=RetentionFacts)
    missing: list[Missing] = field(default_factory=list)
    nodes: list[bytes | None] = field(default_factory=list)
    rightmost: list[bytes] | None = None
    kinds: bytearray = field(default_factory=bytearray)
    anchors: list[Anchor] = field(default_factory=list)
    records_leaves: array = field(default_factory=lambda: array("Q"))
    successors: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    roots: array = field(default_factory=lambda: array("Q"))


class RangeCheck:
    """`chunk_check` gets every chunk; `progress` the number of leaves of each bundle done."""

    def __init__(
        self, job: LogJob, chunk_check: ChunkCheck, findings: Findings, progress: Callable[[int], None] | None = None
    ) -> None:
        self._job = job
        self._chunk_check = chunk_check
        self._findings = findings
        self._progress = progress or (lambda leaves: None)
        self._read_usual = compile_reader(job.origin)
        self._anchor_reader = AnchorReader(job.key, job.trust, findings) if job.key else None

    def check(self, first: int, end: int, nodes: list[bytes] | None = None) -> RangeResult:
        """Bundles `first` to before `end`; `nodes` as in TileCheck, needed where the partial bundle is among them.

        Raises PermissionError where this user may not read a file: that is no defect of the archive.
        """
        store = self._job.store
        result = RangeResult(first, end, self._findings, Continuity(self._findings))
        tile_check = TileCheck(store, self._job.root, self._findings, nodes)
        for index in range(first, end):
            width = min(store.size - index * TILE_WIDTH, TILE_WIDTH)
            hashes = tile_check.check_bundle(index, width, self._check_bundle(result, index, width))
            if width == TILE_WIDTH:
                result.nodes.append(tile_check.node(index, hashes))
            else:
                result.rightmost = hashes
            self._progress(width)
        return result

    def _check_bundle(self, result: RangeResult, index: int, width: int) -> list[bytes] | None:
        """The leaf hashes; None, with a defect, when the bundle cannot be read."""
        path = bundle_path(index, width)
        file = f"log/{path}"
        first = index * TILE_WIDTH
        try:
            leaves = decode_bundle(self._job.store.read(path), width)
        except PermissionError:
            raise
        except FileNotFoundError:
            self._findings.add_defect("bundle_missing", file, leaf=first)
        except OSError as error:
            self._findings.add_defect("unreadable", file, detail=error.strerror, leaf=first)
        except ArchiveFormatError as error:
            self._findings.add_defect("bundle_damaged", file, detail=error, leaf=first)
        else:
            return self._check_leaves(result, leaves, first, file)
        result.continuity.skip_leaves()
        result.kinds += bytes(width)
        return None

    def _check_leaves(self, result: RangeResult, leaves: list[bytes], first: int, file: str) -> list[bytes]:
        hashes = [hash_leaf(leaf) for leaf in leaves]
        kinds = bytearray(len(leaves))
        usual = [self._read_usual(leaf) for leaf in leaves]
        unusual = [position for position, spool in enumerate(usual) if spool is None]
        parsed = parse_leaves([leaves[position] for position in unusual]) if unusual else []
        fields_of = dict(zip(unusual, parsed, strict=True)) if parsed is not None else None
        for position, spool in enumerate(usual):
            number = first + position
            if spool is None:
                leaf = leaves[position]
                fields = self._parse_one(leaf, number, file) if fields_of is None else fields_of[position]
                if fields is None or not self._are_sound(fields, number, file):
                    result.continuity.skip_leaves()
                    continue
                if fields["kind"] not in ("data", "empty"):
                    self._take_other(result, fields, number, file)
                    kinds[position] = OTHER
                    continue
                spool = from_fields(fields)
            if number == 0:
                self._findings.add_defect("leaf_key", file, leaf=0)
            kinds[position] = DATA if spool.segment is not None else OTHER
            self._take_spool_leaf(result, spool, number, hashes[position], file)
        result.kinds += kinds
        return hashes

    def _take_spool_leaf(self, result: RangeResult, spool: SpoolLeaf, number: int, leaf_hash: bytes, file: str) -> None:
        result.observations.add_spool_leaf(spool)
        chunk = result.continuity.add_leaf(number, leaf_hash, spool, file)
        if chunk is not None:
            result.retention.add_spool_leaf(number, spool)
            self._chunk_check.add(chunk)

    def _parse_one(self, leaf: bytes, number: int, file: str) -> dict[str, Any] | None:
        try:
            return parse_leaf(leaf)
        except ArchiveFormatError:
            self._findings.add_defect("leaf_format", file, leaf=number)
            return None

    def _are_sound(self, fields: dict[str, Any], number: int, file: str) -> bool:
        wrong = check_fields(fields, self._job.origin)
        if wrong is not None:
            self._findings.add_defect("leaf_fields", file, detail=wrong, leaf=number)
        return wrong is None

    def _take_other(self, result: RangeResult, fields: dict[str, Any], number: int, file: str) -> None:
        """A leaf of no stream."""
        kind = fields["kind"]
        if (kind == "key") != (number == 0):
            self._findings.add_defect("leaf_key", file, leaf=number)
        if kind == "key" and self._job.key_text is not None and fields["vkey"] != self._job.key_text:
            self._findings.add_defect("key_differs", KEY_FILE, leaf=number)
        result.observations.add_leaf(fields)
        result.retention.add_leaf(number, fields)
        if kind == "anchor" and self._anchor_reader is not None:
            anchor = self._anchor_reader.read(number, fields, file)
            if anchor is not None:
                result.anchors.append(anchor)
        elif kind == "successor":
            result.successors.append((number, fields))
        elif kind == "records":
            result.records_leaves.append(number)
            for root in fields["roots"]:
                result.roots.extend((number, root["leaf"], root["generation"]))
