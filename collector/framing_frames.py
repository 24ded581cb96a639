"""Frames cut from a byte stream, as columns, and the limit of their size. Pure."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MAX_FRAME_BYTES = 65_536
"""Largest frame. RFC 5424 section 6.1 asks for 2,048; firewalls with long URLs exceed it, and a decoder that
takes any UDP datagram takes this too. Bounds the memory of a connection that never ends its line."""
MAX_LENGTH_DIGITS = len(str(MAX_FRAME_BYTES))


Octets = bytes | memoryview


@dataclass(frozen=True)
class Frames:
    """Messages in order, as they lay in what was read.

    `payload` holds them one after another, each behind `gaps` uint8[n] bytes of framing; `lengths` uint32[n],
    `truncated` uint8[n].
    """

    payload: Octets
    lengths: NDArray[np.uint32]
    truncated: NDArray[np.uint8]
    gaps: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.lengths)


class Framer(Protocol):
    """`rest` is what has been read of an unfinished frame: the caller puts it before the next bytes.

    `malformed` is true once the place of the next frame is lost; the caller then closes the connection.
    """

    malformed: bool
    rest: bytes

    def cut(self, block: memoryview) -> Frames | None:
        """Frames in a block that begins with `rest`, views of it; `rest` becomes what is left. Never raises."""
        ...

    def finish(self) -> Frames | None:
        """What is left when the stream ends."""
        ...


def make_frame(payload: bytes, *, truncated: bool) -> Frames:
    """One message."""
    return Frames(payload, np.array([len(payload)], np.uint32), np.array([truncated], np.uint8), np.zeros(1, np.uint8))
