"""The timers process: nightly verification. Its result is a sealed record in the stream `system`."""

import logging
import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from archive.clock import Clock, SystemClock
from archive.errors import AskError
from archive.event_record import encode_event
from archive.local_rpc import LocalServer
from archive.run_report import write_run_report
from archive.spool import SpoolWriter
from archive.verify.run import verify_archive
from deploy.layout import Appliance

REPORT_SECONDS = 5.0
SHOWN_DEFECTS = 10
"""Defects written into the record; `phayan verify` prints all."""
NOTES = ("process_ended", "process_restarted")
"""What may be written on request: the result of a verification, for one, may not."""
VERDICTS = {0: "intact", 1: "defect", 2: "could_not_run"}
NS = 1_000_000_000

log = logging.getLogger(__name__)


def seconds_until(at: str, zone: str, now_unix_ns: int) -> float:
    """Seconds from now to the next `HH:MM` of the site. Pure."""
    now = datetime.fromtimestamp(now_unix_ns / NS, ZoneInfo(zone))
    hour, minute = (int(part) for part in at.split(":"))
    due = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if due <= now:
        due += timedelta(days=1)
    return (due - now).total_seconds()


@dataclass
class VerifyTimer:
    """Runs one verification at a time and writes its result."""

    appliance: Appliance
    writer: SpoolWriter
    clock: Clock

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def verify(self, why: str) -> dict[str, Any]:
        """Verify everything now. The result is durable as a record before it is returned."""
        with self._lock:
            started = time.monotonic()
            report = verify_archive(self.appliance.directory, self.appliance.paths.head)
            values = {
                "process": "timers",
                "why": why,
                "verdict": VERDICTS[report.exit_code],
                "exit_code": report.exit_code,
                "tree_size": report.tree_size,
                "root": report.root,
                "records": report.records,
                "bytes": report.bytes,
                "freshness": report.freshness,
                "statements": [statement.message for statement in report.statements],
                "defects": report.defect_count,
                "first_defects": [asdict(defect) for defect in report.defects[:SHOWN_DEFECTS]],
                "message": report.could_not_run or (report.defects[0].message if report.defects else ""),
                "seconds": round(time.monotonic() - started, 3),
            }
            ticket = self.writer.append(
                encode_event("verify_finished", self.clock.unix_ns(), values), listener="system"
            )
            self.writer.wait_durable(ticket)
            log.info("verification (%s): %s in %.1f s", why, values["verdict"], values["seconds"])
            return values


def run_timers(appliance: Appliance, stop: threading.Event) -> None:
    """Wait for the hour, or for a request on `run/timers.sock`."""
    clock = SystemClock()
    config = appliance.config
    writer = SpoolWriter(appliance.paths.spool, "system", close_after_seconds=config.archive.spool_close_seconds)
    timer = VerifyTimer(appliance, writer, clock)
    server = LocalServer(
        appliance.timers_socket,
        {
            "verify_now": lambda peer, arguments: timer.verify("asked"),
            "note": lambda peer, arguments: _note(writer, clock, arguments),
        },
        on_failure=lambda op, error: log.error("%s failed: %s", op, error),
    )
    server.start()
    try:
        while not stop.is_set():
            wait = seconds_until(config.archive.verify_at, config.site.zone, clock.unix_ns())
            deadline = time.monotonic() + wait
            while not stop.wait(min(REPORT_SECONDS, max(0.0, deadline - time.monotonic()))):
                write_run_report(appliance.paths.run, "timers", {"next_verification_seconds": round(wait)})
                if time.monotonic() >= deadline:
                    timer.verify("nightly")
                    break
    finally:
        server.shutdown()
        writer.close()


def _note(writer: SpoolWriter, clock: Clock, arguments: dict[str, Any]) -> dict[str, Any]:
    """A record the supervisor asks for: a process ended or was started again."""
    event = str(arguments.get("event"))
    if event not in NOTES:
        raise AskError(f"this is no event of the supervisor; valid are {', '.join(NOTES)}", code="bad_request")
    values = {k: v for k, v in arguments.items() if k in ("process", "exit_code", "pid", "happened_unix_ns")}
    writer.wait_durable(writer.append(encode_event(event, clock.unix_ns(), values), listener="system"))
    return {}
