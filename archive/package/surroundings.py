"""What the appliance states about the time around an answer: intervals of the cited leaves, purged days, days without
index, sources that did not report, outages; those of the asked interval alone."""

from collections.abc import Iterable
from typing import Any

from archive.addresses import format_address
from archive.index.dropped import dropped_days
from archive.index.purged import day_bounds_ns
from archive.package.content import CitedRecord, Surroundings
from archive.package.source_log import SourceLog
from archive.time_text import format_iso, parse_time

MAX_NAMED = 200
"""Silences and outages named, the earliest first."""
_SILENT = (
    "SELECT listener, sender_address, toUnixTimestamp64Nano(start) AS first, toUnixTimestamp64Nano(`end`) AS last "
    "FROM {db}.losses WHERE how = 'source_silent' AND start <= fromUnixTimestamp64Nano({until:Int64}, 'UTC') "
    "AND `end` >= fromUnixTimestamp64Nano({since:Int64}, 'UTC') ORDER BY start, listener LIMIT {limit:UInt32}"
)
_OUTAGES = "SELECT leaf_index FROM {db}.leaves WHERE kind = 'outage' ORDER BY leaf_index"
_PURGES = (
    "SELECT leaf_index FROM {db}.leaves WHERE kind = 'purge' AND first_unix_ns <= {until:Int64} "
    "AND last_unix_ns >= {since:Int64} ORDER BY leaf_index"
)


def read_surroundings(
    logs: Iterable[SourceLog], records: Iterable[CitedRecord], answer: dict[str, Any], zone: str
) -> Surroundings:
    """Raises IndexUnavailableError."""
    since, until = (parse_time(answer["asked"][name], now_unix_ns=0, zone=zone) for name in ("from", "until"))
    found, by_number = Surroundings(), {}
    for log in logs:
        by_number[log.number] = log
        asked = {"since": since, "until": until, "limit": MAX_NAMED}
        for row in log.engine.query(_SILENT, asked):
            found.silent_sources.append(
                {
                    "source": format_address(row["sender_address"]) if row["sender_address"] else "",
                    "listener": row["listener"],
                    **_interval(int(row["first"]), int(row["last"]), zone),
                }
            )
        found.purged_days.extend(
            {"day": leaf["day"], "log": log.number, "leaf": index} for index, leaf in _leaves(log, _PURGES, asked)
        )
        for day in dropped_days(log.engine):
            first, last = day_bounds_ns(day)
            if first <= until and last >= since and day not in found.days_without_index:
                found.days_without_index.append(day)
        for index, leaf in _leaves(log, _OUTAGES, {}):
            first, last = int(leaf["from_unix_ns"]), int(leaf["to_unix_ns"])
            if first <= until and last >= since and len(found.outages) < MAX_NAMED:
                found.outages.append({"log": log.number, "leaf": index, **_interval(first, last, zone)})
    for record in records:
        leaf = by_number[record.place.log].leaves.leaf(record.place.leaf)
        interval = int(leaf["first_unix_ns"]), int(leaf["last_unix_ns"])
        found.leaf_intervals[f"{record.place.log}-{record.place.leaf}"] = interval
    return found


def _leaves(log: SourceLog, sql: str, asked: dict[str, int]) -> Iterable[tuple[int, dict[str, Any]]]:
    for row in log.engine.query(sql, asked):
        yield int(row["leaf_index"]), log.leaves.leaf(int(row["leaf_index"]))


def _interval(first_ns: int, last_ns: int, zone: str) -> dict[str, str]:
    return {"from": format_iso(first_ns, zone), "until": format_iso(last_ns, zone)}
