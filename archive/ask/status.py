"""Counters, lags, losses and what is wrong: the `status` object of docs/CONTRACT.md."""

import json
import time
from collections import Counter
from typing import Any

from archive.alarms import ALARMS, INDEX_LAG_SECONDS, SEAL_LAG_SECONDS, Condition
from archive.ask.exporters import ExporterReader
from archive.ask.integrity import IntegrityReader
from archive.ask.listener_status import read_listeners, read_warnings, sum_losses, warning_conditions
from archive.ask.silence import Silent, SilentSources
from archive.ask.storage_desk import StorageDesk
from archive.ask.stream_counts import StreamCount, count_streams
from archive.clock import Clock
from archive.index.checkpoint import read_checkpoint, read_checkpoint_note
from archive.index.engine import Engine
from archive.index.former_indexing import FormerIndexing
from archive.index.indexer import Indexer
from archive.origin import ArchivePaths
from archive.time_text import format_iso

STATUS_FORMAT = 1
NS = 1_000_000_000
SILENT_SECONDS = 30.0
"""Every process writes its counters each second; after half a minute without it does not live."""
REPORTING = ("collector", "radius", "portal", "sealer", "timers", "anchor")
MAX_SILENT_ALARMS = 100
"""Silent sources that each get an alarm, longest first; `status` and the metrics count all."""


class StatusReader:
    """Reads everything `status` shows; owns nothing. What people look back at is asked of `reader`, which has the rows
    of earlier logs too."""

    def __init__(
        self,
        paths: ArchivePaths,
        engine: Engine,
        indexer: Indexer,
        clock: Clock,
        zone: str,
        storage: StorageDesk,
        *,
        reader: Engine | None = None,
        former: FormerIndexing | None = None,
    ) -> None:
        self._paths = paths
        self._engine = engine
        self._reader = reader or engine
        self._former = former
        self._indexer = indexer
        self._clock = clock
        self._zone = zone
        self._storage = storage
        self._started_monotonic = time.monotonic()
        self._sources = SilentSources(self._reader)
        self._silent: list[Silent] = []
        self._exporters = ExporterReader(self._reader, zone)
        self._integrity = IntegrityReader(self._reader, zone, clock.unix_ns())

    def read(self, alarms: list[dict[str, Any]]) -> dict[str, Any]:
        """The whole object."""
        numbers = self.read_numbers()
        processes = self.read_processes()
        now = self._clock.unix_ns()
        losses = self._reader.query(
            "SELECT log, toUnixTimestamp64Nano(start) AS s, toUnixTimestamp64Nano(`end`) AS e, listener, count, how, "
            "leaf_index, row FROM {db}.losses ORDER BY start DESC LIMIT 20"
        )
        return {
            "format": STATUS_FORMAT,
            "now": format_iso(now, self._zone),
            "log": read_checkpoint(self._paths).origin,
            **numbers,
            **{
                state: sum(count[state] for count in numbers["streams"].values())
                for state in ("received", "sealed", "indexed")
            },
            "losses": [
                {
                    "from": format_iso(r["s"], self._zone),
                    "until": format_iso(r["e"], self._zone),
                    "listener": r["listener"],
                    "count": r["count"],
                    "how": r["how"],
                    "log": r["log"],
                    "leaf_index": r["leaf_index"],
                    "row": r["row"],
                }
                for r in losses
            ],
            "exporters": self._exporters.read(now),
            "alarms": alarms,
            "processes": processes,
            "warnings": read_warnings(processes.get("collector", {})),
        }

    def read_numbers(self) -> dict[str, Any]:
        """The part of the object that the metrics are made of as well."""
        streams = self.count_streams()
        checkpoint = read_checkpoint(self._paths)
        totals = self._engine.query(
            "SELECT sum(counters['torn_bytes']) AS torn_bytes, sum(counters['dropped']) AS dropped FROM {db}.leaves"
        )[0]
        now, processes = self._clock.unix_ns(), self.read_processes()
        return {
            "tree_size": checkpoint.size,
            "streams": {
                name: {"received": c.received, "sealed": c.sealed, "indexed": c.indexed}
                for name, c in sorted(streams.items())
            },
            "seal_lag_seconds": round(self.seal_lag_seconds(now), 1),
            "index_lag_seconds": round(self._indexer.lag_seconds(), 1),
            "former_logs_behind": [
                {"log": one.log.origin, "indexed_leaves": one.next_leaf, "tree_size": one.tree_size}
                for one in (self._former.behind if self._former else ())
            ],
            "index_lag_leaves": max(0, checkpoint.size - self._indexer.next_leaf),
            "torn_bytes": int(totals["torn_bytes"] or 0),
            "kernel_drops": int(totals["dropped"] or 0),
            "listeners": read_listeners(processes.get("collector", {})),
            "silent_sources": dict(sorted(Counter(silent.listener for silent in self._silent).items())),
            "loss_sums": sum_losses(self._reader, now),
            "integrity": self._integrity.read(processes, now),
            "disk": self._storage.read(),
        }

    def read_integrity(self) -> dict[str, Any]:
        """`integrity`, with the published checkpoint as text: what to keep elsewhere."""
        note, checkpoint = read_checkpoint_note(self._paths)
        return {
            "format": STATUS_FORMAT,
            "log": checkpoint.origin,
            "tree_size": checkpoint.size,
            "checkpoint": note.decode(),
            **self._integrity.read(self.read_processes(), self._clock.unix_ns()),
        }

    def read_metrics(self, alarms: list[dict[str, Any]]) -> dict[str, Any]:
        """Numbers alone, for the metrics: no record, no address, no sentence."""
        numbers = self.read_numbers()
        for values in numbers["listeners"].values():
            values["warnings"] = len(values["warnings"])
        for anchor in numbers["integrity"]["anchors"]:
            del anchor["problem"]
        standing = Counter(alarm["code"] for alarm in alarms)
        return {
            "format": STATUS_FORMAT,
            **numbers,
            "alarms": {code: standing[code] for code in ALARMS},
            "processes": {name: values["age_seconds"] for name, values in self.read_processes().items()},
        }

    def count_streams(self) -> dict[str, StreamCount]:
        """Records per stream in the three states."""
        return count_streams(self._paths, self._engine, self._indexer.next_leaf)

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
            if isinstance(values, dict):
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
        for one in self._former.behind if self._former else ():
            if one.problem:
                found.append(Condition("index_lag", one.log.origin, f"stopped at leaf {one.next_leaf}: {one.problem}"))
        found += self._storage.conditions()
        processes = self.read_processes()
        for name, values in processes.items():
            if name in REPORTING and values["age_seconds"] > SILENT_SECONDS:
                found.append(Condition("process_down", name, f"silent for {values['age_seconds']:.0f} s"))
        if time.monotonic() - self._started_monotonic > SILENT_SECONDS:
            silent = [name for name in REPORTING if not (self._paths.run / f"{name}.json").exists()]
            found += [Condition("process_down", name, "no sign of life since the start") for name in silent]
        found += self._integrity.conditions(processes, now)
        recent = self._reader.query(
            "SELECT how, listener, sum(count) AS n, count() AS times FROM {db}.losses WHERE how IN "
            "('kernel_socket_drops', 'udp_memory') AND received >= fromUnixTimestamp64Nano({since:Int64}, 'UTC') "
            "GROUP BY how, listener ORDER BY how, listener",
            {"since": now - 3600 * NS},
        )
        for row in recent:
            if row["how"] == "udp_memory":
                found.append(Condition("udp_memory", row["listener"], f"{row['times']} times in the last hour"))
            else:
                found.append(Condition("kernel_drops", row["listener"], f"{row['n']} datagrams in the last hour"))
        collector = processes.get("collector", {})
        found += warning_conditions(collector)
        self._silent = self._sources.read(now, read_listeners(collector) or None)
        found += [
            Condition(
                "source_silent",
                f"{silent.source} {silent.listener}",
                f"no record since {format_iso(silent.since_unix_ns, self._zone)}",
            )
            for silent in self._silent[:MAX_SILENT_ALARMS]
        ]
        return found

    def last_verification(self) -> dict[str, Any] | None:
        """The newest indexed result of a verification, with the sealed record that holds it."""
        return self._integrity.last_verification()
