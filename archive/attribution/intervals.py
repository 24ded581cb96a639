"""Folding open, update and close events into intervals. Pure; rows are dictionaries of the `nat` and `sessions` tables
with times as nanoseconds (`time_unix_ns`) and addresses as 16 bytes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """The sealed record behind a statement."""

    log: str
    leaf_index: int
    row: int


def evidence_of(row: Row) -> Evidence:
    return Evidence(row["log"], int(row["leaf_index"]), int(row["row"]))


@dataclass
class Interval:
    """What lay between an open and a close. A missing start or end is None: it was not recorded.

    `last_seen_ns` is the latest proof of life; `first` is a row that describes the holder.
    """

    first: Row
    start_ns: int | None = None
    end_ns: int | None = None
    last_seen_ns: int = 0
    opened: Evidence | None = None
    closed: Evidence | None = None
    ended_why: str = ""
    updates: list[Evidence] = field(default_factory=list)

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether any moment of [start_ns, end_ns] may belong to this interval."""
        after_start = self.start_ns is None or self.start_ns <= end_ns
        before_end = self.end_ns is None or self.end_ns >= start_ns
        return after_start and before_end

    def overlap(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """The part of [start_ns, end_ns] inside this interval."""
        start = start_ns if self.start_ns is None else max(start_ns, self.start_ns)
        end = end_ns if self.end_ns is None else min(end_ns, self.end_ns)
        return start, max(start, end)

    def evidence(self) -> Evidence:
        """The record to cite first: the opening one, else whatever describes the holder."""
        return self.opened or evidence_of(self.first)


def _in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda r: (r["time_unix_ns"], r["leaf_index"], r["row"]))


def _fold_group(rows: list[Row]) -> list[Interval]:
    """Intervals of one key. An open without a close before the next open ended unseen: its end stays None but for
    `last_seen_ns`, and it cannot reach beyond that next open."""
    done: list[Interval] = []
    current: Interval | None = None
    for row in rows:
        moment = row["time_unix_ns"]
        if row["event"] == "open":
            if current is not None and current.opened is not None:
                current.end_ns = moment
                current.ended_why = "reopened"
                done.append(current)
            current = Interval(row, start_ns=moment, last_seen_ns=moment, opened=evidence_of(row))
        elif row["event"] == "update":
            current = current or Interval(row)
            current.last_seen_ns = max(current.last_seen_ns, moment)
            current.updates.append(evidence_of(row))
            current.first = _fill(current.first, row)
        else:
            current = current or Interval(row)
            current.end_ns = moment
            current.last_seen_ns = max(current.last_seen_ns, moment)
            current.closed = evidence_of(row)
            current.ended_why = row.get("ended_why", "") or "close"
            current.first = _fill(current.first, row)
            done.append(current)
            current = None
    if current is not None:
        done.append(current)
    return done


def _fill(first: Row, later: Row) -> Row:
    """A start without an address or account takes it from a later event of the same session."""
    missing = {k: v for k, v in later.items() if first.get(k) in (None, "", bytes(16)) and v not in (None, "")}
    return {**first, **missing} if missing else first


def fold_mappings(rows: Iterable[Row]) -> list[Interval]:
    """Intervals of address translations. Two mappings are one only if every address and port and the device's own
    identifier agree: a NAT may give one outside port to several inside hosts at once."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    names = (
        "realm", "sender_address", "mapping_id", "outside_address", "outside_port_low", "outside_port_high",
        "protocol", "destination_address", "destination_port", "inside_address", "inside_port",
    )  # fmt: skip
    for row in _in_order(rows):
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return [interval for group in groups.values() for interval in _fold_group(group)]


def fold_sessions(rows: Iterable[Row]) -> list[Interval]:
    """Intervals of sessions, retransmitted packets taken once. A NAS that says it restarted ends its sessions."""
    seen: set[str] = set()
    groups: dict[tuple[Any, ...], list[Row]] = {}
    restarts: list[Row] = []
    for row in _in_order(rows):
        if row["dedup_key"] and row["dedup_key"] in seen:
            continue
        seen.add(row["dedup_key"])
        if row["event"] in ("nas_on", "nas_off"):
            restarts.append(row)
        elif row["event"] in ("open", "update", "close"):
            key = (row["realm"], row["kind"], row["nas_address"], row["session_id"])
            groups.setdefault(key, []).append(row)
    for (_, _, nas, _), group in groups.items():
        ends = [r for r in restarts if r["nas_address"] == nas]
        group.extend(
            {**r, "event": "close", "ended_why": "nas_restart", "address": bytes(16), "account": ""} for r in ends
        )
    intervals = [i for group in groups.values() for i in _fold_group(_in_order(group))]
    return [i for i in intervals if i.first["event"] != "close" or i.first.get("ended_why") != "nas_restart"]
