"""From a datagram to a request worth work: client, gate, signature, duplicates; every drop counted by
reason."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from archive.clock import Clock
from authgw.errors import PacketDropped
from authgw.radius.clients import ClientTable, LearnedSigners, RadiusClient
from authgw.radius.duplicates import DuplicateCache, Entry
from authgw.radius.packet_gate import (
    STATUS_SERVER,
    GatedPacket,
    check_client_rules,
    check_form,
    proves_signing_client,
    verify_keyed,
)
from authgw.radius.server import Counters, Datagram, PacketSocket

MAX_UNKNOWN_REMEMBERED = 64
"""Addresses of unknown senders shown to the administrator; a forger could name any number."""


@dataclass(frozen=True, slots=True)
class Request:
    """An authentic-as-far-as-can-be-known request, to be answered once."""

    datagram: Datagram
    packet: GatedPacket
    client: RadiusClient
    entry: Entry
    arrival_unix_ns: int
    arrival_monotonic_ns: int


class Admission:
    """The common front of both ports. Used by one receiving thread; `cache` and `counters` by all."""

    def __init__(
        self,
        role: str,
        packet_socket: PacketSocket,
        clients: ClientTable,
        learned: LearnedSigners,
        clock: Clock,
    ) -> None:
        self._role = role
        self._socket = packet_socket
        self._clients = clients
        self._learned = learned
        self._clock = clock
        self.cache = DuplicateCache()
        self.counters = Counters()
        self._unknown_sources: OrderedDict[str, int] = OrderedDict()
        self._unknown_lock = threading.Lock()

    def admit(self, datagram: Datagram) -> Request | None:
        """The request to work on, or None when it was dropped or answered from memory."""
        self.counters.add("received")
        try:
            return self._admit(datagram)
        except PacketDropped as drop:
            self.counters.add(f"dropped_{drop.code}")
            return None

    def _admit(self, datagram: Datagram) -> Request | None:
        address, port = datagram.peer[0], datagram.peer[1]
        client = self._clients.find(address)
        if client is None:
            self._remember_unknown(address)
            raise PacketDropped("unknown_client")
        packet = check_form(datagram.data, self._role)
        check_client_rules(
            packet, client.require_message_authenticator, address in self._learned, client.limit_proxy_state
        )
        verify_keyed(packet, client.secret)
        if proves_signing_client(packet):
            self._learned.learn(address, self._clock.unix_ns())
        now_ns = self._clock.monotonic_ns()
        key = (address, port, datagram.local_address, packet.code, packet.identifier)
        admission = self.cache.admit(key, packet.authenticator, len(packet.data), now_ns)
        if admission.kind == "new":
            return Request(datagram, packet, client, admission.entry, self._clock.unix_ns(), now_ns)
        if admission.kind == "answered" and admission.entry.reply is not None:
            self.counters.add("answered_again")
            self._socket.send(datagram, admission.entry.reply)
        else:
            self.counters.add("dropped_duplicate_in_work")
        return None

    def answer(self, request: Request, reply: bytes, counter: str) -> None:
        """Send `reply` unless the request was abandoned, and keep it for retransmissions."""
        if not self.cache.answer(request.entry, reply, self._clock.monotonic_ns()):
            self.counters.add("abandoned_before_answer")
            return
        sent = self._socket.send(request.datagram, reply)
        self.counters.add(counter if sent else "answer_not_sent")

    def give_no_answer(self, request: Request, counter: str) -> None:
        """Forget the request, so that the NAS's retransmission is worked on again."""
        self.cache.abandon(request.entry)
        self.counters.add(counter)

    def unknown_sources(self) -> dict[str, int]:
        """The latest senders that are no client, and how many packets of each were dropped."""
        with self._unknown_lock:
            return dict(self._unknown_sources)

    def _remember_unknown(self, address: str) -> None:
        with self._unknown_lock:
            self._unknown_sources[address] = self._unknown_sources.pop(address, 0) + 1
            if len(self._unknown_sources) > MAX_UNKNOWN_REMEMBERED:
                self._unknown_sources.popitem(last=False)


def is_status_request(request: Request) -> bool:
    """Whether the request only asks if we are alive (RFC 5997)."""
    return request.packet.code == STATUS_SERVER
