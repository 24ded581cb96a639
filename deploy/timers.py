"""The timers process: verification by the hour and at night, and the system clock's state by the minute."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from archive.clock import Clock, SystemClock
from archive.clock_watch import ClockWatch
from archive.errors import AskError
from archive.event_record import encode_event
from archive.local_rpc import LocalServer, call_local
from archive.run_report import write_run_report
from archive.spool import SpoolWriter
from deploy.layout import Appliance
from deploy.verify_timer import VerifyTimer

REPORT_SECONDS = 5.0
QUICK_SECONDS = 3_600.0
NOTES = ("process_ended", "process_restarted")
"""What may be written on request: the result of a verification, for one, may not."""
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


class Schedule:
    """When the next verification is due, in monotonic seconds. Pure but for the clock."""

    def __init__(self, at: str, zone: str, clock: Clock) -> None:
        self._at, self._zone, self._clock = at, zone, clock
        self._quick_at = self._now() + QUICK_SECONDS
        self._full_at = self._now() + self.seconds_to_full()

    def seconds_to_full(self) -> float:
        return seconds_until(self._at, self._zone, self._clock.unix_ns())

    def due(self) -> str | None:
        """`full`, `quick` or None. The one that is named counts as begun."""
        now = self._now()
        if now >= self._full_at:
            self._full_at = now + self.seconds_to_full()
            # What a full one finds a quick one would find too.
            self._quick_at = now + QUICK_SECONDS
            return "full"
        if now >= self._quick_at:
            self._quick_at = now + QUICK_SECONDS
            return "quick"
        return None

    def _now(self) -> float:
        return self._clock.monotonic_ns() / NS


def run_timers(appliance: Appliance, stop: threading.Event) -> None:
    """Do what is due, or what is asked for on `run/timers.sock`."""
    clock = SystemClock()
    config = appliance.config
    writer = SpoolWriter(appliance.paths.spool, "system", close_after_seconds=config.archive.spool_close_seconds)
    timer = VerifyTimer(appliance, writer, clock)
    watch = ClockWatch(appliance.paths.inbox / "clock", clock)
    server = LocalServer(
        appliance.timers_socket,
        {
            "verify_now": lambda peer, arguments: timer.verify("asked"),
            "note": lambda peer, arguments: _note(writer, clock, arguments),
        },
        on_failure=lambda op, error: log.error("%s failed: %s", op, error),
    )
    server.start()
    schedule = Schedule(config.archive.verify_at, config.site.zone, clock)
    verifying: threading.Thread | None = None
    try:
        while not stop.wait(REPORT_SECONDS):
            _try("clock", watch.tick)
            # Not asked while one runs: what is due then is due afterwards.
            kind = schedule.due() if verifying is None or not verifying.is_alive() else None
            if kind:
                # The clock is sampled while a full one runs, which may take long.
                given = (timer, kind, appliance.ask_socket)
                verifying = threading.Thread(target=_verify, args=given, name="verify", daemon=True)
                verifying.start()
            state: dict[str, Any] = {"next_verification_seconds": round(schedule.seconds_to_full())}
            if watch.last is not None:
                state["clock"] = watch.last.values()
            write_run_report(appliance.paths.run, "timers", state)
    finally:
        server.shutdown()
        _try("clock", watch.close)
        writer.close()


def _verify(timer: VerifyTimer, kind: str, ask_socket: Path) -> None:
    _try("verification", lambda: timer.verify("nightly" if kind == "full" else "hourly", quick=kind == "quick"))
    if kind == "full":
        # After it: what is purged was verified, and what is found wrong is known before anything goes.
        _try("retention", lambda: _purge_due(ask_socket))


def _purge_due(ask_socket: Path) -> None:
    try:
        call_local(ask_socket, "retention_run")
    except AskError as error:
        log.info("nothing is purged: %s", error)


def _try(what: str, work: Callable[[], Any]) -> None:
    """A disk that refuses now may not end what else this process does."""
    try:
        work()
    except Exception:
        log.exception("%s failed; it is tried again when it is due", what)


def _note(writer: SpoolWriter, clock: Clock, arguments: dict[str, Any]) -> dict[str, Any]:
    """A record the supervisor asks for: a process ended or was started again."""
    event = str(arguments.get("event"))
    if event not in NOTES:
        raise AskError(f"this is no event of the supervisor; valid are {', '.join(NOTES)}", code="bad_request")
    values = {k: v for k, v in arguments.items() if k in ("process", "exit_code", "pid", "happened_unix_ns")}
    writer.wait_durable(writer.append(encode_event(event, clock.unix_ns(), values), listener="system"))
    return {}
