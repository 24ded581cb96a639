"""The disk's desk over a small log."""

from indexed_log import IndexedLog

from archive.ask.storage_desk import StorageDesk
from archive.spool import SpoolWriter
from archive.storage.watch import StorageWatch


def storage_of(log: IndexedLog, *, reserve_bytes: int = 2**20, writer: SpoolWriter | None = None) -> StorageDesk:
    """Its records go into the stream `audit`, as the index process has it."""
    watch = StorageWatch(log.paths.directory, reserve_bytes, log.clock)
    return StorageDesk(log.paths, log.engine, watch, writer or log.writer("audit"), log.clock, 90)
