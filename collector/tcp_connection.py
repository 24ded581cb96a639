"""One syslog connection: its socket, its source and its framing."""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

import numpy as np

from archive.clock import Clock
from collector.framing import StreamFramer
from collector.framing_frames import Frames

RECEIVE_BYTES = 256 * 1024
"""One read. Long enough that the cost of a batch vanishes over its 1,400 lines, short enough for 800
connections to take turns."""


@dataclass(frozen=True)
class Received:
    """What one read brought. After `ended` the socket is to be closed."""

    arrival_unix_ns: int
    frames: list[Frames]
    bytes_read: int
    ended: bool
    malformed: bool


class Connection:
    """A connected socket. `source_address` is uint8[16], IPv4 as ::ffff:a.b.c.d."""

    def __init__(self, accepted: socket.socket, source: Any) -> None:
        accepted.setblocking(False)
        # A sender that was switched off never says so; without this its connection would count for ever.
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.socket = accepted
        address = ipaddress.ip_address(source[0].partition("%")[0])
        packed = address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
        self.source_address = np.frombuffer(packed, np.uint8)
        self.source_port: int = source[1]
        self._framer = StreamFramer()

    def receive(self, clock: Clock) -> Received:
        """Read once. A reset by the peer ends the stream like a close: what arrived before it is kept."""
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return Received(0, [], 0, ended=False, malformed=False)
        except OSError:
            data = b""
        arrival = clock.unix_ns()
        if not data:
            return self._end(arrival)
        frames = self._framer.feed(data)
        malformed = self._framer.malformed
        return Received(arrival, [frames] if frames else [], len(data), ended=malformed, malformed=malformed)

    def finish(self, clock: Clock) -> Received:
        """What is left when we end the connection."""
        return self._end(clock.unix_ns())

    def _end(self, arrival_unix_ns: int) -> Received:
        frames = self._framer.finish()
        return Received(arrival_unix_ns, [frames] if frames else [], 0, ended=True, malformed=False)
