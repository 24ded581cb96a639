"""A log that grows, and targets that fail or lie, for the tests of copies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.copies.copier import Copier, mark_target
from archive.copies.directory_target import DirectoryTarget
from archive.copies.target import CopyError
from archive.key_source import KeySource
from archive.keys import load_keys
from archive.origin import ArchivePaths, create_log, default_paths
from archive.sealer import Sealer
from archive.sealing.record_roots import RecordRoots
from archive.spool import SpoolWriter
from archive.unit_report import report_units
from archive.verify.report import Report
from archive.verify.run import verify_archive
from tests.clocks import ManualClock

ORIGIN = "phayan.test/copied"
DAYS_KEPT = 92


class CopiedLog:
    """An archive and a directory with its copy."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.paths: ArchivePaths = default_paths(folder / "data")
        create_log(self.paths, ORIGIN, self.clock, source=KeySource(self.paths.keys))
        self.place = folder / "usb"
        self.place.mkdir()
        mark_target(DirectoryTarget(self.place), self.clock)

    def grow(self, *payloads: bytes, stream: str = "collector", roots: bool = False) -> int:
        """Seal a chunk for each payload; returns the leaves."""
        sources: list[RecordRoots] = []
        size = 0
        if roots:
            sources.append(RecordRoots(self.paths, self.clock, lambda: size))
        sealer = Sealer(
            self.paths, load_keys(self.paths.keys), clock=self.clock, head_interval_seconds=0, sources=sources
        )
        try:
            for payload in payloads:
                writer = SpoolWriter(self.paths.spool, stream, clock=self.clock)
                writer.append(payload, listener="syslog/udp-5514")
                writer.close()
                sealer.run_once(full_look=True)
                self.clock.advance(10)
                size = sealer.tree_size
                if roots:
                    report_units(self.paths.inbox / "units", size - 1, [])
                    sources[0].force()
                    sealer.run_once(full_look=True)
                    sealer.publish()
            return sealer.tree_size
        finally:
            sealer.close()

    def copier(self, target: Any = None, **options: Any) -> Copier:
        target = target or DirectoryTarget(self.place)
        return Copier("usb", self.paths, target, self.clock, retention_days=DAYS_KEPT, **options)

    def verify_copy(self) -> Report | None:
        """None while there is no head: then there is no copy yet."""
        if not (self.place / "head").exists():
            return None
        return verify_archive(self.place, self.place / "head")


@dataclass
class Failing:
    """Another target's calls, of which number `at` fails: before it does anything, or behind it."""

    inner: Any
    at: int
    after: bool = False
    calls: int = 0

    needs_mark = True

    @property
    def address(self) -> str:
        return self.inner.address

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        fails = self.calls == self.at
        if fails and not self.after:
            raise CopyError("the line broke", code="unreachable")
        result = getattr(self.inner, name)(*arguments, **options)
        if fails:
            raise CopyError("the line broke behind it", code="unreachable")
        return result

    def append(self, *arguments: Any, **options: Any) -> None:
        self._call("append", *arguments, **options)

    def put(self, *arguments: Any, **options: Any) -> None:
        self._call("put", *arguments, **options)

    def read(self, *arguments: Any) -> Iterator[bytes]:
        return self._call("read", *arguments)

    def list(self, prefix: str) -> dict[str, int]:
        return self._call("list", prefix)

    def remove(self, name: str) -> None:
        self._call("remove", name)

    def rename(self, old: str, new: str) -> None:
        self._call("rename", old, new)

    def close(self) -> None:
        pass


class Flipping(DirectoryTarget):
    """A bit flips on its way in what is named `part`."""

    def __init__(self, root: Path, part: str) -> None:
        super().__init__(root)
        self.part = part

    def append(self, name: str, offset: int, data: bytes, **options: Any) -> None:
        super().append(name, offset, self._flip(name, data), **options)

    def put(self, name: str, data: bytes | Path, **options: Any) -> None:
        super().put(name, self._flip(name, data) if isinstance(data, bytes) else data, **options)

    def _flip(self, name: str, data: bytes) -> bytes:
        return data[:-1] + bytes([data[-1] ^ 1]) if self.part in name else data
