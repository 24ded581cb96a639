"""The door to the data: every request of the pages, always with the operator's token, never with the socket's uid."""

from pathlib import Path
from typing import Any

from archive.local_rpc import CALL_TIMEOUT_SECONDS, call_local

LOOK_TIMEOUT_SECONDS = 20.0
"""For what every page needs (who is signed in, the state dot): a page that hangs is worse than one without a dot."""


class AskClient:
    """Requests of docs/CONTRACT.md. Every method raises archive.errors.AskError with the service's code."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    def call(self, op: str, token: str = "", *, timeout_seconds: float = CALL_TIMEOUT_SECONDS, **arguments: Any) -> Any:
        """Result of `op`. An empty token is no token: the service then answers only what needs none."""
        # from_pages: without a token the service must not take this process's uid for somebody at the console.
        identity: dict[str, Any] = {"from_pages": True}
        if token:
            identity["token"] = token
        return call_local(self._socket_path, op, timeout_seconds=timeout_seconds, **identity, **arguments)
