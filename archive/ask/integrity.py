"""How well the archive is anchored and verified right now: `integrity` of the `status` object, and what is wrong with
it."""

import json
import re
from typing import Any

from archive.alarms import (
    AUTHORITY_LAG_SECONDS,
    CLOCK_OFFSET_SECONDS,
    CLOCK_UNSYNCHRONISED_SECONDS,
    VERIFY_QUICK_LAG_SECONDS,
    WITNESS_LAG_SECONDS,
    Condition,
)
from archive.copies.stale import copy_conditions
from archive.index.engine import LOG_NUMBER, Engine
from archive.time_text import format_iso

NS = 1_000_000_000
KINDS = ("quick", "full")


class IntegrityReader:
    """Remembers since when the clock has been unsynchronised and what was never anchored, as of this process's
    start."""

    def __init__(self, engine: Engine, zone: str, started_unix_ns: int) -> None:
        self._engine = engine
        self._zone = zone
        self._started_ns = started_unix_ns
        self._synchronised_ns = started_unix_ns

    def read(self, processes: dict[str, Any], now_ns: int) -> dict[str, Any]:
        """The object of docs/CONTRACT.md, "Status"."""
        sealer, timers = processes.get("sealer", {}), processes.get("timers", {})
        return {
            "signing_refused": sealer.get("signing_refused") or None,
            "leaves_waiting_for_records_root": sealer.get("leaves_waiting_for_records_root"),
            "anchors": self._anchors(processes.get("anchor", {}), now_ns),
            "clock": timers.get("clock"),
            "verifications": {kind: self._age(row, now_ns) for kind, row in self.verifications().items()},
        }

    def verifications(self) -> dict[str, dict[str, Any]]:
        """The newest indexed result of each kind, with the sealed record that holds it."""
        rows = self._engine.query(
            "SELECT if(JSONExtractString(details, 'kind') = 'quick', 'quick', 'full') AS kind, "
            "toUnixTimestamp64Nano(time) AS time_unix_ns, log, leaf_index, row, details FROM {db}.events "
            f"WHERE code = 'verify_finished' ORDER BY time DESC, {LOG_NUMBER} DESC LIMIT 1 BY kind"
        )
        return {
            row["kind"]: {
                **json.loads(row["details"]),
                "kind": row["kind"],
                "time_unix_ns": int(row["time_unix_ns"]),
                "time": format_iso(row["time_unix_ns"], self._zone),
                "log": row["log"],
                "leaf_index": row["leaf_index"],
                "row": row["row"],
            }
            for row in rows
        }

    def last_verification(self) -> dict[str, Any] | None:
        """The newest result of any kind, but one with defects before a later quick one that did not look there."""
        found = self.verifications()
        full, quick = found.get("full"), found.get("quick")
        if full is None or quick is None:
            return full or quick
        newer = max(full, quick, key=lambda one: one["time_unix_ns"])
        return full if full.get("exit_code") == 1 and quick.get("exit_code") == 0 else newer

    def conditions(self, processes: dict[str, Any], now_ns: int) -> list[Condition]:
        """What is wrong with anchors, clock, signing and verification."""
        return [
            *self._signing(processes.get("sealer", {})),
            *self._stale_anchors(processes.get("anchor", {}), now_ns),
            *copy_conditions(processes.get("anchor", {}), self._started_ns, now_ns),
            *self._clock(processes.get("timers", {}), now_ns),
            *self._defects(now_ns),
        ]

    def _signing(self, sealer: dict[str, Any]) -> list[Condition]:
        code = sealer.get("signing_refused")
        return [Condition("signing_refused", str(code), str(sealer.get("problem", "")))] if code else []

    def _stale_anchors(self, report: dict[str, Any], now_ns: int) -> list[Condition]:
        found = []
        for anchor in self._anchors(report, now_ns):
            limit = WITNESS_LAG_SECONDS if anchor["kind"] == "witness" else AUTHORITY_LAG_SECONDS
            limit = max(limit, 3 * anchor["interval_seconds"])
            if anchor["age_seconds"] > limit:
                problem = anchor["problem"] or "no answer yet"
                found.append(Condition("anchor_stale", anchor["name"], f"{anchor['age_seconds']:.0f} s; {problem}"))
        return found

    def _anchors(self, report: dict[str, Any], now_ns: int) -> list[dict[str, Any]]:
        found = []
        for kind, section in (("witness", "witnesses"), ("timestamp_authority", "authorities")):
            for target in _dictionaries(report.get(section)):
                last_ns = _whole(target.get("last_success_unix_ns"))
                since_ns = last_ns or self._started_ns
                found.append(
                    {
                        "kind": kind,
                        "name": str(target.get("name", "")),
                        "last": format_iso(last_ns, self._zone) if last_ns else None,
                        "age_seconds": round(max(0.0, (now_ns - since_ns) / NS), 1),
                        "tree_size": target.get("size"),
                        "queue": target.get("queue"),
                        "interval_seconds": _whole(target.get("interval_seconds")),
                        "problem": target.get("problem") or None,
                    }
                )
        return found

    def _clock(self, timers: dict[str, Any], now_ns: int) -> list[Condition]:
        sample = timers.get("clock")
        if not isinstance(sample, dict):
            self._synchronised_ns = now_ns
            return []
        if sample.get("synchronised"):
            self._synchronised_ns = now_ns
            offset_ns = _whole(sample.get("offset_ns"))
            if abs(offset_ns) <= CLOCK_OFFSET_SECONDS * NS:
                return []
            return [Condition("clock_offset", "clock", f"{offset_ns / 1e6:+.1f} ms; {sample.get('source')}")]
        seconds = (now_ns - self._synchronised_ns) / NS
        if seconds <= CLOCK_UNSYNCHRONISED_SECONDS:
            return []
        return [Condition("clock_unsynchronised", "clock", f"{sample.get('source')}, for {seconds / 60:.0f} minutes")]

    def _defects(self, now_ns: int) -> list[Condition]:
        results = self.verifications()
        found = [
            Condition(
                "verify_defect", "verify" if kind == "full" else "verify (hourly)", str(result.get("message", ""))
            )
            for kind, result in results.items()
            if result.get("exit_code") == 1
        ]
        # One that could not run says nothing of the archive.
        ended = [result["time_unix_ns"] for result in results.values() if result.get("exit_code") in (0, 1)]
        newest_ns = max(ended, default=0)
        if now_ns - max(newest_ns, self._started_ns) > VERIFY_QUICK_LAG_SECONDS * NS:
            found.append(Condition("verify_overdue", "verify", "no verification has ended in the last three hours"))
        return found

    def _age(self, result: dict[str, Any], now_ns: int) -> dict[str, Any]:
        of_record = ("log", "leaf_index", "row", "time")
        names = ("verdict", "exit_code", "tree_size", "defects", "freshness", "seconds", *of_record)
        values = {name: result.get(name) for name in names}
        return {**values, "age_seconds": round((now_ns - result["time_unix_ns"]) / NS, 1)}


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    """Of a report that another process wrote: what has the right form."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _whole(value: Any) -> int:
    """A whole number, or one as decimal text; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return 0
    text = str(value)
    return int(text) if re.fullmatch(r"-?[0-9]{1,20}", text, re.ASCII) else 0
