"""Continuity: each stream's spool files follow each other, each segment's chunks touch. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from archive.verify.report import Report, StreamSummary

SEGMENT_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})/([0-9]{8})/([0-9]{6})\.seg")
NS_PER_SECOND = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_SECOND


@dataclass
class _StreamState:
    sequence: int
    leaf: int
    leaf_hash: bytes
    epoch: int


@dataclass
class SegmentEnd:
    """`end` is the offset behind the last chunk a leaf covers; `epoch` counts unreadable leaves before it."""

    stream: str
    end: int
    leaf: int
    epoch: int


@dataclass(frozen=True)
class Chunk:
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
        self._days: dict[int, str] = {}
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
        summary = self._report.streams.setdefault(stream, StreamSummary(fields["spool_sequence"]))
        summary.last_sequence = fields["spool_sequence"]
        summary.leaves += 1
        summary.dropped += sum(fields["dropped"].values())
        if fields["kind"] != "data":
            return None
        summary.records += fields["records"]
        summary.bytes += fields["length"]
        if not self._is_well_named(fields):
            self._report.add_defect("segment_name", file, detail=fields["segment"], stream=stream, leaf=leaf)
            return None
        self._check_segment(leaf, fields)
        return Chunk(leaf, stream, fields["segment"], fields["offset"], fields["length"], fields["sha256"])

    def _check_stream(
        self, leaf: int, leaf_hash: bytes, stream: str, fields: dict[str, Any], file: str
    ) -> None:
        sequence, previous = fields["spool_sequence"], fields["previous"]
        state = self._streams.get(stream)
        if state is not None and state.epoch == self._epoch:
            if sequence != state.sequence + 1:
                detail = state.sequence + 1
                self._report.add_defect("stream_sequence", file, detail=detail, stream=stream, leaf=leaf)
            if previous is None or (previous["leaf"], previous["hash"]) != (
                state.leaf,
                state.leaf_hash.hex(),
            ):
                self._report.add_defect(
                    "stream_previous", file, detail=f"leaf {state.leaf}", stream=stream, leaf=leaf
                )
        elif state is None and self._epoch == 0 and previous is not None:
            self._report.add_defect("stream_previous", file, detail="none", stream=stream, leaf=leaf)
        self._streams[stream] = _StreamState(sequence, leaf, leaf_hash, self._epoch)

    def _is_well_named(self, fields: dict[str, Any]) -> bool:
        match = SEGMENT_NAME.fullmatch(fields["segment"])
        if match is None or match[1] != fields["stream"]:
            return False
        first, last = int(fields["first_unix_ns"]), int(fields["last_unix_ns"])
        return first <= last and match[2] == self._day(first) == self._day(last)

    def _day(self, unix_ns: int) -> str:
        number = unix_ns // NS_PER_DAY
        if number not in self._days:
            try:
                moment = datetime.fromtimestamp(number * 86_400, timezone.utc)
            except (ValueError, OverflowError, OSError):
                return ""
            self._days[number] = f"{moment:%Y%m%d}"
        return self._days[number]

    def _check_segment(self, leaf: int, fields: dict[str, Any]) -> None:
        segment, stream, offset = fields["segment"], fields["stream"], fields["offset"]
        known = self.segments.get(segment)
        expected = known.end if known is not None else 0
        trusted = known.epoch == self._epoch if known is not None else self._epoch == 0
        if trusted and offset != expected:
            self._report.add_defect(
                "segment_gap",
                f"log/segments/{segment}",
                detail=expected,
                stream=stream,
                segment=segment,
                offset=offset,
                leaf=leaf,
            )
        self.segments[segment] = SegmentEnd(stream, offset + fields["length"], leaf, self._epoch)
        self.last_segments[stream] = segment
