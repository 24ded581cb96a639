"""The admin process: gunicorn with one gthread worker over a socket that is bound before anything else starts."""

import ctypes
import errno
import ipaddress
import os
import signal
import socket
import ssl
import threading
from typing import Any

from gunicorn.app.base import BaseApplication

from admin_ui.app import create_app
from admin_ui.errors import AdminError
from admin_ui.settings import AdminSettings

THREADS = 8
"""Operators of one office at once; one worker process keeps the state dot and the running verification in one place."""
BACKLOG = 64
STOP_SECONDS = 10
"""How long requests in progress may take after SIGTERM."""
REPORT_SECONDS = 1.0
PASS_ON_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


def run_admin(settings: AdminSettings, stop: threading.Event) -> None:
    """Serve until `stop`, SIGTERM or SIGINT. Owns the signal handlers of the process while it serves.

    Raises AdminError before anything is served: tls_required, bad_certificate, port_in_use, port_denied,
    address_unavailable.
    """
    _check_tls(settings)
    settings.run_directory.mkdir(parents=True, exist_ok=True)
    listener = _bind(settings.address, settings.port)
    threading.Thread(target=_pass_on, args=(stop,), name="stop", daemon=True).start()
    try:
        _Server(settings, listener.detach()).run()
    except SystemExit as ended:
        if ended.code:
            raise AdminError(f"The web server ended with code {ended.code}.") from None


def _pass_on(stop: threading.Event) -> None:
    """A stop that came before gunicorn had its own signal handlers must still end it."""
    stop.wait()
    pause = threading.Event()
    while not pause.wait(PASS_ON_SECONDS):
        os.kill(os.getpid(), signal.SIGTERM)


def _check_tls(settings: AdminSettings) -> None:
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise AdminError("Set both admin.tls_certificate and admin.tls_key, or neither.", code="bad_certificate")
    if settings.tls_certificate is None:
        if not ipaddress.ip_address(settings.address).is_loopback:
            raise AdminError(
                f"The admin pages on {settings.address} need TLS: set admin.tls_certificate and admin.tls_key, "
                "or leave admin.address at 127.0.0.1.",
                code="tls_required",
            )
        return
    try:
        _make_context(settings)
    except (OSError, ssl.SSLError) as error:
        raise AdminError(
            f"The TLS certificate {settings.tls_certificate} with key {settings.tls_key} cannot be used: "
            f"{getattr(error, 'strerror', None) or error}.",
            code="bad_certificate",
        ) from error


def _make_context(settings: AdminSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(settings.tls_certificate), str(settings.tls_key))
    return context


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise AdminError(
                f"TCP {where} for the admin pages is already in use by another program; set admin.port to a free one.",
                code="port_in_use",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise AdminError(f"TCP {where} may not be opened by this user.", code="port_denied") from error
        raise AdminError(
            f"TCP {where} cannot be opened: {os.strerror(error.errno or 0)}.", code="address_unavailable"
        ) from error
    return listener


class _Server(BaseApplication):
    def __init__(self, settings: AdminSettings, descriptor: int) -> None:
        self._settings = settings
        self._descriptor = descriptor
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        values: dict[str, Any] = {
            "bind": f"fd://{self._descriptor}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": THREADS,
            "graceful_timeout": STOP_SECONDS,
            "proc_name": "phayan-admin",
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            # No control socket and no forwarded headers: nothing but this port speaks to the process.
            "control_socket_disable": True,
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "worker_tmp_dir": str(settings.run_directory),
            "post_fork": _die_with_master,
            "post_worker_init": self._start_reporting,
        }
        if settings.tls_certificate is not None:
            values |= {
                "certfile": str(settings.tls_certificate),
                "keyfile": str(settings.tls_key),
                "ssl_context": lambda config, default: _make_context(settings),
            }
        for name, value in values.items():
            self.cfg.set(name, value)  # type: ignore[union-attr]

    def load(self) -> Any:
        return create_app(self._settings)

    def _start_reporting(self, worker: Any) -> None:
        report = self._settings.report
        if report is None:
            return

        def run() -> None:
            while worker.alive:
                report({"requests": worker.nr})
                pause.wait(REPORT_SECONDS)

        pause = threading.Event()
        threading.Thread(target=run, name="report", daemon=True).start()


def _die_with_master(server: Any, worker: Any) -> None:
    """A worker whose master was killed would hold the port."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != server.pid:
        os.kill(os.getpid(), signal.SIGTERM)
