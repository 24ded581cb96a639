"""TCP receiver: one thread for all connections of a listener; frames cut in bulk, batches into the spool.

Nothing is acknowledged above TCP. When the spool is slow nothing is read, and TCP slows the senders down.
"""

import selectors
import socket
import threading
import time

import numpy as np

from archive.clock import Clock, SystemClock
from archive.errors import SpoolError
from archive.spool_format import Batch
from collector.framing_frames import Frames
from collector.loss import CONNECTION_REFUSED, MALFORMED_FRAMING, SPOOL_WRITE_FAILED, LossAccount
from collector.receivers import (
    COALESCE_SECONDS,
    SPOOL_RETRY_SECONDS,
    STOP_POLL_SECONDS,
    ReceiverCounters,
    RecordWriter,
    bind_socket,
)
from collector.tcp_connection import Connection, Received

MAX_CONNECTIONS = 800
"""Connections of one listener. Below the usual limit of 1,024 descriptors a process, so that accepting never
fails for want of one and the spool can still open its files."""
LISTEN_BACKLOG = 128
COALESCE_BELOW_BYTES = 32 * 1024
"""A round that brought less is followed by a pause, in which more arrives."""
BATCH_BYTES = 256 * 1024
"""Many small reads of one round go to the spool together; a larger batch outgrows the processor's cache."""
LOSS_FLUSH_SECONDS = 1.0
DRAIN_SECONDS = 2.0
"""Longest time spent after stop on bytes senders have already handed to the kernel."""


class TcpReceiver:
    """Binds and listens at construction; `run` serves every connection until stopped."""

    def __init__(
        self,
        name: str,
        address: str,
        port: int,
        *,
        max_connections: int = MAX_CONNECTIONS,
        clock: Clock | None = None,
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
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ, None)
        self._losses = LossAccount(self.name, self._clock)

    def run(self, writer: RecordWriter, stop: threading.Event) -> None:
        """Serve until `stop`, then take what senders have already sent and close every connection."""
        next_flush = time.monotonic() + LOSS_FLUSH_SECONDS
        while not stop.is_set():
            received_bytes = self._serve_round(writer, STOP_POLL_SECONDS)
            now = time.monotonic()
            if now >= next_flush:
                self._losses.flush(writer)
                next_flush = now + LOSS_FLUSH_SECONDS
            if 0 < received_bytes < COALESCE_BELOW_BYTES:
                time.sleep(COALESCE_SECONDS)
        end = time.monotonic() + DRAIN_SECONDS
        while self._selector.select(0) and time.monotonic() < end:
            self._serve_round(writer, 0)
        self._finish_all(writer)
        self._losses.flush(writer)

    def close(self) -> None:
        self._selector.close()
        self._listening.close()

    def _serve_round(self, writer: RecordWriter, timeout_seconds: float) -> int:
        """One read from every connection that has something. Returns bytes read."""
        round_frames: list[tuple[Connection, Received, Frames]] = []
        total = waiting_bytes = 0
        for key, _ in self._selector.select(timeout_seconds):
            connection: Connection | None = key.data
            if connection is None:
                self._accept()
                continue
            received = connection.receive(self._clock)
            total += received.bytes_read
            round_frames += [(connection, received, frames) for frames in received.frames]
            if received.malformed:
                self.counters.malformed_frames += 1
                self._losses.note(MALFORMED_FRAMING, 1)
            if received.ended:
                self._drop(connection)
            waiting_bytes += received.bytes_read
            if waiting_bytes >= BATCH_BYTES:
                self._append(writer, round_frames)
                round_frames, waiting_bytes = [], 0
        self._append(writer, round_frames)
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
        if self.counters.connections >= self._max_connections:
            accepted.close()
            self.counters.refused_connections += 1
            self._losses.note(CONNECTION_REFUSED, 1)
            return
        connection = Connection(accepted, source)
        self._selector.register(accepted, selectors.EVENT_READ, connection)
        self.counters.connections += 1

    def _drop(self, connection: Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self.counters.connections -= 1

    def _finish_all(self, writer: RecordWriter) -> None:
        """Keep the unfinished last message of every open connection and close it."""
        open_connections = [key.data for key in self._selector.get_map().values() if key.data is not None]
        last = []
        for connection in open_connections:
            received = connection.finish(self._clock)
            last += [(connection, received, frames) for frames in received.frames]
            self._drop(connection)
        self._append(writer, last)

    def _append(self, writer: RecordWriter, blocks: list[tuple[Connection, Received, Frames]]) -> None:
        blocks = [block for block in blocks if len(block[2])]
        if not blocks:
            return
        counts = [len(frames) for _, _, frames in blocks]
        truncated = np.concatenate([frames.truncated for _, _, frames in blocks])
        payload = blocks[0][2].payload if len(blocks) == 1 else b"".join([f.payload for _, _, f in blocks])
        batch = Batch(
            self.name,
            "tcp",
            np.repeat(np.array([received.arrival_unix_ns for _, received, _ in blocks], np.int64), counts),
            np.repeat(np.stack([connection.source_address for connection, _, _ in blocks]), counts, axis=0),
            np.repeat(np.array([connection.source_port for connection, _, _ in blocks], np.uint16), counts),
            truncated,
            np.concatenate([frames.lengths for _, _, frames in blocks]),
            payload,
        )
        try:
            writer.append_batch(batch)
        except (SpoolError, OSError):
            self.counters.unwritten_records += len(batch)
            self._losses.note(SPOOL_WRITE_FAILED, len(batch))
            time.sleep(SPOOL_RETRY_SECONDS)
            return
        self.counters.received_records += len(batch)
        self.counters.received_bytes += len(payload)
        self.counters.truncated_records += int(truncated.sum())
