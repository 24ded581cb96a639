"""A log with its index in this process: real sealer, real decoders without their worker process, real engine.

An embedded engine can open one path in the life of a process, so that every log here has its own database in it.
"""

import os
import tempfile
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from small_log import SmallLog

from archive.addresses import parse_address
from archive.chunk import decode_chunk
from archive.index.decoding import ChunkDecoder, DecodedLeaf
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

    def __init__(self, segments: Path, decoder: ChunkDecoder) -> None:
        self._segments, self._decoder = segments, decoder
        self.dies_at: int | None = None
        self.replayed: list[int] = []

    def decode(self, leaf_index: int, leaf: dict[str, Any], *, discard: bool = False) -> DecodedLeaf:
        if leaf_index == self.dies_at:
            raise WorkerLostError("the decode worker died")
        decoded = self._decoder.decode(leaf_index, decode_chunk(read_stored_chunk(self._segments, stored_chunk(leaf))))
        if discard:
            self.replayed.append(leaf_index)
            decoded.tables = {}
        return decoded

    def close(self) -> None:
        pass


class IndexedLog(SmallLog):
    """A small log whose index is fed by hand."""

    engine: Engine
    indexer: Indexer
    worker: LocalWorker

    @classmethod
    def make(cls, directory: Path, realms: tuple[tuple[str, str], ...] = ()) -> "IndexedLog":
        clock = ManualClock()
        paths = default_paths(directory / "data")
        origin = f"phayan.test/index-{next(_number)}"
        log = cls(paths, create_log(paths, origin, clock), clock)
        log._realms = realms
        log.engine = Engine(f"chdb://{_engine_directory().name}/index", origin)
        log._sealer = log.sealer()
        log.start_indexer()
        return log

    def start_indexer(self) -> None:
        """A new index process over the same engine."""

        def make_worker() -> Any:
            self.worker = LocalWorker(self.paths.segments, make_chunk_decoder("Asia/Bangkok", self._realms))
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

    def rows(self, table: str, columns: str = "*", where: str = "1") -> list[dict[str, Any]]:
        order = "leaf_index" if table == "leaves" else "leaf_index, row"
        return self.engine.query(f"SELECT {columns} FROM {{db}}.{table} WHERE {where} ORDER BY {order}")

    def close(self) -> None:
        for writer in self.writers:
            writer.close()
        for sealer in self.sealers:
            sealer.close()
