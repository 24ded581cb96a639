"""Frames cut from a byte stream, as columns, and the limit of their size. Pure."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MAX_FRAME_BYTES = 65_536
"""Largest frame. RFC 5424 section 6.1 asks for 2,048; firewalls with long URLs exceed it, and a decoder that
takes any UDP datagram takes this too. Bounds the memory of a connection that never ends its line."""
MAX_LENGTH_DIGITS = len(str(MAX_FRAME_BYTES))


@dataclass(frozen=True)
class Frames:
    """Messages in order: `payload` one after another, `lengths` uint32[n], `truncated` uint8[n]."""

    payload: bytes
    lengths: NDArray[np.uint32]
    truncated: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.lengths)


class Framer(Protocol):
    """`malformed` is true once the place of the next frame is lost; the caller then closes the connection."""

    malformed: bool

    def feed(self, data: bytes) -> Frames | None: ...

    def finish(self) -> Frames | None: ...


def make_frame(payload: bytes, *, truncated: bool) -> Frames:
    """One message."""
    return Frames(payload, np.array([len(payload)], np.uint32), np.array([truncated], np.uint8))
