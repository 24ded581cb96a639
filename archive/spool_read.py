"""Reading the spool: what the sealer takes from a file, and what `status` counts in a folder. Writes nothing."""

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from archive.durable import open_descriptor
from archive.errors import ArchiveFormatError
from archive.spool_batch import Batch
from archive.spool_format import (
    HEADER_FRAME,
    RECORD_FRAMES,
    SpoolFile,
    count_records,
    decode_batch,
    decode_json_frame,
    iterate_frames,
)

SEQUENCE_DIGITS = 20
DURABLE_MARK = struct.Struct("<QQ")
"""Sequence of the open file and how many of its bytes are durable; in `spool/<stream>/durable` for `status`."""


def is_spool_file(path: Path) -> bool:
    """Whether this is the name of a spool file; anything else in the folder is not the journal's."""
    stem = path.stem
    return path.suffix in (".open", ".spool") and len(stem) == SEQUENCE_DIGITS and stem.isascii() and stem.isdigit()


def read_spool_file(path: Path, room: bytearray | None = None) -> SpoolFile:
    """Read a spool file, closed or left open by a dead writer, up to its last whole frame.

    Into `room` where it fits, which spares the kernel fresh pages for every file; the result is then valid until the
    next use of the room. Not mapped: a writer that cuts its file short, or a bad disk, would end the sealer by a
    signal.
    """
    data = _read_into(path, room)
    header: dict[str, Any] = {}
    closing: dict[str, Any] = {}
    batches: list[Batch] = []
    end = 0
    for frame in iterate_frames(data):
        try:
            if frame.magic == HEADER_FRAME:
                header = decode_json_frame(frame)
            elif frame.magic in RECORD_FRAMES:
                batches.append(decode_batch(frame))
            else:
                closing = decode_json_frame(frame)
        except (ArchiveFormatError, ValueError):
            # What no correct writer makes must not keep the sealer from the files after it: torn from here on.
            break
        end = frame.end_offset
    return SpoolFile(path, path.parent.name, int(path.stem), header, closing, batches, len(data) - end, data)


def _read_into(path: Path, room: bytearray | None) -> memoryview:
    with open_descriptor(path, os.O_RDONLY) as descriptor:
        size = os.fstat(descriptor).st_size
        buffer = room if room is not None and size <= len(room) else bytearray(size)
        view = memoryview(buffer)[:size]
        done = 0
        while done < size and (count := os.readv(descriptor, [view[done:]])):
            done += count
        return view[:done]


def count_spool_records(directory: Path, stream: str) -> dict[int, int]:
    """Durable records per spool file still there, by sequence; of the file its writer has open only what its durable
    mark covers."""
    folder = directory / stream
    found: dict[int, int] = {}
    for path in folder.iterdir():
        if not is_spool_file(path):
            continue
        data = _read_while_renamed(path)
        if data is None:
            continue
        if path.suffix == ".open":
            sequence, size = _read_durable_mark(folder)
            # A file before the one of the mark has no writer any more: all that is whole in it will be sealed.
            if sequence <= int(path.stem):
                data = data[:size] if sequence == int(path.stem) else b""
        found[int(path.stem)] = max(found.get(int(path.stem), 0), count_records(data))
    return found


def _read_while_renamed(path: Path) -> bytes | None:
    """Bytes of a spool file, whichever of its two names it has by now; None when the sealer has removed it."""
    for name in (path, path.with_suffix(".spool")):
        with suppress(FileNotFoundError):
            return name.read_bytes()
    return None


def _read_durable_mark(folder: Path) -> tuple[int, int]:
    try:
        stored = (folder / "durable").read_bytes()
    except FileNotFoundError:
        return 0, 0
    return DURABLE_MARK.unpack(stored) if len(stored) == DURABLE_MARK.size else (0, 0)
