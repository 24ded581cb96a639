"""The ask service's requests over a log with its index, without its process."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from indexed_log import IndexedLog
from storage_of import storage_of

from archive.ask.alarm_book import AlarmBook
from archive.ask.audit import Auditor
from archive.ask.case_desk import CaseDesk
from archive.ask.handlers import Desk, make_handlers
from archive.ask.held_choice import HeldChoice
from archive.ask.index_check import IndexCheckDesk
from archive.ask.operators import OperatorStore
from archive.ask.packages import CaseDesk as PackageCases
from archive.ask.packages import PackageDesk
from archive.ask.reindexing import ReindexDesk
from archive.ask.retention_desk import RetentionDesk
from archive.ask.status import StatusReader
from archive.cases.book import CaseBook
from archive.index.row_places import RowPlaces
from archive.index.self_check import SelfCheck
from archive.local_rpc import Peer
from archive.package.builder import PackageSources
from archive.package.decode_again import Decode, decode_with
from archive.spool_format import RECORD_FRAMES, decode_batch, iterate_frames
from deploy.decoders import make_chunk_decoder

ZONE = "Asia/Bangkok"
CONSOLE = Peer(os.getpid(), os.getuid(), os.getgid())
STRANGER = Peer(1, 4_000_000, 4_000_000)


class AskDesk:
    """`ask(op, **arguments)` as the local user, `ask_as(peer, op, ...)` as anybody."""

    def __init__(self, directory: Path, *, carries: bool = False) -> None:
        self.open(IndexedLog.make(directory, carries=carries))

    def open(self, log: IndexedLog) -> None:
        """The service begins over a log and those before it."""
        self.log = log
        self.audit_writer = log.writer("audit")
        self.operators = OperatorStore(log.paths.directory / "operators", log.clock)
        auditor = Auditor(self.audit_writer, self.operators, log.clock, frozenset({os.getuid()}))
        hold = threading.Lock()
        reader = log.logs.reader
        reindexing = ReindexDesk(log.engine, log.indexer, hold, lambda shadow: log.indexer, auditor)
        cases = self.open_cases()
        self.desk = Desk(
            paths=log.paths,
            logs=log.logs,
            former=log.former,
            indexer=log.indexer,
            auditor=auditor,
            operators=self.operators,
            alarms=AlarmBook(self.audit_writer, reader, log.clock),
            status=StatusReader(
                log.paths,
                log.engine,
                log.indexer,
                log.clock,
                ZONE,
                storage_of(log, writer=self.audit_writer),
                reader=reader,
                former=log.former,
            ),
            clock=log.clock,
            zone=ZONE,
            retention_days=90,
            demo=False,
            timers_socket=log.paths.run / "timers.sock",
            reindexing=reindexing,
            index_check=IndexCheckDesk(
                SelfCheck(log.paths, log.engine, log.indexer, hold, log.make_worker), reindexing
            ),
            packages=self.open_packages(auditor, cases),
            cases=cases,
            retention=self.open_retention(auditor),
        )
        self.handlers = make_handlers(self.desk)

    def open_retention(self, auditor: Auditor) -> RetentionDesk:
        """With no hold in force."""
        log = self.log
        choice = HeldChoice(log.paths, log.engine, log.logs.reader, RowPlaces(log.paths, log.engine, log.make_worker))
        return RetentionDesk(log.paths, log.indexer, choice, lambda at: [], auditor, log.clock, 90, ZONE)

    def open_packages(self, auditor: Auditor, cases: PackageCases) -> PackageDesk:
        """Packages under any desk of cases."""
        used = self.log.decoding

        @contextmanager
        def decoding() -> Iterator[Decode]:
            yield lambda request: decode_with(make_chunk_decoder(used.zone, used.networks, used.listeners), request)

        sources = PackageSources(self.log.paths, self.log.logs, used, decoding)
        return PackageDesk(sources, auditor, cases, self.log.clock, ZONE, "Office", "phayan")

    def open_cases(self) -> CaseDesk:
        """The register, over the stream `cases` of the log."""
        self.cases_writer = self.log.writer("cases")
        self.book = CaseBook(self.log.paths.directory / "cases", self.cases_writer, self.log.clock, ZONE)
        return CaseDesk(self.book, self.log.clock, ZONE, one_person=False)

    def ask(self, op: str, **arguments: Any) -> Any:
        return self.ask_as(CONSOLE, op, **arguments)

    def ask_as(self, peer: Peer, op: str, **arguments: Any) -> Any:
        return self.handlers[op](peer, arguments)

    def audit(self) -> list[dict[str, Any]]:
        """Audit records that are received: what the spool holds durably, sealed or not."""
        found = []
        for path in sorted((self.log.paths.spool / "audit").glob("*[0-9].*")):
            for frame in iterate_frames(path.read_bytes()):
                if frame.magic in RECORD_FRAMES and (batch := decode_batch(frame)).listener == "audit":
                    ends = batch.payload_lengths.cumsum().tolist()
                    found += [json.loads(bytes(batch.payload[a:b])) for a, b in pairwise([0, *ends])]
        return found

    def close(self) -> None:
        self.operators._database.close()
        self.log.close()
