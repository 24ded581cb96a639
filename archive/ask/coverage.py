"""What the index covers: until when everything received is indexed, and which losses touch an interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.index.engine import LOG_NUMBER, Engine
from archive.index.former_indexing import FormerProgress
from archive.index.purged import purged_intervals
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths
from archive.spool_format import HEADER_FRAME, RECORD_FRAMES, decode_json_frame, iterate_frames
from archive.tree import TreeReader

EVIDENCE_LISTENERS = ("syslog", "netflow", "sflow", "radius-acct", "session", "collector", "radius", "portal")
"""Kinds of listener, and streams of writers, whose losses can hide an answer; the appliance's own audit cannot."""
HARMLESS_LOSSES = (
    "refused_source",
    "tls_handshake_failed",
    "relp_malformed",
    "sequence_unusable",
    "source_silent",
    "source_returned",
)
"""What hides no record of a source we listen to: strangers and failed handshakes were never received from, a RELP
sender sends again, and a quiet source need not have had anything to say."""
EVIDENCE_STREAMS = ("collector", "radius", "portal", "identity")
MAX_LOSSES = 100
"""Losses named in an answer; one alone decides its certainty."""
FORMER_LEAVES_READ = 1_000
"""Of an earlier log that is behind and does not grow: streams are sealed a little out of the order of arrival only."""
MAX_UNINDEXED_LEAVES = 20_000
"""Leaves read one by one; of a larger backlog the first ones hold the oldest records."""
HEADER_READ_BYTES = 4096
"""Enough for a spool file's header frame and the start of its first data frame."""


@dataclass(frozen=True)
class Coverage:
    """`indexed_until_ns`: arrival time up to which every received record is indexed. `is_whole`: every earlier log of
    the archive is indexed to its end. `purged`: days of receipt that were purged, first and last nanosecond each;
    `unindexed`: those whose index was dropped."""

    indexed_until_ns: int
    expired_before_ns: int
    is_whole: bool = True
    purged: tuple[tuple[int, int], ...] = ()
    unindexed: tuple[tuple[int, int], ...] = ()

    def losses_touching(self, engine: Engine, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """The first MAX_LOSSES losses that overlap [start_ns, end_ns] and may have taken a record an answer would rest
        on, earliest first."""
        return engine.query(
            "SELECT log, leaf_index, row, toUnixTimestamp64Nano(start) AS start_unix_ns, "
            "toUnixTimestamp64Nano(`end`) AS end_unix_ns, listener, count, how FROM {db}.losses "
            "WHERE start <= fromUnixTimestamp64Nano({end:Int64}, 'UTC') "
            "AND `end` >= fromUnixTimestamp64Nano({start:Int64}, 'UTC') "
            "AND substringIndex(listener, '/', 1) IN {kinds:Array(String)} "
            "AND how NOT IN {harmless:Array(String)} "
            f"ORDER BY start, {LOG_NUMBER}, leaf_index, row "
            "LIMIT {limit:UInt32}",
            {
                "start": start_ns,
                "end": end_ns,
                "kinds": list(EVIDENCE_LISTENERS),
                "harmless": list(HARMLESS_LOSSES),
                "limit": MAX_LOSSES,
            },
        )


def measure_coverage(
    engine: Engine, spool: Path, next_leaf: int, sealed_size: int, now_ns: int, retention_ns: int
) -> Coverage:
    """Everything up to the oldest record that is not indexed yet; now, when there is none."""
    until = now_ns
    for stream in EVIDENCE_STREAMS:
        for path in (spool / stream).glob("*[0-9].*"):
            if path.suffix in (".open", ".spool"):
                until = min(until, _oldest_record_ns(path, now_ns))
    if next_leaf < sealed_size:
        rows = engine.query("SELECT max(last_unix_ns) AS last FROM {db}.leaves")
        until = min(until, int(rows[0]["last"] or 0))
    return Coverage(until, _expired_before_ns(engine, now_ns - retention_ns), purged=tuple(purged_intervals(engine)))


def _expired_before_ns(engine: Engine, due_ns: int) -> int:
    """What is due but not purged yet still answers."""
    (row,) = engine.query("SELECT min(first_unix_ns) AS oldest FROM {db}.leaves WHERE records > 0")
    return min(due_ns, int(row["oldest"]) or due_ns)


def oldest_of_former_ns(behind: Sequence[FormerProgress], now_ns: int) -> int:
    """Arrival of the oldest record of earlier logs that is not indexed; now, when there is none."""
    oldest = now_ns
    for one in behind:
        found = oldest_unindexed_ns(one.log.paths, one.next_leaf, one.tree_size, now_ns, at_most=FORMER_LEAVES_READ)
        oldest = min(oldest, found)
    return oldest


def oldest_unindexed_ns(
    paths: ArchivePaths, next_leaf: int, sealed_size: int, now_ns: int, *, at_most: int = MAX_UNINDEXED_LEAVES
) -> int:
    """Arrival of the oldest record in sealed leaves from `next_leaf` on; now, when there is none."""
    reader = TreeReader(paths.log, sealed_size)
    oldest = now_ns
    for index in range(next_leaf, min(sealed_size, next_leaf + at_most)):
        leaf = decode_leaf(reader.leaf(index))
        if leaf.get("stream") in EVIDENCE_STREAMS and "first_unix_ns" in leaf:
            oldest = min(oldest, int(leaf["first_unix_ns"]))
    return oldest


def _oldest_record_ns(path: Path, now_ns: int) -> int:
    """When a spool file was opened, if it holds records; else now."""
    try:
        with path.open("rb") as file:
            start = file.read(HEADER_READ_BYTES)
            has_records = len(start) == HEADER_READ_BYTES
    except FileNotFoundError:
        return now_ns
    opened = now_ns
    for frame in iterate_frames(start):
        if frame.magic == HEADER_FRAME:
            opened = int(decode_json_frame(frame).get("unix_ns", now_ns))
        has_records = has_records or frame.magic in RECORD_FRAMES
    return opened if has_records else now_ns
