"""Sessions of the portal: opened, kept alive, closed, each step first a durable record of stream `portal`.

Every record is written into the working copy in the same transaction as what it states, then appended to the journal,
and struck from the working copy once durable. A process killed in between finds it there again at its start and
appends the same bytes a second time; the decoder takes equal records of a session once. So a cut log-in *goes on* as a
session, a cut log-out stays a log-out, and nothing is lost or doubled.
"""

import secrets
import threading
from dataclasses import replace

from archive.clock import Clock
from archive.errors import SpoolError
from archive.spool import RecordWriter
from authgw.errors import AuthgwError
from authgw.portal.session_store import PortalSession, SessionStore
from authgw.radius.decision import Verdict
from authgw.session_events import SessionEvent, encode_session_event, new_login_id

SESSION_SECONDS = 12 * 3600
"""A school day or an office day; after it a person says again who they are."""
ALIVE_SECONDS = 300
"""At most one sign of life in this time: 144 records for the longest session."""
MAX_OPEN_SESSIONS = 50_000
"""About 15 MB of working copy; far above the addresses of one site, below what a flood of addresses could take."""
MAX_USER_AGENT_CHARACTERS = 160
"""Enough to tell a phone from a laptop."""
EXPIRE_BATCH = 500
RETRY_BATCH = 500
DURABLE_TIMEOUT_SECONDS = 5.0
LATE_SECONDS = 5
"""A timed end noticed later than this was not noticed by the running portal: its moment is computed."""
LISTENER = "session"
NS = 1_000_000_000


class SessionBook:
    """Who is online at which address. Safe for many threads; `recover` comes before anything else."""

    def __init__(
        self, store: SessionStore, spool: RecordWriter, clock: Clock, session_seconds: int = SESSION_SECONDS
    ) -> None:
        self._store = store
        self._spool = spool
        self._clock = clock
        self._session_ns = session_seconds * NS
        self._lock = threading.Condition()
        self._in_flight: dict[int, int] = {}  # number of an unrecorded record to its ticket

    def recover(self) -> int:
        """Append again what a former process may not have finished, and end what ran out meanwhile. Returns the number
        of records appended again. Raises SpoolError or AuthgwError; then nobody may log in."""
        repeated = 0
        while count := self.retry():
            repeated += count
        self.expire()
        return repeated

    def find(self, address: str) -> PortalSession | None:
        """The session of this address whose opening is durable, if it has not run out."""
        with self._lock:
            session = self._store.find(address)
        if session is None or not session.recorded or session.expires_unix_ns <= self._clock.unix_ns():
            return None
        return session

    def open(
        self, address: str, verdict: Verdict, *, language: str, terms_version: str, user_agent: str = ""
    ) -> PortalSession:
        """Open a session for an accepted log-in; durable on return. The same account at the same address keeps its
        session; another account's session there is closed first.

        Raises SpoolError or AuthgwError; then nobody is online, and what was begun is closed in the journal.
        """
        now_ns = self._clock.unix_ns()
        session = _new_session(address, verdict.account, language, terms_version, now_ns, self._session_ns)
        with self._lock:
            former = self._store.find(address)
            if former and former.account == session.account and former.expires_unix_ns > now_ns:
                return self._wait_recorded(former)
            if former is None and self._store.count() >= MAX_OPEN_SESSIONS:
                raise AuthgwError("too many sessions are open", code="too_many_sessions")
            try:
                numbers, ticket = self._replace(former, session, _open_event(session, verdict, user_agent), now_ns)
            except SpoolError:
                self._give_up(session)
                raise
        try:
            self._settle(numbers, ticket)
        except (SpoolError, AuthgwError):
            with self._lock:
                self._give_up(session)
            raise
        return replace(session, recorded=True)

    def close(self, session: PortalSession, why: str) -> None:
        """End a session; durable on return, or at the next turn of `retry` when SpoolError is raised. Closing twice
        does nothing."""
        now_ns = self._clock.unix_ns()
        with self._lock:
            numbers, ticket = self._end(session, why, now_ns)
        if numbers:
            self._settle(numbers, ticket)

    def prove_alive(self, session: PortalSession) -> None:
        """The session's own browser was here: a sign of life, at most one in ALIVE_SECONDS."""
        now_ns = self._clock.unix_ns()
        if now_ns - session.seen_unix_ns < ALIVE_SECONDS * NS:
            return
        with self._lock:
            current = self._store.find(session.address)
            if (
                current is None
                or current.session_id != session.session_id
                or now_ns - current.seen_unix_ns < ALIVE_SECONDS * NS
            ):
                return
            with self._store.transaction():
                self._store.set_seen(session.session_id, now_ns)
                payload = _event("update", session, now_ns)
                number = self._store.add_unrecorded(session.session_id, payload)
            ticket = self._append([(number, payload)])
        self._settle([number], ticket)

    def record_reject(self, address: str, name: str, verdict: Verdict, user_agent: str) -> None:
        """State a refused log-in. Not waited for; raises SpoolError when it cannot even be appended."""
        details = {"source": verdict.source, "reason": verdict.reason, "user_agent": shorten_user_agent(user_agent)}
        payload = encode_session_event(
            "reject",
            self._clock.unix_ns(),
            kind="portal",
            account=verdict.account or name,
            address=address,
            ended_why=verdict.reason,
            details=details,
        )
        self._spool.append(payload, listener=LISTENER)

    def expire(self) -> int:
        """Close the sessions whose time is over. Returns how many."""
        now_ns = self._clock.unix_ns()
        numbers: list[int] = []
        ticket = -1
        try:
            with self._lock:
                for session in self._store.expired(now_ns, EXPIRE_BATCH):
                    late = now_ns - session.expires_unix_ns > LATE_SECONDS * NS
                    more, ticket = self._end(session, "session_timeout", session.expires_unix_ns, derived=late)
                    numbers += more
        finally:
            if numbers:
                self._settle(numbers, ticket)
        return len(numbers)

    def retry(self) -> int:
        """Append again every record that nobody is waiting for. Returns how many became durable."""
        with self._lock:
            waiting = [item for item in self._store.unrecorded(RETRY_BATCH) if item[0] not in self._in_flight]
            if not waiting:
                return 0
            ticket = self._append(waiting)
        self._settle([number for number, _ in waiting], ticket)
        return len(waiting)

    def count(self) -> int:
        """Open sessions."""
        with self._lock:
            return self._store.count()

    def _wait_recorded(self, session: PortalSession) -> PortalSession:
        """The person pressed twice, and the first log-in may still be on its way to the disk. Lock held."""
        found = self._store.find(session.address)

        def is_decided() -> bool:
            nonlocal found
            found = self._store.find(session.address)
            return found is None or found.session_id != session.session_id or found.recorded

        self._lock.wait_for(is_decided, DURABLE_TIMEOUT_SECONDS)
        if found is None or found.session_id != session.session_id or not found.recorded:
            raise AuthgwError("this log-in could not be recorded", code="session_not_recorded")
        return found

    def _replace(
        self, former: PortalSession | None, session: PortalSession, opening: bytes, now_ns: int
    ) -> tuple[list[int], int]:
        """Write the end of the former session and the beginning of the new one, in this order."""
        records: list[tuple[int, bytes]] = []
        with self._store.transaction():
            if former is not None:
                over = former.expires_unix_ns <= now_ns
                why, moment_ns = ("session_timeout", former.expires_unix_ns) if over else ("other_login", now_ns)
                payload = _event("close", former, moment_ns, why)
                self._store.delete(former.session_id)
                records.append((self._store.add_unrecorded(former.session_id, payload), payload))
            self._store.insert(session)
            records.append((self._store.add_unrecorded(session.session_id, opening), opening))
        return [number for number, _ in records], self._append(records)

    def _end(self, session: PortalSession, why: str, moment_ns: int, *, derived: bool = False) -> tuple[list[int], int]:
        payload = _event("close", session, moment_ns, why, derived=derived)
        with self._store.transaction():
            if not self._store.delete(session.session_id):
                return [], -1
            number = self._store.add_unrecorded(session.session_id, payload)
        return [number], self._append([(number, payload)])

    def _append(self, records: list[tuple[int, bytes]]) -> int:
        """Append in order and note what is under way; on SpoolError the records stay for `retry`. Returns the last
        ticket."""
        ticket = -1
        for number, payload in records:
            try:
                ticket = self._spool.append(payload, listener=LISTENER)
            except SpoolError:
                for noted, _ in records:
                    self._in_flight.pop(noted, None)
                raise
            self._in_flight[number] = ticket
        return ticket

    def _settle(self, numbers: list[int], ticket: int) -> None:
        try:
            self._spool.wait_durable(ticket, DURABLE_TIMEOUT_SECONDS)
            with self._lock, self._store.transaction():
                self._store.set_recorded(numbers)
        finally:
            with self._lock:
                for number in numbers:
                    self._in_flight.pop(number, None)
                self._lock.notify_all()

    def _give_up(self, session: PortalSession) -> None:
        """The opening may or may not have reached the disk: its record stays for `retry`, followed by an end. Called
        with the lock held."""
        try:
            numbers, _ = self._end(session, "not_recorded", self._clock.unix_ns())
        except (SpoolError, AuthgwError):
            return
        for number in numbers:
            self._in_flight.pop(number, None)


def _new_session(
    address: str, account: str, language: str, terms_version: str, now_ns: int, length_ns: int
) -> PortalSession:
    return PortalSession(
        address=address,
        session_id=f"portal-{secrets.token_hex(16)}",
        login_id=new_login_id(),
        account=account,
        started_unix_ns=now_ns,
        expires_unix_ns=now_ns + length_ns,
        seen_unix_ns=now_ns,
        language=language,
        terms_version=terms_version,
    )


def _open_event(session: PortalSession, verdict: Verdict, user_agent: str) -> bytes:
    details = {
        "source": verdict.source,
        "terms_version": session.terms_version,
        "language": session.language,
        "user_agent": shorten_user_agent(user_agent),
        "expires_unix_ns": str(session.expires_unix_ns),
    }
    if verdict.person:
        details["person"] = verdict.person
    return _event("open", session, session.started_unix_ns, details=details)


def _event(
    event: SessionEvent,
    session: PortalSession,
    moment_ns: int,
    why: str = "",
    *,
    derived: bool = False,
    details: dict[str, str] | None = None,
) -> bytes:
    return encode_session_event(
        event,
        moment_ns,
        kind="portal",
        account=session.account,
        session_id=session.session_id,
        address=session.address,
        login_id=session.login_id,
        ended_why=why,
        quality="derived" if derived else "exact",
        details=details,
    )


def shorten_user_agent(text: str) -> str:
    """What the browser calls itself, cut, without control characters."""
    return "".join(c for c in text if c.isprintable())[:MAX_USER_AGENT_CHARACTERS]
