"""Operators of the admin pages: set-up by a one-time link, log-in, tokens. Owned by the ask process alone.

There is no default password: until the one-time link is used nobody can log in. Every change is an audit record first
(the service writes it). Passwords are argon2id; tokens are random, kept as SHA-256, and end after some hours.
"""

import hashlib
import hmac
import secrets
import sqlite3
import threading
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from archive.clock import Clock
from archive.durable import make_directory, replace_file
from archive.errors import AskError

TOKEN_SECONDS = 8 * 3600
"""A working day; afterwards the operator logs in again."""
MIN_PASSWORD_CHARACTERS = 10
MAX_PASSWORD_BYTES = 1024
FAILURES_BEFORE_DELAY = 5
LOCK_SECONDS = 60
"""After five wrong passwords a name waits a minute, so that guessing is slow and a real operator is not shut out."""
NS = 1_000_000_000
ROLES = ("administrator", "auditor")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS operators (
    name TEXT PRIMARY KEY, password_hash TEXT NOT NULL, role TEXT NOT NULL, created_unix_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS tokens (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, expires_unix_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS failures (
    name TEXT PRIMARY KEY, count INTEGER NOT NULL, last_unix_ns INTEGER NOT NULL
) STRICT;
"""


@dataclass(frozen=True)
class Operator:
    """Whom a token stands for."""

    name: str
    role: str


class OperatorError(AskError):
    """A log-in or set-up that is refused; carries the Thai sentence too."""

    code = "operator"

    def __init__(self, message: str, message_th: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.message_th = message_th


def _spent_link() -> OperatorError:
    return OperatorError(
        "This set-up link is not valid or was used already.",
        "ลิงก์ตั้งค่านี้ใช้ไม่ได้หรือถูกใช้ไปแล้ว",
        code="setup_link",
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class OperatorStore:
    """Operators in SQLite below `directory`; the set-up secret lies beside it in a file only this user can read."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        make_directory(directory, mode=0o700)
        self._clock = clock
        self._setup_path = directory / "setup-secret"
        self._lock = threading.Lock()
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._dummy_hash = self._hasher.hash(secrets.token_hex(16))
        self._database = sqlite3.connect(directory / "operators.sqlite", check_same_thread=False, isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)

    def setup_secret(self) -> str | None:
        """The secret of the one-time link, made if there is no operator yet; None once there is one."""
        with self._lock:
            if self._count() > 0:
                return None
            if not self._setup_path.exists():
                replace_file(self._setup_path, secrets.token_urlsafe(24).encode(), mode=0o600)
            return self._setup_path.read_text(encoding="ascii")

    def set_up(self, secret: str, name: str, password: str) -> Operator:
        """Make the first administrator and spend the link."""
        name = self._checked_name(name)
        self._check_password(password)
        expected = self.setup_secret()
        if expected is None or not hmac.compare_digest(expected.encode(), secret.encode()):
            raise _spent_link()
        operator = self._insert(name, password, "administrator", first=True)
        self._setup_path.unlink(missing_ok=True)
        return operator

    def add(self, name: str, password: str, role: str) -> Operator:
        """Another operator."""
        if role not in ROLES:
            raise OperatorError(f"Role {role!r} is not one of {', '.join(ROLES)}.", "ไม่มีบทบาทนี้", code="bad_role")
        self._check_password(password)
        return self._insert(self._checked_name(name), password, role)

    def log_in(self, name: str, password: str) -> tuple[str, Operator]:
        """A fresh token and its operator. Unknown names cost the same time as wrong passwords."""
        name = unicodedata.normalize("NFC", name.strip()).casefold()
        now = self._clock.unix_ns()
        with self._lock:
            # Counted before the password is looked at: guesses made at once are so many guesses.
            self._count_attempt(name, now)
            row = self._database.execute("SELECT password_hash, role FROM operators WHERE name = ?", (name,)).fetchone()
        if not self._is_right(row[0] if row else self._dummy_hash, password) or row is None:
            raise OperatorError("The name or password is not right.", "ชื่อผู้ใช้หรือรหัสผ่านไม่ถูกต้อง", code="wrong_password")
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._database.execute("DELETE FROM failures WHERE name = ?", (name,))
            self._database.execute("DELETE FROM tokens WHERE expires_unix_ns < ?", (now,))
            self._database.execute(
                "INSERT INTO tokens VALUES (?, ?, ?)", (_digest(token), name, now + TOKEN_SECONDS * NS)
            )
        return token, Operator(name, row[1])

    def _count_attempt(self, name: str, now: int) -> None:
        """Count a try of `name`; a right password forgets them. Raises OperatorError after too many."""
        row = self._database.execute("SELECT count, last_unix_ns FROM failures WHERE name = ?", (name,)).fetchone()
        count, last_ns = row or (0, now)
        # A clock that was set back must not make the wait longer.
        if not 0 <= now - last_ns < LOCK_SECONDS * NS:
            count = 0
        if count >= FAILURES_BEFORE_DELAY:
            raise OperatorError(
                "Too many wrong passwords. Try again in a minute.",
                "ใส่รหัสผ่านผิดหลายครั้ง โปรดลองใหม่ในอีก 1 นาที",
                code="too_many_failures",
            )
        self._database.execute("REPLACE INTO failures VALUES (?, ?, ?)", (name, count + 1, now))

    def find(self, token: str) -> Operator | None:
        """The operator of a token that has not ended."""
        with self._lock:
            row = self._database.execute(
                "SELECT o.name, o.role FROM tokens t JOIN operators o ON o.name = t.name "
                "WHERE t.digest = ? AND t.expires_unix_ns > ?",
                (_digest(token), self._clock.unix_ns()),
            ).fetchone()
        return Operator(row[0], row[1]) if row else None

    def log_out(self, token: str) -> None:
        with self._lock:
            self._database.execute("DELETE FROM tokens WHERE digest = ?", (_digest(token),))

    def _count(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM operators").fetchone()[0])

    def _is_right(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password[:MAX_PASSWORD_BYTES])
        except VerificationError:
            return False

    def _insert(self, name: str, password: str, role: str, *, first: bool = False) -> Operator:
        password_hash = self._hasher.hash(password)
        with self._lock:
            if first and self._count() > 0:
                raise _spent_link()
            try:
                self._database.execute(
                    "INSERT INTO operators VALUES (?, ?, ?, ?)", (name, password_hash, role, self._clock.unix_ns())
                )
            except sqlite3.IntegrityError as error:
                raise OperatorError(f"{name} exists already.", f"มีชื่อ {name} อยู่แล้ว", code="exists") from error
        return Operator(name, role)

    def _checked_name(self, name: str) -> str:
        name = unicodedata.normalize("NFC", name.strip()).casefold()
        if not 1 <= len(name) <= 64 or any(c.isspace() or not c.isprintable() for c in name):
            raise OperatorError(
                "A name has 1 to 64 characters and no spaces.", "ชื่อมี 1 ถึง 64 ตัวอักษรและไม่มีช่องว่าง", code="bad_name"
            )
        return name

    def _check_password(self, password: str) -> None:
        if len(password) < MIN_PASSWORD_CHARACTERS or len(password.encode()) > MAX_PASSWORD_BYTES:
            raise OperatorError(
                f"A password has at least {MIN_PASSWORD_CHARACTERS} characters.",
                f"รหัสผ่านต้องมีอย่างน้อย {MIN_PASSWORD_CHARACTERS} ตัวอักษร",
                code="weak_password",
            )
