"""The index process: owner of the embedded engine, indexer, and the only door to the data."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from archive.alarms import Condition
from archive.ask.alarm_book import AlarmBook
from archive.ask.audit import Auditor
from archive.ask.handlers import Desk, make_handlers
from archive.ask.index_check import IndexCheckDesk
from archive.ask.operators import OperatorStore
from archive.ask.packages import PackageDesk
from archive.ask.reindexing import ReindexDesk
from archive.ask.status import StatusReader
from archive.clock import SystemClock
from archive.errors import ArchiveError
from archive.index.carry_reader import CarryReader
from archive.index.carry_writer import CarryWriter
from archive.index.decoding import ChunkDecoder
from archive.index.former_indexing import FormerIndexing
from archive.index.indexer import Indexer
from archive.index.logs import LogIndex, open_logs
from archive.index.self_check import SelfCheck
from archive.index.settings import DecodingSettings
from archive.index.worker import DecodeWorker
from archive.local_rpc import LocalServer
from archive.origin import ArchivePaths
from archive.run_report import write_run_report
from archive.spool import SpoolWriter

POLL_SECONDS = 0.5
"""How often the head is looked at; sealed-to-searchable is at most this plus one insert."""
ALARM_SECONDS = 5.0
RETRY_SECONDS = 2.0
"""After a failure of engine or worker: long enough not to spin, short against the alarm threshold."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AskSettings:
    """`decoder_factory(zone, networks, listeners)`, of `decoding`, must be importable in the decode worker."""

    paths: ArchivePaths
    dsn: str
    zone: str
    retention_days: int
    demo: bool
    site_name: str
    software: str
    close_after_seconds: float
    decoder_factory: Callable[..., ChunkDecoder]
    decoding: DecodingSettings


def run_ask(settings: AskSettings, stop: threading.Event) -> None:
    """Serve and index until `stop`. Raises ArchiveError when the engine cannot be opened."""
    clock = SystemClock()
    paths = settings.paths
    writer = SpoolWriter(paths.spool, "audit", close_after_seconds=settings.close_after_seconds)
    logs = open_logs(settings.dsn, paths)
    engine = logs.newest.engine
    operators = OperatorStore(paths.directory / "operators", clock)
    carries = CarryReader(paths)
    carry_writer = CarryWriter(
        paths.spool, carries, clock, close_after_seconds=settings.close_after_seconds, settings=settings.decoding
    )
    decoding = settings.decoding
    arguments = settings.decoder_factory, decoding.zone, decoding.networks, decoding.listeners

    def index_former(log: LogIndex) -> Indexer:
        return Indexer(
            log.paths,
            log.engine,
            lambda: DecodeWorker(log.paths, *arguments, scratch="former", has_units=False, run=paths.run),
        )

    former = FormerIndexing(logs.former, index_former)
    indexer = Indexer(
        paths,
        engine,
        lambda: DecodeWorker(paths, *arguments),
        carries=carries,
        carry_writer=carry_writer,
        history=lambda: logs.reader if former.is_complete else None,
    )
    hold = threading.Lock()
    status = StatusReader(paths, engine, indexer, clock, settings.zone, reader=logs.reader, former=former)
    alarms = AlarmBook(writer, logs.reader, clock)
    auditor = Auditor(writer, operators, clock, frozenset({os.getuid(), 0}))
    reindexing = ReindexDesk(
        engine,
        indexer,
        hold,
        lambda shadow: Indexer(paths, shadow, lambda: DecodeWorker(paths, *arguments, scratch="reindex")),
        auditor,
    )
    index_check = IndexCheckDesk(
        SelfCheck(
            paths,
            engine,
            indexer,
            hold,
            lambda: DecodeWorker(paths, *arguments, scratch="index-check", has_units=False),
        ),
        reindexing,
    )
    desk = Desk(
        paths=paths,
        logs=logs,
        former=former,
        indexer=indexer,
        auditor=auditor,
        operators=operators,
        alarms=alarms,
        status=status,
        clock=clock,
        zone=settings.zone,
        retention_days=settings.retention_days,
        demo=settings.demo,
        timers_socket=paths.run / "timers.sock",
        reindexing=reindexing,
        index_check=index_check,
        packages=PackageDesk(paths, engine, auditor, clock, settings.zone, settings.site_name, settings.software),
    )
    server = LocalServer(
        paths.run / "ask.sock",
        make_handlers(desk),
        on_failure=lambda op, error: log.exception("request %s failed", op, exc_info=error),
    )
    server.start()
    threading.Thread(target=_watch, args=(status, alarms, stop), name="alarms", daemon=True).start()
    try:
        while not stop.is_set():
            try:
                with hold:
                    worked = indexer.run_once()
            except (ArchiveError, OSError) as error:
                log.warning("indexing stopped at leaf %d: %s", indexer.next_leaf, error)
                stop.wait(RETRY_SECONDS)
                continue
            write_run_report(paths.run, "ask", {"next_leaf": indexer.next_leaf, "sealed_size": indexer.sealed_size})
            if not former.run_once() and not worked:
                stop.wait(POLL_SECONDS)
    finally:
        index_check.stop()
        server.shutdown()
        reindexing.stop()
        former.close()
        indexer.close()
        carry_writer.close()
        writer.close()


def _watch(status: StatusReader, alarms: AlarmBook, stop: threading.Event) -> None:
    started = time.monotonic()
    while not stop.wait(ALARM_SECONDS):
        try:
            conditions: list[Condition] = status.conditions()
            if time.monotonic() - started > 3 * ALARM_SECONDS:
                alarms.update(conditions)
        except Exception:
            # Whatever it is, the alarms of the next turn are still wanted.
            log.exception("alarms cannot be brought up to date")
