"""What one round of reads from many connections brought goes to the spool as one batch."""

import time

import numpy as np

from archive.errors import SpoolError
from archive.spool_batch import ReadBatch
from collector.commit_queue import CommitQueue
from collector.framing_frames import Frames
from collector.loss import LossAccount, refused_how
from collector.receivers import SPOOL_RETRY_SECONDS, ReceiverCounters, RecordWriter
from collector.sources import SourceTable
from collector.tcp_connection import Connection, Received

Block = tuple[Connection, Received, Frames]
"""Frames of one read, with their connection and moment."""


def make_batch(listener: str, transport: str, blocks: list[Block]) -> ReadBatch:
    """Records of the blocks in order; there is at least one block and none is empty."""
    return ReadBatch(
        listener,
        transport,
        np.array([received.arrival_unix_ns for _, received, _ in blocks], np.int64),
        np.stack([connection.source_address for connection, _, _ in blocks]),
        np.array([connection.source_port for connection, _, _ in blocks], np.uint16),
        np.array([len(frames) for _, _, frames in blocks], np.uint32),
        np.concatenate([frames.truncated for _, _, frames in blocks]),
        np.concatenate([frames.gaps for _, _, frames in blocks]),
        np.concatenate([frames.lengths for _, _, frames in blocks]),
        [frames.payload for _, _, frames in blocks],
    )


class StreamSpool:
    """Appends for one listener. With `commits` the answers of a block are settled once it is durable."""

    def __init__(
        self,
        listener: str,
        transport: str,
        counters: ReceiverCounters,
        losses: LossAccount,
        sources: SourceTable | None,
        commits: CommitQueue | None,
    ) -> None:
        self._listener = listener
        self._transport = transport
        self._counters = counters
        self._losses = losses
        self._sources = sources
        self._commits = commits

    def append(self, writer: RecordWriter, blocks: list[Block]) -> list[Connection]:
        """Append the blocks; returns connections to be closed because the spool refused what must be answered."""
        blocks = [block for block in blocks if len(block[2])]
        if not blocks:
            return []
        batch = make_batch(self._listener, self._transport, blocks)
        if self._sources is not None:
            self._sources.observe(batch.source_address)
        try:
            ticket = writer.append_batch(batch)
        except (SpoolError, OSError) as error:
            self._counters.unwritten_records += len(batch)
            time.sleep(SPOOL_RETRY_SECONDS)
            if self._commits is not None:  # nothing is lost: the senders were not answered and send again
                return [connection for connection, _, _ in blocks]
            self._losses.note(refused_how(error), len(batch))
            return []
        if self._commits is not None:
            self._commits.put(ticket, [(connection, received.answers) for connection, received, _ in blocks])
        self._counters.received_records += len(batch)
        self._counters.received_bytes += int(batch.payload_lengths.sum())
        self._counters.truncated_records += int(batch.truncated.sum())
        return []
