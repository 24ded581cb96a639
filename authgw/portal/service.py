"""The two processes of the portal: pages over TLS, and the redirect over plain HTTP."""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archive.clock import Clock, SystemClock
from archive.errors import SpoolError
from archive.run_report import write_run_report
from archive.spool import CLOSE_AFTER_SECONDS, SpoolWriter
from archive.storage.gate import StorageGate
from archive.storage.levels import DEFAULT_RESERVE_BYTES
from authgw.accounts.reader import AccountReader
from authgw.directory.ldap import DirectorySettings, LdapDirectory
from authgw.errors import AuthgwError
from authgw.login import LoginCheck
from authgw.login_gate import open_login_gate
from authgw.passwords import PasswordChecker
from authgw.portal.app import PortalPages, make_app
from authgw.portal.desk import LoginDesk
from authgw.portal.forms import FormSigner, load_form_key
from authgw.portal.redirect import make_redirect_app
from authgw.portal.session_store import SessionStore
from authgw.portal.sessions import SESSION_SECONDS, SessionBook
from authgw.portal.terms import SHIPPED, load_terms
from authgw.portal.throttle import FailureThrottle
from authgw.portal.web_server import WebProcess, bind_listener, serve

SPOOL_STREAM = "portal"
TURN_SECONDS = 1.0
"""Counters, timed ends and late records."""
LOCK_PATIENCE_SECONDS = 10.0
"""A worker that was told to end has answered its last log-in by then."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PortalSettings:
    """One portal. `portal_directory` holds portal.crt, portal.key and what the portal keeps for itself."""

    listen_address: str
    http_port: int
    https_port: int
    host_name: str
    portal_directory: Path
    spool_directory: Path
    run_directory: Path
    accounts_path: Path
    site: str
    zone: str
    retention_days: int
    directory: DirectorySettings | None = field(default=None, repr=False)
    close_after_seconds: float = CLOSE_AFTER_SECONDS
    reserve_bytes: int = DEFAULT_RESERVE_BYTES
    counts_when_full: bool = False
    session_seconds: int = SESSION_SECONDS
    terms_path: Path = SHIPPED


def run_portal(settings: PortalSettings, stop: threading.Event) -> None:
    """Serve the pages until SIGTERM or SIGINT. Raises AuthgwError `port_in_use`, `bad_certificate` or `bad_terms`
    before anything is served."""
    load_terms(settings.terms_path)
    listener = bind_listener(settings.listen_address, settings.https_port)
    serve(
        WebProcess(
            "portal",
            listener,
            lambda: start_portal(settings),
            settings.portal_directory / "portal.crt",
            settings.portal_directory / "portal.key",
        ),
        stop,
    )


def run_portal_redirect(settings: PortalSettings, stop: threading.Event) -> None:
    """Answer plain HTTP until SIGTERM or SIGINT. Raises AuthgwError `port_in_use`."""
    listener = bind_listener(settings.listen_address, settings.http_port)
    app = make_redirect_app(settings.host_name, settings.https_port)
    serve(WebProcess("portal-redirect", listener, lambda: (app, lambda: None)), stop)


def start_portal(settings: PortalSettings, clock: Clock | None = None) -> tuple[Any, Callable[[], None]]:
    """The application and its end, for the process that answers requests. Sessions of a former process are taken over
    before the first request; threads and files of the journal belong to this process from here on."""
    clock = clock or SystemClock()
    portal_lock = _lock(settings.portal_directory / "portal.lock")
    terms = load_terms(settings.terms_path)
    spool = open_login_gate(
        SpoolWriter(
            settings.spool_directory, SPOOL_STREAM, clock=clock, close_after_seconds=settings.close_after_seconds
        ),
        SPOOL_STREAM,
        clock,
        settings.spool_directory,
        settings.reserve_bytes,
        counts=settings.counts_when_full,
    )
    store = SessionStore(settings.portal_directory / "sessions.sqlite")
    book = SessionBook(store, spool, clock, settings.session_seconds)
    repeated = book.recover()
    directory = LdapDirectory(settings.directory, clock) if settings.directory else None
    accounts = AccountReader(settings.accounts_path)
    desk = LoginDesk(LoginCheck(accounts, PasswordChecker(clock), directory), book, FailureThrottle(clock))
    pages = PortalPages(
        desk=desk,
        signer=FormSigner(load_form_key(settings.portal_directory / "form.key")),
        terms=terms,
        clock=clock,
        site=settings.site,
        zone=settings.zone,
        retention_days=settings.retention_days,
        host_name=settings.host_name,
        https_port=settings.https_port,
    )
    timer = _Timer(settings, desk, spool, clock, repeated)
    timer.start()

    def close() -> None:
        timer.finish()
        spool.close()
        store.close()
        accounts.close()
        if directory:
            directory.close()
        os.close(portal_lock)

    return make_app(pages), close


class _Timer(threading.Thread):
    """Timed ends, records still to be written, counters."""

    def __init__(
        self, settings: PortalSettings, desk: LoginDesk, spool: StorageGate, clock: Clock, repeated: int
    ) -> None:
        super().__init__(name="portal-timer", daemon=True)
        self._settings = settings
        self._desk = desk
        self._spool = spool
        self._clock = clock
        self._repeated = repeated
        self._end = threading.Event()

    def run(self) -> None:
        while True:
            self._spool.tick()
            try:
                self._desk.book.expire()
                self._desk.book.retry()
            except (SpoolError, AuthgwError) as error:
                self._desk.count(f"records_waiting_{error.code}")
            self._report()
            if self._end.wait(TURN_SECONDS):
                return

    def finish(self) -> None:
        self._end.set()
        self.join()

    def _report(self) -> None:
        try:
            values = {
                "v": 1,
                "written_unix_ns": str(self._clock.unix_ns()),
                "https_port": self._settings.https_port,
                "sessions_open": self._desk.book.count(),
                "records_repeated_at_start": self._repeated,
                "cpu_seconds": round(time.process_time(), 3),
                **self._desk.counters(),
                **self._spool.counters(),
            }
            self._settings.run_directory.mkdir(parents=True, exist_ok=True)
            write_run_report(self._settings.run_directory, "portal", values)
        except (OSError, AuthgwError) as error:
            log.warning("counters cannot be written: %s", error)


def _lock(path: Path) -> int:
    """Only one process writes the stream and the working copy. Raises AuthgwError `portal_locked`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise AuthgwError("another portal runs in this directory", code="portal_locked") from error
            time.sleep(0.05)
