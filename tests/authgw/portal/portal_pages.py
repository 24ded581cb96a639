"""A portal without sockets: the pages over Flask's test client, the journal and the working copy on disk."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archive.spool import SpoolWriter
from archive.spool_read import read_spool_file
from authgw.accounts.reader import AccountReader
from authgw.accounts.store import AccountService
from authgw.directory.base import Directory, DirectoryVerdict
from authgw.login import LoginCheck
from authgw.passwords import PasswordChecker
from authgw.portal.app import PortalPages, make_app
from authgw.portal.desk import LoginDesk
from authgw.portal.forms import FormSigner
from authgw.portal.session_store import SessionStore
from authgw.portal.sessions import SessionBook
from authgw.portal.terms import Terms, load_terms
from authgw.portal.throttle import FailureThrottle
from tests.clocks import ManualClock

PASSWORD = "correct horse 1"
HIDDEN = re.compile(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"')


class ScriptedDirectory:
    """Answers each name as told; remembers nothing of passwords."""

    def __init__(self, **answers: DirectoryVerdict) -> None:
        self.answers = answers

    def check(self, name: str, password: bytes) -> DirectoryVerdict:
        return self.answers.get(name, DirectoryVerdict("wrong"))

    def close(self) -> None:
        return None


@dataclass
class Portal:
    """One portal in a directory; `open` again after `close` is a restart."""

    directory: Path
    clock: ManualClock = field(default_factory=ManualClock)
    people: dict[str, str] = field(default_factory=lambda: {"somchai": PASSWORD})
    directory_service: Directory | None = None
    session_seconds: int = 12 * 3600
    terms: Terms = field(default_factory=load_terms)

    def open(self) -> "Portal":
        self._make_accounts()
        self.spool = SpoolWriter(self.directory / "spool", "portal", clock=self.clock)
        self.store = SessionStore(self.directory / "portal" / "sessions.sqlite")
        self.book = SessionBook(self.store, self.spool, self.clock, self.session_seconds)
        self.repeated = self.book.recover()
        self.accounts = AccountReader(self.directory / "accounts.sqlite")
        check = LoginCheck(self.accounts, PasswordChecker(self.clock), self.directory_service)
        self.desk = LoginDesk(check, self.book, FailureThrottle(self.clock))
        self.app = make_app(
            PortalPages(
                self.desk, FormSigner(b"k" * 32), self.terms, self.clock, "โรงเรียนทดสอบ", "Asia/Bangkok", 92, "", 8443
            )
        )
        return self

    def close(self) -> None:
        self.spool.close()
        self.store.close()
        self.accounts.close()

    def __enter__(self) -> "Portal":
        return self.open()

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _make_accounts(self) -> None:
        path = self.directory / "accounts.sqlite"
        if path.exists():
            return
        spool = SpoolWriter(self.directory / "spool", "identity", clock=self.clock)
        service = AccountService(path, spool, self.clock)
        for name, password in self.people.items():
            service.user_add(
                name, "สมชาย ใจดี", actor="test", identified_how="card", identified_by="test", password=password
            )
        service.close()
        spool.close()

    def browser(self, address: str = "10.20.0.7", **headers: str) -> "Browser":
        return Browser(self, address, headers)

    def events(self) -> list[dict[str, Any]]:
        """Session events in the journal, in order."""
        return [json.loads(payload) for payload in self.payloads()]

    def payloads(self) -> list[bytes]:
        return journal_payloads(self.directory / "spool" / "portal")


@dataclass
class Browser:
    """A client at one address that keeps no cookie."""

    portal: Portal
    address: str
    headers: dict[str, str]

    def _client(self) -> Any:
        return self.portal.app.test_client(use_cookies=False)

    def get(self, path: str) -> Any:
        return self._client().get(path, environ_base={"REMOTE_ADDR": self.address}, headers=self.headers)

    def post(self, path: str, data: Any, **options: Any) -> Any:
        headers = self.headers | options.pop("headers", {})
        return self._client().post(
            path, data=data, environ_base={"REMOTE_ADDR": self.address}, headers=headers, **options
        )

    def form(self, path: str = "/?other=1") -> dict[str, str]:
        return dict(HIDDEN.findall(self.get(path).text))

    def log_in(self, name: str = "somchai", password: str = PASSWORD, path: str = "/?other=1") -> Any:
        return self.post("/login", {**self.form(path), "username": name, "password": password})


def journal_payloads(stream: Path) -> list[bytes]:
    """Payloads of listener `session`, in order."""
    found = []
    for path in sorted(stream.glob("*[0-9].*")):
        if path.suffix not in (".open", ".spool"):
            continue
        for batch in read_spool_file(path).batches:
            start = 0
            for length in batch.payload_lengths.tolist():
                if batch.listener == "session":
                    found.append(bytes(batch.payload[start : start + length]))
                start += length
    return found
