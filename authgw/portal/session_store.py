"""The portal's working copy of its sessions, in SQLite: who is online now, and which records are not yet known to be
in the journal. The journal is the evidence; this file only lets sessions outlive the process."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from authgw.errors import AuthgwError

BUSY_TIMEOUT_SECONDS = 5.0
_TABLES = (
    "CREATE TABLE IF NOT EXISTS sessions (address TEXT PRIMARY KEY, session_id TEXT NOT NULL UNIQUE, "
    "login_id TEXT NOT NULL, account TEXT NOT NULL, started_unix_ns INTEGER NOT NULL, "
    "expires_unix_ns INTEGER NOT NULL, seen_unix_ns INTEGER NOT NULL, language TEXT NOT NULL, "
    "terms_version TEXT NOT NULL, recorded INTEGER NOT NULL DEFAULT 0) STRICT",
    "CREATE TABLE IF NOT EXISTS unrecorded (number INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, "
    "payload BLOB NOT NULL) STRICT",
)


@dataclass(frozen=True)
class PortalSession:
    """One person online at one address. `seen_unix_ns` is the last recorded sign of life; `recorded` says that its
    opening is known to be durable in the journal."""

    address: str
    session_id: str
    login_id: str
    account: str
    started_unix_ns: int
    expires_unix_ns: int
    seen_unix_ns: int
    language: str
    terms_version: str
    recorded: bool = False


_COLUMNS = (
    "address, session_id, login_id, account, started_unix_ns, expires_unix_ns, seen_unix_ns, language, terms_version, "
    "recorded"
)


class SessionStore:
    """Rows and transactions, nothing else. The caller holds one lock around every call."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _as_unavailable():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
            )
            # FULL: a power failure may not bring back a session that the journal says has ended.
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF"):
                self._connection.execute(f"PRAGMA {pragma}")
            for statement in _TABLES:
                self._connection.execute(statement)
        path.chmod(0o600)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable at its end. Raises AuthgwError `sessions_unavailable`."""
        with _as_unavailable():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def find(self, address: str) -> PortalSession | None:
        return next(self._select("WHERE address = ?", address), None)

    def expired(self, now_unix_ns: int, limit: int) -> list[PortalSession]:
        return list(self._select("WHERE expires_unix_ns <= ? ORDER BY expires_unix_ns LIMIT ?", now_unix_ns, limit))

    def count(self) -> int:
        with _as_unavailable():
            return int(self._connection.execute("SELECT count(*) FROM sessions").fetchone()[0])

    def insert(self, session: PortalSession) -> None:
        values = [getattr(session, name) for name in _COLUMNS.split(", ")]
        marks = ", ".join("?" * len(values))
        self._connection.execute(f"INSERT INTO sessions ({_COLUMNS}) VALUES ({marks})", values)

    def delete(self, session_id: str) -> bool:
        return self._connection.execute("DELETE FROM sessions WHERE session_id = ?", (session_id,)).rowcount > 0

    def set_seen(self, session_id: str, seen_unix_ns: int) -> None:
        self._connection.execute(
            "UPDATE sessions SET seen_unix_ns = ? WHERE session_id = ?", (seen_unix_ns, session_id)
        )

    def add_unrecorded(self, session_id: str, payload: bytes) -> int:
        """Remember a record before it goes to the journal. Returns its number."""
        cursor = self._connection.execute(
            "INSERT INTO unrecorded (session_id, payload) VALUES (?, ?)", (session_id, payload)
        )
        return int(cursor.lastrowid or 0)

    def unrecorded(self, limit: int) -> list[tuple[int, bytes]]:
        """Number and payload of records not known to be durable, in their order."""
        with _as_unavailable():
            return self._connection.execute(
                "SELECT number, payload FROM unrecorded ORDER BY number LIMIT ?", (limit,)
            ).fetchall()

    def set_recorded(self, numbers: Iterable[int]) -> None:
        """These records are durable in the journal. The first of a session is its opening."""
        for number in numbers:
            self._connection.execute(
                "UPDATE sessions SET recorded = 1 "
                "WHERE session_id = (SELECT session_id FROM unrecorded WHERE number = ?)",
                (number,),
            )
            self._connection.execute("DELETE FROM unrecorded WHERE number = ?", (number,))

    def _select(self, condition: str, *values: object) -> Iterator[PortalSession]:
        with _as_unavailable():
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM sessions {condition}", values).fetchall()
        for row in rows:
            yield PortalSession(*row[:-1], recorded=bool(row[-1]))


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise AuthgwError(
            f"the sessions of the portal cannot be read or written: {error}",
            code="sessions_unavailable",
            message_th="อ่านหรือบันทึกข้อมูลการเข้าใช้งานไม่ได้",
        ) from error
