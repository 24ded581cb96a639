"""Records on their way from a receiver to the spool, as columns. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class Batch:
    """Records that arrived together at one listener.

    `received_unix_ns` int64[n]; `source_address` uint8[n,16], IPv4 as ::ffff:a.b.c.d; `source_port` uint16[n];
    `truncated` uint8[n]; `payload_lengths` uint32[n]; `payload` all payloads one after another, each behind as many
    bytes that belong to none as `gaps` uint8[n] says (None: no such bytes).
    """

    listener: str
    transport: str
    received_unix_ns: NDArray[np.int64]
    source_address: NDArray[np.uint8]
    source_port: NDArray[np.uint16]
    truncated: NDArray[np.uint8]
    payload_lengths: NDArray[np.uint32]
    payload: bytes | memoryview
    gaps: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.payload_lengths)

    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where in `payload` each record starts and ends."""
        lengths = self.payload_lengths.astype(np.int64)
        ends = np.cumsum(lengths if self.gaps is None else lengths + self.gaps)
        return ends - lengths, ends

    def payloads(self) -> list[bytes]:
        """Each record apart, for few of them."""
        return [bytes(self.payload[start:end]) for start, end in zip(*self.bounds(), strict=True)]

    def take(self, wanted: NDArray[np.bool_]) -> "Batch":
        """The records where `wanted` is true, in the same order."""
        starts, ends = self.bounds()
        parts = [self.payload[starts[i] : ends[i]] for i in np.flatnonzero(wanted)]
        return Batch(
            self.listener,
            self.transport,
            self.received_unix_ns[wanted],
            self.source_address[wanted],
            self.source_port[wanted],
            self.truncated[wanted],
            self.payload_lengths[wanted],
            b"".join(parts),
        )


@dataclass
class ReadBatch:
    """Records cut out of reads from streams, as they lay there.

    One value per read: `received_unix_ns`, `source_address`, `source_port`, and `read_records` uint32, how many records
    it brought; one value per record: `truncated`, `gaps`, `payload_lengths` as in `Batch`. `payload` holds the bytes of
    each read, framing included, up to its last record's end.
    """

    listener: str
    transport: str
    received_unix_ns: NDArray[np.int64]
    source_address: NDArray[np.uint8]
    source_port: NDArray[np.uint16]
    read_records: NDArray[np.uint32]
    truncated: NDArray[np.uint8]
    gaps: NDArray[np.uint8]
    payload_lengths: NDArray[np.uint32]
    payload: Sequence[bytes | memoryview]

    def __len__(self) -> int:
        return len(self.payload_lengths)

    def payloads(self) -> list[bytes]:
        """Each record apart, for few of them."""
        ends = np.cumsum(self.payload_lengths.astype(np.int64) + self.gaps)
        data = b"".join(self.payload)
        return [data[end - length : end] for end, length in zip(ends, self.payload_lengths.tolist(), strict=True)]

    def take(self, wanted: NDArray[np.bool_]) -> "ReadBatch":
        """The reads where `wanted` is true, in the same order."""
        records = np.repeat(wanted, self.read_records)
        return ReadBatch(
            self.listener,
            self.transport,
            self.received_unix_ns[wanted],
            self.source_address[wanted],
            self.source_port[wanted],
            self.read_records[wanted],
            self.truncated[records],
            self.gaps[records],
            self.payload_lengths[records],
            [part for part, one in zip(self.payload, wanted, strict=True) if one],
        )
