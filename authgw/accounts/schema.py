"""Tables of the account database, a working copy of the identity events."""

from pathlib import Path

from sqlalchemy import (
    Boolean,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.pool import StaticPool

SCHEMA_VERSION = 1
BUSY_TIMEOUT_MS = 5000
"""Longer than any transaction of the one writer."""

METADATA = MetaData()

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("key", String, primary_key=True),  # account_key(name)
    Column("name", String, nullable=False),
    Column("person", Text, nullable=False),
    Column("password_hash", Text, nullable=True),  # argon2id, PHC string; null: nobody can log in yet
    Column("disabled", Boolean, nullable=False, default=False),
    Column("identified_how", Text, nullable=False),
    Column("identified_by", Text, nullable=False),
    Column("identified_when", Text, nullable=False),  # ISO 8601 with offset, or a date
    Column("created_unix_ns", Integer, nullable=False),
    Column("changed_unix_ns", Integer, nullable=False),
)

ACCOUNT_EVENTS = Table(
    "account_events",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("time_unix_ns", Integer, nullable=False),
    Column("event", String, nullable=False),
    Column("account", String, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("details", Text, nullable=False),  # JSON
)


def open_writer(path: Path) -> Engine:
    """The writer's engine: WAL, every commit synced, file readable by owner and group only. Makes missing
    tables."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection, _record) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "trusted_schema=OFF",
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
    path.chmod(0o640)
    return engine


def open_reader(path: Path) -> Engine:
    """A read-only engine with one shared connection; the caller holds a lock around each use."""
    return create_engine(
        f"sqlite:///file:{path}?mode=ro&uri=true",
        poolclass=StaticPool,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False, "uri": True},
        isolation_level="AUTOCOMMIT",
    )
