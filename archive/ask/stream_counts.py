"""Records of each stream in the three states, from spool, log and index."""

from dataclasses import dataclass
from typing import Any

from archive.ask.record import READ_ATTEMPTS
from archive.errors import AskError
from archive.index.checkpoint import read_checkpoint
from archive.index.engine import Engine
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths
from archive.spool_read import count_spool_records
from archive.tree import TreeReader

MAX_UNINDEXED_LEAVES = 20_000
"""Leaves read one by one for the counters; a larger backlog is shown as a lag, not counted."""


@dataclass
class StreamCount:
    """Records of one stream in the three states; each includes the ones after it."""

    received: int = 0
    sealed: int = 0
    indexed: int = 0
    last_sequence: int = -1


def count_streams(paths: ArchivePaths, engine: Engine, next_leaf: int) -> dict[str, StreamCount]:
    """Every stream, indexed up to `next_leaf`. The spool is read before the head, so that a record counted there is not
    missed here."""
    spooled = {
        path.name: count_spool_records(paths.spool, path.name) for path in paths.spool.glob("*") if path.is_dir()
    }
    streams: dict[str, StreamCount] = {name: StreamCount() for name in spooled}
    for row in engine.query(
        "SELECT stream, sum(records) AS records, max(spool_sequence) AS last FROM {db}.leaves "
        "WHERE stream != '' AND leaf_index < {next:UInt64} GROUP BY stream",
        {"next": next_leaf},
    ):
        count = streams.setdefault(row["stream"], StreamCount())
        count.indexed = count.sealed = int(row["records"])
        count.last_sequence = int(row["last"])
    for leaf in _leaves_from(paths, next_leaf):
        if "stream" in leaf:
            count = streams.setdefault(leaf["stream"], StreamCount())
            count.sealed += leaf.get("records", 0)
            count.last_sequence = max(count.last_sequence, leaf["spool_sequence"])
    for name, count in streams.items():
        waiting = [n for sequence, n in spooled.get(name, {}).items() if sequence > count.last_sequence]
        count.received = count.sealed + sum(waiting)
    return streams


def _leaves_from(paths: ArchivePaths, first: int) -> list[dict[str, Any]]:
    """Sealed leaves from `first` on; when a newer head removes a tile meanwhile, those of the newer head."""
    for _ in range(READ_ATTEMPTS):
        size = read_checkpoint(paths).size
        reader = TreeReader(paths.log, size)
        try:
            return [decode_leaf(reader.leaf(i)) for i in range(first, min(size, first + MAX_UNINDEXED_LEAVES))]
        except FileNotFoundError:
            continue
    raise AskError("the log changes too fast to be read", code="busy")
