"""Typed requests over a unix socket: 4-byte big-endian length, then a UTF-8 JSON object, both ways.

A request is `{"op": name, "args": {...}}`; a reply is `{"ok": true, "result": ...}` or
`{"ok": false, "error": {"code", "message", "message_th"}}`. The kernel tells the server who asks (SO_PEERCRED).
"""

import json
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.errors import ArchiveError, AskError

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Largest request or reply. A package comes back as a path, so only rows pass here: 100,000 rows of 600 bytes."""

CALL_TIMEOUT_SECONDS = 120.0
"""How long a caller waits: making a package waits for two signed checkpoints and a search for its time limit."""

MAX_SOCKET_PATH_BYTES = 107
"""sockaddr_un.sun_path of Linux, less its final zero byte."""

_LENGTH = struct.Struct(">I")
_UCRED = struct.Struct("3i")


@dataclass(frozen=True)
class Peer:
    """Who is at the other end of the socket, as the kernel knows it."""

    pid: int
    uid: int
    gid: int


Handler = Callable[[Peer, dict[str, Any]], Any]


def _receive_exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise AskError("the other end closed the connection", code="connection_closed")
        parts += part
    return bytes(parts)


def _receive_message(connection: socket.socket) -> dict[str, Any]:
    (size,) = _LENGTH.unpack(_receive_exactly(connection, _LENGTH.size))
    if size > MAX_MESSAGE_BYTES:
        raise AskError(f"message of {size} bytes; at most {MAX_MESSAGE_BYTES} are allowed", code="too_large")
    try:
        message = json.loads(_receive_exactly(connection, size), parse_constant=_refuse_constant)
        # Half a surrogate pair is JSON, but no text that could be recorded or answered.
        json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise AskError("message is not JSON", code="bad_request") from error
    if not isinstance(message, dict):
        raise AskError("message is not a JSON object", code="bad_request")
    return message


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _send_message(connection: socket.socket, message: Mapping[str, Any]) -> None:
    body = json.dumps(message, ensure_ascii=False).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)


def _error_reply(error: ArchiveError) -> dict[str, Any]:
    return {
        "ok": False,
        "error": {
            "code": error.code,
            "message": str(error),
            "message_th": getattr(error, "message_th", str(error)),
        },
    }


class LocalServer(socketserver.ThreadingUnixStreamServer):
    """Serves `handlers` on `path`; one thread per connection, many requests per connection.

    The socket file is readable and writable by its owner's group only (mode 0660). A handler that raises an
    error of a known family (one with a `code`) is answered with it; any other failure is answered with code
    `internal` and passed to `on_failure`, and the server goes on.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        *,
        on_failure: Callable[[str, BaseException], None] | None = None,
    ) -> None:
        _check_path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_answering(path):
            raise AskError(f"another process answers at {path} already", code="socket_in_use")
        path.unlink(missing_ok=True)
        self.handlers = dict(handlers)
        self.on_failure = on_failure
        super().__init__(str(path), _Connection)
        os.chmod(path, 0o660)

    def start(self) -> threading.Thread:
        """Serve in a thread of its own until `shutdown`."""
        thread = threading.Thread(target=self.serve_forever, name="local-rpc", daemon=True)
        thread.start()
        return thread


class _Connection(socketserver.BaseRequestHandler):
    server: LocalServer

    def handle(self) -> None:
        connection: socket.socket = self.request
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        peer = Peer(*_UCRED.unpack(credentials))
        while True:
            try:
                request = _receive_message(connection)
            except AskError as error:
                if error.code != "connection_closed":
                    with suppress(OSError):
                        _send_message(connection, _error_reply(error))
                return
            except OSError:
                return
            try:
                _send_message(connection, self._answer(peer, request))
            except OSError:
                return

    def _answer(self, peer: Peer, request: dict[str, Any]) -> dict[str, Any]:
        handler = self.server.handlers.get(str(request.get("op")))
        arguments = request.get("args", {})
        if handler is None or not isinstance(arguments, dict):
            known = ", ".join(sorted(self.server.handlers))
            return _error_reply(AskError(f"unknown request; known are {known}", code="bad_request"))
        try:
            return {"ok": True, "result": handler(peer, arguments)}
        except Exception as error:
            if isinstance(getattr(error, "code", None), str):
                return _error_reply(error)  # type: ignore[arg-type]
            if self.server.on_failure:
                self.server.on_failure(str(request.get("op")), error)
            return _error_reply(AskError(f"internal failure: {type(error).__name__}", code="internal"))


def _check_path(path: Path) -> None:
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise AskError(
            f"{path} is longer than the {MAX_SOCKET_PATH_BYTES} bytes of a socket's path; "
            "use a data directory with a shorter one",
            code="socket_path_too_long",
        )


def is_answering(path: Path, timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> bool:
    """Whether a service takes connections at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout_seconds)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def call_local(path: Path, op: str, *, timeout_seconds: float = CALL_TIMEOUT_SECONDS, **arguments: Any) -> Any:
    """Ask the service at `path` and return its result.

    Raises AskError: with the service's own code and message, or `not_running` when nobody listens at `path`.
    """
    _check_path(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_seconds)
        try:
            connection.connect(str(path))
            _send_message(connection, {"op": op, "args": arguments})
            reply = _receive_message(connection)
        except TimeoutError as error:
            raise AskError(f"no answer within {timeout_seconds:.0f} s", code="timeout") from error
        except OSError as error:
            raise AskError(f"nobody answers at {path}; is `phayan up` running?", code="not_running") from error
    if reply.get("ok"):
        return reply.get("result")
    problem = reply.get("error") or {}
    failure = AskError(str(problem.get("message", "no reason given")), code=str(problem.get("code", "ask")))
    failure.message_th = str(problem.get("message_th", failure))  # type: ignore[attr-defined]
    raise failure
