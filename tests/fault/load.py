"""Load whose every record can be recognised again: numbered syslog lines and accounting requests with answers
counted."""

import hashlib
import os
import socket
import struct
import threading
import time

from tests.appliance import SECRET

LINES_PER_SECOND = 400
ACCOUNTING_PER_SECOND = 50


def accounting_request(identifier: int, session_id: str, account: str = "somchai") -> bytes:
    """RFC 2866 Accounting-Request (Start) with a right authenticator."""
    attributes = b""
    for kind, value in (
        (1, account.encode()),
        (4, bytes([127, 0, 0, 1])),
        (8, bytes([10, 0, 0, 7])),
        (40, struct.pack(">I", 1)),
        (44, session_id.encode()),
        (55, struct.pack(">I", int(time.time()))),
    ):
        attributes += bytes([kind, len(value) + 2]) + value
    head = struct.pack(">BBH", 4, identifier, 20 + len(attributes))
    authenticator = hashlib.md5(head + bytes(16) + attributes + SECRET.encode(), usedforsecurity=False).digest()
    return head + authenticator + attributes


class Load:
    """Threads that send until `stop`; `answered` holds session ids of answered requests, `sent_lines` all
    numbers sent."""

    def __init__(self, syslog_udp: int, syslog_tcp: int, accounting: int) -> None:
        self._ports = (syslog_udp, syslog_tcp, accounting)
        self._stop = threading.Event()
        self.answered: list[str] = []
        self.asked = 0
        self.sent_lines = 0
        self._threads = [
            threading.Thread(target=self._send_udp, daemon=True),
            threading.Thread(target=self._send_tcp, daemon=True),
            threading.Thread(target=self._account, daemon=True),
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _send_udp(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            number = 0
            while not self._stop.wait(10 / LINES_PER_SECOND):
                for _ in range(10):
                    number += 1
                    try:
                        link.sendto(b"<13>load: udp number %08d" % number, ("127.0.0.1", self._ports[0]))
                    except OSError:
                        continue
                self.sent_lines = number

    def _send_tcp(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self._ports[1]), timeout=2) as link:
                    while not self._stop.wait(10 / LINES_PER_SECOND):
                        block = b"".join(b"<13>load: tcp number %08d\n" % (number + n) for n in range(1, 11))
                        number += 10
                        link.sendall(block)
            except OSError:
                self._stop.wait(0.05)

    def _account(self) -> None:
        """One request at a time, retransmitted as a NAS does until it is answered or given up."""
        prefix = os.urandom(4).hex()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.bind(("127.0.0.1", 0))
            link.settimeout(0.5)
            while not self._stop.wait(1 / ACCOUNTING_PER_SECOND):
                self.asked += 1
                session_id = f"{prefix}-{self.asked:06d}"
                request = accounting_request(self.asked % 256, session_id)
                for _ in range(20):
                    try:
                        link.sendto(request, ("127.0.0.1", self._ports[2]))
                        answer, _ = link.recvfrom(4096)
                    except OSError:
                        if self._stop.is_set():
                            return
                        time.sleep(0.05)
                        continue
                    if answer[0] == 5 and answer[1] == self.asked % 256:
                        self.answered.append(session_id)
                        break
