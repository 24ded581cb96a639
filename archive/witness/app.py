"""A witness as a WSGI application: C2SP tlog-witness, add-checkpoint and the retrieval of the newest head.

Answers: 200 cosigned, 400 malformed, 403 no valid signature of the log, 404 no such log or page, 405 other method, 409
and our size where the request starts from another, 422 a checkpoint that does not continue ours, 500 our own failure.
A head is durable before its cosignature leaves.
"""

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from archive.clock import Clock
from archive.errors import ArchiveError, ArchiveIntegrityError
from archive.merkle import verify_consistency
from archive.note import Checkpoint, open_checkpoint, parse_checkpoint_body, split_note
from archive.witness.key import WitnessSigner
from archive.witness.protocol import (
    MAX_REQUEST_BYTES,
    SIZE_CONTENT_TYPE,
    AddCheckpoint,
    format_size_body,
    hash_origin,
    parse_request,
)
from archive.witness.state import WitnessedLog, WitnessState

TEXT = "text/plain; charset=utf-8"
NANOSECONDS = 1_000_000_000
_LENGTH = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
_HEAD_PATH = re.compile(r"/([0-9a-f]{64})/checkpoint\Z", re.ASCII)
_STATUS_LINES = {
    200: "200 OK",
    400: "400 Bad Request",
    403: "403 Forbidden",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    409: "409 Conflict",
    422: "422 Unprocessable Content",
    500: "500 Internal Server Error",
}
_log = logging.getLogger(__name__)

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, sentence: str = "", *, body: bytes = b"", content_type: str = TEXT) -> None:
        super().__init__(sentence)
        self.status = status
        self.body = body or f"{sentence}\n".encode()
        self.content_type = content_type


def make_witness_app(state: WitnessState, signer: WitnessSigner, clock: Clock, prefix: str = "") -> WsgiApp:
    """The application for `<prefix>/add-checkpoint` and `<prefix>/<hash>/checkpoint`. It never raises."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            status, content_type, body = 200, TEXT, _answer(environ)
        except _Refusal as refusal:
            status, content_type, body = refusal.status, refusal.content_type, refusal.body
        except Exception:
            _log.exception("the witness could not answer")
            status, content_type, body = 500, TEXT, b"the witness could not answer\n"
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        if status == 405:
            headers.append(("Allow", "GET, POST"))
        start_response(_STATUS_LINES[status], headers)
        return [body]

    def _answer(environ: dict[str, Any]) -> bytes:
        method, path = environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", "")
        if not path.startswith(prefix + "/"):
            raise _Refusal(404, "no such page")
        path = path.removeprefix(prefix)
        found = _HEAD_PATH.match(path)
        if path != "/add-checkpoint" and not found:
            raise _Refusal(404, "no such page")
        if method != ("GET" if found else "POST"):
            raise _Refusal(405, "add-checkpoint takes POST, checkpoint takes GET")
        return _newest(state, found[1]) if found else _add_checkpoint(_read_body(environ), state, signer, clock)

    return app


def _read_body(environ: dict[str, Any]) -> bytes:
    length = environ.get("CONTENT_LENGTH", "")
    if not length and not environ.get("wsgi.input_terminated"):
        raise _Refusal(400, "the request has no body")
    if length and (not _LENGTH.match(length) or int(length) > MAX_REQUEST_BYTES):
        raise _Refusal(400, f"a request has at most {MAX_REQUEST_BYTES} bytes")
    try:
        body = environ["wsgi.input"].read(int(length) if length else MAX_REQUEST_BYTES + 1)
    except OSError as error:
        raise _Refusal(400, "the request did not arrive") from error
    if length and len(body) != int(length):
        raise _Refusal(400, "the request is cut off")
    return body


def _newest(state: WitnessState, origin_hash: str) -> bytes:
    log = state.find(origin_hash)
    if log is None or not log.note:
        raise _Refusal(404, "nothing is cosigned for this log")
    return log.note


def _add_checkpoint(body: bytes, state: WitnessState, signer: WitnessSigner, clock: Clock) -> bytes:
    try:
        request = parse_request(body)
        checkpoint_body, _ = split_note(request.checkpoint)
        checkpoint = parse_checkpoint_body(checkpoint_body.decode())
    except ArchiveError as error:
        raise _Refusal(400, str(error)) from error
    line = ""

    def cosign(log: WitnessedLog, head: Checkpoint) -> bytes:
        nonlocal line
        _check(request, checkpoint, log, head)
        line = signer.cosign(checkpoint_body, clock.unix_ns() // NANOSECONDS)
        return checkpoint_body + f"\n{_log_signature(request, log)}\n{line}\n".encode()

    if state.advance(hash_origin(checkpoint.origin), cosign) is None:
        raise _Refusal(404, "this log is not known here")
    return f"{line}\n".encode()


def _check(request: AddCheckpoint, checkpoint: Checkpoint, log: WitnessedLog, head: Checkpoint) -> None:
    """Whether to cosign, in the order of tlog-witness."""
    try:
        open_checkpoint(request.checkpoint, log.key)
    except ArchiveError as error:
        raise _Refusal(403, str(error)) from error
    if request.old_size > checkpoint.size:
        raise _Refusal(400, "the old size is larger than the checkpoint's")
    if request.old_size != head.size:
        raise _Refusal(409, body=format_size_body(head.size), content_type=SIZE_CONTENT_TYPE)
    if head.size == 0 < checkpoint.size and not request.proof:
        # The first head of a log: there is nothing that it could contradict.
        return
    try:
        verify_consistency(head.size, head.root, checkpoint.size, checkpoint.root, request.proof)
    except ArchiveIntegrityError as error:
        raise _Refusal(422, str(error)) from error


def _log_signature(request: AddCheckpoint, log: WitnessedLog) -> str:
    """The log's own line; those of others are not handed on."""
    _, signatures = split_note(request.checkpoint)
    return next(s.text() for s in signatures if (s.name, s.key_id) == (log.key.name, log.key.key_id))
