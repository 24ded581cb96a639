"""A log with its index in this process: real sealer, real decoders without their worker process, real engine.

An embedded engine can open one path in the life of a process, so that every log here has its own database in it.
"""

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from small_log import SmallLog

from archive.addresses import parse_address
from archive.errors import ArchiveError
from archive.index.blocks import Block, LeafBlocks
from archive.index.carry_reader import CarryReader
from archive.index.carry_writer import CarryWriter
from archive.index.decoding import ChunkDecoder
from archive.index.engine import Engine
from archive.index.former_indexing import FormerIndexing
from archive.index.indexer import Indexer
from archive.index.logs import ArchiveLogs, LogIndex, former_paths
from archive.index.reindex import Reindex
from archive.index.settings import DecodingSettings
from archive.index.worker import LeafDecoder, WorkerLostError
from archive.key_source import KeySource
from archive.keys import load_keys
from archive.origin import create_log, default_paths
from archive.succession import KEY_CHANGED, begin_new_log
from deploy.decoders import make_chunk_decoder
from tests.clocks import ManualClock

_number = count(1)
FOR_EVER_SECONDS = 1e9
DEVICE = (parse_address("192.0.2.254"), 40_514)


@cache
def _engine_directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="phayan-index-")


class LocalWorker:
    """The decode worker's part in this process. `dies_at` is the leaf at which it is gone, once."""

    def __init__(self, segments: Path, decoder: ChunkDecoder) -> None:
        self.decoder = LeafDecoder(decoder, segments, Path(tempfile.mkdtemp(dir=_engine_directory().name)))
        self.dies_at: int | None = None
        self.replayed: list[int] = []
        self.imported: list[frozenset[str]] = []

    def submit(self, leaf_index: int, leaf: dict[str, Any]) -> Future[LeafBlocks]:
        if leaf_index == self.dies_at:
            return _settled(_die)
        return _settled(lambda: self.decoder.decode(leaf_index, leaf))

    def decode_places(self, leaf_index: int, leaf: dict[str, Any], records: list[tuple[int, int]]) -> Future[Any]:
        return _settled(lambda: self.decoder.decode_places(leaf_index, leaf, records))

    def replay(self, leaf_index: int, leaf: dict[str, Any], only: frozenset[str]) -> Future[None]:
        self.replayed.append(leaf_index)
        return _settled(lambda: self.decoder.replay(leaf_index, leaf, only))

    def import_state(self, items: list[dict[str, Any]], only: frozenset[str]) -> Future[None]:
        self.imported.append(only)
        # As they cross into the worker's process.
        return _settled(lambda: self.decoder.import_state(json.loads(json.dumps(items)), only))

    def fingerprint(self) -> Future[str]:
        return _settled(self.decoder.fingerprint)

    def close(self) -> None:
        pass


def _die() -> Any:
    raise WorkerLostError("the decode worker died")


def _settled(call: Callable[[], Any]) -> Future[Any]:
    """A call's result as that of another process: what it raises is raised where the result is taken."""
    future: Future[Any] = Future()
    try:
        future.set_result(call())
    except ArchiveError as error:
        future.set_exception(error)
    return future


class IndexedLog(SmallLog):
    """A small log whose index is fed by hand."""

    dsn: str
    engine: Engine
    logs: ArchiveLogs
    former: FormerIndexing
    indexer: Indexer
    worker: LocalWorker
    carries: bool = False
    carry_writer: CarryWriter | None = None
    decoding = DecodingSettings("Asia/Bangkok")
    make_decoder = staticmethod(make_chunk_decoder)

    @classmethod
    def make(
        cls,
        directory: Path,
        realms: tuple[tuple[str, str], ...] = (),
        listener_realms: tuple[tuple[str, str], ...] = (),
        *,
        carries: bool = False,
    ) -> "IndexedLog":
        """With `carries` the index process writes its own stream; `seal_carries` and `stop_indexer` seal it."""
        clock = ManualClock()
        paths = default_paths(directory / "data")
        origin = f"phayan.test/index-{next(_number)}"
        log = cls(paths, create_log(paths, origin, clock), clock)
        log.decoding = DecodingSettings("Asia/Bangkok", realms, listener_realms)
        log.carries = carries
        log.dsn = f"chdb://{_engine_directory().name}/index"
        log.engine = Engine(log.dsn, origin)
        log._sealer = log.sealer()
        log.start_indexer()
        return log

    def open_logs(self) -> ArchiveLogs:
        """This log's index and those of the logs before it, as the index process opens them."""
        former = [LogIndex(paths, Engine(self.dsn, paths.origin())) for paths in former_paths(self.paths)]
        reader = Engine(self.dsn, self.engine.origin, former=[one.origin for one in former]) if former else None
        return ArchiveLogs(LogIndex(self.paths, self.engine), former, reader)

    def index_former(self) -> FormerIndexing:
        used = self.decoding

        def make_worker(one: LogIndex) -> Any:
            return LocalWorker(one.paths.segments, self.make_decoder(used.zone, used.networks, used.listeners))

        return FormerIndexing(self.logs.former, lambda one: Indexer(one.paths, one.engine, lambda: make_worker(one)))

    def change_key(self) -> None:
        """The appliance stops, `phayan keys change` begins a new log, and the appliance starts again."""
        self.stop_indexer()
        for sealer in self.sealers:
            sealer.close()
        self.sealers.clear()
        origin = f"phayan.test/index-{next(_number)}"
        begin_new_log(self.paths, KeySource(self.paths.keys), origin, KEY_CHANGED, self.clock)
        self.keys = load_keys(self.paths.keys)
        self.engine = Engine(self.dsn, origin)
        self._sealer = self.sealer()
        self.start_indexer()

    def start_indexer(self) -> None:
        """A new index process over the same engine."""
        self.logs = self.open_logs()
        self.former = self.index_former()
        settings = self.decoding

        def make_worker() -> Any:
            self.worker = self.make_worker(settings)
            return self.worker

        reader = CarryReader(self.paths)
        if self.carries:
            self.carry_writer = CarryWriter(
                self.paths.spool, reader, self.clock, close_after_seconds=FOR_EVER_SECONDS, settings=settings
            )
        self.indexer = Indexer(
            self.paths,
            self.engine,
            make_worker,
            carries=reader,
            carry_writer=self.carry_writer,
            history=lambda: self.logs.reader if self.former.is_complete else None,
        )

    def make_worker(self, settings: DecodingSettings | None = None) -> Any:
        """One beside that of the indexer."""
        used = settings or self.decoding
        return LocalWorker(self.paths.segments, self.make_decoder(used.zone, used.networks, used.listeners))

    def stop_indexer(self) -> None:
        """The index process ends."""
        if self.carry_writer is not None:
            self.carry_writer.close()
            self._sealer.run_once()
            self.carry_writer = None

    def restart_indexer(self) -> None:
        self.stop_indexer()
        self.start_indexer()

    def seal_carries(self) -> None:
        """What the index process has written so far becomes leaves; it goes on."""
        assert self.carry_writer is not None
        writer = self.carry_writer._writer
        with writer._changed:
            writer._close_file()
            writer._open_file()
        self._sealer.run_once()

    def put(
        self,
        stream: str,
        *records: tuple[str, bytes],
        index: bool = True,
        source: Any = DEVICE,
        transport: str = "udp",
    ) -> int:
        """Receive records (listener, payload) as one spool file, seal it, index it, check the log. Returns its leaf."""
        self.receive(stream, *records, index=index, source=source, transport=transport)
        return self.check() - 1

    def receive(
        self, stream: str, *records: tuple[str, bytes], index: bool = True, source: Any = DEVICE, transport: str = "udp"
    ) -> None:
        """`put` without the check."""
        self.clock.advance(1)
        mark = self.paths.spool / stream / "durable"
        if mark.exists():
            # Its age says until when the writer before lived; by the clock of this log that is now.
            os.utime(mark, ns=(self.clock.unix_ns(), self.clock.unix_ns()))
        writer = self.writer(stream)
        for listener, payload in records:
            writer.append(payload, listener=listener, transport=transport, source=source)
        writer.close()
        self.writers.remove(writer)
        self._sealer.run_once()
        if index:
            self.index()

    def reindex(self, wrap: Callable[[Indexer], Indexer] = lambda one: one) -> Reindex:
        """A run, not begun, that rebuilds the index with the decoders of now; `wrap` is put around its indexer."""
        live = self.indexer

        def make_indexer(shadow: Engine) -> Indexer:
            engine, carries, writer = self.engine, self.carries, self.carry_writer
            self.engine, self.carries, self.carry_writer = shadow, False, None
            try:
                self.start_indexer()
                return wrap(self.indexer)
            finally:
                self.engine, self.carries, self.carry_writer, self.indexer = engine, carries, writer, live

        return Reindex(self.engine, live, threading.Lock(), make_indexer)

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
        if self.carry_writer is not None:
            self.carry_writer.close()
        for writer in self.writers:
            writer.close()
        for sealer in self.sealers:
            sealer.close()
