"""Reading accounts beside the writer, for RADIUS and portal."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.exc import SQLAlchemyError

from authgw.accounts.schema import ACCOUNTS, open_reader
from authgw.errors import AuthgwError
from authgw.names import account_key


@dataclass(frozen=True)
class StoredAccount:
    """One account as a reader sees it. `password_hash` None: no password was ever set, nobody can log in."""

    key: str
    name: str
    person: str
    disabled: bool
    password_hash: str | None = field(repr=False)


_FIND = select(ACCOUNTS.c.key, ACCOUNTS.c.name, ACCOUNTS.c.person, ACCOUNTS.c.disabled, ACCOUNTS.c.password_hash).where(
    ACCOUNTS.c.key == bindparam("wanted")
)


class AccountReader:
    """Finds accounts by name; opens the database read-only at the first question. Safe for many threads.

    A database that does not exist yet has no accounts. One that cannot be read raises AuthgwError
    `accounts_unavailable`: the caller must then give no answer rather than a false reject.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def find(self, name: str) -> StoredAccount | None:
        """The account of this name, compared by `account_key`."""
        key = account_key(name)
        with self._lock:
            try:
                if self._connection is None:
                    if not self._path.exists():
                        return None
                    self._connection = open_reader(self._path).connect()
                row = self._connection.execute(_FIND, {"wanted": key}).first()
            except (SQLAlchemyError, UnicodeError) as error:
                self._dispose()
                raise AuthgwError(
                    f"the account database cannot be read: {type(error).__name__}",
                    code="accounts_unavailable",
                ) from error
        if row is None:
            return None
        return StoredAccount(row.key, row.name, row.person, bool(row.disabled), row.password_hash)

    def close(self) -> None:
        with self._lock:
            self._dispose()

    def _dispose(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()
            connection.engine.dispose()
