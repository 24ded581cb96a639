"""Writer and sealer in one process that is traced while it works; what it acknowledged and the heads it saw lie in
shared memory, so that noting them costs no system call that a fault could hit."""

import ctypes
import mmap
import os
import signal
import struct
from contextlib import suppress

from archive.errors import ArchiveError
from archive.keys import LogKeys
from archive.origin import ArchivePaths
from archive.sealer import Sealer
from archive.spool import SpoolWriter

RECORDS = 6
RECORDS_PER_TURN = 2
HEAD_BYTES = 1024
MAX_HEADS = 16
_PR_SET_PTRACER = 0x59616D61
_ANY = ctypes.c_ulong(-1 & (2**64 - 1))


class Notes:
    """`acknowledged` record numbers and the bytes of every head that was on disk."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, RECORDS + MAX_HEADS * HEAD_BYTES)

    def acknowledge(self, number: int) -> None:
        self._memory[number] = 1

    def acknowledged(self) -> list[int]:
        return [number for number in range(RECORDS) if self._memory[number]]

    def see_head(self, turn: int, head: bytes) -> None:
        start = RECORDS + turn * HEAD_BYTES
        self._memory[start : start + 2 + len(head)] = struct.pack("<H", len(head)) + head

    def heads(self) -> list[bytes]:
        found = []
        for turn in range(MAX_HEADS):
            start = RECORDS + turn * HEAD_BYTES
            (length,) = struct.unpack_from("<H", self._memory, start)
            found.append(self._memory[start + 2 : start + 2 + length])
        return [head for head in found if head]


def payload(number: int) -> bytes:
    return b"record %04d" % number


def fork_stopped(paths: ArchivePaths, keys: LogKeys, notes: Notes) -> int:
    """A child that does the work once it is continued; returns its pid when it has stopped itself."""
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            _work(paths, keys, notes)
        finally:
            os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    return pid


def _work(paths: ArchivePaths, keys: LogKeys, notes: Notes) -> None:
    """What the two services do, errors included: an OSError is waited out, any other ends the process and the
    supervisor starts it again."""
    writer: SpoolWriter | None = None
    sealer: Sealer | None = None
    for number in range(RECORDS):
        try:
            writer = writer or SpoolWriter(paths.spool, "collector")
            writer.wait_durable(writer.append(payload(number), listener="syslog"), 2)
            notes.acknowledge(number)
        except (ArchiveError, OSError):
            pass
        if number % RECORDS_PER_TURN == RECORDS_PER_TURN - 1:
            if writer is not None:
                with suppress(ArchiveError, OSError):
                    writer.close()
                writer = None
            sealer = _seal(paths, keys, sealer)
            with suppress(OSError):
                notes.see_head(number // RECORDS_PER_TURN, paths.head.read_bytes())
    if sealer is not None:
        with suppress(ArchiveError, OSError):
            sealer.close()


def _seal(paths: ArchivePaths, keys: LogKeys, sealer: Sealer | None) -> Sealer | None:
    for _ in range(2):
        try:
            sealer = sealer or Sealer(paths, keys, head_interval_seconds=0)
            sealer.run_once()
        except OSError:
            continue
        except ArchiveError:
            if sealer is not None:
                sealer._head.close()
            sealer = None
    return sealer
