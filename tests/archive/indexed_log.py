"""A log with its index in this process: real sealer, real decoders without their worker process, real engine.

An embedded engine can open one path in the life of a process, so that every log here has its own database in it.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from small_log import SmallLog

from archive.addresses import parse_address
from archive.chunk import decode_chunk
from archive.index.blocks import Block, LeafBlocks, write_blocks
from archive.index.decoding import ChunkDecoder
from archive.index.engine import Engine
from archive.index.indexer import Indexer
from archive.index.worker import WorkerLostError, stored_chunk
from archive.origin import create_log, default_paths
from archive.segment import read_stored_chunk
from deploy.decoders import make_chunk_decoder
from tests.clocks import ManualClock

_number = count(1)
DEVICE = (parse_address("192.0.2.254"), 40_514)


@cache
def _engine_directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="phayan-index-")


class LocalWorker:
    """The decode worker's part in this process. `dies_at` is the leaf at which it is gone, once."""

    def __init__(self, segments: Path, log: str, decoder: ChunkDecoder) -> None:
        self._segments, self._log, self._decoder = segments, log, decoder
        self._scratch = Path(tempfile.mkdtemp(dir=_engine_directory().name))
        self.dies_at: int | None = None
        self.replayed: list[int] = []

    def submit(self, leaf_index: int, leaf: dict[str, Any], *, discard: bool = False) -> Future[LeafBlocks]:
        future: Future[LeafBlocks] = Future()
        if leaf_index == self.dies_at:
            future.set_exception(WorkerLostError("the decode worker died"))
            return future
        decoded = self._decoder.decode(leaf_index, decode_chunk(read_stored_chunk(self._segments, stored_chunk(leaf))))
        if discard:
            self.replayed.append(leaf_index)
            decoded.tables = {}
        future.set_result(write_blocks(decoded, leaf_index, self._log, self._scratch))
        return future

    def close(self) -> None:
        pass


class IndexedLog(SmallLog):
    """A small log whose index is fed by hand."""

    engine: Engine
    indexer: Indexer
    worker: LocalWorker

    @classmethod
    def make(
        cls,
        directory: Path,
        realms: tuple[tuple[str, str], ...] = (),
        listener_realms: tuple[tuple[str, str], ...] = (),
    ) -> "IndexedLog":
        clock = ManualClock()
        paths = default_paths(directory / "data")
        origin = f"phayan.test/index-{next(_number)}"
        log = cls(paths, create_log(paths, origin, clock), clock)
        log._realms = realms, listener_realms
        log.engine = Engine(f"chdb://{_engine_directory().name}/index", origin)
        log._sealer = log.sealer()
        log.start_indexer()
        return log

    def start_indexer(self) -> None:
        """A new index process over the same engine."""

        def make_worker() -> Any:
            decoder = make_chunk_decoder("Asia/Bangkok", *self._realms)
            self.worker = LocalWorker(self.paths.segments, self.engine.origin, decoder)
            return self.worker

        self.indexer = Indexer(self.paths, self.engine, make_worker)

    def put(self, stream: str, *records: tuple[str, bytes], index: bool = True, source: Any = DEVICE) -> int:
        """Receive records (listener, payload) as one spool file, seal it and index it. Returns its leaf."""
        self.clock.advance(1)
        mark = self.paths.spool / stream / "durable"
        if mark.exists():
            # Its age says until when the writer before lived; by the clock of this log that is now.
            os.utime(mark, ns=(self.clock.unix_ns(), self.clock.unix_ns()))
        writer = self.writer(stream)
        for listener, payload in records:
            writer.append(payload, listener=listener, transport="udp", source=source)
        writer.close()
        self.writers.remove(writer)
        self._sealer.run_once()
        if index:
            self.index()
        return self.check() - 1

    def index(self) -> int:
        done = 0
        while more := self.indexer.run_once():
            done += more
        return done

    @contextmanager
    def inserting(self, before: Callable[[str, str], None], after: Callable[[str, str], None]) -> Iterator[None]:
        """Within it, each insert is framed by `before(table, token)` and `after(table, token)`, which may raise."""
        engine = self.engine
        insert, insert_block = engine.insert, engine.insert_block

        def watched(table: str, rows: Any, token: str) -> None:
            before(table, token)
            insert(table, rows, token)
            after(table, token)

        def watched_block(block: Block, token: str) -> None:
            before(block.table, token)
            insert_block(block, token)
            after(block.table, token)

        engine.insert, engine.insert_block = watched, watched_block
        try:
            yield
        finally:
            engine.insert, engine.insert_block = insert, insert_block

    def rows(self, table: str, columns: str = "*", where: str = "1") -> list[dict[str, Any]]:
        order = "leaf_index" if table == "leaves" else "leaf_index, row"
        return self.engine.query(f"SELECT {columns} FROM {{db}}.{table} WHERE {where} ORDER BY {order}")

    def close(self) -> None:
        for writer in self.writers:
            writer.close()
        for sealer in self.sealers:
            sealer.close()
