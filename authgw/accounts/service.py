"""The account process: AccountService behind a unix socket."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.clock import Clock, SystemClock
from archive.errors import SpoolError
from archive.local_rpc import Handler, LocalServer, Peer
from archive.network_statement import state_network
from archive.spool import CLOSE_AFTER_SECONDS, SpoolWriter
from authgw.accounts.store import AccountService
from authgw.errors import AccountError

SPOOL_STREAM = "identity"
NETWORK_COPY = "network_settings.json"
"""What the journal was last told of exporters and uplinks, beside the accounts."""
_CHANGING = ("user_add", "user_change", "user_set_password", "user_disable")
_READING = ("user_list", "user_show", "user_events")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AccountsSettings:
    """Where the accounts live and where they are served. The socket file is for owner and group only. `network_facts`:
    what the settings say of exporters and uplinks, for the journal."""

    accounts_path: Path
    spool_directory: Path
    socket_path: Path
    close_after_seconds: float = CLOSE_AFTER_SECONDS
    network_facts: tuple[dict[str, Any], ...] = ()


def run_accounts(settings: AccountsSettings, stop: threading.Event, clock: Clock | None = None) -> None:
    """Serve until `stop`. Each change is durable in stream `identity` before it is made or answered."""
    clock = clock or SystemClock()
    spool = SpoolWriter(
        settings.spool_directory, SPOOL_STREAM, clock=clock, close_after_seconds=settings.close_after_seconds
    )
    service = AccountService(settings.accounts_path, spool, clock)
    try:
        state_network(spool, settings.accounts_path.with_name(NETWORK_COPY), list(settings.network_facts), clock)
    except (SpoolError, OSError) as error:
        # People still log in; the next start states it.
        log.warning("exporters and uplinks could not be stated in the journal: %s", error)
    server = LocalServer(settings.socket_path, account_handlers(service))
    server.start()
    try:
        stop.wait()
    finally:
        server.shutdown()
        server.server_close()
        settings.socket_path.unlink(missing_ok=True)
        service.close()
        spool.close()


def account_handlers(service: AccountService) -> dict[str, Handler]:
    """Request name to handler. A changing request may name its `actor`; without one the peer's uid is the
    actor."""
    handlers: dict[str, Handler] = {}
    for name in _CHANGING:
        handlers[name] = _changing(getattr(service, name))
    for name in _READING:
        handlers[name] = _reading(getattr(service, name))
    return handlers


def _changing(method: Callable[..., Any]) -> Handler:
    def handle(peer: Peer, arguments: dict[str, Any]) -> Any:
        given = dict(arguments)
        given["actor"] = str(given.get("actor") or f"uid:{peer.uid}")
        return _call(method, given)

    return handle


def _reading(method: Callable[..., Any]) -> Handler:
    def handle(_peer: Peer, arguments: dict[str, Any]) -> Any:
        return _call(method, arguments)

    return handle


def _call(method: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    for name, value in arguments.items():
        if value is not None and not isinstance(value, bool if name == "disabled" else str):
            raise _bad_request(f"{name} has the wrong type")
    try:
        return method(**arguments)
    except TypeError as error:
        raise _bad_request("unknown or missing argument") from error


def _bad_request(message: str) -> AccountError:
    return AccountError(f"The request is not understood: {message}.", code="bad_request", message_th="คำขอไม่ถูกต้อง")
