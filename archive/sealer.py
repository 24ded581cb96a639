"""The sealer: spool file -> chunk -> leaf -> tree -> signed head. The only holder of the keys.

Order, which recovery relies on: segment append, fdatasync, read back, leaf, tiles, head file, checkpoint, then
unlink of
the spool file. A start is the same path: what the head does not cover is cut off and sealed again from the spool.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.chunk import ChunkEncoder, batches_to_table
from archive.clock import Clock, SystemClock
from archive.durable import replace_file
from archive.errors import ArchiveIntegrityError, ArchiveStateError
from archive.head import HeadFile
from archive.keys import LogKeys
from archive.leaf import StoredChunk, decode_leaf, encode_leaf, spool_leaf_fields
from archive.note import Checkpoint
from archive.origin import ArchivePaths
from archive.segment import SegmentWriter, cut_segments, utc_day
from archive.spool import CLOSE_AT_BYTES
from archive.spool_format import SpoolFile
from archive.spool_read import is_spool_file, read_spool_file
from archive.tree import TreeReader, TreeWriter

NS = 1_000_000_000
SPOOL_ROOM_BYTES = CLOSE_AT_BYTES + 1024 * 1024
"""A spool file is closed at 4 MiB and the last batch is rarely longer than the rest."""
HEAD_INTERVAL_SECONDS = 10.0
"""At most one checkpoint in this time: witnesses and readers are asked no oftener."""
TIMESTAMP_TICK_NS = 20_000_000
"""File times advance by a timer tick, at most 10 ms; twice that."""
FULL_LOOK_SECONDS = 1
"""Spool folders are looked through at least this often."""
HEARTBEAT_SECONDS = 300.0
"""A silent log still signs, so that silence differs from a stopped or truncated log."""
CLOCK_TOLERANCE_NS = NS
"""Wall time may step back this far against monotonic time (slewing) before a clock leaf says so."""


@dataclass(frozen=True)
class StreamEnd:
    """The last leaf of a stream: index, hash (hex), spool sequence."""

    leaf: int
    leaf_hash: str
    spool_sequence: int

    def reference(self) -> dict[str, Any]:
        return {"leaf": self.leaf, "hash": self.leaf_hash}


class Sealer:
    """One log's sealer. Not thread-safe: its process calls `run_once` in a loop.

    Raises ArchiveStateError from the constructor when the head is ahead of the tree (an older state was restored) or
    held by another sealer; then nothing is signed.
    """

    def __init__(
        self,
        paths: ArchivePaths,
        keys: LogKeys,
        *,
        clock: Clock | None = None,
        head_interval_seconds: float = HEAD_INTERVAL_SECONDS,
    ) -> None:
        self._paths = paths
        self._keys = keys
        self._clock = clock or SystemClock()
        self._head_interval_ns = int(head_interval_seconds * NS)
        self._origin = paths.origin()
        self._head = HeadFile(paths.head, keys.verifier_key(self._origin))
        self._segments = SegmentWriter(paths.segments)
        self._encoder = ChunkEncoder()
        self._room = bytearray(SPOOL_ROOM_BYTES)
        self._streams: dict[str, StreamEnd] = {}
        self._sealed_spool: list[Path] = []
        self._folder_times: dict[Path, int] = {}
        self._looked_monotonic_ns = self._clock.monotonic_ns() - FULL_LOOK_SECONDS * NS
        self.sealed_records = 0
        self.sealed_files = 0
        self._recover()

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest signed checkpoint."""
        return self._published

    @property
    def pending_leaves(self) -> int:
        """Leaves not yet covered by a signed checkpoint."""
        return self._tree.size - self._published.size

    def run_once(self, *, full_look: bool = False) -> int:
        """Seal every spool file there is, publish a head if one is due. Returns the number of files sealed.

        Raises OSError after the other streams were sealed and the head was published: a file that cannot be read or
        stored holds up its own stream only, and a full disk is freed of what is sealed already.
        """
        self._note_clock()
        sealed = 0
        failure: OSError | None = None
        for folder in self._changed_folders(full_look):
            try:
                for path in self._ready_files(folder):
                    self._seal_file(path)
                    sealed += 1
                    # A long backlog is published, and its spool freed, piece by piece.
                    self._publish_if_due()
            except OSError as error:
                failure = failure or error
                self._folder_times[folder] = 0
        self._publish_if_due()
        if failure is not None:
            raise failure
        return sealed

    def publish(self) -> None:
        """Sign and publish what is pending, whatever the interval."""
        if not self.pending_leaves:
            return
        self._tree.store()
        following = Checkpoint(self._origin, self._tree.size, self._tree.root())
        note = self._head.advance(self._published, following, self._keys.checkpoint)
        replace_file(self._paths.log / "checkpoint", note)
        self._published = following
        self._tree.remove_stale_partials()
        for path in self._sealed_spool:
            path.unlink(missing_ok=True)
        self._sealed_spool = []

    def close(self) -> None:
        """Publish and give the head up."""
        self.publish()
        self._head.close()

    # Sealing one file

    def _changed_folders(self, full_look: bool) -> list[Path]:
        """Spool folders in which a file was begun or closed since the last look, and now and then all of them: a
        writer that dies changes nothing but gives its lock up. A look costs one system call a stream instead of one a
        file, so that waiting costs next to nothing.
        """
        now = self._clock.monotonic_ns()
        if full_look or now - self._looked_monotonic_ns >= FULL_LOOK_SECONDS * NS:
            self._looked_monotonic_ns = now
            folders = [path for path in self._paths.spool.glob("*") if path.is_dir()]
            self._folder_times = dict.fromkeys(folders, 0)
        found = []
        for folder, seen_ns in sorted(self._folder_times.items()):
            changed_ns = folder.stat().st_mtime_ns
            if changed_ns != seen_ns:
                # Within one tick of the file system's clock another change leaves the same time.
                settled = time.time_ns() - changed_ns > TIMESTAMP_TICK_NS
                self._folder_times[folder] = changed_ns if settled else 0
                found.append(folder)
        return found

    def _ready_files(self, folder: Path) -> Iterator[Path]:
        """Closed files and the open files of dead writers of one stream, in sequence order."""
        waiting = set(self._sealed_spool)
        for path in sorted(filter(is_spool_file, folder.iterdir()), key=lambda p: (p.stem, p.suffix)):
            if path in waiting:
                continue
            if path.suffix == ".open" and not _is_abandoned(path):
                break
            if path.exists():
                yield path

    def _seal_file(self, path: Path) -> None:
        spool = read_spool_file(path, self._room)
        previous = self._streams.get(spool.stream)
        if previous is not None and spool.sequence <= previous.spool_sequence:
            raise ArchiveStateError(
                f"spool file {spool.stream}/{path.name} comes after sequence {previous.spool_sequence} was sealed; "
                "the spool was restored or its numbering was reset",
                code="spool_sequence",
            )
        chunk, first_last = self._store_chunk(spool)
        fields = spool_leaf_fields(spool, chunk, first_last, previous.reference() if previous else None)
        kind = "data" if chunk is not None else "empty"
        index, digest = self._append_leaf(kind, fields)
        self._streams[spool.stream] = StreamEnd(index, digest.hex(), spool.sequence)
        self._sealed_spool.append(path)
        self.sealed_records += spool.records
        self.sealed_files += 1

    def _store_chunk(self, spool: SpoolFile) -> tuple[StoredChunk | None, tuple[int, int]]:
        if not spool.records:
            return None, (0, 0)
        table = batches_to_table(spool.data, spool.batches)
        arrival = table.column("received_unix_ns").to_numpy()
        first, last = int(arrival.min()), int(arrival.max())
        return self._segments.append(spool.stream, utc_day(first), self._encoder.encode(table)), (first, last)

    def _append_leaf(self, kind: str, fields: dict[str, Any]) -> tuple[int, bytes]:
        self._last_leaf_monotonic_ns = self._clock.monotonic_ns()
        return self._tree.append(encode_leaf(kind, self._origin, fields))

    # Heads, heartbeat, clock

    def _publish_if_due(self) -> None:
        now = self._clock.monotonic_ns()
        if not self.pending_leaves and now - self._last_leaf_monotonic_ns >= HEARTBEAT_SECONDS * NS:
            self._append_leaf("heartbeat", self._moment())
        if not self._head_interval_ns:
            self.publish()
        elif self._turn(now) > self._published_turn:
            # Once a turn, at its beginning: what is sealed later waits for the next.
            self._published_turn = self._turn(now)
            self.publish()

    def _turn(self, monotonic_ns: int) -> int:
        """Number of the interval of heads a moment lies in. They begin a tenth after the multiples at which all writers
        close their files, so that one head covers what was closed then and nothing waits for the one after.
        """
        return (monotonic_ns - self._head_interval_ns // 10) // self._head_interval_ns

    def _moment(self) -> dict[str, str]:
        return {
            "unix_ns": str(self._clock.unix_ns()),
            "monotonic_ns": str(self._clock.monotonic_ns()),
            "boot_id": self._clock.boot_id(),
        }

    def _note_clock(self) -> None:
        """State a backward step of wall time. Sealing goes on; only purge would stop."""
        wall, monotonic = self._clock.unix_ns(), self._clock.monotonic_ns()
        expected = self._last_wall_ns + (monotonic - self._last_monotonic_ns)
        if wall < expected - CLOCK_TOLERANCE_NS:
            fields = {
                "from_unix_ns": str(expected),
                "to_unix_ns": str(wall),
                "boot_id": self._clock.boot_id(),
            }
            self._append_leaf("clock", fields)
        self._last_wall_ns, self._last_monotonic_ns = wall, monotonic

    # Start

    def _recover(self) -> None:
        head = self._head.load()
        if head is None:
            raise ArchiveStateError(
                f"{self._paths.head} is missing; without it this log may not be continued",
                code="head_missing",
            )
        self._tree = TreeWriter.load(self._paths.log, head.size)
        if self._tree.root() != head.root:
            raise ArchiveIntegrityError(
                f"the tree of {head.size} leaves does not have the root the head was signed for",
                code="head_root",
            )
        self._published = head
        replace_file(self._paths.log / "checkpoint", self._paths.head.read_bytes())
        self._tree.remove_foreign_partials()
        now = self._clock.monotonic_ns()
        self._published_turn = -1
        self._last_leaf_monotonic_ns = now
        self._last_wall_ns, self._last_monotonic_ns = self._clock.unix_ns(), now
        waiting = [path for path in self._paths.spool.glob("*/*") if is_spool_file(path)]
        folders = self._segment_folders(waiting)
        sealed_ends, sealed_files, last_sign_ns = self._read_back(head.size, waiting, folders)
        folders |= {str(Path(name).parent) for name in sealed_ends}
        cut_bytes = cut_segments(self._paths.segments, folders, sealed_ends)
        for path in waiting:
            if (path.parent.name, path.stem) in sealed_files:
                # The leaf of a file that lost its header names no writer.
                if read_spool_file(path).header.get("writer", "") == sealed_files[path.parent.name, path.stem]:
                    path.unlink()
        fields: dict[str, Any] = {
            "from_unix_ns": str(last_sign_ns),
            "to_unix_ns": str(self._clock.unix_ns()),
            "boot_id": self._clock.boot_id(),
            "why": "sealer_started",
            "cut_bytes": cut_bytes,
        }
        self._append_leaf("outage", fields)

    def _segment_folders(self, waiting: list[Path]) -> set[str]:
        """`<stream>/<day>` of the segments that the spool files still there went to, or were going to."""
        folders = set()
        for path in waiting:
            arrivals = [int(batch.received_unix_ns.min()) for batch in read_spool_file(path).batches if len(batch)]
            if arrivals:
                folders.add(f"{path.parent.name}/{utc_day(min(arrivals))}")
        return {folder for folder in folders if (self._paths.segments / folder).is_dir()}

    def _read_back(
        self, size: int, waiting: list[Path], folders: set[str]
    ) -> tuple[dict[str, int], dict[tuple[str, str], str], int]:
        """Walk the leaves from the newest back until the last leaf of every stream, every spool file of `waiting` and
        the last segment of each of `folders` are met.

        Returns segment ends (of the segments met), sealed spool files `(stream, stem) -> writer`, and the newest time
        a leaf states.
        """
        reader = TreeReader(self._paths.log, size)
        oldest: dict[str, int] = {}
        for path in waiting:
            stream = path.parent.name
            oldest[stream] = min(int(path.stem), oldest.get(stream, int(path.stem)))
        open_folders = set(folders)
        open_streams = {path.name for path in self._paths.segments.glob("*") if path.is_dir()} | set(oldest)
        open_streams |= {path.parent.name for path in self._paths.spool.glob("*/*.next")}
        sealed_ends: dict[str, int] = {}
        sealed_files: dict[tuple[str, str], str] = {}
        last_sign_ns = 0
        for index in range(size - 1, -1, -1):
            if not open_streams and not open_folders and last_sign_ns:
                break
            leaf = decode_leaf(reader.leaf(index))
            moments = [leaf, leaf.get("closed") or {}, leaf.get("opened") or {}]
            last_sign_ns = last_sign_ns or max(int(m.get("unix_ns") or m.get("to_unix_ns") or 0) for m in moments)
            if "stream" not in leaf:
                continue
            stream, sequence = leaf["stream"], leaf["spool_sequence"]
            if stream not in self._streams:
                digest = reader.node(0, index).hex()
                self._streams[stream] = StreamEnd(index, digest, sequence)
            sealed_files[stream, f"{sequence:020d}"] = leaf["writer"]
            if "segment" in leaf:
                sealed_ends.setdefault(leaf["segment"], leaf["offset"] + leaf["length"])
                open_folders.discard(str(Path(leaf["segment"]).parent))
            if sequence <= oldest.get(stream, sequence):
                open_streams.discard(stream)
        return sealed_ends, sealed_files, last_sign_ns


def _is_abandoned(path: Path) -> bool:
    """Whether no writer holds the lock of an `.open` file any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return path.exists()
