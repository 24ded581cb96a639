"""A small log whose writers and sealer a test drives by hand, and the check that is called after each step."""

from dataclasses import dataclass, field

from archive.keys import LogKeys
from archive.origin import ArchivePaths
from archive.sealer import Sealer
from archive.spool import SpoolWriter
from archive.verify.run import verify_archive
from tests.clocks import ManualClock


@dataclass
class SmallLog:
    """A log whose writers and sealer the test drives by hand."""

    paths: ArchivePaths
    keys: LogKeys
    clock: ManualClock
    writers: list[SpoolWriter] = field(default_factory=list)
    sealers: list[Sealer] = field(default_factory=list)

    def writer(self, stream: str) -> SpoolWriter:
        writer = SpoolWriter(self.paths.spool, stream, clock=self.clock)
        self.writers.append(writer)
        return writer

    def sealer(self) -> Sealer:
        sealer = Sealer(self.paths, self.keys, clock=self.clock, head_interval_seconds=0)
        self.sealers.append(sealer)
        return sealer

    def drop_sealer(self, sealer: Sealer) -> None:
        """The sealer dies: its lock goes, nothing is published."""
        self.sealers.remove(sealer)
        sealer._head.close()

    def check(self) -> int:
        """Verify everything as a stranger would; returns the tree size."""
        report = verify_archive(self.paths.directory, self.paths.head)
        assert report.exit_code == 0, report.to_text()
        return report.tree_size
