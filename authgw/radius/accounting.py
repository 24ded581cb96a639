"""Edge: accounting (RFC 2866). A request is answered only after its packet is durable in the journal.

One thread reads and appends a turn of packets as one batch; another waits for the commit and answers all of
them. While a commit runs the next turn gathers, so that many requests in flight share each fdatasync. If the
journal cannot take a record there is no answer: the NAS keeps it and tries again.
"""

import queue
import threading

import numpy as np

from archive.errors import SpoolError
from archive.spool import RecordWriter
from archive.spool_batch import Batch
from authgw.radius.admission import Admission, Request, is_status_request
from authgw.radius.attributes import redact_secrets
from authgw.radius.codec import encode_accounting_response, encode_status_reply
from authgw.radius.server import Datagram, source_16

LISTENER = "radius-acct"
MAX_WAITING_TURNS = 64
"""Turns between journal and answer; beyond it the socket buffer holds the rest and the NAS retries."""
DURABLE_TIMEOUT_SECONDS = 10.0
"""Longer than any healthy disk; a NAS has retried by then."""

_Turn = tuple[int, list[Request]]


class AccountingServer:
    """Handles turns of datagrams; `run_answers` must run in a thread of its own."""

    def __init__(self, admission: Admission, spool: RecordWriter) -> None:
        self._admission = admission
        self._spool = spool
        self._turns: queue.Queue[_Turn | None] = queue.Queue(MAX_WAITING_TURNS)
        self._sources: dict[str, bytes] = {}

    def handle(self, datagrams: list[Datagram]) -> None:
        """Append every valid request of the turn as one batch and queue its answers."""
        requests: list[Request] = []
        for datagram in datagrams:
            request = self._admission.admit(datagram)
            if request is None:
                continue
            if is_status_request(request):
                reply = encode_status_reply(request.packet, request.client.secret, "acct")
                self._admission.answer(request, reply, "status_answered")
            else:
                requests.append(request)
        if not requests:
            return
        try:
            ticket = self._spool.append_batch(self._batch(requests))
        except SpoolError as error:
            self._refuse(requests, error)
            return
        self._turns.put((ticket, requests))

    def run_answers(self) -> None:
        """Answer turns in order as they become durable, until `finish`."""
        while (turn := self._turns.get()) is not None:
            ticket, requests = turn
            try:
                self._spool.wait_durable(ticket, DURABLE_TIMEOUT_SECONDS)
            except SpoolError as error:
                self._refuse(requests, error)
                continue
            for request in requests:
                reply = encode_accounting_response(request.packet, request.client.secret)
                self._admission.answer(request, reply, "accounting_answered")

    def finish(self) -> None:
        """Let `run_answers` end after the turns already queued."""
        self._turns.put(None)

    def _refuse(self, requests: list[Request], error: SpoolError) -> None:
        for request in requests:
            self._admission.give_no_answer(request, f"no_answer_{error.code}")

    def _batch(self, requests: list[Request]) -> Batch:
        payloads = [redact_secrets(r.packet.data, r.packet.attributes) for r in requests]
        sources = b"".join(self._source(r.datagram.peer[0]) for r in requests)
        return Batch(
            LISTENER,
            "udp",
            np.array([r.arrival_unix_ns for r in requests], np.int64),
            np.frombuffer(sources, np.uint8).reshape(-1, 16),
            np.array([r.datagram.peer[1] for r in requests], np.uint16),
            np.zeros(len(requests), np.uint8),
            np.array([len(p) for p in payloads], np.uint32),
            b"".join(payloads),
        )

    def _source(self, address: str) -> bytes:
        value = self._sources.get(address)
        if value is None:
            if len(self._sources) > 4096:
                self._sources.clear()
            value = self._sources[address] = source_16(address)
        return value


def start_answers(server: AccountingServer) -> threading.Thread:
    """Run `server.run_answers` in a thread."""
    thread = threading.Thread(target=server.run_answers, name="radius-acct-answers", daemon=True)
    thread.start()
    return thread
