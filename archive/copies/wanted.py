"""What of a log has to be at a copy for a given head, and what came since an older one. Reads the log, and of it only
what is between the two heads."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from archive.errors import ArchiveStateError
from archive.leaf import decode_leaf
from archive.note import Checkpoint, VerifierKey, open_checkpoint
from archive.tile_layout import TILE_HEIGHT, TILE_WIDTH, bundle_path, decode_bundle, tile_path

NS = 1_000_000_000
WINDOW_LEAVES = 4096
"""Leaves that are looked at together: a few MiB, and some hundred MiB of chunks."""
RUN_BYTES = 16 * 1024 * 1024
"""Chunks that follow each other in a segment are sent together up to this size; a chunk alone may be larger."""
SALT_KEY = "salt.key"
SMALL_FILES = ("origin", "key.vkey", "package.crt")


class HeadReplacedError(ArchiveStateError):
    """A newer head took files with it that an older one needs; the newer one is to be taken."""

    code = "head_replaced"


@dataclass(frozen=True)
class Snapshot:
    """A published head with the files of the tree that the next one replaces, by their names below `log/`."""

    note: bytes
    checkpoint: Checkpoint
    partials: dict[str, bytes]


@dataclass
class Run:
    """Chunks of a segment, one after another: `chunks` are lengths and SHA-256 (hexadecimal). `segment` and all other
    names below are below `log/`."""

    segment: str
    offset: int
    chunks: list[tuple[int, str]] = field(default_factory=list)

    @property
    def length(self) -> int:
        return sum(length for length, _ in self.chunks)


@dataclass(frozen=True)
class Purge:
    """What a purge leaf takes away: by folder (`segments/<stream>/<day>`) the last segment that goes, and the day's
    held files of leaves before it."""

    leaf: int
    day: str
    folders: dict[str, str]

    def values(self) -> dict[str, Any]:
        return {"leaf": self.leaf, "day": self.day, "folders": self.folders}


@dataclass
class Window:
    """What the leaves from `first` to before `end` name. `files` have the SHA-256 that their leaf states, or None."""

    first: int
    end: int
    runs: list[Run] = field(default_factory=list)
    files: dict[str, str | None] = field(default_factory=dict)


def take_snapshot(log: Path, note: bytes, key: VerifierKey) -> Snapshot:
    """Raises HeadReplacedError when a newer head came out meanwhile, ArchiveError for a note that does not verify."""
    checkpoint = open_checkpoint(note, key)
    try:
        partials = {name: (log / name).read_bytes() for name in partial_names(checkpoint.size)}
    except FileNotFoundError as error:
        raise HeadReplacedError(f"the head of {checkpoint.size} leaves is replaced by a newer one") from error
    return Snapshot(note, checkpoint, partials)


def partial_names(size: int) -> list[str]:
    """Names of the partial tiles and of the partial bundle of a tree."""
    names, level = [], 0
    while size >> (TILE_HEIGHT * level):
        full, width = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
        if width:
            names.append(tile_path(level, full, width))
        level += 1
    if size % TILE_WIDTH:
        names.append(bundle_path(size // TILE_WIDTH, size % TILE_WIDTH))
    return names


def full_names(old_size: int, size: int) -> Iterator[str]:
    """Names of the full tiles and bundles that a tree of `size` leaves has and one of `old_size` has not."""
    level = 0
    while size >> (TILE_HEIGHT * level):
        shift = TILE_HEIGHT * (level + 1)
        for number in range(old_size >> shift, size >> shift):
            yield tile_path(level, number)
            if not level:
                yield bundle_path(number)
        level += 1


class LogFiles:
    """The leaves of one head, and what they ask for. `log` is the folder."""

    def __init__(self, log: Path, snapshot: Snapshot) -> None:
        self._log = log
        self._snapshot = snapshot
        self.size = snapshot.checkpoint.size
        self._purged: dict[str, int] = {}
        self._held: dict[str, int] = {}

    def leaves(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Raises HeadReplacedError, OSError, ArchiveFormatError."""
        for bundle in range(first // TILE_WIDTH, -(-end // TILE_WIDTH)):
            start = bundle * TILE_WIDTH
            width = min(TILE_WIDTH, self.size - start)
            name = bundle_path(bundle, width)
            stored = self._snapshot.partials.get(name) or (self._log / name).read_bytes()
            for number, leaf in enumerate(decode_bundle(stored), start):
                if first <= number < end:
                    yield number, leaf

    def leaf(self, number: int) -> dict[str, Any]:
        return next(decode_leaf(leaf) for _, leaf in self.leaves(number, number + 1))

    def purges(self, first: int) -> list[Purge]:
        """Of the leaves from `first` on; from here on their folders are not wanted any more."""
        found = []
        for number, leaf in self.leaves(first, self.size):
            if b'"kind":"purge"' not in leaf:
                continue
            fields = decode_leaf(leaf)
            folders = {}
            for one in fields["streams"]:
                folder = f"segments/{one['stream']}/{fields['day']}"
                last = self.leaf(one["last_leaf"])["segment"]
                folders[folder] = Path(last).name
                self._purged[folder] = max(one["last_leaf"], self._purged.get(folder, -1))
            self._held[fields["day"]] = number
            found.append(Purge(number, fields["day"], folders))
        return found

    def windows(self, first: int) -> Iterator[Window]:
        """All from leaf `first` on. `purges` has to be asked before."""
        for start in range(first, self.size, WINDOW_LEAVES):
            window = Window(start, min(start + WINDOW_LEAVES, self.size))
            open_runs: dict[str, Run] = {}
            for number, leaf in self.leaves(start, window.end):
                if b'"segment":' in leaf:
                    self._add_chunk(window, open_runs, number, decode_leaf(leaf))
                elif b'"kind":"records"' in leaf:
                    self._add_units(window, decode_leaf(leaf))
                elif b'"kind":"purge"' in leaf:
                    self._add_held(window, number, decode_leaf(leaf))
            yield window

    def _add_chunk(self, window: Window, open_runs: dict[str, Run], number: int, fields: dict[str, Any]) -> None:
        segment = f"segments/{fields['segment']}"
        if number <= self._purged.get(segment.rpartition("/")[0], -1):
            return
        run = open_runs.get(segment)
        if run is None or run.offset + run.length != fields["offset"] or run.length + fields["length"] > RUN_BYTES:
            run = open_runs[segment] = Run(segment, fields["offset"])
            window.runs.append(run)
        run.chunks.append((fields["length"], fields["sha256"]))

    def _add_units(self, window: Window, fields: dict[str, Any]) -> None:
        folder = f"segments/{fields['file'].rpartition('/')[0]}"
        if all(root["leaf"] <= self._purged.get(folder, -1) for root in fields["roots"]):
            return
        window.files[f"segments/{fields['file']}"] = fields["sha256"]
        window.files[f"{folder}/{SALT_KEY}"] = None

    def _add_held(self, window: Window, number: int, fields: dict[str, Any]) -> None:
        for one in fields["streams"]:
            window.files[f"segments/{one['stream']}/{fields['day']}.purged"] = None
        held = fields["held"]
        if held is not None and self._held.get(fields["day"], number) == number:
            window.files[held["file"]] = held["sha256"]
            window.files[held["rows_file"]] = held["rows_sha256"]


def retain_until(name: str, retention_days: int) -> int | None:
    """When a file of `segments/<stream>/<day>/` is due, as nanoseconds since 1970; None for what is kept on."""
    parts = name.split("/")
    if len(parts) < 4 or parts[0] != "segments" or not parts[2].isdecimal():
        return None
    day = datetime.strptime(parts[2], "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1 + retention_days)
    return int(day.timestamp()) * NS
