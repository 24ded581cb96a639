"""Syslog framing of byte streams (TCP, TLS): newline or octet counting, found out per stream. No socket, no
clock.

A framer is fed whatever arrived and returns the frames completed by it, as columns. Nothing fed is dropped:
what breaks the framing, and what is left at the end of the stream, becomes a record too.
"""

import re

import numpy as np
from numpy.typing import NDArray

from collector.framing_frames import MAX_FRAME_BYTES, MAX_LENGTH_DIGITS, Framer, Frames, make_frame
from collector.framing_octets import OctetCountingFramer

NEWLINE = b"\n"

_OCTET_COUNTED = re.compile(rb"[1-9][0-9]{0,%d} " % (MAX_LENGTH_DIGITS - 1))
_MAYBE_OCTET_COUNTED = re.compile(rb"[1-9][0-9]{0,%d}\Z" % (MAX_LENGTH_DIGITS - 1))


class NewlineFramer:
    """Non-transparent framing (RFC 6587 section 3.4.2) with LF; a CR before it stays in the message, as
    received.

    A line longer than MAX_FRAME_BYTES comes in pieces of that size, the last one shorter, all flagged
    truncated.
    """

    malformed = False

    def __init__(self) -> None:
        self._rest = bytearray()
        self._inside_long_line = False

    def feed(self, data: bytes) -> Frames | None:
        """Frames completed by `data`. Cost: linear in `data` plus, when a frame ends, in the rest before."""
        has_end = NEWLINE in data
        if not has_end and len(self._rest) + len(data) <= MAX_FRAME_BYTES:
            self._rest += data
            return None
        block = bytes(self._rest) + data if self._rest else data
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE[0])
        lines_end = int(ends[-1]) + 1 if len(ends) else 0
        lengths = np.diff(ends, prepend=-1) - 1
        whole_pieces = max(len(block) - lines_end - 1, 0) // MAX_FRAME_BYTES
        cut_at = lines_end + whole_pieces * MAX_FRAME_BYTES
        self._rest = bytearray(block[cut_at:])
        payload = block[:lines_end].replace(NEWLINE, b"") + block[lines_end:cut_at]
        truncated = np.zeros(len(lengths), np.uint8)
        if len(lengths):
            truncated[0] = self._inside_long_line
            self._inside_long_line = False
        if lengths.size and lengths.max() > MAX_FRAME_BYTES:
            lengths, truncated = _split_long_lines(lengths, truncated)
        if whole_pieces:
            self._inside_long_line = True
            lengths = np.append(lengths, [MAX_FRAME_BYTES] * whole_pieces)
            truncated = np.append(truncated, np.ones(whole_pieces, np.uint8))
        return Frames(payload, lengths.astype(np.uint32), truncated)

    def finish(self) -> Frames | None:
        """The last line when the stream ended without a newline."""
        rest = bytes(self._rest)
        self._rest.clear()
        return make_frame(rest, truncated=self._inside_long_line) if rest else None


def _split_long_lines(
    lengths: NDArray[np.int64], truncated: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    pieces = np.maximum(-(-lengths // MAX_FRAME_BYTES), 1)
    long = pieces > 1
    split = np.full(int(pieces.sum()), MAX_FRAME_BYTES, np.int64)
    split[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * MAX_FRAME_BYTES
    return split, np.repeat(truncated | long, pieces)


class StreamFramer:
    """Framing of one connection, chosen by how it begins and then kept.

    Octet counting when it begins with a non-zero digit, up to four more and a space (RFC 6587 section 3.4.1);
    newline otherwise. The space matters: a sender without a priority whose lines begin with a year is not
    octet counting.
    """

    def __init__(self) -> None:
        self._start = b""
        self._framer: Framer | None = None

    @property
    def malformed(self) -> bool:
        return self._framer is not None and self._framer.malformed

    def feed(self, data: bytes) -> Frames | None:
        """Frames completed by `data`; never raises."""
        if self._framer is None:
            data = self._start + data
            if not data or _MAYBE_OCTET_COUNTED.match(data):
                self._start = data
                return None
            self._framer = OctetCountingFramer() if _OCTET_COUNTED.match(data) else NewlineFramer()
        return self._framer.feed(data)

    def finish(self) -> Frames | None:
        """What is left when the stream ends."""
        if self._framer is None:
            return make_frame(self._start, truncated=False) if self._start else None
        return self._framer.finish()
