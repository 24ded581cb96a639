"""What one round of reads from many connections brought, as one batch of the spool. Pure."""

import numpy as np

from archive.spool_format import Batch
from collector.framing_frames import Frames
from collector.tcp_connection import Connection, Received

Block = tuple[Connection, Received, Frames]
"""Frames of one read, with their connection and moment."""


def make_batch(listener: str, transport: str, blocks: list[Block]) -> Batch:
    """Records of the blocks in order; there is at least one block and none is empty."""
    counts = [len(frames) for _, _, frames in blocks]
    addresses = np.stack([connection.source_address for connection, _, _ in blocks])
    return Batch(
        listener,
        transport,
        np.repeat(np.array([received.arrival_unix_ns for _, received, _ in blocks], np.int64), counts),
        np.repeat(addresses, counts, axis=0),
        np.repeat(np.array([connection.source_port for connection, _, _ in blocks], np.uint16), counts),
        np.concatenate([frames.truncated for _, _, frames in blocks]),
        np.concatenate([frames.lengths for _, _, frames in blocks]),
        blocks[0][2].payload if len(blocks) == 1 else b"".join([frames.payload for _, _, frames in blocks]),
    )
