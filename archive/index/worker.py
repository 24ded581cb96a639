"""The decode worker: one process that reads sealed chunks and decodes them, so that a bad decoder cannot take the
engine or the ask service down with it."""

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

from archive.chunk import decode_chunk
from archive.durable import make_directory
from archive.errors import ArchiveError
from archive.index.blocks import LeafBlocks, write_blocks
from archive.index.decoding import ChunkDecoder
from archive.leaf import StoredChunk
from archive.origin import ArchivePaths
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


def _decode(task: "_Task", leaf_index: int, leaf: dict[str, Any], discard: bool) -> LeafBlocks:
    if _decoder is None:
        raise ArchiveError("decode worker was not started")
    decoded = _decoder.decode(leaf_index, decode_chunk(read_stored_chunk(task.segments, stored_chunk(leaf))))
    if discard:
        decoded.tables = {}
    try:
        return write_blocks(decoded, leaf_index, task.log, task.scratch)
    except OSError as error:
        raise ArchiveError(f"decoded rows cannot be written to {task.scratch}: {error.strerror}") from error


class _Task(NamedTuple):
    """Where segments are read, whose log they are, and where rows are handed over."""

    segments: Path
    log: str
    scratch: Path


class DecodeWorker:
    """One decode process. `factory(*arguments)` must be importable there. Leaves are decoded in the order submitted."""

    def __init__(self, paths: ArchivePaths, log: str, factory: Callable[..., ChunkDecoder], *arguments: Any) -> None:
        self._task = _Task(paths.segments, log, paths.run / "index")
        make_directory(self._task.scratch)
        for left in self._task.scratch.glob("*.arrow"):
            left.unlink(missing_ok=True)
        self._pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_start, initargs=(factory, arguments)
        )

    def submit(self, leaf_index: int, leaf: dict[str, Any], *, discard: bool = False) -> "Future[LeafBlocks]":
        """Decode the chunk of a data leaf; with `discard` only the state moves on.

        The result raises WorkerLostError or ArchiveError (`wait_blocks`).
        """
        try:
            return self._pool.submit(_decode, self._task, leaf_index, leaf, discard)
        except BrokenProcessPool as error:
            raise WorkerLostError("the decode worker died") from error

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def wait_blocks(future: "Future[LeafBlocks]") -> LeafBlocks:
    """The result of `submit`. Raises WorkerLostError when the process died, ArchiveError as decoding did."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise WorkerLostError("the decode worker died") from error
