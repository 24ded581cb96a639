"""Scheduled verification: quick every hour, full at night. Its result is a sealed record in the stream `system`."""

import logging
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from archive.clock import Clock
from archive.errors import ArchiveStateError, AskError
from archive.event_record import encode_event
from archive.local_rpc import call_local
from archive.spool import SpoolWriter
from archive.verify.run import verify_archive
from deploy.layout import Appliance
from deploy.verify_trust import verifier_trust

SHOWN_DEFECTS = 10
"""Defects written into the record; `phayan verify` prints all."""
VERDICTS = {0: "intact", 1: "defect", 2: "could_not_run"}
INDEX_CHECK_SECONDS = 3_600.0
"""How long the index process may take to compare itself with the journal."""
FRESHNESS_CODES = ("anchored_by", "anchored", "freshness_unproven", "freshness_not_judged")
"""Statements of the verifier that say up to where somebody outside has seen the log."""
INDEX_NOT_CHECKED = "not checked"

log = logging.getLogger(__name__)


@dataclass
class VerifyTimer:
    """Runs one verification at a time and writes its result."""

    appliance: Appliance
    writer: SpoolWriter
    clock: Clock

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def verify(self, why: str, *, quick: bool = False) -> dict[str, Any]:
        """Verify now. The result is durable as a record before it is returned. A full one has the index compare itself
        with the journal too."""
        with self._lock:
            started = time.monotonic()
            paths = self.appliance.paths
            report = verify_archive(paths.directory, paths.head, trust=verifier_trust(self.appliance), quick=quick)
            index: dict[str, Any] = {"state": INDEX_NOT_CHECKED} if quick else self._check_index()
            exit_code = 1 if report.exit_code == 0 and index.get("defects") else report.exit_code
            message = report.could_not_run or (report.defects[0].message if report.defects else "")
            values = {
                "process": "timers",
                "why": why,
                "kind": "quick" if quick else "full",
                "verdict": VERDICTS[exit_code],
                "exit_code": exit_code,
                "tree_size": report.tree_size,
                "root": report.root,
                "records": report.records,
                "bytes": report.bytes,
                "freshness": report.freshness,
                "freshness_text": {
                    "en": [one.message for one in report.statements if one.code in FRESHNESS_CODES],
                    "th": [one.message_th for one in report.statements if one.code in FRESHNESS_CODES],
                },
                "statements": [statement.message for statement in report.statements],
                "defects": report.defect_count + index.get("defects", 0),
                "first_defects": [asdict(defect) for defect in report.defects[:SHOWN_DEFECTS]],
                "index": index,
                "message": message or "; ".join(index.get("messages", [])[:1]),
                "seconds": round(time.monotonic() - started, 3),
            }
            ticket = self.writer.append(
                encode_event("verify_finished", self.clock.unix_ns(), values), listener="system"
            )
            self.writer.wait_durable(ticket)
            log.info("%s verification (%s): %s in %.1f s", values["kind"], why, values["verdict"], values["seconds"])
            return values

    def _check_index(self) -> dict[str, Any]:
        """What the index process says of itself; that it cannot be asked is no defect of the archive."""
        try:
            return call_local(self.appliance.ask_socket, "index_check", timeout_seconds=INDEX_CHECK_SECONDS)
        except (AskError, ArchiveStateError) as error:
            return {"state": INDEX_NOT_CHECKED, "problem": str(error)}
