"""What the pages of the portal share: one log-in, from the typed password to the durable session."""

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from archive.errors import SpoolError
from authgw.errors import AuthgwError
from authgw.login import LoginCheck
from authgw.names import password_candidates
from authgw.portal.session_store import PortalSession
from authgw.portal.sessions import SessionBook
from authgw.portal.throttle import FailureThrottle, Refusal

Outcome = Literal["online", "rejected", "throttled", "unavailable", "not_recorded"]


@dataclass(frozen=True)
class LoginResult:
    """`reason` of a rejection; `remaining` tries; `wait_seconds` until the next one when none remains."""

    outcome: Outcome
    session: PortalSession | None = None
    reason: str = ""
    remaining: int = 0
    wait_seconds: int = 0


@dataclass(frozen=True)
class LoginRequest:
    """A sent log-in form. `password` as the bytes that came; it is never kept or written."""

    address: str
    name: str
    password: bytes
    language: str
    terms_version: str
    user_agent: str


class LoginDesk:
    """Safe for many threads; `log_in` blocks on argon2id, the directory and the journal."""

    def __init__(self, check: LoginCheck, book: SessionBook, throttle: FailureThrottle) -> None:
        self._check = check
        self._throttle = throttle
        self._counters: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.book = book

    def count(self, name: str) -> None:
        with self._lock:
            self._counters[name] += 1

    def counters(self) -> dict[str, int]:
        """Events since the start of this process, by name."""
        with self._lock:
            return dict(self._counters)

    def log_in(self, asked: LoginRequest) -> LoginResult:
        """Check, throttle, open. A directory or a database that cannot answer never counts as a wrong password."""
        attempt = self._throttle.admit(asked.address, asked.name)
        if isinstance(attempt, Refusal):
            self.count("logins_throttled")
            return LoginResult("throttled", wait_seconds=attempt.wait_seconds)
        try:
            verdict = self._check.decide(asked.name, "pap", password_candidates(asked.password))
        except AuthgwError as error:
            self._throttle.forgive(attempt)
            self.count(f"logins_unanswered_{error.code}")
            return LoginResult("unavailable", reason=error.code)
        except BaseException:
            self._throttle.forgive(attempt)
            raise
        if verdict.action == "silent":
            self._throttle.forgive(attempt)
            self.count(f"logins_unanswered_{verdict.reason}")
            return LoginResult("unavailable", reason=verdict.reason)
        if verdict.action != "accept":
            self.count(f"rejected_{verdict.reason}")
            try:
                self.book.record_reject(asked.address, asked.name, verdict, asked.user_agent)
            except SpoolError as error:
                self.count(f"rejects_not_recorded_{error.code}")
            return self._rejected(attempt.address, asked.name, verdict.reason)
        self._throttle.forgive(attempt)
        try:
            session = self.book.open(
                asked.address,
                verdict,
                language=asked.language,
                terms_version=asked.terms_version,
                user_agent=asked.user_agent,
            )
        except (SpoolError, AuthgwError) as error:
            self.count(f"logins_not_recorded_{error.code}")
            return LoginResult("not_recorded", reason=error.code)
        self.count("logins_accepted")
        return LoginResult("online", session)

    def _rejected(self, address: str, name: str, reason: str) -> LoginResult:
        remaining, wait_seconds = self._throttle.left(address, name)
        return LoginResult("rejected", reason=reason, remaining=remaining, wait_seconds=wait_seconds)
