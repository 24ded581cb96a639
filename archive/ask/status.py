"""Counters, lags, losses and what is wrong: the `status` object of docs/CONTRACT.md."""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.alarms import DISK_THRESHOLDS_PERCENT, INDEX_LAG_SECONDS, SEAL_LAG_SECONDS, Condition
from archive.ask.record import READ_ATTEMPTS
from archive.clock import Clock
from archive.errors import AskError
from archive.index.engine import Engine
from archive.index.indexer import Indexer, read_checkpoint
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths
from archive.spool_read import count_spool_records
from archive.time_text import format_iso
from archive.tree import TreeReader

STATUS_FORMAT = 1
NS = 1_000_000_000
SILENT_SECONDS = 30.0
"""Every process writes its counters each second; after half a minute without it does not live."""
REPORTING = ("collector", "radius", "portal", "sealer", "timers")
MAX_UNINDEXED_LEAVES = 20_000
"""Leaves read one by one for the counters; a larger backlog is shown as a lag, not counted."""


@dataclass
class StreamCount:
    """Records of one stream in the three states; each includes the ones after it."""

    received: int = 0
    sealed: int = 0
    indexed: int = 0
    last_sequence: int = -1


class StatusReader:
    """Reads everything `status` shows; owns nothing."""

    def __init__(self, paths: ArchivePaths, engine: Engine, indexer: Indexer, clock: Clock, zone: str) -> None:
        self._paths = paths
        self._engine = engine
        self._indexer = indexer
        self._clock = clock
        self._zone = zone
        self._started_monotonic = time.monotonic()

    def read(self, alarms: list[dict[str, Any]]) -> dict[str, Any]:
        """The whole object."""
        now = self._clock.unix_ns()
        streams = self.count_streams()
        checkpoint = read_checkpoint(self._paths)
        disk = shutil.disk_usage(self._paths.directory)
        totals = self._engine.query(
            "SELECT sum(counters['torn_bytes']) AS torn_bytes, sum(counters['dropped']) AS dropped FROM {db}.leaves"
        )[0]
        losses = self._engine.query(
            "SELECT toUnixTimestamp64Nano(start) AS s, toUnixTimestamp64Nano(`end`) AS e, listener, count, how, "
            "leaf_index, row FROM {db}.losses ORDER BY start DESC LIMIT 20"
        )
        return {
            "format": STATUS_FORMAT,
            "now": format_iso(now, self._zone),
            "log": checkpoint.origin,
            "tree_size": checkpoint.size,
            "streams": {
                name: {"received": c.received, "sealed": c.sealed, "indexed": c.indexed}
                for name, c in sorted(streams.items())
            },
            "received": sum(c.received for c in streams.values()),
            "sealed": sum(c.sealed for c in streams.values()),
            "indexed": sum(c.indexed for c in streams.values()),
            "seal_lag_seconds": round(self.seal_lag_seconds(now), 1),
            "index_lag_leaves": max(0, checkpoint.size - self._indexer.next_leaf),
            "torn_bytes": int(totals["torn_bytes"] or 0),
            "kernel_drops": int(totals["dropped"] or 0),
            "losses": [
                {
                    "from": format_iso(r["s"], self._zone),
                    "until": format_iso(r["e"], self._zone),
                    "listener": r["listener"],
                    "count": r["count"],
                    "how": r["how"],
                    "leaf_index": r["leaf_index"],
                    "row": r["row"],
                }
                for r in losses
            ],
            "alarms": alarms,
            "processes": self.read_processes(),
            "disk": {"total_bytes": disk.total, "free_bytes": disk.free},
        }

    def count_streams(self) -> dict[str, StreamCount]:
        """Records per stream. The spool is read before the head, so that a record counted there is not missed here."""
        spooled = {
            path.name: count_spool_records(self._paths.spool, path.name)
            for path in self._paths.spool.glob("*")
            if path.is_dir()
        }
        streams: dict[str, StreamCount] = {name: StreamCount() for name in spooled}
        next_leaf = self._indexer.next_leaf
        for row in self._engine.query(
            "SELECT stream, sum(records) AS records, max(spool_sequence) AS last FROM {db}.leaves "
            "WHERE stream != '' AND leaf_index < {next:UInt64} GROUP BY stream",
            {"next": next_leaf},
        ):
            count = streams.setdefault(row["stream"], StreamCount())
            count.indexed = count.sealed = int(row["records"])
            count.last_sequence = int(row["last"])
        self._add_sealed_not_indexed(streams, next_leaf)
        for name, count in streams.items():
            waiting = [n for sequence, n in spooled.get(name, {}).items() if sequence > count.last_sequence]
            count.received = count.sealed + sum(waiting)
        return streams

    def _add_sealed_not_indexed(self, streams: dict[str, StreamCount], next_leaf: int) -> None:
        for leaf in self._leaves_from(next_leaf):
            if "stream" in leaf:
                count = streams.setdefault(leaf["stream"], StreamCount())
                count.sealed += leaf.get("records", 0)
                count.last_sequence = max(count.last_sequence, leaf["spool_sequence"])

    def _leaves_from(self, first: int) -> list[dict[str, Any]]:
        """Sealed leaves from `first` on; when a newer head removes a tile meanwhile, those of the newer head."""
        for _ in range(READ_ATTEMPTS):
            size = read_checkpoint(self._paths).size
            reader = TreeReader(self._paths.log, size)
            try:
                return [decode_leaf(reader.leaf(i)) for i in range(first, min(size, first + MAX_UNINDEXED_LEAVES))]
            except FileNotFoundError:
                continue
        raise AskError("the log changes too fast to be read", code="busy")

    def seal_lag_seconds(self, now_ns: int) -> float:
        """Age of the oldest closed spool file that no signed checkpoint covers yet."""
        oldest = now_ns
        for path in self._paths.spool.glob("*/*.spool"):
            try:
                oldest = min(oldest, path.stat().st_mtime_ns)
            except FileNotFoundError:
                continue
        return (now_ns - oldest) / NS

    def read_processes(self) -> dict[str, Any]:
        """What each process last said of itself, with the age of that."""
        now = self._clock.unix_ns()
        found: dict[str, Any] = {}
        for path in sorted(self._paths.run.glob("*.json")):
            try:
                values = json.loads(path.read_text(encoding="utf-8"))
                age = (now - path.stat().st_mtime_ns) / NS
            except (OSError, ValueError):
                continue
            found[path.stem] = {"age_seconds": round(age, 1), **values}
        return found

    def conditions(self) -> list[Condition]:
        """Everything wrong right now."""
        now = self._clock.unix_ns()
        found = []
        lag = self.seal_lag_seconds(now)
        if lag > SEAL_LAG_SECONDS:
            found.append(Condition("seal_lag", "sealer", f"oldest unsealed file is {lag:.0f} s old"))
        if self._indexer.lag_seconds() > INDEX_LAG_SECONDS:
            found.append(Condition("index_lag", "index", f"{self._indexer.lag_seconds():.0f} s behind"))
        used = shutil.disk_usage(self._paths.directory)
        # As `df` counts: blocks that the file system keeps for itself are neither used nor free.
        percent = 100 * used.used / max(1, used.used + used.free)
        if percent >= DISK_THRESHOLDS_PERCENT[0]:
            found.append(Condition("disk_filling", str(_mount(self._paths.directory)), f"{percent:.0f} % used"))
        for name, values in self.read_processes().items():
            if name in REPORTING and values["age_seconds"] > SILENT_SECONDS:
                found.append(Condition("process_down", name, f"silent for {values['age_seconds']:.0f} s"))
        if time.monotonic() - self._started_monotonic > SILENT_SECONDS:
            silent = [name for name in REPORTING if not (self._paths.run / f"{name}.json").exists()]
            found += [Condition("process_down", name, "no sign of life since the start") for name in silent]
        last = self.last_verification()
        if last and last.get("exit_code") == 1:
            found.append(Condition("verify_defect", "verify", str(last.get("message", ""))))
        recent = self._engine.query(
            "SELECT listener, sum(count) AS n FROM {db}.losses WHERE how = 'kernel_socket_drops' "
            "AND received >= fromUnixTimestamp64Nano({since:Int64}, 'UTC') GROUP BY listener",
            {"since": now - 3600 * NS},
        )
        found += [Condition("kernel_drops", r["listener"], f"{r['n']} datagrams in the last hour") for r in recent]
        return found

    def last_verification(self) -> dict[str, Any] | None:
        """The newest indexed result of a verification, with the sealed record that holds it."""
        rows = self._engine.query(
            "SELECT toUnixTimestamp64Nano(time) AS time_unix_ns, leaf_index, row, details FROM {db}.events "
            "WHERE code = 'verify_finished' ORDER BY time DESC LIMIT 1"
        )
        if not rows:
            return None
        row = rows[0]
        return {
            **json.loads(row["details"]),
            "time": format_iso(row["time_unix_ns"], self._zone),
            "leaf_index": row["leaf_index"],
            "row": row["row"],
        }


def _mount(path: Path) -> Path:
    return path if path.is_mount() or path == path.parent else _mount(path.resolve().parent)
