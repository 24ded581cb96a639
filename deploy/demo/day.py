"""A day in the invented office: who comes, connects, leaves. Knows when, sends through what it is given."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from archive.clock import Clock
from deploy.demo.lines import NS, Connection, accepted_line, conntrack_line, dropped_line
from deploy.demo.netflow9 import FlowExporter
from deploy.demo.office import LAB, NETWORKS, SCANNERS, SEED, SERVICES, Person, Service
from deploy.demo.questions import Example, Moment
from deploy.demo.radius_packets import (
    ACCESS_ACCEPT,
    ACCOUNTING_ON,
    INTERIM,
    START,
    STOP,
    access_request,
    accounting_request,
    read_class,
)
from deploy.demo.senders import Sender

ARRIVAL_SPACING_SECONDS = 0.1
FIRST_ARRIVALS = 31
"""Of the 36 who log in; the others come later, so that the sessions page changes."""
FIRST_INTERIM_SECONDS = 10.0
INTERIM_SECONDS = 60.0
BURST_START_SECONDS, BURST_SPACING_SECONDS, BURST_CONNECTIONS = 2.0, 0.15, 50
"""The first seconds fill the pages; then comes the trickle."""
TRICKLE_SPACING_SECONDS = 0.8
"""With openings, closings, flows, interim records and the firewall: about five records a second."""
SCAN_SECONDS, WRONG_PASSWORD_SECONDS, EXCHANGE_SECONDS, TEMPLATE_SECONDS = 7.0, 45.0, 40.0, 30.0
EXAMPLE_START_SECONDS, EXAMPLE_LENGTH_SECONDS = 6.0, 3.0
"""The example connections begin after their people have logged in and end before these people's next interim."""
FIRST_PORT, LAST_PORT = 20_000, 60_000
SHARED_PORT = 61_000
"""The outside port that the gateway gives to two people at once, towards two servers."""
LATEST_CLOSE_SECONDS = 20.0


@dataclass
class _Session:
    """One person's stay, as the access point sees it."""

    session_id: str
    marker: bytes
    started_ns: int
    octets: tuple[int, int] = (0, 0)


class OfficeDay:
    """Runs what is due. Everything is random but the seed; only the clock differs from run to run."""

    def __init__(self, people: tuple[Person, ...], sender: Sender, password: bytes, clock: Clock) -> None:
        self._people = people
        self._sender = sender
        self._password = password
        self._clock = clock
        self._chance = random.Random(SEED)  # noqa: S311 - an invented office, not a secret
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._sessions: dict[Person, _Session] = {}
        self._exporter = FlowExporter(clock.unix_ns())
        self._next_template_ns = 0
        self._connections = itertools.count(1_000_001)
        self._ports = itertools.cycle(range(FIRST_PORT, LAST_PORT))
        logging_in = [p for p in people if p.logs_in]
        self._example_people = (logging_in[0], logging_in[12], logging_in[13])
        self._example_lab = next(p for p in people if p.network is LAB)
        self.examples: list[Example] = []
        self.counters = {"accepted": 0, "rejected": 0, "connections": 0}

    def begin(self) -> None:
        """The access points have started; people arrive."""
        for network in NETWORKS:
            self._account(ACCOUNTING_ON, network=network)
        everyone = [p for p in self._people if p.logs_in]
        first = [*self._example_people, *(p for p in everyone if p not in self._example_people)][:FIRST_ARRIVALS]
        for i, person in enumerate(first):
            self._after(1 + i * ARRIVAL_SPACING_SECONDS, lambda p=person: self._arrive(p))
        for i in range(BURST_CONNECTIONS):
            self._after(BURST_START_SECONDS + i * BURST_SPACING_SECONDS, self._connect_somebody)
        self._after(3.0, self._wrong_password)
        self._after(4.0, self._wrong_password)
        self._after(EXAMPLE_START_SECONDS, self._show_examples)
        self._after(BURST_START_SECONDS + BURST_CONNECTIONS * BURST_SPACING_SECONDS, self._trickle)
        self._after(2.5, self._scan)
        self._after(WRONG_PASSWORD_SECONDS, self._repeat_wrong_password)
        self._after(EXCHANGE_SECONDS, self._exchange)

    def run_due(self) -> float:
        """Do what is due. Returns the seconds until something is due again."""
        while self._due and self._due[0][0] <= self._clock.unix_ns():
            heapq.heappop(self._due)[2]()
        return max(0.0, (self._due[0][0] - self._clock.unix_ns()) / NS) if self._due else 1.0

    def end(self) -> None:
        """The access points report everybody's end; nobody waits for the answers."""
        for person in list(self._sessions):
            self._leave(person, wait=False)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self._clock.unix_ns() + int(seconds * NS), next(self._order), action))

    def _arrive(self, person: Person) -> None:
        if self._log_in(person, self._password) is None:
            self._after(5.0, lambda: self._arrive(person))

    def _log_in(self, person: Person, password: bytes) -> _Session | None:
        sender = self._sender
        packet = access_request(person, password, sender.radius_secret, sender.next_identifier(), sender.random())
        answer = sender.authenticate(packet)
        if answer is None:
            return None
        if answer[0] != ACCESS_ACCEPT:
            self.counters["rejected"] += 1
            return None
        self.counters["accepted"] += 1
        now_ns = self._clock.unix_ns()
        session = _Session(f"{now_ns // NS:08X}-{next(self._connections):08X}", read_class(answer), now_ns)
        self._sessions[person] = session
        self._account(START, person)
        self._after(FIRST_INTERIM_SECONDS, lambda: self._interim(person, session))
        return session

    def _interim(self, person: Person, session: _Session) -> None:
        if self._sessions.get(person) is session:
            self._account(INTERIM, person)
            self._after(INTERIM_SECONDS, lambda: self._interim(person, session))

    def _leave(self, person: Person, *, wait: bool = True) -> None:
        self._account(STOP, person, wait=wait)
        del self._sessions[person]

    def _account(self, status: int, person: Person | None = None, *, network: object = None, wait: bool = True) -> None:
        session = self._sessions.get(person) if person else None
        now_ns = self._clock.unix_ns()
        where = person.network if person else network
        if session is None:
            values = {}
        else:
            values = {
                "session_id": session.session_id,
                "marker": session.marker,
                "session_seconds": (now_ns - session.started_ns) // NS,
                "octets": session.octets,
            }
        packet = accounting_request(
            where,  # type: ignore[arg-type]
            status,
            self._sender.radius_secret,
            self._sender.next_identifier(),
            now_ns // NS,
            person=person,
            **values,  # type: ignore[arg-type]
        )
        self._sender.account(packet, wait=wait)

    def _wrong_password(self) -> None:
        away = [p for p in self._people if p.logs_in and p not in self._sessions]
        if away:
            self._log_in(self._chance.choice(away), b"not the password")

    def _repeat_wrong_password(self) -> None:
        self._wrong_password()
        self._after(WRONG_PASSWORD_SECONDS, self._repeat_wrong_password)

    def _exchange(self) -> None:
        """One goes home, one comes."""
        leaving = [p for p in self._sessions if p not in self._example_people]
        coming = [p for p in self._people if p.logs_in and p not in self._sessions]
        if leaving:
            self._leave(self._chance.choice(leaving))
        if coming:
            self._arrive(self._chance.choice(coming))
        self._after(EXCHANGE_SECONDS, self._exchange)

    def _scan(self) -> None:
        self._sender.syslog(dropped_line(self._chance.choice(SCANNERS), self._chance.choice((22, 23, 445, 3389))))
        self._after(SCAN_SECONDS, self._scan)

    def _trickle(self) -> None:
        self._connect_somebody()
        self._after(TRICKLE_SPACING_SECONDS, self._trickle)

    def _connect_somebody(self) -> None:
        present = [*self._sessions, *(p for p in self._people if not p.logs_in)]
        seconds = self._chance.uniform(0.5, LATEST_CLOSE_SECONDS) if self._chance.random() < 0.3 else 1.0
        self._connect(self._chance.choice(present), self._chance.choice(SERVICES), seconds, next(self._ports))

    def _connect(self, person: Person, service: Service, seconds: float, outside_port: int) -> Connection:
        connection = Connection(
            identifier=next(self._connections),
            protocol=service.protocol,
            inside_address=person.address,
            inside_port=self._chance.randrange(32_768, 61_000),
            outside_port=outside_port,
            server_address=service.address,
            server_port=service.port,
            opened_unix_ns=self._clock.unix_ns(),
            closed_unix_ns=0,
            sent_bytes=400 + self._chance.randrange(2_000),
            received_bytes=int(service.typical_bytes * self._chance.uniform(0.3, 2.0)),
        )
        self.counters["connections"] += 1
        self._sender.syslog(conntrack_line(connection, closed=False))
        if self._chance.random() < 0.3:
            self._sender.syslog(accepted_line(connection))
        self._after(seconds, lambda: self._close(person, connection))
        return connection

    def _close(self, person: Person, opened: Connection) -> None:
        now_ns = self._clock.unix_ns()
        connection = replace(opened, closed_unix_ns=now_ns)
        self._sender.syslog(conntrack_line(connection, closed=True))
        template = now_ns >= self._next_template_ns
        if template:
            self._next_template_ns = now_ns + int(TEMPLATE_SECONDS * NS)
        self._sender.flows(self._exporter.datagram([connection], now_ns, template=template))
        if session := self._sessions.get(person):
            sent, received = session.octets
            session.octets = (sent + connection.sent_bytes, received + connection.received_bytes)

    def _show_examples(self) -> None:
        """Four connections whose questions have a known answer. They wait for their people's log-ins."""
        if not all(person in self._sessions for person in self._example_people):
            self._after(1.0, self._show_examples)
            return
        one, two, three = self._example_people
        web, video, mail = SERVICES[0], SERVICES[1], SERVICES[6]
        length = EXAMPLE_LENGTH_SECONDS
        alone = self._connect(one, web, length, next(self._ports))
        first = self._connect(two, video, length, SHARED_PORT)
        self._connect(three, web, length, SHARED_PORT)
        lab = self._connect(self._example_lab, mail, length, next(self._ports))
        at_ns = self._clock.unix_ns() + int(length * NS / 2)
        # Signs of life after the connections: without them the end of a session would be assumed.
        for person in self._example_people:
            self._after(length + 1.5, lambda p=person: self._account(INTERIM, p))
        self._after(
            length + 2.0,
            lambda: self.examples.extend(
                [
                    Example.alone(Moment(alone.outside_port, at_ns)),
                    Example.shared(Moment(SHARED_PORT, at_ns)),
                    Example.narrowed(Moment(SHARED_PORT, at_ns), first.server_address, first.server_port),
                    Example.without_login(Moment(lab.outside_port, at_ns)),
                ]
            ),
        )
