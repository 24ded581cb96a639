"""One syslog connection over plain TCP: its socket, its source and its framing; what other kinds build on."""

import ipaddress
import selectors
import socket
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archive.clock import Clock
from collector.framing import StreamFramer
from collector.framing_frames import MAX_FRAME_BYTES, Frames
from collector.loss import MALFORMED_FRAMING

RECEIVE_BYTES = 1024 * 1024
"""One read. A quarter of it costs a quarter more CPU a line in calls; it is still short enough for 800 connections to
take turns."""
ROOM_BYTES = MAX_FRAME_BYTES + RECEIVE_BYTES + 64 * 1024
"""Room a connection needs for one read: what waits of an unfinished frame, the read, and the last TLS record of it."""


@dataclass(frozen=True)
class Received:
    """What one read brought. After `ended` the socket is to be closed; `failure` says how the peer broke it.

    `answers` are to be sent to the peer once `frames` are durable. `frames` are views of the first `room_bytes` of the
    room given, which stay as they are until the caller uses that part again.
    """

    arrival_unix_ns: int
    frames: list[Frames]
    bytes_read: int
    ended: bool
    failure: str = ""
    answers: bytes = b""
    room_bytes: int = 0


NOTHING = Received(0, [], 0, ended=False)


class Connection:
    """A connected socket. `events` are those to wait for next.

    While `handshake_failure` is not empty the peer has still to show that it speaks the protocol; when it takes too
    long, that is how the loss is called.
    """

    events = selectors.EVENT_READ
    handshake_failure = ""

    def __init__(self, accepted: socket.socket, source_address: NDArray[np.uint8], source_port: int) -> None:
        accepted.setblocking(False)
        # A sender that was switched off never says so; without this its connection would count for ever.
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.socket = accepted
        self.source_address = source_address
        self.source_port = source_port
        self._framer = StreamFramer()

    def receive(self, clock: Clock, room: memoryview) -> Received:
        """Read once into `room`, at least ROOM_BYTES long. A reset by the peer ends the stream like a close: what
        arrived before it is kept.
        """
        begun = self._put_rest(room)
        try:
            size = self.socket.recv_into(room[begun : begun + RECEIVE_BYTES])
        except (BlockingIOError, InterruptedError):
            return NOTHING
        except OSError:
            size = 0
        return self._take(room, begun, size, clock.unix_ns(), ended=not size)

    def answer(self, answers: bytes) -> bool:
        """Send what was held back until it was durable; False when the connection is to be closed."""
        raise NotImplementedError(f"a plain syslog connection has no answers ({len(answers)} bytes)")

    def finish(self, clock: Clock) -> Received:
        """What is left when we end the connection."""
        return self._take(memoryview(b""), 0, 0, clock.unix_ns(), ended=True)

    def _put_rest(self, room: memoryview) -> int:
        rest = self._framer.rest
        room[: len(rest)] = rest
        return len(rest)

    def _take(
        self, room: memoryview, begun: int, size: int, arrival_unix_ns: int, *, ended: bool, failure: str = ""
    ) -> Received:
        """Cut `room`, which holds `begun` bytes of an unfinished frame and `size` bytes read."""
        framer = self._framer
        found = [framer.cut(room[: begun + size])] if size else []
        if size and framer.malformed:
            failure, ended = MALFORMED_FRAMING, True
        elif ended:
            found.append(framer.finish())
        frames = [one for one in found if one]
        return Received(arrival_unix_ns, frames, size, ended, failure, room_bytes=begun + size if frames else 0)


def read_source(source: Any) -> tuple[NDArray[np.uint8], int]:
    """Address as uint8[16], IPv4 as ::ffff:a.b.c.d, and port, of what `accept` returned."""
    address = ipaddress.ip_address(source[0].partition("%")[0])
    packed = address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
    return np.frombuffer(packed, np.uint8), source[1]
