"""Continuity: each stream's spool files follow each other, each segment's chunks touch. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from archive.verify.report import Report, StreamSummary

SEGMENT_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})/([0-9]{8})/([0-9]{6})\.seg")
NS_PER_DAY = 86_400 * 1_000_000_000


@dataclass(slots=True)
class _StreamState:
    sequence: int
    leaf: int
    leaf_hash: bytes
    epoch: int


@dataclass(slots=True)
class SegmentEnd:
    """`day` is the UTC day its name says, in days since 1970; `end` is the offset behind the last chunk a
    leaf covers, `epoch` the number of unreadable places before that leaf.
    """

    stream: str
    day: int
    end: int = 0
    epoch: int = 0


class Chunk(NamedTuple):
    """A sealed chunk as its leaf describes it; `sha256` in hex, of the stored bytes."""

    leaf: int
    stream: str
    segment: str
    offset: int
    length: int
    sha256: str


class Continuity:
    """Fed every leaf with well-formed fields, in order. After leaves that could not be read, expectations
    begin anew, so that one damaged file is one defect and not a hundred.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._streams: dict[str, _StreamState] = {}
        self._epoch = 0
        self.segments: dict[str, SegmentEnd] = {}
        self.last_segments: dict[str, str] = {}

    @property
    def has_gaps(self) -> bool:
        """Whether leaves are missing, so that what no leaf covers cannot be told."""
        return self._epoch > 0

    def skip_leaves(self) -> None:
        """Leaves at this place could not be read."""
        self._epoch += 1

    def add_leaf(self, leaf: int, leaf_hash: bytes, fields: dict[str, Any], file: str) -> Chunk | None:
        """Check a `data` or `empty` leaf; returns the chunk to be hashed."""
        stream: str = fields["stream"]
        self._check_stream(leaf, leaf_hash, stream, fields, file)
        summary = self._report.streams.get(stream)
        if summary is None:
            summary = self._report.streams[stream] = StreamSummary(fields["spool_sequence"])
        summary.last_sequence = fields["spool_sequence"]
        summary.leaves += 1
        if fields["dropped"]:
            summary.dropped += sum(fields["dropped"].values())
        if fields["kind"] != "data":
            return None
        summary.records += fields["records"]
        summary.bytes += fields["length"]
        segment = self._find_segment(stream, fields)
        if segment is None:
            self._report.add_defect("segment_name", file, detail=fields["segment"], stream=stream, leaf=leaf)
            return None
        self._check_place(leaf, segment, fields)
        return Chunk(leaf, stream, fields["segment"], fields["offset"], fields["length"], fields["sha256"])

    def _check_stream(self, leaf: int, leaf_hash: bytes, stream: str, fields: dict[str, Any], file: str) -> None:
        sequence, previous = fields["spool_sequence"], fields["previous"]
        state = self._streams.get(stream)
        if state is None:
            if previous is not None and not self._epoch:
                self._report.add_defect("stream_previous", file, detail="none", stream=stream, leaf=leaf)
            self._streams[stream] = _StreamState(sequence, leaf, leaf_hash, self._epoch)
            return
        if state.epoch == self._epoch:
            if sequence != state.sequence + 1:
                expected = state.sequence + 1
                self._report.add_defect("stream_sequence", file, detail=expected, stream=stream, leaf=leaf)
            if previous != {"leaf": state.leaf, "hash": state.leaf_hash.hex()}:
                detail = f"leaf {state.leaf}"
                self._report.add_defect("stream_previous", file, detail=detail, stream=stream, leaf=leaf)
        state.sequence, state.leaf, state.leaf_hash, state.epoch = sequence, leaf, leaf_hash, self._epoch

    def _find_segment(self, stream: str, fields: dict[str, Any]) -> SegmentEnd | None:
        """The segment a leaf names, if the name fits the leaf's stream and the day of all its records."""
        name = fields["segment"]
        segment = self.segments.get(name)
        if segment is None:
            match = SEGMENT_NAME.fullmatch(name)
            day = None if match is None else _parse_day(match[2])
            if match is None or day is None:
                return None
            segment = SegmentEnd(match[1], day, epoch=-1 if self._epoch else 0)
        first, last = int(fields["first_unix_ns"]), int(fields["last_unix_ns"])
        if segment.stream != stream or first > last:
            return None
        if not first // NS_PER_DAY == last // NS_PER_DAY == segment.day:
            return None
        self.segments[name] = segment
        self.last_segments[stream] = name
        return segment

    def _check_place(self, leaf: int, segment: SegmentEnd, fields: dict[str, Any]) -> None:
        offset = fields["offset"]
        if segment.epoch == self._epoch and offset != segment.end:
            self._report.add_defect(
                "segment_gap",
                f"log/segments/{fields['segment']}",
                detail=segment.end,
                stream=segment.stream,
                segment=fields["segment"],
                offset=offset,
                leaf=leaf,
            )
        segment.end, segment.epoch = offset + fields["length"], self._epoch


def _parse_day(text: str) -> int | None:
    """YYYYMMDD as days since 1970."""
    try:
        moment = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) // 86_400
