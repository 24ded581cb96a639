"""Sockets of the invented office, all towards the appliance's own ports on this machine."""

import ipaddress
import secrets
import socket
from dataclasses import dataclass

from deploy.demo.radius_packets import AUTHENTICATOR_BYTES

RADIUS_TIMEOUT_SECONDS = 2.0
RADIUS_TRIES = 3
MAX_ANSWER_BYTES = 4096


@dataclass(frozen=True)
class Ports:
    """Where the appliance listens: address and port of each service."""

    syslog: tuple[str, int]
    netflow: tuple[str, int]
    authentication: tuple[str, int]
    accounting: tuple[str, int]


def local_address(listen_address: str) -> str:
    """The address of this machine that reaches a listener."""
    parsed = ipaddress.ip_address(listen_address)
    return "127.0.0.1" if parsed.is_unspecified else listen_address


class Sender:
    """One UDP socket per service. Owns them; `close` at the end."""

    def __init__(self, ports: Ports, radius_secret: bytes) -> None:
        self.radius_secret = radius_secret
        self._identifier = 0
        self._syslog = _connected(ports.syslog)
        self._netflow = _connected(ports.netflow)
        self._authentication = _connected(ports.authentication)
        self._accounting = _connected(ports.accounting)
        self.counters = {"syslog_lines": 0, "flow_datagrams": 0, "radius_requests": 0, "not_sent": 0, "no_answer": 0}

    def syslog(self, line: bytes) -> None:
        self._send(self._syslog, line, "syslog_lines")

    def flows(self, datagram: bytes) -> None:
        self._send(self._netflow, datagram, "flow_datagrams")

    def next_identifier(self) -> int:
        """RADIUS identifiers are one byte; one request is under way at a time."""
        self._identifier = (self._identifier + 1) % 256
        return self._identifier

    def random(self) -> bytes:
        return secrets.token_bytes(AUTHENTICATOR_BYTES)

    def authenticate(self, packet: bytes) -> bytes | None:
        """The answer to an Access-Request, or None."""
        return self._exchange(self._authentication, packet)

    def account(self, packet: bytes, *, wait: bool = True) -> bytes | None:
        """The answer to an Accounting-Request, or None."""
        return self._exchange(self._accounting, packet, wait=wait)

    def close(self) -> None:
        for connection in (self._syslog, self._netflow, self._authentication, self._accounting):
            connection.close()

    def _send(self, connection: socket.socket, data: bytes, counter: str) -> bool:
        try:
            connection.send(data)
        except OSError:  # the receiver is being restarted
            self.counters["not_sent"] += 1
            return False
        self.counters[counter] += 1
        return True

    def _exchange(self, connection: socket.socket, packet: bytes, *, wait: bool = True) -> bytes | None:
        for _ in range(RADIUS_TRIES):
            sent = self._send(connection, packet, "radius_requests")
            if not wait:
                return None
            if not sent:
                continue
            try:
                while True:
                    answer = connection.recv(MAX_ANSWER_BYTES)
                    if len(answer) >= 20 and answer[1] == packet[1]:
                        return answer
            except OSError:
                continue
        self.counters["no_answer"] += 1
        return None


def _connected(target: tuple[str, int]) -> socket.socket:
    connection = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_DGRAM)
    connection.settimeout(RADIUS_TIMEOUT_SECONDS)
    connection.connect(target)
    return connection
