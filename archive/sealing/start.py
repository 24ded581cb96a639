"""What a start of the sealer finds: how far each stream is sealed, and what no signed head covers. The normal start and
recovery after a crash are the same path."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archive.leaf import decode_leaf
from archive.origin import ArchivePaths
from archive.sealing.record_roots import remove_uncovered_units
from archive.segment import cut_segments, utc_day
from archive.spool_read import is_spool_file, read_spool_file
from archive.tree import TreeReader


@dataclass(frozen=True)
class StreamEnd:
    """The last leaf of a stream: index, hash (hex), spool sequence."""

    leaf: int
    leaf_hash: str
    spool_sequence: int

    def reference(self) -> dict[str, Any]:
        return {"leaf": self.leaf, "hash": self.leaf_hash}


@dataclass
class LogEnd:
    """`cut_bytes` of segments no leaf covered; `last_sign_ns`, the newest time that a leaf states."""

    streams: dict[str, StreamEnd] = field(default_factory=dict)
    last_sign_ns: int = 0
    cut_bytes: int = 0


def settle(paths: ArchivePaths, size: int) -> LogEnd:
    """Bring segments and spool to what the head of `size` leaves says: cut and remove what no leaf covers, remove spool
    files that one does. Raises OSError; may be repeated."""
    waiting = [path for path in paths.spool.glob("*/*") if is_spool_file(path)]
    folders = _segment_folders(paths, waiting)
    end, sealed_ends, sealed_files = _read_back(paths, size, waiting, folders)
    folders |= {str(Path(name).parent) for name in sealed_ends}
    end.cut_bytes = cut_segments(paths.segments, folders, sealed_ends)
    remove_uncovered_units(paths, size)
    for path in waiting:
        if (path.parent.name, path.stem) in sealed_files:
            # The leaf of a file that lost its header names no writer.
            if read_spool_file(path).header.get("writer", "") == sealed_files[path.parent.name, path.stem]:
                path.unlink()
    return end


def _segment_folders(paths: ArchivePaths, waiting: list[Path]) -> set[str]:
    """`<stream>/<day>` of the segments that the spool files still there went to, or were going to."""
    folders = set()
    for path in waiting:
        arrivals = [int(batch.received_unix_ns.min()) for batch in read_spool_file(path).batches if len(batch)]
        if arrivals:
            folders.add(f"{path.parent.name}/{utc_day(min(arrivals))}")
    return {folder for folder in folders if (paths.segments / folder).is_dir()}


def _moments(leaf: dict[str, Any]) -> Iterator[int]:
    """Wall times that a leaf states of the moment it was made, as far as it does."""
    for values in (leaf, leaf.get("closed"), leaf.get("opened"), leaf.get("step"), *leaf.get("samples", ())[-1:]):
        if values:
            yield int(values.get("unix_ns") or values.get("to_unix_ns") or 0)


def _read_back(
    paths: ArchivePaths, size: int, waiting: list[Path], folders: set[str]
) -> tuple[LogEnd, dict[str, int], dict[tuple[str, str], str]]:
    """Walk the leaves from the newest back until the last leaf of every stream, every spool file of `waiting` and the
    last segment of each of `folders` are met.

    Returns with the end segment ends (of the segments met) and sealed spool files `(stream, stem) -> writer`.
    """
    reader = TreeReader(paths.log, size)
    oldest: dict[str, int] = {}
    for path in waiting:
        stream = path.parent.name
        oldest[stream] = min(int(path.stem), oldest.get(stream, int(path.stem)))
    open_folders = set(folders)
    open_streams = {path.name for path in paths.segments.glob("*") if path.is_dir()} | set(oldest)
    open_streams |= {path.parent.name for path in paths.spool.glob("*/*.next")}
    end = LogEnd()
    sealed_ends: dict[str, int] = {}
    sealed_files: dict[tuple[str, str], str] = {}
    for index in range(size - 1, -1, -1):
        if not open_streams and not open_folders and end.last_sign_ns:
            break
        leaf = decode_leaf(reader.leaf(index))
        end.last_sign_ns = end.last_sign_ns or max(_moments(leaf), default=0)
        if "spool_sequence" not in leaf:
            continue
        stream, sequence = leaf["stream"], leaf["spool_sequence"]
        if stream not in end.streams:
            end.streams[stream] = StreamEnd(index, reader.node(0, index).hex(), sequence)
        sealed_files[stream, f"{sequence:020d}"] = leaf["writer"]
        if "segment" in leaf:
            sealed_ends.setdefault(leaf["segment"], leaf["offset"] + leaf["length"])
            open_folders.discard(str(Path(leaf["segment"]).parent))
        if sequence <= oldest.get(stream, sequence):
            open_streams.discard(stream)
    return end, sealed_ends, sealed_files
