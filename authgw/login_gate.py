"""Log-ins while not even the reserve of the disk is left: refused, or admitted and only counted, as the owner chose."""

from pathlib import Path

from archive.clock import Clock
from archive.spool import SpoolWriter
from archive.storage.gate import StorageGate
from archive.storage.levels import Level
from archive.storage.watch import StorageWatch

LOGIN_KIND, ACCOUNTING_KIND = "session", "radius-acct"


def open_login_gate(
    writer: SpoolWriter, process: str, clock: Clock, directory: Path, reserve_bytes: int, *, counts: bool
) -> StorageGate:
    """Before the spool of a process that logs people in. Accounting is not acknowledged then in either case: the device
    keeps it and sends it again."""
    return StorageGate(
        writer,
        StorageWatch(directory, reserve_bytes, clock),
        clock,
        process,
        stops_at=Level.SPENT,
        kinds=(LOGIN_KIND, ACCOUNTING_KIND),
        counted=(LOGIN_KIND,) if counts else (),
    )
