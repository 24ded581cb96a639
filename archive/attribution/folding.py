"""One interval, and how the events of one key fold into intervals. Pure; rows are dictionaries of the `nat` and
`sessions` tables with times as nanoseconds (`time_unix_ns`) and addresses as 16 bytes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
NO_ADDRESS = bytes(16)
_EVENT_ORDER = {"open": 0, "update": 1, "close": 2}


@dataclass(frozen=True)
class Evidence:
    """The sealed record behind a statement. `carried` is the one that carries it over a day's start, where only that is
    known: the original may be past its retention."""

    log: str
    leaf_index: int
    row: int
    carried: "Evidence | None" = None


def place_in_logs(row: Row) -> tuple[int, int, int]:
    """Where a row's record lies: number of its log among those of the archive (0 where there is one), leaf, row."""
    return row.get("log_number", 0), row["leaf_index"], row["row"]


def evidence_of(row: Row) -> Evidence:
    return Evidence(row["log"], int(row["leaf_index"]), int(row["row"]), row.get("carried"))


def restored(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows with what is carried over a day's start (`event` carry) turned into the events that it stands for: the
    opening at its own time, and the last sign since. They cite the original record; `carried` is the one at hand. That
    nothing had ended by the day's start is no sign of life, for its end may have been lost."""
    for row in rows:
        if row["event"] != "carry":
            yield row
            continue
        original = {
            "log": row.get("opened_log") or row["log"],
            "log_number": row.get("opened_log_number", row.get("log_number", 0)),
            "leaf_index": row["opened_leaf"],
            "row": row["opened_row"],
            "carried": evidence_of(row),
            "carried_place": place_in_logs(row),
        }
        opened_ns, seen_ns = row["opened_unix_ns"], row["last_seen_unix_ns"]
        if opened_ns is not None:
            opening = {**row, **original, "event": "open", "time_unix_ns": opened_ns}
            if seen_ns > opened_ns and row.get("session_id"):
                # It may have told its address later than it began.
                opening["address"] = NO_ADDRESS
            yield opening
        if opened_ns is None or seen_ns > opened_ns:
            yield {**row, **original, "event": "update", "time_unix_ns": seen_ns}


@dataclass
class Interval:
    """What lay between an open and a close. A missing start or end is None: it was not recorded.

    `last_seen_ns` is the latest recorded proof of life; `first` is a row that describes the holder. A missing start
    lies after `not_before_ns`, when the use before ended. `start_inferred` and `end_inferred`: the moment follows from
    something else than a record of it. `address_from_ns`: the first record of a session that carries its address.
    """

    first: Row
    start_ns: int | None = None
    end_ns: int | None = None
    last_seen_ns: int = 0
    opened: Evidence | None = None
    closed: Evidence | None = None
    ended_why: str = ""
    updates: list[Evidence] = field(default_factory=list)
    not_before_ns: int | None = None
    start_inferred: bool = False
    end_inferred: bool = False
    address_from_ns: int | None = None

    def _earliest(self) -> int | None:
        return self.not_before_ns if self.start_ns is None else self.start_ns

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether any moment of [start_ns, end_ns] may belong to this interval."""
        earliest = self._earliest()
        after_start = earliest is None or earliest <= end_ns
        before_end = self.end_ns is None or self.end_ns >= start_ns
        return after_start and before_end

    def overlap(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """The part of [start_ns, end_ns] inside this interval."""
        earliest = self._earliest()
        start = start_ns if earliest is None else max(start_ns, earliest)
        end = end_ns if self.end_ns is None else min(end_ns, self.end_ns)
        return start, max(start, end)

    def evidence(self) -> Evidence:
        """The record to cite first: the opening one, else whatever describes the holder."""
        return self.opened or evidence_of(self.first)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """By time; events of one record (a flow that began and ended in one moment) in the order of their meaning. What is
    carried is at its own time, after the record itself and the newest carry first."""
    return sorted(restored(rows), key=_place)


def _place(row: Row) -> tuple[int, ...]:
    carried = row.get("carried_place")
    copy = (1, *(-number for number in carried)) if carried else (0,)
    return row["time_unix_ns"], *place_in_logs(row), _EVENT_ORDER.get(row["event"], 3), *copy


def fold_group(rows: Iterable[Row]) -> list[Interval]:
    """Intervals of one key, from its events in order. A use without a close before the next open ended unseen: its end
    is taken as that open. The second copy of an open or a close changes nothing."""
    done: list[Interval] = []
    current: Interval | None = None
    for row in rows:
        moment, event = row["time_unix_ns"], row["event"]
        ended_ns = done[-1].end_ns if done else None
        if event == "open" and (current is None or current.start_ns != moment):
            if current is not None:
                _end(current, moment, "reopened", inferred=True)
                done.append(current)
            current = Interval(row, moment, last_seen_ns=moment, opened=evidence_of(row), start_inferred=_guessed(row))
        elif event == "close" and current is None and ended_ns == moment and _guessed(row):
            continue
        else:
            if event == "close" and current is None and ended_ns == moment:
                current = done.pop()
            current = current or Interval(row, not_before_ns=ended_ns)
            if event == "close":
                current.closed = evidence_of(row)
                _end(current, moment, row.get("ended_why", "") or "close", inferred=_guessed(row))
            else:
                current.updates.append(evidence_of(row))
            if not current.end_inferred:
                current.last_seen_ns = max(current.last_seen_ns, moment)
                current.first = _fill(current.first, row)
        if current.address_from_ns is None and row.get("address", NO_ADDRESS) != NO_ADDRESS:
            current.address_from_ns = moment
        if event == "close":
            done.append(current)
            current = None
    return [*done, current] if current is not None else done


def _end(interval: Interval, moment: int, why: str, *, inferred: bool) -> None:
    interval.end_ns, interval.ended_why, interval.end_inferred = moment, why, inferred


def _guessed(row: Row) -> bool:
    """Whether the moment was computed; a flow record without times gives but the moment it arrived."""
    if row.get("inferred") or row.get("quality") == "derived":
        return True
    return row.get("quality") == "arrival" and row.get("kind") == "flow"


def _fill(first: Row, later: Row) -> Row:
    """A start without an address or account takes it from a later event of the same session."""
    missing = {k: v for k, v in later.items() if first.get(k) in (None, "", NO_ADDRESS) and v not in (None, "")}
    return {**first, **missing} if missing else first
