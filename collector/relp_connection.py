"""One RELP connection: a session on a socket, and the answers it owes."""

import selectors
import socket

import numpy as np
from numpy.typing import NDArray

from archive.clock import Clock
from collector.framing_frames import Frames
from collector.loss import RELP_MALFORMED
from collector.relp import SERVER_CLOSE, RelpSession, close_answer
from collector.tcp_connection import NOTHING, RECEIVE_BYTES, Connection, Received

MAX_UNANSWERED_BYTES = 64 * 1024
"""Answers owed to one client, some 4,000 messages; it is not read from until they are sent. librelp itself waits
after 128, so this only meets a client that sends without listening."""


class RelpConnection(Connection):
    """Messages that no `rsp` has answered are sent again by the client after a reconnect."""

    handshake_failure = RELP_MALFORMED

    def __init__(self, accepted: socket.socket, source_address: NDArray[np.uint8], source_port: int) -> None:
        super().__init__(accepted, source_address, source_port)
        self._session = RelpSession()
        self._unsent = b""
        self._owed_bytes = 0
        self._close_number: int | None = None

    def receive(self, clock: Clock, room: memoryview) -> Received:
        """Send what waits, then read once unless too much is owed. A message is copied for its session; `room` is not
        used."""
        # Waited for nothing and woken nevertheless: the peer has hung up.
        if not self.events or not self._send(b""):
            return Received(clock.unix_ns(), [], 0, ended=True)
        if not self._may_read():
            return NOTHING
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return NOTHING
        except OSError:
            data = b""
        if not data:
            # The beginning of a frame is no message: its sender was never answered and has it still.
            return Received(clock.unix_ns(), [], 0, ended=True)
        return self._understand(data, clock.unix_ns())

    def answer(self, answers: bytes) -> bool:
        self._owed_bytes -= len(answers)
        return self._send(answers)

    def finish(self, clock: Clock) -> Received:
        """Say that we close; what was not answered comes again."""
        self._send(SERVER_CLOSE)
        return Received(clock.unix_ns(), [], 0, ended=True)

    def _understand(self, data: bytes, arrival_unix_ns: int) -> Received:
        found = self._session.feed(data)
        if self._session.is_open:
            self.handshake_failure = ""
        if found.close_number is not None:
            self._close_number = found.close_number
        self._owed_bytes += len(found.answers)
        sent = self._send(found.at_once)
        frames = []
        if found.messages:
            lengths = np.array([len(message) for message in found.messages], np.uint32)
            none = np.zeros(len(lengths), np.uint8)
            frames.append(Frames(b"".join(found.messages), lengths, none, none))
        malformed = self._session.malformed
        ended = malformed or not sent
        return Received(arrival_unix_ns, frames, len(data), ended, RELP_MALFORMED if malformed else "", found.answers)

    def _may_read(self) -> bool:
        return self._close_number is None and self._owed_bytes + len(self._unsent) < MAX_UNANSWERED_BYTES

    def _send(self, more: bytes) -> bool:
        """Send what the socket takes, the rest when it is writable. False when the session has ended."""
        self._unsent += more
        if self._close_number is not None and self._owed_bytes == 0:
            self._unsent += close_answer(self._close_number)
            self._close_number = None
            closing = True
        else:
            closing = False
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            return False
        self.events = (selectors.EVENT_READ if self._may_read() else 0) | (selectors.EVENT_WRITE if self._unsent else 0)
        return not closing
