"""A log of many simulated days that the real sealer writes and purges, driven by hand."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from archive.addresses import parse_address
from archive.decoder import Units
from archive.key_source import KeySource
from archive.keys import LogKeys, load_keys
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths, create_log, default_paths
from archive.retention.request import PurgeRequest, write_request
from archive.schema import SCHEMAS
from archive.sealer import Sealer
from archive.sealing.inbox import PreparedLeaf
from archive.sealing.json_leaves import JsonLeaves, check_clock_fields
from archive.sealing.purge import PurgeSource
from archive.sealing.purge_decision import PurgeSettings
from archive.sealing.record_roots import RecordRoots
from archive.segment import utc_day
from archive.spool import SpoolWriter
from archive.tree import TreeReader
from archive.unit_report import report_units
from tests.clocks import NS, ManualClock

DAY_SECONDS = 86_400
HOUR_SECONDS = 3_600
MIDNIGHT_UNIX_NS = 1_795_046_400 * NS
"""2026-11-19T00:00:00Z."""
ORIGIN = "phayan.test/purge"


class InlineExecutor(Executor):
    """Runs at once, so that a turn is a turn; what it raises is raised where the result is asked for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class PurgeLog:
    """`retention_days` as in the settings. Every method that seals publishes too."""

    def __init__(self, directory: Path, *, retention_days: int = 92, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock(MIDNIGHT_UNIX_NS)
        self.paths: ArchivePaths = default_paths(directory / "data")
        self.retention_days = retention_days
        if not self.paths.log.exists():
            create_log(self.paths, ORIGIN, self.clock, source=KeySource(self.paths.keys))
        self.keys: LogKeys = load_keys(self.paths.keys)
        self.extra: list[PreparedLeaf] = []
        self.open()

    def open(self) -> None:
        """Start the sealer."""
        self.roots = RecordRoots(self.paths, self.clock, lambda: self.sealer.tree_size)
        settings = PurgeSettings(self.retention_days, lambda: self.sealer.checkpoint, lambda: self.sealer.tree_size)
        self.purge = PurgeSource(self.paths, self.clock, self.roots, settings, InlineExecutor())
        clock_leaves = JsonLeaves("clock", self.paths.inbox / "clock", check_clock_fields)
        sources = [clock_leaves, self.purge, self.roots, self]
        self.sealer = Sealer(self.paths, self.keys, clock=self.clock, head_interval_seconds=0, sources=sources)

    def prepare(self, taken: set[Path]) -> Iterable[PreparedLeaf]:
        """Leaves that a test puts in itself."""
        leaves, self.extra = self.extra, []
        return leaves

    def close(self) -> None:
        self.sealer.close()

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.sealer.run_once(full_look=True)
            self.sealer.publish()

    def receive(self, stream: str, *payloads: bytes, listener: str = "syslog/udp-5514") -> int:
        """Seal payloads; returns their leaf."""
        writer = SpoolWriter(self.paths.spool, stream, clock=self.clock)
        for payload in payloads:
            writer.append(payload, listener=listener, transport="udp", source=(parse_address("192.0.2.9"), 514))
        writer.close()
        self.clock.advance(10)
        self.turn()
        return max(index for index, leaf in self.leaves() if leaf["kind"] == "data")

    def root(self, leaf: int, lengths: dict[int, list[int]] | None = None) -> None:
        """Seal a records root; `lengths` are the units of some records."""
        cut = lengths or {}
        row = np.array([row for row, units in cut.items() for _ in units], np.uint32)
        length = np.array([one for units in cut.values() for one in units], np.uint32)
        report_units(self.paths.inbox / "units", leaf, [Units(row, np.zeros(len(row), np.uint32), length)])
        self.roots.force()
        self.turn()

    def samples(self, *moments: tuple[int, int], synchronised: bool = True) -> None:
        """A clock leaf of samples: wall and monotonic time in nanoseconds; without any, of this moment."""
        found = moments or ((self.clock.unix_ns(), self.clock.monotonic_ns()),)
        values = [
            {
                "unix_ns": str(unix_ns), "monotonic_ns": str(monotonic_ns), "synchronised": synchronised,
                "offset_ns": 0, "dispersion_ns": None, "source": "chrony: time.test stratum 2",
            }
            for unix_ns, monotonic_ns in found
        ]  # fmt: skip
        folder = self.paths.inbox / "clock"
        folder.mkdir(parents=True, exist_ok=True)
        fields = {"boot_id": self.clock.boot_id(), "step": None, "samples": values}
        (folder / f"{self.clock.monotonic_ns():020d}.json").write_text(json.dumps(fields))
        self.turn()

    def pass_day(self, *, synchronised: bool = True) -> None:
        """Until the next midnight of the monotonic clock, with a sample an hour."""
        moments = []
        for _ in range(24):
            self.clock.advance(HOUR_SECONDS)
            moments.append((self.clock.unix_ns(), self.clock.monotonic_ns()))
        self.samples(*moments, synchronised=synchronised)

    def day(self) -> str:
        return utc_day(self.clock.unix_ns())

    def request(self, day: str, units: Iterable[tuple[int, int, int]] = (), holds: Iterable[str] = ()) -> None:
        """Hand a request over."""
        places = list(units)
        leaf, row, offset = (
            np.array([place[at] for place in places], kind) for at, kind in enumerate((np.uint64, np.uint32, np.uint32))
        )
        rows = {"logs": log_rows(places)} if places else {}
        write_request(self.paths.inbox, PurgeRequest(day, tuple(sorted(holds)), leaf, row, offset, rows))

    def ask(self, day: str, units: Iterable[tuple[int, int, int]] = (), holds: Iterable[str] = ()) -> dict[str, str]:
        """Hand a request over, and turn until nothing happens any more. Returns the purge's own report."""
        self.request(day, units, holds)
        self.turn(12)
        return self.purge.report()

    def leaves(self) -> list[tuple[int, dict[str, Any]]]:
        reader = TreeReader(self.paths.log, self.sealer.checkpoint.size)
        return [(index, decode_leaf(reader.leaf(index))) for index in range(reader.size)]

    def purges(self) -> list[tuple[int, dict[str, Any]]]:
        return [(index, leaf) for index, leaf in self.leaves() if leaf["kind"] == "purge"]


def log_rows(places: list[tuple[int, int, int]]) -> pa.Table:
    """A row of table `logs` for each record."""
    schema = SCHEMAS["logs"]
    defaults: dict[str, Any] = {}
    for field in schema:
        if not field.nullable:
            kind = field.type
            is_text, is_binary = pa.types.is_string(kind), pa.types.is_fixed_size_binary(kind)
            defaults[field.name] = "" if is_text else bytes(16) if is_binary else False if kind == pa.bool_() else 0
    found = [defaults | {"leaf_index": leaf, "row": row} for leaf, row, _ in sorted(places)]
    return pa.Table.from_pylist(found, schema=schema)
