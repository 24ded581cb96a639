"""The directory over LDAP with ldap3, which is used only here so that it can be exchanged.

Each check: the entry is searched with a service connection, kept between checks; then a fresh connection
binds as the entry with the person's password and is closed. TLS is always validated.
"""

import socket
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ldap3 import NONE, SAFE_SYNC, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPExceptionError
from ldap3.utils.conv import escape_filter_chars

from archive.clock import Clock, SystemClock
from authgw.directory.base import DirectoryVerdict, read_bind_failure
from authgw.errors import AuthgwError

MAX_IDLE_SERVICE_CONNECTIONS = 8
"""As many as workers that search at once on two cores; more only occupy the server."""
RETRY_AFTER_SECONDS = 2.0
"""After a failure answers are `unavailable` at once for this long, so that a dead server cannot hold every
worker."""


@dataclass(frozen=True)
class DirectorySettings:
    """One LDAP server. `user_filter` has `{name}`, replaced by the escaped name. `server_name` is the name
    that the certificate must carry when it is not `host`. `start_tls` upgrades a plain connection before
    anything is sent."""

    host: str
    base_dn: str
    port: int = 636
    tls: Literal["ldaps", "start_tls"] = "ldaps"
    ca_file: Path | None = None
    server_name: str | None = None
    bind_dn: str = ""
    bind_password: str = field(default="", repr=False)
    user_filter: str = "(uid={name})"
    person_attributes: tuple[str, ...] = ("displayName", "cn")
    connect_timeout_seconds: int = 3
    receive_timeout_seconds: int = 5


class _Unavailable(Exception):
    """The server could not be asked; the text says why."""


class LdapDirectory:
    """`Directory` over one LDAP server. Safe for many threads; `check` blocks at most both time-outs,
    twice."""

    def __init__(self, settings: DirectorySettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        name = settings.server_name or settings.host
        try:
            self._tls = Tls(
                validate=ssl.CERT_REQUIRED,
                version=ssl.PROTOCOL_TLS_CLIENT,
                ca_certs_file=str(settings.ca_file) if settings.ca_file else None,
                sni=name,
                valid_names=[name],
            )
        except LDAPExceptionError as error:
            raise AuthgwError(f"directory {settings.host}: {error}", code="bad_directory") from error
        self._idle: deque[Connection] = deque(maxlen=None)
        self._lock = threading.Lock()
        self._unavailable_until_ns = 0
        self._unavailable_reason = ""

    def check(self, name: str, password: bytes) -> DirectoryVerdict:
        """See Directory.check. An empty password is refused before anything is sent: a simple bind with an
        empty password is an anonymous success (RFC 4513 section 5.1.2)."""
        if not name or not password or b"\0" in password:
            return DirectoryVerdict("wrong", "empty name or password")
        if self._clock.monotonic_ns() < self._unavailable_until_ns:
            return DirectoryVerdict("unavailable", self._unavailable_reason)
        try:
            found = self._find_entry(name)
            if found is None:
                return DirectoryVerdict("wrong", "no entry of this name")
            entry_dn, person = found
            return self._bind_as(entry_dn, person, password)
        except (_Unavailable, LDAPExceptionError, OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"[:200]
            self._unavailable_reason = reason
            self._unavailable_until_ns = self._clock.monotonic_ns() + int(RETRY_AFTER_SECONDS * 1e9)
            return DirectoryVerdict("unavailable", reason)

    def close(self) -> None:
        """Close the idle service connections."""
        with self._lock:
            idle, self._idle = list(self._idle), deque()
        for connection in idle:
            _close(connection)

    def _open(self, user_dn: str, password: str) -> Connection:
        """A connected, encrypted, not yet bound connection."""
        settings = self._settings
        server = Server(
            settings.host,
            port=settings.port,
            use_ssl=settings.tls == "ldaps",
            tls=self._tls,
            get_info=NONE,
            connect_timeout=settings.connect_timeout_seconds,
        )
        connection = Connection(
            server,
            user=user_dn or None,
            password=password or None,
            client_strategy=SAFE_SYNC,
            receive_timeout=settings.receive_timeout_seconds,
            auto_referrals=False,
            raise_exceptions=False,
            check_names=False,
        )
        try:
            connection.open(read_server_info=False)
            # Without it the second small write of the TLS handshake and bind waits for a delayed ACK: 48 ms.
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if settings.tls == "start_tls" and not connection.start_tls(read_server_info=False):
                raise _Unavailable("StartTLS refused")
        except BaseException:
            _close(connection)
            raise
        return connection

    def _find_entry(self, name: str) -> tuple[str, str] | None:
        """DN and display name of the only entry of this name, or None. A kept connection that has died is
        replaced once; a fresh one that fails is the server's failure."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._search(connection, name)
            except (LDAPExceptionError, OSError, _Unavailable):
                _close(connection)
        connection = self._open(self._settings.bind_dn, self._settings.bind_password)
        try:
            done, result, _, _ = connection.bind(read_server_info=False)
            if not done:
                raise _Unavailable(f"service bind answered with result code {result.get('result')}")
            return self._search(connection, name)
        except BaseException:
            _close(connection)
            raise

    def _search(self, connection: Connection, name: str) -> tuple[str, str] | None:
        """Search and give the connection back. More than one entry is none: nobody can say which one it
        is."""
        settings = self._settings
        _, result, response, _ = connection.search(
            settings.base_dn,
            settings.user_filter.replace("{name}", escape_filter_chars(name)),
            SUBTREE,
            attributes=list(settings.person_attributes),
            size_limit=2,
            time_limit=settings.receive_timeout_seconds,
        )
        if result.get("result") not in (0, 4):
            raise _Unavailable(f"search answered with result code {result.get('result')}")
        with self._lock:
            keep = len(self._idle) < MAX_IDLE_SERVICE_CONNECTIONS
            if keep:
                self._idle.append(connection)
        if not keep:
            _close(connection)
        entries = [e for e in response or () if e.get("type") == "searchResEntry"]
        if len(entries) != 1:
            return None
        return str(entries[0]["dn"]), self._person(entries[0].get("attributes") or {})

    def _person(self, attributes: Any) -> str:
        for wanted in self._settings.person_attributes:
            value = attributes.get(wanted)
            value = value[0] if isinstance(value, list) and value else value
            if value:
                return str(value)
        return ""

    def _bind_as(self, entry_dn: str, person: str, password: bytes) -> DirectoryVerdict:
        connection = self._open(entry_dn, password.decode())
        try:
            done, result, _, _ = connection.bind(read_server_info=False)
        finally:
            _close(connection)
        if done:
            return DirectoryVerdict("accepted", "bind", person, entry_dn)
        return read_bind_failure(int(result.get("result", -1)), str(result.get("message", "")))


def _close(connection: Connection) -> None:
    try:
        connection.unbind()
    except (LDAPExceptionError, OSError):
        connection.strategy._close_socket()
