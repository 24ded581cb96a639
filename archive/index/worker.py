"""The decode worker: one process that reads sealed chunks and decodes them, so that a bad decoder cannot take the
engine or the ask service down with it."""

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from archive.chunk import decode_chunk
from archive.errors import ArchiveError
from archive.index.decoding import ChunkDecoder, DecodedLeaf
from archive.leaf import StoredChunk
from archive.segment import read_stored_chunk

_decoder: ChunkDecoder | None = None


class WorkerLostError(ArchiveError):
    """The decode worker died; its state is gone and must be rebuilt."""

    code = "decode_worker_lost"


def stored_chunk(leaf: dict[str, Any]) -> StoredChunk:
    """The chunk a data leaf names."""
    return StoredChunk(leaf["segment"], leaf["offset"], leaf["length"], leaf["sha256"])


def _start(factory: Callable[..., ChunkDecoder], arguments: tuple[Any, ...]) -> None:
    global _decoder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _decoder = factory(*arguments)


def _decode(segments: Path, leaf_index: int, leaf: dict[str, Any], discard: bool) -> DecodedLeaf:
    if _decoder is None:
        raise ArchiveError("decode worker was not started")
    decoded = _decoder.decode(leaf_index, decode_chunk(read_stored_chunk(segments, stored_chunk(leaf))))
    if discard:
        decoded.tables = {}
    return decoded


class DecodeWorker:
    """One decode process. `factory(*arguments)` must be importable there."""

    def __init__(self, segments: Path, factory: Callable[..., ChunkDecoder], *arguments: Any) -> None:
        self._segments = segments
        self._pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_start, initargs=(factory, arguments)
        )

    def decode(self, leaf_index: int, leaf: dict[str, Any], *, discard: bool = False) -> DecodedLeaf:
        """Decode the chunk of a data leaf; with `discard` only the state moves on."""
        try:
            return self._pool.submit(_decode, self._segments, leaf_index, leaf, discard).result()
        except BrokenProcessPool as error:
            raise WorkerLostError("the decode worker died") from error

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
