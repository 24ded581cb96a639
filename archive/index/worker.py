"""The decode worker: one process that reads sealed chunks and decodes them, so that a bad decoder cannot take the
engine or the ask service down with it."""

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from archive.chunk import decode_chunk
from archive.durable import make_directory
from archive.errors import ArchiveError, ArchiveIntegrityError
from archive.index.blocks import LeafBlocks, missing_blocks, write_blocks
from archive.index.decoding import ChunkDecoder
from archive.leaf import StoredChunk
from archive.origin import ArchivePaths
from archive.segment import read_stored_chunk
from archive.unit_report import report_units

_decoder: "LeafDecoder | None" = None
T = TypeVar("T")


class WorkerLostError(ArchiveError):
    """The decode worker died; its state is gone and must be rebuilt."""

    code = "decode_worker_lost"


def stored_chunk(leaf: dict[str, Any]) -> StoredChunk:
    """The chunk a data leaf names."""
    return StoredChunk(leaf["segment"], leaf["offset"], leaf["length"], leaf["sha256"])


class LeafDecoder:
    """What the worker does: reads the chunks of leaves below `segments` and hands rows over in files of `scratch`, and
    where the units of their records lie in files of `units`, if that is given."""

    def __init__(self, decoder: ChunkDecoder, segments: Path, scratch: Path, units: Path | None = None) -> None:
        self._decoder, self._segments, self._scratch, self._units = decoder, segments, scratch, units

    def decode(self, leaf_index: int, leaf: dict[str, Any]) -> LeafBlocks:
        """The rows of a data leaf. A segment that is not there any more has none; one that was changed is an error."""
        try:
            decoded = self._decoder.decode(leaf_index, self._chunk(leaf))
        except ArchiveIntegrityError as error:
            if error.code != "segment_missing":
                raise
            return missing_blocks(leaf)
        try:
            if self._units is not None:
                report_units(self._units, leaf_index, decoded.units)
            return write_blocks(decoded, leaf_index, self._scratch)
        except OSError as error:
            raise ArchiveError(f"decoded rows cannot be written to {self._scratch}: {error.strerror}") from error

    def decode_places(
        self, leaf_index: int, leaf: dict[str, Any], records: list[tuple[int, int]]
    ) -> dict[str, pa.Table]:
        """The rows that a data leaf tells of `records` (leaf and row), by table, with the column `place`: the offset in
        the record of the unit that each was read from."""
        decoded = self._decoder.decode(leaf_index, self._chunk(leaf))
        return {
            table: pa.concat_tables(parts)
            for table, rows in decoded.tables.items()
            if (parts := [_of_records(*both, records) for both in zip(rows, decoded.places[table], strict=True)])
        }

    def replay(self, leaf_index: int, leaf: dict[str, Any], only: frozenset[str]) -> None:
        """Move the state of the kinds `only` on by a data leaf."""
        self._decoder.replay(leaf_index, self._chunk(leaf), only)

    def import_state(self, items: list[dict[str, Any]], only: frozenset[str]) -> None:
        """Go on from the items of a carry, for the kinds `only`."""
        self._decoder.import_state(items, only)

    def fingerprint(self) -> str:
        """Of what decodes here."""
        return self._decoder.fingerprint

    def _chunk(self, leaf: dict[str, Any]) -> pa.Table:
        return decode_chunk(read_stored_chunk(self._segments, stored_chunk(leaf)))


def _of_records(rows: pa.Table, places: np.ndarray, records: list[tuple[int, int]]) -> pa.Table:
    numbers = [rows.column(name).to_numpy().astype(np.uint64) for name in ("leaf_index", "row")]
    keys = (numbers[0] << np.uint64(32)) | numbers[1]
    wanted = np.array([(leaf << 32) | row for leaf, row in records], np.uint64)
    chosen = np.flatnonzero(np.isin(keys, wanted))
    return rows.take(chosen).append_column("place", pa.array(places[chosen], pa.uint32()))


def _start(
    factory: Callable[..., ChunkDecoder],
    arguments: tuple[Any, ...],
    segments: Path,
    scratch: Path,
    units: Path | None,
) -> None:
    global _decoder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _decoder = LeafDecoder(factory(*arguments), segments, scratch, units)


def _call(method: str, *arguments: Any) -> Any:
    return getattr(_decoder, method)(*arguments)


class DecodeWorker:
    """One decode process. `factory(*arguments)` must be importable there. It works in the order of the calls.

    The results raise WorkerLostError or ArchiveError (`wait_result`). With `scratch`, a folder of `run`, it works
    beside another one; `run` is by default that of `paths`.
    """

    def __init__(
        self,
        paths: ArchivePaths,
        factory: Callable[..., ChunkDecoder],
        *arguments: Any,
        scratch: str = "index",
        has_units: bool = True,
        run: Path | None = None,
    ) -> None:
        scratch_folder = (run or paths.run) / scratch
        make_directory(scratch_folder)
        for left in scratch_folder.glob("*.arrow"):
            left.unlink(missing_ok=True)
        self._pool = ProcessPoolExecutor(
            1,
            multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(factory, arguments, paths.segments, scratch_folder, paths.inbox / "units" if has_units else None),
        )

    def submit(self, leaf_index: int, leaf: dict[str, Any]) -> "Future[LeafBlocks]":
        """`LeafDecoder.decode` there."""
        return self._submit("decode", leaf_index, leaf)

    def decode_places(
        self, leaf_index: int, leaf: dict[str, Any], records: list[tuple[int, int]]
    ) -> "Future[dict[str, pa.Table]]":
        """`LeafDecoder.decode_places` there."""
        return self._submit("decode_places", leaf_index, leaf, records)

    def replay(self, leaf_index: int, leaf: dict[str, Any], only: frozenset[str]) -> "Future[None]":
        """`LeafDecoder.replay` there."""
        return self._submit("replay", leaf_index, leaf, only)

    def import_state(self, items: list[dict[str, Any]], only: frozenset[str]) -> "Future[None]":
        """`LeafDecoder.import_state` there."""
        return self._submit("import_state", items, only)

    def fingerprint(self) -> "Future[str]":
        """`LeafDecoder.fingerprint` there."""
        return self._submit("fingerprint")

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, method: str, *arguments: Any) -> "Future[Any]":
        try:
            return self._pool.submit(_call, method, *arguments)
        except BrokenProcessPool as error:
            raise WorkerLostError("the decode worker died") from error


def wait_result(future: "Future[T]") -> T:
    """The result of a worker's call. Raises WorkerLostError when the process died, ArchiveError as the call did."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise WorkerLostError("the decode worker died") from error
