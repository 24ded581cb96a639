"""Edge: authentication (RFC 2865). The socket loop only admits; passwords and directory are worked on in a
pool.

Every verdict is first a `session` record: of an accept durable before the Access-Accept leaves, so nobody is
online without a trace. A reject waits until a second after arrival, in a heap and never in a worker.
"""

import heapq
import itertools
import queue
import threading
from collections import Counter

from archive.clock import Clock
from archive.errors import SpoolError
from archive.spool import RecordWriter
from authgw.accounts.reader import AccountReader
from authgw.directory.base import Directory
from authgw.errors import AuthgwError
from authgw.login import LoginCheck
from authgw.passwords import PasswordChecker
from authgw.radius.admission import Admission, Request, is_status_request
from authgw.radius.attributes import redact_secrets
from authgw.radius.codec import (
    AccessRequest,
    encode_accept,
    encode_reject,
    encode_status_reply,
    read_access_request,
)
from authgw.radius.decision import Verdict
from authgw.radius.server import Datagram
from authgw.session_events import address_text, encode_session_event, new_login_id

WORKERS = 16
"""Logins worked on at once: 16 directory answers of 30 ms are 500/s; argon2id is bound by cores, not by
threads."""
MAX_WAITING_REQUESTS = 2048
"""Four seconds of a storm of 500/s; a later one would be answered after the NAS has given up."""
MAX_IN_WORK_PER_CLIENT = 1024
"""Half of the queue: one NAS that runs wild leaves room for the others."""
GIVEN_UP_NS = 8_000_000_000
"""A request that waited longer has been retransmitted or given up by its NAS; working on it helps nobody."""
REJECT_DELAY_NS = 1_000_000_000
"""From arrival, not added to the time already spent (FreeRADIUS `reject_delay`); slows guessing."""
DURABLE_TIMEOUT_SECONDS = 5.0


class AuthenticationServer:
    """Owns the pool and the heap of delayed rejects. `start` before the first `handle`; `finish` ends its
    threads."""

    def __init__(
        self,
        admission: Admission,
        spool: RecordWriter,
        accounts: AccountReader,
        directory: Directory | None,
        clock: Clock,
        session_timeout_seconds: int | None = None,
    ) -> None:
        self._admission = admission
        self._spool = spool
        self._clock = clock
        self._session_timeout_seconds = session_timeout_seconds
        self._login = LoginCheck(
            accounts, PasswordChecker(clock), directory, lambda: admission.counters.add("directory_unavailable")
        )
        self._queue: queue.Queue[Request | None] = queue.Queue(MAX_WAITING_REQUESTS)
        self._in_work: Counter[str] = Counter()
        self._in_work_lock = threading.Lock()
        self._accepts: queue.SimpleQueue[tuple[int, Request, bytes] | None] = queue.SimpleQueue()
        self._rejects: list[tuple[int, int, Request, bytes]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._finished = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the workers and the sender of delayed rejects."""
        targets = [(self._run_rejects, "radius-rejects"), (self._run_accepts, "radius-accepts")]
        targets += [(self._run_worker, f"radius-auth-{i}") for i in range(WORKERS)]
        for target, name in targets:
            thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        """Answer what is in work, send waiting rejects at once, end all threads."""
        rejects, accepts, *workers = self._threads
        for _ in workers:
            self._queue.put(None)
        for worker in workers:
            worker.join(DURABLE_TIMEOUT_SECONDS * 2)
        self._accepts.put(None)
        accepts.join(DURABLE_TIMEOUT_SECONDS * 2)
        with self._changed:
            self._finished = True
            self._changed.notify_all()
        rejects.join(DURABLE_TIMEOUT_SECONDS)

    def handle(self, datagrams: list[Datagram]) -> None:
        """Admit a turn; never blocks: a full queue drops, and the NAS retries."""
        for datagram in datagrams:
            request = self._admission.admit(datagram)
            if request is None:
                continue
            if is_status_request(request):
                reply = encode_status_reply(request.packet, request.client.secret, "auth")
                self._admission.answer(request, reply, "status_answered")
                continue
            client = request.datagram.peer[0]
            with self._in_work_lock:
                crowded = self._in_work[client] >= MAX_IN_WORK_PER_CLIENT
                if not crowded:
                    self._in_work[client] += 1
            if crowded:
                self._admission.give_no_answer(request, "dropped_client_overload")
                continue
            try:
                self._queue.put_nowait(request)
            except queue.Full:
                self._leave(client)
                self._admission.give_no_answer(request, "dropped_overload")

    def _leave(self, client: str) -> None:
        with self._in_work_lock:
            self._in_work[client] -= 1
            if self._in_work[client] <= 0:
                del self._in_work[client]

    def _run_worker(self) -> None:
        while (request := self._queue.get()) is not None:
            try:
                self._work(request)
            except (AuthgwError, SpoolError) as error:
                self._admission.give_no_answer(request, f"no_answer_{error.code}")
            except Exception:
                self._admission.give_no_answer(request, "no_answer_internal")
            finally:
                self._leave(request.datagram.peer[0])

    def _work(self, request: Request) -> None:
        if self._clock.monotonic_ns() - request.arrival_monotonic_ns > GIVEN_UP_NS:
            self._admission.give_no_answer(request, "dropped_waited_too_long")
            return
        asked = read_access_request(request.packet, request.client.secret)
        verdict = self._login.decide(asked.name, asked.method, asked.passwords)
        if verdict.action == "silent":
            self._admission.give_no_answer(request, f"no_answer_{verdict.reason}")
            return
        login_id = new_login_id() if verdict.action == "accept" else ""
        ticket = self._spool.append(self._event(request, asked, verdict, login_id), listener="session")
        if verdict.action == "accept":
            reply = encode_accept(request.packet, request.client.secret, login_id, self._session_timeout_seconds)
            self._accepts.put((ticket, request, reply))
            return
        self._admission.counters.add(f"rejected_{verdict.reason}")
        reply = encode_reject(request.packet, request.client.secret)
        with self._changed:
            due_ns = request.arrival_monotonic_ns + REJECT_DELAY_NS
            heapq.heappush(self._rejects, (due_ns, next(self._order), request, reply))
            self._changed.notify()

    def _event(self, request: Request, asked: AccessRequest, verdict: Verdict, login_id: str) -> bytes:
        accepted = verdict.action == "accept"
        details: dict[str, object] = {
            "verdict": verdict.action,
            "source": verdict.source,
            "client": request.client.name,
        }
        if accepted:
            clean = redact_secrets(request.packet.data, request.packet.attributes)
            details["request_hex"] = clean.hex()
            if verdict.person:
                details["person"] = verdict.person
        else:
            details["reason"] = verdict.reason
        if asked.name != verdict.account:
            details["user_name"] = asked.name
        if asked.called_station:
            details["called_station"] = asked.called_station
        return encode_session_event(
            "update" if accepted else "reject",
            request.arrival_unix_ns,
            kind="radius",
            account=verdict.account or asked.name,
            session_id=asked.session_id,
            address=address_text(asked.framed_address),
            station=asked.station,
            nas_address=address_text(asked.nas_address) or request.datagram.peer[0],
            nas_identifier=asked.nas_identifier,
            login_id=login_id,
            ended_why="" if accepted else verdict.reason,
            details=details,
        )

    def _run_accepts(self) -> None:
        """Send accepts in the order of their records as these become durable: all that gathered during one
        commit share the next, and no worker waits for the disk."""
        while (waiting := self._accepts.get()) is not None:
            ticket, request, reply = waiting
            try:
                self._spool.wait_durable(ticket, DURABLE_TIMEOUT_SECONDS)
            except SpoolError as error:
                self._admission.give_no_answer(request, f"no_answer_{error.code}")
                continue
            self._admission.answer(request, reply, "accepted")

    def _run_rejects(self) -> None:
        while True:
            with self._changed:
                while not self._rejects and not self._finished:
                    self._changed.wait()
                if not self._rejects:
                    return
                left_ns = self._rejects[0][0] - self._clock.monotonic_ns()
                if left_ns > 0 and not self._finished:
                    self._changed.wait(left_ns / 1e9)
                    continue
                _, _, request, reply = heapq.heappop(self._rejects)
            self._admission.answer(request, reply, "rejected")
