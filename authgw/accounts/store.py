"""AccountService, the only writer of accounts. What it changes is first an `identity` event, durable in the
journal; only then the row, so that the journal never knows less than the database."""

import json
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from archive.clock import Clock
from archive.event_record import encode_event
from archive.spool import SpoolWriter
from authgw.accounts.schema import ACCOUNT_EVENTS, ACCOUNTS, open_writer
from authgw.accounts.validate import check_person, check_proof, check_text
from authgw.errors import AccountError
from authgw.names import account_key, check_account_name
from authgw.passwords import check_new_password, hash_password

LISTENER = "identity"
MAX_LISTED = 10_000
"""More people than a large office; a reply of about 4 MB."""


class AccountService:
    """Creates and changes accounts, one change at a time. `spool` must be the writer of stream `identity`."""

    def __init__(self, path: Path, spool: SpoolWriter, clock: Clock) -> None:
        self._engine = open_writer(path)
        self._spool = spool
        self._clock = clock
        self._lock = threading.Lock()

    def close(self) -> None:
        self._engine.dispose()

    def user_add(
        self,
        name: str,
        person: str,
        *,
        actor: str,
        identified_how: str,
        identified_by: str,
        identified_when: str = "",
        password: str | None = None,
    ) -> dict[str, Any]:
        """Create an account for an identified person. Without `password` nobody can log in to it yet."""
        name = check_account_name(name)
        person = check_person(person)
        password_hash = _hash_or_none(password)
        key = account_key(name)
        with self._lock:
            now_ns = self._clock.unix_ns()
            proof = check_proof(identified_how, identified_by, identified_when, now_ns)
            if self._row(key) is not None:
                raise AccountError(
                    f"There is already an account named {name}.",
                    code="account_exists",
                    message_th=f"มีบัญชีชื่อ {name} อยู่แล้ว",
                )
            values = {
                "key": key,
                "name": name,
                "person": person,
                "password_hash": password_hash,
                "disabled": False,
                "created_unix_ns": now_ns,
                "changed_unix_ns": now_ns,
                **proof,
            }
            details = {"name": name, "password_set": password_hash is not None, **proof}
            self._record("account_created", key, person, actor, now_ns, details, insert(ACCOUNTS).values(**values))
        return self.user_show(name)

    def user_change(
        self,
        name: str,
        *,
        actor: str,
        person: str | None = None,
        identified_how: str | None = None,
        identified_by: str | None = None,
        identified_when: str = "",
    ) -> dict[str, Any]:
        """Change the person's name, or state a new proof of identity (how and by whom, together)."""
        changes: dict[str, Any] = {}
        if person is not None:
            changes["person"] = check_person(person)
        with self._lock:
            row = self._require(name)
            now_ns = self._clock.unix_ns()
            if identified_how is not None or identified_by is not None:
                changes |= check_proof(identified_how or "", identified_by or "", identified_when, now_ns)
            if not changes:
                raise AccountError("Nothing to change.", code="nothing_to_change", message_th="ไม่มีสิ่งที่ต้องเปลี่ยน")
            details = {"before": {k: row[k] for k in changes}, "after": changes}
            self._change("account_changed", row, changes, actor, now_ns, details)
        return self.user_show(name)

    def user_set_password(self, name: str, password: str, *, actor: str) -> dict[str, Any]:
        """Replace the password. The event says that it happened, never what it was."""
        password_hash = _hash_or_none(password)
        with self._lock:
            row = self._require(name)
            self._change("password_set", row, {"password_hash": password_hash}, actor, self._clock.unix_ns(), {})
        return self.user_show(name)

    def user_disable(self, name: str, *, actor: str, disabled: bool = True, reason: str = "") -> dict[str, Any]:
        """Disable an account, or enable it again with `disabled=False`."""
        reason = check_text(reason)
        event = "account_disabled" if disabled else "account_enabled"
        with self._lock:
            row = self._require(name)
            if row["disabled"] != disabled:
                self._change(event, row, {"disabled": disabled}, actor, self._clock.unix_ns(), {"reason": reason})
        return self.user_show(name)

    def user_list(self) -> list[dict[str, Any]]:
        """All accounts by name, without password hashes, at most MAX_LISTED."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(ACCOUNTS).order_by(ACCOUNTS.c.key).limit(MAX_LISTED))
            return [_public(dict(row._mapping)) for row in rows]

    def user_show(self, name: str) -> dict[str, Any]:
        """One account, without its password hash. Raises AccountError `account_unknown`."""
        return _public(self._require(name))

    def user_events(self, name: str) -> list[dict[str, Any]]:
        """The identity events of one account, oldest first, from the working copy; the journal holds the
        evidence."""
        key = self._require(name)["key"]
        table = ACCOUNT_EVENTS
        with self._engine.connect() as connection:
            rows = connection.execute(select(table).where(table.c.account == key).order_by(table.c.number))
            return [
                {
                    "time_unix_ns": str(row.time_unix_ns),
                    "event": row.event,
                    "account": row.account,
                    "actor": row.actor,
                    "details": json.loads(row.details),
                }
                for row in rows
            ]

    def _row(self, key: str) -> dict[str, Any] | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.key == key)).first()
            return dict(row._mapping) if row else None

    def _require(self, name: str) -> dict[str, Any]:
        row = self._row(account_key(name))
        if row is None:
            raise AccountError(
                f"There is no account named {name}.",
                code="account_unknown",
                message_th=f"ไม่มีบัญชีชื่อ {name}",
            )
        return row

    def _change(
        self,
        event: str,
        row: dict[str, Any],
        changes: dict[str, Any],
        actor: str,
        now_ns: int,
        details: dict[str, Any],
    ) -> None:
        statement = update(ACCOUNTS).where(ACCOUNTS.c.key == row["key"]).values(**changes, changed_unix_ns=now_ns)
        self._record(event, row["key"], changes.get("person", row["person"]), actor, now_ns, details, statement)

    def _record(
        self,
        event: str,
        key: str,
        person: str,
        actor: str,
        now_ns: int,
        details: dict[str, Any],
        statement: Any,
    ) -> None:
        """Event durable in the journal, then row and working copy in one transaction. A row that fails
        afterwards is stated by a second event `change_not_applied`, so that the journal does not claim what
        did not happen."""
        self._journal(event, key, person, actor, now_ns, details)
        try:
            with self._engine.begin() as connection:
                connection.execute(statement)
                connection.execute(
                    insert(ACCOUNT_EVENTS).values(
                        time_unix_ns=now_ns,
                        event=event,
                        account=key,
                        actor=actor,
                        details=json.dumps(details, ensure_ascii=False),
                    )
                )
        except SQLAlchemyError as error:
            failed = {"event": event, "event_time_unix_ns": str(now_ns), "error": type(error).__name__}
            self._journal("change_not_applied", key, person, actor, self._clock.unix_ns(), failed)
            raise AccountError(
                "The account database did not take the change; nothing was changed.",
                code="accounts_unavailable",
                message_th="ฐานข้อมูลบัญชีบันทึกไม่สำเร็จ ยังไม่มีการเปลี่ยนแปลงใด ๆ",
            ) from error

    def _journal(self, event: str, key: str, person: str, actor: str, now_ns: int, details: dict[str, Any]) -> None:
        record = {"account": key, "person": person, "actor": actor, "details": details}
        ticket = self._spool.append(encode_event(event, now_ns, record), listener=LISTENER)
        self._spool.wait_durable(ticket)


def _hash_or_none(password: str | None) -> str | None:
    if password is None:
        return None
    check_new_password(password)
    return hash_password(password)


def _public(row: dict[str, Any]) -> dict[str, Any]:
    """A row for other processes: times as decimal strings, `has_password` instead of the hash."""
    public = {k: v for k, v in row.items() if k not in ("password_hash", "key")}
    public["account"] = row["key"]
    public["has_password"] = row["password_hash"] is not None
    for name in ("created_unix_ns", "changed_unix_ns"):
        public[name] = str(row[name])
    return public
