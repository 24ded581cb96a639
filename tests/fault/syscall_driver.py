"""Writer and sealer in one process that is traced while it works; what it acknowledged and the heads it published lie
in shared memory, so that noting them costs no system call that a fault could hit."""

import ctypes
import json
import mmap
import os
import signal
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import archive.head
import archive.sealer
import archive.sealing.inbox
import archive.sealing.spool_watch
from archive.anchor.check import AnchorTrust, check_anchor
from archive.cosignature import WitnessKey, sign_cosignature
from archive.decoder import Units
from archive.errors import ArchiveError
from archive.keys import LogKeys
from archive.note import split_note
from archive.origin import ArchivePaths
from archive.sealer import Sealer
from archive.sealing.json_leaves import JsonLeaves, check_clock_fields
from archive.sealing.record_roots import RecordRoots
from archive.spool import SpoolWriter
from archive.unit_report import report_units

RECORDS = 6
RECORDS_PER_TURN = 2
HEAD_BYTES = 1024
MAX_HEADS = 64
SHOWN_PID = 12_345
"""In the writer's own record, so that each write is as long in every run and a lost one returns what it would have."""
NS = 1_000_000_000
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS_KEY = WitnessKey("witness.test/faults", WITNESS.public_key().public_bytes_raw())
_PR_SET_PTRACER = 0x59616D61
_ANY = ctypes.c_ulong(-1 & (2**64 - 1))


class Notes:
    """`acknowledged` record numbers and, as a witness would keep them, all heads that were ever published."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, RECORDS + 1 + MAX_HEADS * HEAD_BYTES)

    def acknowledge(self, number: int) -> None:
        self._memory[number] = 1

    def acknowledged(self) -> list[int]:
        return [number for number in range(RECORDS) if self._memory[number]]

    def see_head(self, head: bytes) -> None:
        place = self._memory[RECORDS]
        start = RECORDS + 1 + place * HEAD_BYTES
        self._memory[start : start + 2 + len(head)] = struct.pack("<H", len(head)) + head
        self._memory[RECORDS] = place + 1

    def heads(self) -> list[bytes]:
        found = []
        for place in range(self._memory[RECORDS]):
            start = RECORDS + 1 + place * HEAD_BYTES
            (length,) = struct.unpack_from("<H", self._memory, start)
            found.append(self._memory[start + 2 : start + 2 + length])
        return found


class TracedSealer:
    """A sealer with everything that feeds it. Units become a leaf at once, as for a hold."""

    def __init__(self, paths: ArchivePaths, keys: LogKeys) -> None:
        key = keys.verifier_key(paths.origin())
        trust = AnchorTrust((WITNESS_KEY,))
        clock = archive.sealer.SystemClock()
        self.roots = RecordRoots(paths, clock, lambda: self.sealer.tree_size)
        self.json = [
            JsonLeaves("anchor", paths.inbox / "anchors", lambda fields: check_anchor(fields, key, trust)),
            JsonLeaves("clock", paths.inbox / "clock", check_clock_fields),
        ]
        sources = [*self.json, self.roots]
        self.sealer = Sealer(paths, keys, clock=clock, head_interval_seconds=0, sources=sources)

    def turn(self) -> None:
        self.roots.force()
        self.sealer.run_once(full_look=True)


def payload(number: int) -> bytes:
    return b"record %04d" % number


def hand_in(paths: ArchivePaths, leaf: int) -> None:
    """What anchor process, clock watch and decode worker leave in the inbox: a cosignature of the newest head, a
    sample, the units of data leaf `leaf`, whose last record is cut in two."""
    note = (paths.log / "checkpoint").read_bytes()
    seconds = 1_795_000_000
    line = sign_cosignature(split_note(note)[0], seconds, WITNESS_KEY.name, WITNESS)
    anchor = {
        "by": "witness", "name": WITNESS_KEY.name, "checkpoint": note.decode(), "unix_ns": str(seconds * NS),
        "vkey": WITNESS_KEY.text(), "evidence": line,
    }  # fmt: skip
    sample = {
        "unix_ns": str(seconds * NS), "monotonic_ns": "1", "synchronised": True, "offset_ns": 5, "dispersion_ns": None,
        "source": "kernel",
    }  # fmt: skip
    clock = {"boot_id": "boot", "step": None, "samples": [sample]}
    for kind, fields in (("anchors", anchor), ("clock", clock)):
        folder = paths.inbox / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{1:020d}.json").write_text(json.dumps(fields))
    units = Units(np.zeros(2, np.uint32) + 1, np.zeros(2, np.uint32), np.array([4, 6], np.uint32))
    report_units(paths.inbox / "units", leaf, [units])


def fork_stopped(paths: ArchivePaths, keys: LogKeys, notes: Notes) -> int:
    """A child that does the work once it is continued; returns its pid when it has stopped itself."""
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)
            _note_published(notes)
            # Every folder looks as if it had just changed: else how often one is read depends on the time it takes.
            archive.sealing.inbox.TIMESTAMP_TICK_NS = archive.sealing.spool_watch.TIMESTAMP_TICK_NS = NS * 3600
            os.kill(os.getpid(), signal.SIGSTOP)
            os.getpid = lambda: SHOWN_PID
            _work(paths, keys, notes)
        finally:
            os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    return pid


def _note_published(notes: Notes) -> None:
    """Note head file and checkpoint at the moment their rename makes them readable. In the child alone."""
    replace_file, rename = archive.sealer.replace_file, os.replace
    written: list[bytes] = []

    def replace_and_tell(path: Path, data: bytes) -> None:
        written.append(data)
        try:
            replace_file(path, data)
        finally:
            written.clear()

    def rename_and_note(source: Path, target: Path) -> None:
        rename(source, target)
        if written:
            notes.see_head(written[-1])

    archive.head.replace_file = archive.sealer.replace_file = replace_and_tell  # type: ignore[assignment]
    os.replace = rename_and_note  # type: ignore[assignment]


def _work(paths: ArchivePaths, keys: LogKeys, notes: Notes) -> None:
    """What the two services do, errors included: an OSError is waited out, any other ends the process and the
    supervisor starts it again."""
    writer: SpoolWriter | None = None
    traced: TracedSealer | None = None
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
            traced = _seal(paths, keys, traced)
    _close(traced)


def _seal(paths: ArchivePaths, keys: LogKeys, traced: TracedSealer | None) -> TracedSealer | None:
    for _ in range(2):
        try:
            traced = traced or TracedSealer(paths, keys)
            traced.turn()
        except OSError:
            continue
        except ArchiveError:
            _close(traced)
            traced = None
    return traced


def _close(traced: TracedSealer | None) -> None:
    if traced is not None:
        with suppress(ArchiveError, OSError):
            traced.sealer.close()
