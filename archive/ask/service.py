"""The index process: owner of the embedded engine, indexer, and the only door to the data."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from archive.alarms import Condition
from archive.anchor.check import AnchorTrust
from archive.ask.alarm_book import AlarmBook
from archive.ask.audit import Auditor
from archive.ask.case_desk import CaseDesk
from archive.ask.handlers import Desk, make_handlers
from archive.ask.held_choice import HeldChoice
from archive.ask.index_check import IndexCheckDesk
from archive.ask.operators import OperatorStore
from archive.ask.packages import PackageDesk
from archive.ask.reindexing import ReindexDesk
from archive.ask.retention_desk import RetentionDesk
from archive.ask.status import StatusReader
from archive.ask.storage_desk import StorageDesk
from archive.cases.book import CaseBook
from archive.cases.events import STREAM as CASES_STREAM
from archive.cases.register import Hold
from archive.clock import Clock, SystemClock
from archive.errors import ArchiveError, AskError
from archive.index.carry_reader import CarryReader
from archive.index.carry_writer import CarryWriter
from archive.index.decoding import ChunkDecoder
from archive.index.dropped import dropped_days
from archive.index.engine import Engine
from archive.index.former_indexing import FormerIndexing
from archive.index.indexer import Indexer
from archive.index.logs import LogIndex, open_logs
from archive.index.row_places import RowPlaces
from archive.index.self_check import SelfCheck
from archive.index.settings import DecodingSettings
from archive.index.worker import DecodeWorker
from archive.local_rpc import LocalServer
from archive.origin import ArchivePaths
from archive.package.builder import PackageSources
from archive.package.decode_again import DecodeProcess
from archive.run_report import write_run_report
from archive.spool import SpoolWriter
from archive.storage.levels import DEFAULT_RESERVE_BYTES
from archive.storage.watch import StorageWatch

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
    reserve_bytes: int = DEFAULT_RESERVE_BYTES
    one_person: bool = False
    trust: AnchorTrust = field(default_factory=AnchorTrust)


def run_ask(settings: AskSettings, stop: threading.Event) -> None:
    """Serve and index until `stop`. Raises ArchiveError when the engine cannot be opened."""
    clock = SystemClock()
    paths = settings.paths
    writer = SpoolWriter(paths.spool, "audit", close_after_seconds=settings.close_after_seconds)
    cases_writer = SpoolWriter(paths.spool, CASES_STREAM, close_after_seconds=settings.close_after_seconds)
    book = CaseBook(paths.directory / "cases", cases_writer, clock, settings.zone)
    cases = CaseDesk(book, clock, settings.zone, one_person=settings.one_person)
    logs = open_logs(settings.dsn, paths)
    cases.complete_from(logs.reader)
    try:
        cases.state_mode()
    except AskError as error:
        # Nothing may keep the service from starting; the next start states it.
        log.warning("the mode of cases is not recorded: %s", error)
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
    watch = StorageWatch(paths.directory, settings.reserve_bytes, clock)
    storage = StorageDesk(
        paths, engine, watch, writer, clock, settings.retention_days, is_busy=lambda: reindexing.is_running
    )
    status = StatusReader(paths, engine, indexer, clock, settings.zone, storage, reader=logs.reader, former=former)
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
    retention = RetentionDesk(
        paths,
        indexer,
        HeldChoice(
            paths,
            engine,
            logs.reader,
            RowPlaces(paths, engine, lambda: DecodeWorker(paths, *arguments, scratch="retention", has_units=False)),
        ),
        lambda at: _holds_in_force(cases, logs.reader, at),
        auditor,
        clock,
        settings.retention_days,
        settings.zone,
        lambda: dropped_days(engine),
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
        packages=PackageDesk(
            PackageSources(paths, logs, decoding, lambda: DecodeProcess(*arguments), settings.trust),
            auditor,
            cases,
            clock,
            settings.zone,
            settings.site_name,
            settings.software,
        ),
        cases=cases,
        retention=retention,
        one_person=settings.one_person,
    )
    server = LocalServer(
        paths.run / "ask.sock",
        make_handlers(desk),
        on_failure=lambda op, error: log.exception("request %s failed", op, exc_info=error),
    )
    server.start()
    threading.Thread(
        target=_watch,
        args=(status, alarms, cases, storage, retention, logs.reader, clock, stop),
        name="alarms",
        daemon=True,
    ).start()
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
        retention.stop()
        index_check.stop()
        server.shutdown()
        reindexing.stop()
        former.close()
        indexer.close()
        carry_writer.close()
        cases_writer.close()
        writer.close()


def _holds_in_force(cases: CaseDesk, reader: Engine, at_unix_ns: int) -> list[Hold]:
    """Of all that is indexed: a working copy that was lost is completed first."""
    cases.complete_from(reader)
    return cases.holds_in_force(at_unix_ns)


def _watch(
    status: StatusReader,
    alarms: AlarmBook,
    cases: CaseDesk,
    storage: StorageDesk,
    retention: RetentionDesk,
    reader: Engine,
    clock: Clock,
    stop: threading.Event,
) -> None:
    started = time.monotonic()
    while not stop.wait(ALARM_SECONDS):
        try:
            cases.complete_from(reader)
            storage.tick()
            conditions: list[Condition] = [*status.conditions(), *cases.conditions(clock.unix_ns())]
            conditions += retention.conditions()
            if time.monotonic() - started > 3 * ALARM_SECONDS:
                alarms.update(conditions)
        except Exception:
            # Whatever it is, the alarms of the next turn are still wanted.
            log.exception("alarms cannot be brought up to date")
