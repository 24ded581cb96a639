"""Stream receiver (TCP, TLS, RELP): one thread for all connections of a listener; frames cut in bulk, batches into
the spool. When the spool is slow nothing is read, and TCP slows the senders down.
"""

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from archive.clock import Clock, SystemClock
from collector.allow_list import AllowList
from collector.commit_queue import CommitQueue, Settled
from collector.handshakes import Handshakes
from collector.loss import CONNECTION_REFUSED, REFUSED_SOURCE, LossAccount
from collector.receivers import (
    COALESCE_SECONDS,
    STOP_POLL_SECONDS,
    ReceiverCounters,
    RecordWriter,
    bind_socket,
)
from collector.sources import SourceTable
from collector.stream_spool import Block, StreamSpool
from collector.tcp_connection import ROOM_BYTES, Connection, read_source

MAX_CONNECTIONS = 800
"""Connections of one listener, idle ones included; each holds at most a frame, together about 50 MiB. Further ones
are refused, counted and said."""
LISTEN_BACKLOG = 1024
"""Connections the kernel completes while the receiver pauses; beyond it a sender waits a second and tries again."""
COALESCE_BELOW_BYTES = 32 * 1024
"""A round that brought less is followed by a pause, in which more arrives."""
BATCH_BYTES = 1024 * 1024
"""Many small reads of one round go to the spool together."""
LOSS_FLUSH_SECONDS = 1.0
DRAIN_SECONDS = 2.0
"""Longest time spent after stop on bytes senders have already handed to the kernel."""

OpenConnection = Callable[[socket.socket, NDArray[np.uint8], int], Connection]


class TcpReceiver:
    """Binds and listens at construction; `run` serves every connection until stopped.

    `open_connection` makes a connection of what was accepted: plain TCP, TLS or RELP. With `commits` each
    connection's answers are sent after what they acknowledge is durable, and only then.
    """

    def __init__(
        self,
        name: str,
        address: str,
        port: int,
        *,
        max_connections: int = MAX_CONNECTIONS,
        clock: Clock | None = None,
        allow: AllowList | None = None,
        sources: SourceTable | None = None,
        transport: str = "tcp",
        open_connection: OpenConnection = Connection,
        commits: CommitQueue | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._listening = bind_socket(socket.SOCK_STREAM, address, port)
        self._listening.listen(LISTEN_BACKLOG)
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        self.name = name.replace("-0", f"-{self.port}") if port == 0 else name
        self.counters = ReceiverCounters()
        self.counters.receive_buffer_bytes = self._listening.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        self._max_connections = max_connections
        self._allow = allow or AllowList()
        self._open_connection = open_connection
        self._commits = commits
        self._losses = LossAccount(self.name, self._clock)
        self._spool = StreamSpool(self.name, transport, self.counters, self._losses, sources, commits)
        self._handshakes = Handshakes()
        self._room = memoryview(bytearray(BATCH_BYTES + ROOM_BYTES))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._woken, selectors.EVENT_READ, partial(os.eventfd_read, self._woken))
        if commits is not None:
            self._selector.register(commits, selectors.EVENT_READ, self._send_answers)

    def run(self, writer: RecordWriter, stop: threading.Event) -> None:
        """Serve until `stop`, then take what senders have already sent and close every connection."""
        if self._commits is not None:
            self._commits.start(writer)
        next_flush = time.monotonic() + LOSS_FLUSH_SECONDS
        while not stop.is_set():
            received_bytes = self._serve_round(writer, STOP_POLL_SECONDS)
            now = time.monotonic()
            if now >= next_flush:
                for connection in self._handshakes.overdue(now):
                    self._fail_handshake(connection)
                self._losses.flush(writer)
                next_flush = now + LOSS_FLUSH_SECONDS
            if self._commits is None and 0 < received_bytes < COALESCE_BELOW_BYTES:
                time.sleep(COALESCE_SECONDS)
        end = time.monotonic() + DRAIN_SECONDS
        while self._selector.select(0) and time.monotonic() < end:
            self._serve_round(writer, 0)
        self._finish_all(writer)
        self._losses.flush(writer)

    def wake(self) -> None:
        os.eventfd_write(self._woken, 1)

    def close(self) -> None:
        os.close(self._woken)
        self._selector.close()
        self._listening.close()
        if self._commits is not None:
            self._commits.close()

    def _serve_round(self, writer: RecordWriter, timeout_seconds: float) -> int:
        """One read from every connection that has something. Returns bytes read."""
        round_blocks: list[Block] = []
        total = waiting_bytes = used = 0
        for key, _ in self._selector.select(timeout_seconds):
            connection = key.data
            if not isinstance(connection, Connection):
                connection()
                continue
            if connection.socket.fileno() < 0:  # closed earlier in this round
                continue
            received = connection.receive(self._clock, self._room[used:])
            used += received.room_bytes
            total += received.bytes_read
            round_blocks += [(connection, received, frames) for frames in received.frames]
            if received.failure:
                self._note_failure(connection, received.failure)
            if received.ended:
                self._drop(connection)
            elif connection.events != key.events:
                self._selector.modify(connection.socket, connection.events, connection)
            if self._handshakes and not connection.handshake_failure:
                self._handshakes.end(connection)
            waiting_bytes += received.bytes_read
            if waiting_bytes >= BATCH_BYTES or used >= BATCH_BYTES:
                self._append(writer, round_blocks)
                round_blocks, waiting_bytes, used = [], 0, 0
        self._append(writer, round_blocks)
        return total

    def _accept(self) -> None:
        try:
            accepted, source = self._listening.accept()
        except BlockingIOError:
            return
        except OSError:
            # Out of descriptors or aborted by the peer. The connection stays queued; a pause keeps this from
            # spinning.
            self.counters.receive_errors += 1
            time.sleep(COALESCE_SECONDS)
            return
        address, port = read_source(source)
        how = ""
        if not self._allow.allows(address):
            how = REFUSED_SOURCE
        elif self.counters.connections >= self._max_connections:
            how = CONNECTION_REFUSED
        if how:
            accepted.close()
            self.counters.refused_connections += 1
            self._losses.note(how, 1, [address.tobytes()])
            return
        try:
            connection = self._open_connection(accepted, address, port)
        except OSError:  # gone already
            accepted.close()
            self.counters.receive_errors += 1
            return
        self._selector.register(connection.socket, connection.events, connection)
        self.counters.connections += 1
        if connection.handshake_failure:
            oldest = self._handshakes.begin(connection, time.monotonic())
            if oldest is not None:
                self._fail_handshake(oldest)

    def _fail_handshake(self, connection: Connection) -> None:
        self._note_failure(connection, connection.handshake_failure)
        self._drop(connection)

    def _note_failure(self, connection: Connection, how: str) -> None:
        if connection.handshake_failure:
            self.counters.failed_handshakes += 1
        else:
            self.counters.malformed_frames += 1
        self._losses.note(how, 1, [connection.source_address.tobytes()])

    def _drop(self, connection: Connection) -> None:
        if connection.socket.fileno() < 0:
            return
        self._handshakes.end(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self.counters.connections -= 1

    def _finish_all(self, writer: RecordWriter) -> None:
        """Keep the unfinished last message of every open connection, send the answers still owed, and close."""
        if self._commits is not None:
            self._settle(self._commits.finish())
        last: list[Block] = []
        for connection in [key.data for key in self._selector.get_map().values() if isinstance(key.data, Connection)]:
            received = connection.finish(self._clock)
            last += [(connection, received, frames) for frames in received.frames]
            self._drop(connection)
        self._append(writer, last)

    def _send_answers(self) -> None:
        if self._commits is not None:
            self._settle(self._commits.take())

    def _settle(self, settled: list[Settled]) -> None:
        """Answer what is durable. A connection whose records are not is closed, so that its sender sends them again."""
        for connection, answers, durable in settled:
            if connection.socket.fileno() < 0:
                continue
            if not durable:
                self.counters.unwritten_records += answers.count(b"\n")
            if not durable or not connection.answer(answers):
                self._drop(connection)
            else:
                self._selector.modify(connection.socket, connection.events, connection)

    def _append(self, writer: RecordWriter, blocks: list[Block]) -> None:
        for connection in self._spool.append(writer, blocks):
            self._drop(connection)
