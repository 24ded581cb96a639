"""A RELP client that loses nothing: what was not answered is sent again, first and in order, on its next connection."""

import re
import select
import socket
import threading
import time
from collections import deque

WINDOW_MESSAGES = 128
"""What librelp sends before it waits for an answer."""
OFFERED = b"relp_version=0\nrelp_software=phayan-tests\ncommands=syslog"
_ANSWER = re.compile(rb"([0-9]+) rsp ([0-9]+)(?: |\n)")


class RelpClient(threading.Thread):
    """Sends `<13>load: relp number %08d` from 1 on, at most `per_second`, until `stop`; then waits for its answers."""

    def __init__(self, port: int, per_second: int = 4_000) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._per_second = per_second
        self._stop_sending = threading.Event()
        self._give_up = threading.Event()
        self.answered: set[int] = set()
        self.sent = 0
        self.connections = 0
        self.sent_again = 0
        self._unanswered: deque[int] = deque()
        self._begun = time.monotonic()

    def run(self) -> None:
        while not self._give_up.is_set() and not (self._stop_sending.is_set() and not self._unanswered):
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=2) as link:
                    self._serve(link)
            except OSError:
                time.sleep(0.02)

    def __enter__(self) -> "RelpClient":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """No thread is left, whatever happened."""
        self._give_up.set()
        self.join(30)

    def finish(self, seconds: float = 30) -> None:
        """Send nothing more and wait until everything is answered; raises when it is not."""
        self._stop_sending.set()
        self.join(seconds)
        self._give_up.set()
        assert not self.is_alive(), f"{len(self._unanswered)} messages were never answered"

    def _serve(self, link: socket.socket) -> None:
        link.sendall(b"1 open %d %s\n" % (len(OFFERED), OFFERED))
        numbers = 1
        rest = b""
        while b"\n" not in rest:
            rest += self._read(link)
        self.connections += 1
        self.sent_again += len(self._unanswered)
        # By transaction: what of the journal's numbers it carries.
        waiting: deque[tuple[int, int]] = deque()
        block = b""
        for number in self._unanswered:
            numbers += 1
            waiting.append((numbers, number))
            block += _frame(numbers, number)
        link.sendall(block)
        while not self._give_up.is_set():
            block = b""
            allowed = int((time.monotonic() - self._begun) * self._per_second)
            while not self._stop_sending.is_set() and len(self._unanswered) < WINDOW_MESSAGES and self.sent < allowed:
                self.sent += 1
                numbers += 1
                self._unanswered.append(self.sent)
                waiting.append((numbers, self.sent))
                block += _frame(numbers, self.sent)
            if block:
                link.sendall(block)
            if not select.select([link], [], [], 0.01)[0]:
                if self._stop_sending.is_set() and not self._unanswered:
                    return
                continue
            rest += self._read(link)
            *whole, rest = rest.split(b"\n")
            for line in whole:
                answer = _ANSWER.match(line + b"\n")
                if answer is None or not waiting or int(answer[1]) != waiting[0][0]:
                    continue
                assert b" 200 OK" in line, line
                _, number = waiting.popleft()
                assert self._unanswered.popleft() == number
                self.answered.add(number)

    def _read(self, link: socket.socket) -> bytes:
        data = link.recv(65_536)
        if not data:
            raise ConnectionError("the receiver has closed")
        return data


def _frame(transaction: int, number: int) -> bytes:
    message = b"<13>load: relp number %08d" % number
    return b"%d syslog %d %s\n" % (transaction, len(message), message)
