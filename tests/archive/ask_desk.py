"""The ask service's requests over a log with its index, without its process."""

import json
import os
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

from indexed_log import IndexedLog

from archive.ask.alarm_book import AlarmBook
from archive.ask.audit import Auditor
from archive.ask.handlers import Desk, make_handlers
from archive.ask.index_check import IndexCheckDesk
from archive.ask.operators import OperatorStore
from archive.ask.packages import PackageDesk
from archive.ask.reindexing import ReindexDesk
from archive.ask.status import StatusReader
from archive.index.self_check import SelfCheck
from archive.local_rpc import Peer
from archive.spool_format import RECORD_FRAMES, decode_batch, iterate_frames

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
        self.desk = Desk(
            paths=log.paths,
            logs=log.logs,
            former=log.former,
            indexer=log.indexer,
            auditor=auditor,
            operators=self.operators,
            alarms=AlarmBook(self.audit_writer, reader, log.clock),
            status=StatusReader(log.paths, log.engine, log.indexer, log.clock, ZONE, reader=reader, former=log.former),
            clock=log.clock,
            zone=ZONE,
            retention_days=90,
            demo=False,
            timers_socket=log.paths.run / "timers.sock",
            reindexing=reindexing,
            index_check=IndexCheckDesk(
                SelfCheck(log.paths, log.engine, log.indexer, hold, log.make_worker), reindexing
            ),
            packages=PackageDesk(log.paths, log.engine, auditor, log.clock, ZONE, "Office", "phayan"),
        )
        self.handlers = make_handlers(self.desk)

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
