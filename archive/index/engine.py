"""One way to ClickHouse, embedded or a server, through clickhouse-connect. One process owns an embedded path."""

import logging
import threading
from collections.abc import Sequence
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from archive.errors import ArchiveError
from archive.index.blocks import Block
from archive.index.tables import create_statements, database_name, merged_statements, schema_fingerprint

QUERY_TIMEOUT_SECONDS = 30
"""Longest a single question may run; a wider one is refused by the engine, not left to hang."""
SHADOW_SUFFIX = "_rebuild"
MERGED_SUFFIX = "_all"
LOG_NUMBER = "indexOf({logs:Array(String)}, log)"
"""Of the log that a row is from: leaves of one log are in order, and those of a later log after them."""
MAX_QUERY_MEMORY_BYTES = 2 * 1024**3
"""A question may not push the receiver's machine into swap."""

log = logging.getLogger(__name__)


class IndexUnavailableError(ArchiveError):
    """The engine cannot be opened or refused a statement."""

    code = "index_unavailable"


class Engine:
    """Connections to one log's database. Each thread has its own client: calls on one client are serialised.

    With `former`, origins of earlier logs whose databases are there, oldest first, it reads the rows of all of them and
    takes none. `logs` are the origins in the order of the logs.
    """

    def __init__(self, dsn: str, origin: str, *, suffix: str = "", former: Sequence[str] = ()) -> None:
        self._dsn = dsn
        self._local = threading.local()
        self.origin = origin
        self.logs = (*former, origin)
        self.database = database_name(origin) + (MERGED_SUFFIX if former else suffix)
        self._drop_other_tables()
        self._create_tables()

    def shadow(self) -> "Engine":
        """Tables of the same log and layout beside these, to be filled and taken from."""
        return Engine(self._dsn, self.origin, suffix=SHADOW_SUFFIX)

    def drop(self) -> None:
        """Remove this database."""
        self.command(f"DROP DATABASE IF EXISTS {self.database} SYNC")

    def count_partitions(self) -> dict[tuple[str, str], int]:
        """(table, partition) -> rows."""
        rows = self.query(
            "SELECT table, partition, sum(rows) AS n FROM system.parts WHERE active AND database = {database:String} "
            "GROUP BY table, partition",
            {"database": self.database},
        )
        return {(row["table"], row["partition"]): int(row["n"]) for row in rows}

    def take_partition(self, other: "Engine", table: str, partition: str) -> None:
        """Put a partition of the other database in the place of ours, at once; `all` is that of a table without any."""
        self.command(
            f"ALTER TABLE {self.database}.{table} REPLACE PARTITION ID '{partition}' FROM {other.database}.{table}"
        )

    def drop_partition(self, table: str, partition: str) -> None:
        """Remove a partition; nothing happens where there is none."""
        self.command(f"ALTER TABLE {self.database}.{table} DROP PARTITION ID '{partition}'")

    def clear(self) -> None:
        """Empty this log's tables, their memory of insert tokens included. Whoever indexes begins at leaf 0 again."""
        self.command(f"DROP DATABASE IF EXISTS {self.database} SYNC")
        self._create_tables()

    def _create_tables(self) -> None:
        made = create_statements(self.database, self.origin)
        for statement in merged_statements(self.database, self.logs) if len(self.logs) > 1 else made:
            self.command(statement)

    def _drop_other_tables(self) -> None:
        """Rows of an earlier layout cannot be told from those of this one; the journal has them all."""
        if len(self.logs) > 1:
            self.drop()
            return
        found = self.query(f"SELECT comment FROM system.databases WHERE name = '{self.database}'")
        if found and found[0]["comment"] != schema_fingerprint():
            log.warning("the index has the tables of another version; it is rebuilt from the journal")
            self.command(f"DROP DATABASE {self.database}")

    def _client(self) -> Client:
        return self._own_client("client", {})

    def _reading_client(self) -> Client:
        """Its limits are set once: given with each question they cost an embedded engine five more statements."""
        limits = {"max_execution_time": QUERY_TIMEOUT_SECONDS, "max_memory_usage": MAX_QUERY_MEMORY_BYTES}
        return self._own_client("reading", limits)

    def _own_client(self, name: str, settings: dict[str, Any]) -> Client:
        """This thread's client of a name."""
        client = getattr(self._local, name, None)
        if client is None:
            try:
                client = clickhouse_connect.get_client(dsn=self._dsn, settings=settings)
            except Exception as error:
                raise IndexUnavailableError(f"the index at {self._dsn} cannot be opened: {error}") from error
            setattr(self._local, name, client)
        return client

    def command(self, statement: str) -> None:
        try:
            self._client().command(statement)
        except ClickHouseError as error:
            raise IndexUnavailableError(str(error)) from error

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert rows once: a second call with the same token changes nothing."""
        try:
            self._client().insert_arrow(
                table, rows, database=self.database, settings={"insert_deduplication_token": token}
            )
        except ClickHouseError as error:
            raise IndexUnavailableError(str(error)) from error

    def insert_block(self, block: Block, token: str) -> None:
        """Insert the rows of a file once. An embedded engine reads the file itself."""
        table, settings = f"{self.database}.{block.table}", {"insert_deduplication_token": token}
        try:
            if self._dsn.startswith("chdb:"):
                columns = ", ".join(f"`{name}`" for name in block.columns)
                path, quoted = (str(value).replace("\\", "\\\\").replace("'", "\\'") for value in (block.path, token))
                self._client().command(
                    f"INSERT INTO {table} ({columns}) FROM INFILE '{path}' "
                    f"SETTINGS insert_deduplication_token = '{quoted}' FORMAT ArrowStream"
                )
                return
            with block.path.open("rb") as file:
                self._client().raw_insert(table, block.columns, file, settings, "ArrowStream")
        except ClickHouseError as error:
            raise IndexUnavailableError(str(error)) from error

    def log_number(self, origin: str) -> int:
        """Place of a log among those of this archive, from 1; 0 for one that is none of them. As LOG_NUMBER in SQL."""
        return self.logs.index(origin) + 1 if origin in self.logs else 0

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows as dictionaries; `{db}` in `sql` is this log's database, the parameter `logs` the origins in the order
        of the logs. Addresses are 16 bytes, times integers only if the query says so."""
        return self.query_table(sql, parameters).to_pylist()

    def query_table(self, sql: str, parameters: dict[str, Any] | None = None) -> pa.Table:
        """`query` in columns."""
        given = dict(parameters or {})
        if "{logs:" in sql:
            given["logs"] = list(self.logs)
        try:
            return self._reading_client().query_arrow(sql.replace("{db}", self.database), parameters=given)
        except ClickHouseError as error:
            raise IndexUnavailableError(str(error)) from error
