"""Octet counting (RFC 6587 section 3.4.1): MSG-LEN SP SYSLOG-MSG, where MSG-LEN has no leading zero. Pure."""

import numpy as np
from numpy.typing import NDArray

from collector.framing_frames import MAX_FRAME_BYTES, MAX_LENGTH_DIGITS, Frames, make_frame

SPACE, LESS_THAN, ZERO = ord(" "), ord("<"), ord("0")
GUESS_AT_BYTES = 2_048
"""Below this the loop is faster than the numpy calls of the guess."""


class OctetCountingFramer:
    """Cuts frames by their length. A malformed length, or one above MAX_FRAME_BYTES, ends the framing: all
    bytes in hand become one truncated record and `malformed` is set.
    """

    def __init__(self) -> None:
        self.malformed = False
        self.rest = b""
        self._wanted_bytes = 0

    def cut(self, block: memoryview) -> Frames | None:
        """Nothing is scanned again while one frame is incomplete."""
        if len(block) < self._wanted_bytes:
            self.rest = bytes(block)
            return None
        starts, lengths, position = _guess_frames(block) if len(block) >= GUESS_AT_BYTES else _NOTHING
        walked_starts, walked_lengths, end = self._walk(block, position)
        self.rest = bytes(block[end:])
        if walked_starts:
            starts = np.append(starts, np.array(walked_starts, np.int64))
            lengths = np.append(lengths, np.array(walked_lengths, np.int64))
        truncated = np.zeros(len(lengths), np.uint8)
        if self.malformed:
            starts, lengths = np.append(starts, end), np.append(lengths, len(block) - end)
            truncated = np.append(truncated, np.uint8(1))
            end = len(block)
            self.rest = b""
        if not len(lengths):
            return None
        gaps = starts.astype(np.uint8)
        gaps[1:] = starts[1:] - starts[:-1] - lengths[:-1]
        return Frames(block[:end], lengths.astype(np.uint32), truncated, gaps)

    def finish(self) -> Frames | None:
        """The frame the stream ended in, without its length where that was whole, flagged truncated."""
        rest, self.rest = self.rest, b""
        space = rest.find(b" ", 0, MAX_LENGTH_DIGITS + 1)
        message = rest[space + 1 :]
        return make_frame(message, truncated=True) if rest else None

    def _walk(self, block: memoryview, position: int) -> tuple[list[int], list[int], int]:
        """Frames from `position` one by one, and where the first incomplete or malformed one begins."""
        starts: list[int] = []
        lengths: list[int] = []
        size = len(block)
        self._wanted_bytes = 0
        while position < size:
            head = bytes(block[position : position + MAX_LENGTH_DIGITS + 1])
            space = head.find(b" ")
            digits = head[:space] if space >= 0 else head
            if not digits.isdigit() or digits[0] == ZERO or len(digits) > MAX_LENGTH_DIGITS:
                self.malformed = True
                break
            if space < 0:
                break
            length = int(digits)
            if length > MAX_FRAME_BYTES:
                self.malformed = True
                break
            start = position + space + 1
            end = start + length
            if end > size:
                self._wanted_bytes = end - position
                break
            starts.append(start)
            lengths.append(length)
            position = end
        return starts, lengths, position


_NOTHING = (np.empty(0, np.int64), np.empty(0, np.int64), 0)


def _guess_frames(block: memoryview) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Frames found without a loop, and where the first one not found begins; a prefix of what the loop would
    find.

    Every ` <` may be the end of a MSG-LEN. How many digits it has is guessed from the distance to the next `
    <`, which is the message and one to five digits. A guess is kept only as far as each frame begins exactly
    where the one before ended, starting at 0, so a ` <` inside a message ends the guess but never misleads
    it.
    """
    octets = np.frombuffer(block, np.uint8)
    spaces = np.flatnonzero(octets[1:] == LESS_THAN)
    spaces = spaces[octets[spaces] == SPACE]
    count = len(spaces)
    if count < 2 or not 1 <= spaces[0] <= MAX_LENGTH_DIGITS:
        return _NOTHING
    equal = _guess_equal_digits(octets, spaces)
    if equal is not None:
        return equal
    distance = np.diff(spaces) - 1
    digits = np.zeros(count, np.int64)
    message = np.full(count, -1, np.int64)
    following = np.zeros(count, np.int64)
    value = np.zeros(count, np.int64)
    valid = np.ones(count, np.bool_)
    for place in range(1, MAX_LENGTH_DIGITS + 1):
        digit = octets[np.maximum(spaces - place, 0)] - np.uint8(ZERO)
        valid &= (digit <= 9) & (spaces >= place)
        value += digit.astype(np.int64) * 10 ** (place - 1)
        gap = distance - value[:-1]
        fits = (valid & (digit != 0))[:-1] & (gap >= 1) & (gap <= MAX_LENGTH_DIGITS)
        chosen = np.flatnonzero(fits)
        digits[chosen], message[chosen], following[chosen] = place, value[chosen], gap[chosen]
    linked = np.empty(count - 1, np.bool_)
    linked[0] = digits[0] == spaces[0]
    linked[1:] = (digits[1:-1] == following[:-2]) & (digits[1:-1] > 0)
    found = count - 1 if linked.all() else int(np.argmin(linked))
    found = found if message[:found].size == 0 or message[:found].max() <= MAX_FRAME_BYTES else 0
    if not found:
        return _NOTHING
    starts, lengths = spaces[:found] + 1, message[:found]
    return starts, lengths, int(starts[-1] + lengths[-1])


def _guess_equal_digits(
    octets: NDArray[np.uint8], spaces: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int] | None:
    """The guess where every MSG-LEN has as many digits as the first, the usual case; None where one has not."""
    digits = int(spaces[0])
    if (spaces < digits).any():
        return None
    value = np.zeros(len(spaces), np.int64)
    for place in range(1, digits + 1):
        digit = octets[spaces - place] - np.uint8(ZERO)
        if digit.max() > 9:
            return None
        value += digit.astype(np.int64) * 10 ** (place - 1)
    if not digit.all() or value.max() > MAX_FRAME_BYTES:
        return None
    starts = spaces + 1
    if (starts[:-1] + value[:-1] != starts[1:] - (digits + 1)).any():
        return None
    return starts[:-1], value[:-1], int(starts[-2] + value[-2])
