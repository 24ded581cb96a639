"""Connections that have still to show that they speak their protocol: how many, and for how long."""

from collector.tcp_connection import Connection

MAX_HANDSHAKES = 64
"""The oldest makes room for a new one, so that strangers who connect and wait cannot keep senders out."""
HANDSHAKE_SECONDS = 10.0


class Handshakes:
    """In the order in which they began. `now` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._deadlines: dict[Connection, float] = {}

    def __len__(self) -> int:
        return len(self._deadlines)

    def begin(self, connection: Connection, now: float) -> Connection | None:
        """Watch a connection; returns the one to be closed for it, if there are too many."""
        oldest = next(iter(self._deadlines)) if len(self._deadlines) >= MAX_HANDSHAKES else None
        self._deadlines[connection] = now + HANDSHAKE_SECONDS
        return oldest

    def end(self, connection: Connection) -> None:
        self._deadlines.pop(connection, None)

    def overdue(self, now: float) -> list[Connection]:
        return [connection for connection, deadline in self._deadlines.items() if deadline <= now]
