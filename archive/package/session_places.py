"""Where the records of a cited session lie. Numbers of sessions begin again when a device restarts, and two devices use
the same ones: records are of one session if device and number agree and they fall into one interval."""

from collections.abc import Iterable
from typing import Any

from archive.ask.event_rows import SESSION_ROWS, ipv6_text
from archive.attribution.folding import Evidence, Interval, Row
from archive.attribution.intervals import fold_sessions
from archive.package.citations import Citation
from archive.package.content import IndexRow, Place
from archive.package.source_log import SourceLog
from archive.time_text import parse_time

LOOK_BACK_NS = 86_400 * 10**9
"""Of a session whose start was not recorded: as far before the cited record as `who` looks for openings."""
MAX_ROWS = 20_000
"""Events of a session, and restarts of its device, that are folded: two weeks of one a minute."""
_OF_SESSION = (
    f"{SESSION_ROWS}realm = {{realm:String}} AND kind = {{kind:String}} "
    "AND coalesce(nas_address, toIPv6('::')) = {nas_address:IPv6} "
    "AND (session_id = {session_id:String} OR event IN ('nas_on', 'nas_off')) "
    "AND time >= fromUnixTimestamp64Nano({since:Int64}, 'UTC') "
    "ORDER BY time, leaf_index, row LIMIT {limit:UInt32}"
)


def session_places(logs: Iterable[SourceLog], citation: Citation, sessions: list[IndexRow]) -> list[Place]:
    """Records of the intervals that the cited record, whose rows are `sessions`, is evidence of; in order."""
    every = list(logs)
    numbers = {log.origin: log.number for log in every}
    found: set[Place] = set()
    for row in sessions:
        events = [event for log in every for event in _events(log, row, _since(citation, row), numbers)]
        for interval in fold_sessions(events):
            places = _places(interval, numbers)
            if citation.place in places:
                found |= places
    return sorted(found)


def _since(citation: Citation, row: IndexRow) -> int:
    starts = [
        parse_time(step["from"], now_unix_ns=0)
        for step in citation.steps
        if step["step"] == "session" and step["from"] is not None
    ]
    return min([row.values["time"] - LOOK_BACK_NS, *starts])


def _events(log: SourceLog, row: IndexRow, since_ns: int, numbers: dict[str, int]) -> list[Row]:
    parameters: dict[str, Any] = {name: row.values[name] for name in ("realm", "kind", "session_id")}
    nas_address = ipv6_text(row.values["nas_address"] or bytes(16))
    parameters |= {"nas_address": nas_address, "since": since_ns, "limit": MAX_ROWS}
    events = log.engine.query(_OF_SESSION, parameters)
    for event in events:
        event |= {"log": log.origin, "log_number": log.number}
        event["opened_log_number"] = numbers.get(event["opened_log"] or log.origin, log.number)
    return events


def _places(interval: Interval, numbers: dict[str, int]) -> set[Place]:
    pending: list[Evidence | None] = [interval.opened, interval.closed, *interval.updates]
    found = set()
    while pending:
        evidence = pending.pop()
        if evidence is not None:
            pending.append(evidence.carried)
            if evidence.log in numbers:
                found.add(Place(numbers[evidence.log], evidence.leaf_index, evidence.row))
    return found
