"""gunicorn for one socket of ours: one worker with threads, TLS, a time limit per request, no orphans."""

import ctypes
import errno
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from authgw.errors import AuthgwError

THREADS = 32
"""Requests at once. Passwords are computed four at a time; the others wait for a directory or for slow phones."""
MAX_CONNECTIONS = 1000
"""Phones keep connections open without using them; each is a socket, not a thread."""
BACKLOG = 512
KEEP_ALIVE_SECONDS = 5
"""The style sheet and the script of a page come over the same connection."""
REQUEST_SECONDS = 15.0
"""From the first byte of a request, or of a handshake, to its last: one that drips must not hold a thread."""
GRACEFUL_SECONDS = 8
"""A log-in in work at the end is answered: both time-outs of a directory are as long."""
BIND_PATIENCE_SECONDS = 2.0
"""A former process of ours that was killed lets the port go within a second."""
MAX_REQUEST_LINE_BYTES = 4094
MAX_HEADERS = 60
MAX_HEADER_BYTES = 4094
_PR_SET_PDEATHSIG = 1
_CODES = {
    errno.EADDRINUSE: "port_in_use",
    errno.EACCES: "port_denied",
    errno.EADDRNOTAVAIL: "address_unavailable",
}

WsgiApp = Callable[..., Any]


@dataclass(frozen=True)
class WebProcess:
    """What to serve. `make_app` runs in the worker, after the fork, and returns the application and what to call at the
    end; threads and journal files are opened there."""

    name: str
    listener: socket.socket
    make_app: Callable[[], tuple[WsgiApp, Callable[[], None]]]
    certificate: Path | None = None
    key: Path | None = None


def bind_listener(address: str, port: int) -> socket.socket:
    """A bound, not yet listening TCP socket. Raises AuthgwError with code port_in_use, port_denied or
    address_unavailable and one sentence that names the port."""
    deadline = time.monotonic() + BIND_PATIENCE_SECONDS
    while True:
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
        try:
            listener.bind((address, port))
            # Two sockets may be bound with SO_REUSEADDR as long as neither listens: only listening takes the port.
            listener.listen(BACKLOG)
            return listener
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            raise AuthgwError(
                f"cannot listen on {address} TCP port {port}: {error.strerror}",
                code=_CODES.get(error.errno or 0, "cannot_listen"),
                message_th=f"เปิดรับที่ {address} พอร์ต TCP {port} ไม่ได้ อาจมีโปรแกรมอื่นใช้อยู่",
            ) from error


def serve(process: WebProcess, stop: threading.Event) -> None:
    """Serve until SIGTERM or SIGINT; must be called in the main thread, whose signals gunicorn takes over.

    A worker that dies is replaced; a worker whose master died ends by itself. Raises AuthgwError `web_worker` when the
    worker cannot start, `bad_certificate` before anything is served.
    """
    context = _load_context(process)
    application = _Application(process, context, stop)
    try:
        application.run()
    except SystemExit as end:
        if end.code not in (0, None):
            raise AuthgwError(f"{process.name}: the worker could not start", code="web_worker") from end


def _load_context(process: WebProcess) -> ssl.SSLContext | None:
    if process.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _RequestTlsSocket
    try:
        context.load_cert_chain(process.certificate, process.key)
    except (OSError, ssl.SSLError) as error:
        raise AuthgwError(
            f"the certificate {process.certificate} cannot be used: {error}", code="bad_certificate"
        ) from error
    return context


class _RequestLimit:
    """A blocking socket whose reads together may take REQUEST_SECONDS from when it was last made blocking, which
    gunicorn does at the start of each request."""

    _deadline = 0.0

    def setblocking(self, flag: bool) -> None:
        self._deadline = time.monotonic() + REQUEST_SECONDS
        super().settimeout(REQUEST_SECONDS if flag else 0)  # type: ignore[misc]

    def recv(self, *arguments: Any) -> bytes:
        if super().gettimeout():  # type: ignore[misc]
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise ConnectionResetError(errno.ECONNRESET, "the request took too long")
            super().settimeout(left)  # type: ignore[misc]
        try:
            return super().recv(*arguments)  # type: ignore[misc]
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the request took too long") from error


class _RequestSocket(_RequestLimit, socket.socket):
    """Plain HTTP."""


class _RequestTlsSocket(_RequestLimit, ssl.SSLSocket):
    """TLS; the handshake as a whole has the time of one request."""

    def do_handshake(self, block: bool = False) -> None:
        # The first request of a connection is read right after its handshake, without being made blocking again.
        self.setblocking(True)
        try:
            super().do_handshake(block)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the handshake took too long") from error


class _Accepting:
    """A listener whose connections have the time limit."""

    def __init__(self, listener: Any) -> None:
        self._listener = listener

    def accept(self) -> tuple[socket.socket, Any]:
        connection, peer = self._listener.accept()
        return _RequestSocket(fileno=connection.detach()), peer

    def getsockname(self) -> Any:
        return self._listener.getsockname()


class _Worker(ThreadWorker):
    def accept(self, listener: Any) -> None:
        super().accept(_Accepting(listener))  # type: ignore[arg-type]


class _Application(BaseApplication):
    def __init__(self, process: WebProcess, context: ssl.SSLContext | None, stop: threading.Event) -> None:
        self._process = process
        self._context = context
        self._stop = stop
        self._close: Callable[[], None] = lambda: None
        super().__init__()

    def load_config(self) -> None:
        settings: dict[str, Any] = {
            "bind": f"fd://{self._process.listener.fileno()}",
            "workers": 1,
            "worker_class": _Worker,
            "threads": THREADS,
            "worker_connections": MAX_CONNECTIONS,
            "backlog": BACKLOG,
            "keepalive": KEEP_ALIVE_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "limit_request_line": MAX_REQUEST_LINE_BYTES,
            "limit_request_fields": MAX_HEADERS,
            "limit_request_field_size": MAX_HEADER_BYTES,
            "forwarded_allow_ips": "",
            "proxy_protocol": False,
            "control_socket_disable": True,
            "proc_name": self._process.name,
            "loglevel": "warning",
            "accesslog": None,
            "post_fork": _end_with_master,
            "when_ready": self._check_stop,
            "worker_exit": lambda _server, _worker: self._close(),
        }
        if self._context is not None:
            settings["certfile"] = str(self._process.certificate)
            settings["keyfile"] = str(self._process.key)
            settings["ssl_context"] = lambda _config, _factory: self._context
            settings["do_handshake_on_connect"] = False
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> WsgiApp:
        app, self._close = self._process.make_app()
        return app

    def _check_stop(self, _arbiter: Any) -> None:
        """A signal that came before gunicorn took them over."""
        if self._stop.is_set():
            os.kill(os.getpid(), signal.SIGTERM)


def _end_with_master(_arbiter: Any, worker: Any) -> None:
    """A master that is killed takes its worker with it, at once and not at the next poll."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != worker.ppid:
        os._exit(0)
