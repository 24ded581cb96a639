"""The sealer: spool file -> chunk -> leaf -> tree -> signed head. The only holder of the keys.

Order, which recovery relies on: segment append, fdatasync, read back, leaf, tiles, read back, head file, checkpoint,
then unlink of the spool file. A start is the same path: what the head does not cover is cut off and sealed again from
the spool.
"""

from collections.abc import Sequence
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
from archive.sealing.inbox import LeafSource
from archive.sealing.spool_watch import SpoolWatch
from archive.sealing.start import StreamEnd, settle
from archive.segment import SegmentWriter, utc_day
from archive.spool import CLOSE_AT_BYTES
from archive.spool_format import SpoolFile
from archive.spool_read import read_spool_file
from archive.tree import TreeReader, TreeWriter
from archive.tree_read_back import check_stored_tree

NS = 1_000_000_000
SPOOL_ROOM_BYTES = CLOSE_AT_BYTES + 1024 * 1024
"""A spool file is closed at 4 MiB and the last batch is rarely longer than the rest."""
HEAD_INTERVAL_SECONDS = 10.0
"""At most one checkpoint in this time: witnesses and readers are asked no oftener."""
HEARTBEAT_SECONDS = 300.0
"""A silent log still signs, so that silence differs from a stopped or truncated log."""
CLOCK_TOLERANCE_NS = NS
"""Wall time may step back this far against monotonic time (slewing) before a clock leaf says so."""


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
        sources: Sequence[LeafSource] = (),
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
        self._sources = sources
        self._spool = SpoolWatch(paths.spool, self._clock)
        self._taken: set[Path] = set()
        self._is_head_wanted = False
        self._unpublished: bytes | None = None
        self._removal_failure: OSError | None = None
        self.sealed_records = 0
        self.sealed_files = 0
        try:
            self._recover()
        except BaseException:
            self._head.close()
            raise

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest signed checkpoint."""
        return self._published

    @property
    def tree_size(self) -> int:
        """Leaves in all, and the number that the next one gets."""
        return self._tree.size

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
        for folder in self._spool.changed_folders(full_look):
            try:
                for path in self._spool.ready_files(folder, self._taken):
                    self._seal_file(path)
                    sealed += 1
                    # A long backlog is published, and its spool freed, piece by piece.
                    self._publish_if_due()
            except OSError as error:
                failure = failure or error
                self._spool.look_again(folder)
        for source in self._sources:
            try:
                self._seal_source(source)
            except OSError as error:
                failure = failure or error
        self._publish_if_due()
        failure = failure or self._removal_failure
        if failure is not None:
            raise failure
        return sealed

    def publish(self) -> None:
        """Sign and publish what is pending, whatever the interval."""
        if self.pending_leaves:
            self._tree.store()
            following = Checkpoint(self._origin, self._tree.size, self._tree.root())
            check_stored_tree(self._paths.log, self._published, following)
            self._unpublished = self._head.advance(self._published, following, self._keys.checkpoint)
            self._published = following
        if self._unpublished is None:
            return
        # The head is signed; whatever fails from here on is done at the next turn.
        replace_file(self._paths.log / "checkpoint", self._unpublished)
        self._unpublished = None
        self._published_monotonic_ns = self._clock.monotonic_ns()
        self._is_head_wanted = False
        self._tree.remove_stale_partials()
        self._remove_taken()

    def _remove_taken(self) -> None:
        """Remove what the head covers; one file that cannot be removed keeps no other, and is tried again."""
        self._removal_failure = None
        for path in list(self._taken):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self._removal_failure = self._removal_failure or error
            else:
                self._taken.discard(path)

    def close(self) -> None:
        """Publish and give the head up."""
        try:
            self.publish()
        finally:
            self._head.close()

    # Sealing one file, or what another process handed in

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
        self._taken.add(path)
        self.sealed_records += spool.records
        self.sealed_files += 1

    def _seal_source(self, source: LeafSource) -> None:
        for prepared in source.prepare(self._taken):
            self._append_leaf(prepared.kind, prepared.fields, urgent=prepared.urgent)
            self._taken.update(prepared.files)

    def _store_chunk(self, spool: SpoolFile) -> tuple[StoredChunk | None, tuple[int, int]]:
        if not spool.records:
            return None, (0, 0)
        table = batches_to_table(spool.data, spool.batches)
        arrival = table.column("received_unix_ns").to_numpy()
        first, last = int(arrival.min()), int(arrival.max())
        return self._segments.append(spool.stream, utc_day(first), self._encoder.encode(table)), (first, last)

    def _append_leaf(self, kind: str, fields: dict[str, Any], *, urgent: bool = True) -> tuple[int, bytes]:
        self._is_head_wanted |= urgent
        return self._tree.append(encode_leaf(kind, self._origin, fields))

    # Heads, heartbeat, clock

    def _publish_if_due(self) -> None:
        now = self._clock.monotonic_ns()
        if now - self._published_monotonic_ns >= HEARTBEAT_SECONDS * NS and not self._is_head_wanted:
            if not self.pending_leaves:
                self._append_leaf("heartbeat", self._moment())
            self._is_head_wanted = True
        if self._head_interval_ns:
            turn = self._turn(now)
            if turn == self._published_turn:
                return
            # Once a turn, at its beginning: what is sealed later waits for the next.
            self._published_turn = turn
        if self._is_head_wanted:
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
            step = {"from_unix_ns": str(expected), "to_unix_ns": str(wall)}
            self._append_leaf("clock", {"boot_id": self._clock.boot_id(), "step": step, "samples": []})
        self._last_wall_ns, self._last_monotonic_ns = wall, monotonic

    # Start

    def _refuse_after_successor(self, size: int) -> None:
        last = decode_leaf(TreeReader(self._paths.log, size).leaf(size - 1))
        if last["kind"] == "successor":
            raise ArchiveStateError(
                f"log {self._origin} has ended: it was moved to {last['origin']}, and nothing more is signed here. "
                "Receive and seal on the new box; this one only brings its last head to the witnesses",
                code="moved",
            )

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
        self._refuse_after_successor(head.size)
        now = self._clock.monotonic_ns()
        self._published_turn = -1
        self._published_monotonic_ns = now
        self._last_wall_ns, self._last_monotonic_ns = self._clock.unix_ns(), now
        end = settle(self._paths, head.size)
        self._streams = end.streams
        fields: dict[str, Any] = {
            "from_unix_ns": str(end.last_sign_ns),
            "to_unix_ns": str(self._clock.unix_ns()),
            "boot_id": self._clock.boot_id(),
            "why": "sealer_started",
            "cut_bytes": end.cut_bytes,
        }
        self._append_leaf("outage", fields)
