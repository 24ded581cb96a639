"""`recvmmsg` into preallocated numpy buffers: a batch of datagrams, their sources and their arrival in the
kernel.

Structures are those of 64-bit little-endian Linux (x86-64, arm64). No Python runs per datagram. Knows one
socket's descriptor for the length of a call and nothing of listeners or the spool.
"""

import ctypes
import errno
import os
import socket
import time

import numpy as np
from numpy.typing import NDArray

from archive.gather import gather_pieces

SLOT_BYTES = 65_536
"""A UDP payload is at most 65,527 bytes (RFC 768, RFC 8200), so nothing is ever cut."""
BATCH_DATAGRAMS = 256
"""Datagrams a call. 512 is no faster (measured) and doubles the 16 MiB that large datagrams can make
resident."""
NAME_BYTES = 28
"""sizeof(struct sockaddr_in6)."""
CONTROL_BYTES = 32
"""One control message: struct cmsghdr (16) and struct timespec (16)."""
SO_TIMESTAMPNS = 35
"""Option and control message type of SO_TIMESTAMPNS (asm-generic/socket.h); Python has no name for it."""
RETRY_ERRORS = (errno.EAGAIN, errno.EINTR)

_IOVEC = np.dtype([("base", "<u8"), ("length", "<u8")])
_MMSGHDR = np.dtype(
    {
        "names": ["name", "name_length", "iov", "iov_count", "control", "control_length", "flags", "length"],
        "formats": ["<u8", "<u4", "<u8", "<u8", "<u8", "<u8", "<i4", "<u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
_CONTROL = np.dtype([("length", "<u8"), ("level", "<i4"), ("type", "<i4"), ("seconds", "<i8"), ("nanoseconds", "<i8")])
_recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
_recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]


class DatagramBuffers:
    """Room for `batch_datagrams` datagrams. What `receive` filled stays valid until its next call."""

    def __init__(self, family: int, batch_datagrams: int = BATCH_DATAGRAMS) -> None:
        self._family = family
        self._capacity = batch_datagrams
        self._slots = np.zeros((batch_datagrams, SLOT_BYTES), np.uint8)
        self._flat_slots = self._slots.reshape(-1)
        self._names = np.zeros((batch_datagrams, 32), np.uint8)
        self._control = np.zeros(batch_datagrams, _CONTROL)
        self._vectors = np.zeros(batch_datagrams, _IOVEC)
        self._headers = np.zeros(batch_datagrams, _MMSGHDR)
        index = np.arange(batch_datagrams, dtype=np.uint64)
        self._slot_starts = index.astype(np.int64) * SLOT_BYTES
        self._vectors["base"] = self._slots.ctypes.data + index * np.uint64(SLOT_BYTES)
        self._vectors["length"] = SLOT_BYTES
        self._headers["name"] = self._names.ctypes.data + index * np.uint64(32)
        self._headers["iov"] = self._vectors.ctypes.data + index * np.uint64(_IOVEC.itemsize)
        self._headers["iov_count"] = 1
        self._headers["control"] = self._control.ctypes.data + index * np.uint64(CONTROL_BYTES)
        self._address = self._headers.ctypes.data
        self._count = batch_datagrams

    @property
    def capacity(self) -> int:
        return self._capacity

    def receive(self, descriptor: int) -> int:
        """Receive up to `capacity` datagrams of those that wait; does not wait itself.

        Returns 0 when there is none. Raises OSError for anything else than that or an interruption.
        """
        filled = self._headers[: self._count]
        filled["name_length"] = NAME_BYTES
        filled["control_length"] = CONTROL_BYTES
        count = _recvmmsg(descriptor, self._address, self._capacity, socket.MSG_DONTWAIT, None)
        self._count = max(count, 0)
        if count < 0 and (code := ctypes.get_errno()) not in RETRY_ERRORS:
            raise OSError(code, os.strerror(code))
        return self._count

    def lengths(self) -> NDArray[np.uint32]:
        """Payload length of each datagram, a copy."""
        return self._headers["length"][: self._count].copy()

    def truncated(self) -> NDArray[np.uint8]:
        """1 where the kernel says MSG_TRUNC."""
        return (self._headers["flags"][: self._count] & socket.MSG_TRUNC != 0).astype(np.uint8)

    def arrival_unix_ns(self) -> NDArray[np.int64]:
        """Arrival in the kernel; where it gave no time stamp, now."""
        control = self._control[: self._count]
        arrival = control["seconds"] * 1_000_000_000 + control["nanoseconds"]
        stamped = (control["type"] == SO_TIMESTAMPNS) & (control["level"] == socket.SOL_SOCKET)
        stamped &= self._headers["control_length"][: self._count] >= CONTROL_BYTES
        return arrival if stamped.all() else np.where(stamped, arrival, time.time_ns())

    def source_address(self) -> NDArray[np.uint8]:
        """uint8[n,16], IPv4 as ::ffff:a.b.c.d."""
        names = self._names[: self._count]
        if self._family == socket.AF_INET6:
            return names[:, 8:24].copy()
        addresses = np.zeros((self._count, 16), np.uint8)
        addresses[:, 10:12] = 0xFF
        addresses[:, 12:] = names[:, 4:8]
        return addresses

    def source_port(self) -> NDArray[np.uint16]:
        return self._names[: self._count, 2:4].copy().view(">u2").reshape(-1).astype(np.uint16)

    def payload(self, lengths: NDArray[np.uint32], wanted: NDArray[np.bool_] | None = None) -> bytes | memoryview:
        """All payloads one after another, or those of the rows in `wanted`; `lengths` are theirs alone.

        One strided copy when they are equally long, as flow exports mostly are.
        """
        if not len(lengths):
            return b""
        first = int(lengths[0])
        if (lengths == first).all():
            slots = self._slots[: self._count, :first]
            return (slots if wanted is None else slots[wanted]).tobytes()
        starts = self._slot_starts[: self._count]
        starts = starts if wanted is None else starts[wanted]
        pieces = gather_pieces(self._flat_slots, starts, starts + lengths)
        return memoryview(pieces.buffers()[2])[: int(lengths.sum())]
