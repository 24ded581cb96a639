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
        self.rest = b""
        self._inside_long_line = False

    def cut(self, block: memoryview) -> Frames | None:
        """Cost: linear in what came after `rest`, which holds no newline."""
        known = len(self.rest)
        octets = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(octets[known:] == NEWLINE[0])
        count = len(ends)
        if not count and len(block) <= MAX_FRAME_BYTES:
            self.rest = bytes(block)
            return None
        if known:
            ends += known
        lines_end = int(ends[-1]) + 1 if count else 0
        lengths = np.empty(count, np.int64)
        lengths[:1] = ends[:1]
        np.subtract(ends[1:], ends[:-1] + 1, out=lengths[1:])
        gaps = np.ones(count, np.uint8)
        gaps[:1] = 0
        truncated = np.zeros(count, np.uint8)
        if count:
            truncated[0] = self._inside_long_line
            self._inside_long_line = False
        whole_pieces = max(len(block) - lines_end - 1, 0) // MAX_FRAME_BYTES
        end = lines_end - 1
        if count and lengths.max() > MAX_FRAME_BYTES:
            lengths, truncated, gaps = _split_long_lines(lengths, truncated, gaps)
        if whole_pieces:
            self._inside_long_line = True
            end = lines_end + whole_pieces * MAX_FRAME_BYTES
            lengths = np.append(lengths, [MAX_FRAME_BYTES] * whole_pieces)
            truncated = np.append(truncated, np.ones(whole_pieces, np.uint8))
            gaps = np.append(gaps, np.zeros(whole_pieces, np.uint8))
            gaps[-whole_pieces] = 1 if count else 0
        self.rest = bytes(block[max(end, lines_end) :])
        return Frames(block[:end], lengths.astype(np.uint32), truncated, gaps)

    def finish(self) -> Frames | None:
        """The last line when the stream ended without a newline."""
        rest, self.rest = self.rest, b""
        return make_frame(rest, truncated=self._inside_long_line) if rest else None


def _split_long_lines(
    lengths: NDArray[np.int64], truncated: NDArray[np.uint8], gaps: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
    pieces = np.maximum(-(-lengths // MAX_FRAME_BYTES), 1)
    long = pieces > 1
    split = np.full(int(pieces.sum()), MAX_FRAME_BYTES, np.int64)
    split[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * MAX_FRAME_BYTES
    split_gaps = np.zeros(len(split), np.uint8)
    split_gaps[np.cumsum(pieces) - pieces] = gaps
    return split, np.repeat(truncated | long, pieces), split_gaps


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

    @property
    def rest(self) -> bytes:
        return self._start if self._framer is None else self._framer.rest

    def cut(self, block: memoryview) -> Frames | None:
        if self._framer is None:
            start = bytes(block[: MAX_LENGTH_DIGITS + 1])
            if not start or _MAYBE_OCTET_COUNTED.match(start):
                self._start = start
                return None
            self._framer = OctetCountingFramer() if _OCTET_COUNTED.match(start) else NewlineFramer()
        return self._framer.cut(block)

    def finish(self) -> Frames | None:
        if self._framer is None:
            return make_frame(self._start, truncated=False) if self._start else None
        return self._framer.finish()
