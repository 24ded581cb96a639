"""Continuity: each stream's spool files follow each other, each segment's chunks touch. Pure.

Leaves are checked in ranges, which may be read by different processes. A range knows nothing of what was before it:
it keeps how each stream and segment begins in it, and `absorb` compares that with how the range before ended.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from archive.verify.report import Findings, StreamSummary
from archive.verify.spool_leaf import SpoolLeaf

SEGMENT_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})/([0-9]{8})/([0-9]{6})\.seg")
NS_PER_DAY = 86_400 * 1_000_000_000


class _StreamBegin(NamedTuple):
    """The first leaf of a stream in a range; `file` is its bundle, `epoch` the unreadable places before it."""

    leaf: int
    spool: SpoolLeaf
    file: str
    epoch: int


@dataclass(slots=True)
class _StreamState:
    begin: _StreamBegin
    sequence: int
    leaf: int
    leaf_hash: bytes
    epoch: int
    last_unix_ns: int | None
    leaves: int = 0
    records: int = 0
    bytes: int = 0
    dropped: int = 0


@dataclass(slots=True)
class SegmentEnd:
    """`day` is the UTC day its name says, in days since 1970; `end` is the offset behind the last chunk a
    leaf covers, `epoch` the number of unreadable places before that leaf. `first_*` are of the range's first chunk.
    """

    stream: str
    day: int
    first_leaf: int
    first_offset: int
    first_epoch: int
    end: int
    epoch: int


class Chunk(NamedTuple):
    """A sealed chunk as its leaf describes it; `sha256` in hex, of the stored bytes."""

    leaf: int
    stream: str
    segment: str
    offset: int
    length: int
    sha256: str


class Continuity:
    """Fed every leaf of a range with well-formed fields, in order, or the ranges one after the other. After leaves
    that could not be read, expectations begin anew, so that one damaged file is one defect and not a hundred.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._streams: dict[str, _StreamState] = {}
        self._epoch = 0
        self.segments: dict[str, SegmentEnd] = {}
        self.last_segments: dict[str, str] = {}
        self.times_backwards = 0

    @property
    def has_gaps(self) -> bool:
        """Whether leaves are missing, so that what no leaf covers cannot be told."""
        return self._epoch > 0

    def skip_leaves(self) -> None:
        """Leaves at this place could not be read."""
        self._epoch += 1

    def summaries(self) -> dict[str, StreamSummary]:
        """What is sealed of each stream."""
        return {
            name: StreamSummary(state.sequence, state.leaves, state.records, state.bytes, state.dropped)
            for name, state in self._streams.items()
        }

    def add_leaf(self, leaf: int, leaf_hash: bytes, spool: SpoolLeaf, file: str) -> Chunk | None:
        """Check a `data` or `empty` leaf; returns the chunk to be hashed."""
        stream = spool.stream
        state = self._streams.get(stream)
        if state is None:
            begin = _StreamBegin(leaf, spool, file, self._epoch)
            state = _StreamState(begin, spool.sequence, leaf, leaf_hash, self._epoch, None)
            self._streams[stream] = state
        else:
            self._check_successor(state, leaf, spool, file, self._epoch)
            state.sequence, state.leaf, state.leaf_hash, state.epoch = spool.sequence, leaf, leaf_hash, self._epoch
        state.leaves += 1
        if spool.dropped:
            state.dropped += sum(spool.dropped.values())
        if spool.segment is None:
            return None
        state.records += spool.records
        state.bytes += spool.length
        if state.last_unix_ns is not None and spool.last_unix_ns < state.last_unix_ns:
            self.times_backwards += 1
        state.last_unix_ns = spool.last_unix_ns
        if not self._place(leaf, spool, spool.segment):
            self._findings.add_defect("segment_name", file, detail=spool.segment, stream=stream, leaf=leaf)
            return None
        return Chunk(leaf, stream, spool.segment, spool.offset, spool.length, spool.sha256)

    def _check_successor(self, state: _StreamState, leaf: int, spool: SpoolLeaf, file: str, epoch: int) -> None:
        if state.epoch != epoch:
            return
        if spool.sequence != state.sequence + 1:
            expected = state.sequence + 1
            self._findings.add_defect("stream_sequence", file, detail=expected, stream=spool.stream, leaf=leaf)
        if spool.previous != (state.leaf, state.leaf_hash.hex()):
            detail = f"leaf {state.leaf}"
            self._findings.add_defect("stream_previous", file, detail=detail, stream=spool.stream, leaf=leaf)

    def _place(self, leaf: int, spool: SpoolLeaf, name: str) -> bool:
        """Whether the segment's name fits the leaf's stream and the day of all its records; then its end moves."""
        segment = self.segments.get(name)
        if segment is None:
            match = SEGMENT_NAME.fullmatch(name)
            day = None if match is None else _parse_day(match[2])
            if match is None or day is None:
                return False
            epoch = self._epoch
            segment = SegmentEnd(match[1], day, leaf, spool.offset, epoch, spool.offset, epoch)
        if segment.stream != spool.stream or spool.first_unix_ns > spool.last_unix_ns:
            return False
        if not spool.first_unix_ns // NS_PER_DAY == spool.last_unix_ns // NS_PER_DAY == segment.day:
            return False
        self.segments[name] = segment
        self.last_segments[spool.stream] = name
        if segment.epoch == self._epoch and spool.offset != segment.end:
            self._report_gap(name, segment.stream, segment.end, spool.offset, leaf)
        segment.end, segment.epoch = spool.offset + spool.length, self._epoch
        return True

    def _report_gap(self, segment: str, stream: str, expected: int, offset: int, leaf: int) -> None:
        file = f"log/segments/{segment}"
        self._findings.add_defect(
            "segment_gap", file, detail=expected, stream=stream, segment=segment, offset=offset, leaf=leaf
        )

    def absorb(self, following: "Continuity") -> None:
        """Continue with the range that follows this one; its own defects are not taken over here."""
        for name, later in following._streams.items():
            self._absorb_stream(name, later)
        for name, later in following.segments.items():
            self._absorb_segment(name, later)
        self.last_segments |= following.last_segments
        self.times_backwards += following.times_backwards
        self._epoch += following._epoch

    def _absorb_stream(self, name: str, later: _StreamState) -> None:
        state, begin = self._streams.get(name), later.begin
        begin_epoch = self._epoch + begin.epoch
        if state is None:
            if begin.spool.previous is not None and not begin_epoch:
                self._findings.add_defect("stream_previous", begin.file, detail="none", stream=name, leaf=begin.leaf)
            later.epoch += self._epoch
            self._streams[name] = later
            return
        self._check_successor(state, begin.leaf, begin.spool, begin.file, begin_epoch)
        if begin.spool.segment is not None and state.last_unix_ns is not None:
            self.times_backwards += begin.spool.last_unix_ns < state.last_unix_ns
        state.sequence, state.leaf, state.leaf_hash = later.sequence, later.leaf, later.leaf_hash
        state.epoch = self._epoch + later.epoch
        state.last_unix_ns = state.last_unix_ns if later.last_unix_ns is None else later.last_unix_ns
        state.leaves += later.leaves
        state.records += later.records
        state.bytes += later.bytes
        state.dropped += later.dropped

    def _absorb_segment(self, name: str, later: SegmentEnd) -> None:
        known = self.segments.get(name)
        begin_epoch = self._epoch + later.first_epoch
        expected, epoch = (0, 0) if known is None else (known.end, known.epoch)
        if epoch == begin_epoch and later.first_offset != expected:
            self._report_gap(name, later.stream, expected, later.first_offset, later.first_leaf)
        later.epoch += self._epoch
        self.segments[name] = later


def _parse_day(text: str) -> int | None:
    """YYYYMMDD as days since 1970."""
    try:
        moment = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) // 86_400
