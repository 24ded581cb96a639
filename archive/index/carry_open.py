"""What is open at a UTC day's start as the index knows it: address translations, blocks of ports, sessions."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from archive.attribution.intervals import Row, fold_sessions
from archive.index.engine import LOG_NUMBER, Engine, IndexUnavailableError
from archive.index.open_records import OPEN_CARRIED

MAX_MAPPINGS = 1_000_000
"""Items of translations in one carry: 500 MB of records and half a minute of the index. A NAT of 10,000 hosts holds
fewer; what is beyond is counted."""
MAX_SESSIONS = 200_000
"""Items of sessions in one carry; a large school has 10,000 at once."""
SLICE_EVENTS = 250_000
"""Events folded by one statement, so that its memory and its rows stay bounded."""
MAX_SILENT_NS = 90 * 86_400 * 1_000_000_000
"""What gave no sign for the whole retention is carried no further: no record of it is kept."""
EVIDENCE_KINDS = frozenset({"netflow", "sflow", "syslog", "session", "radius-acct"})
"""Kinds of listener whose first leaf of a UTC day is the boundary: those that tell of translations and sessions."""
DAY_NS = 86_400 * 1_000_000_000
MAX_DETOUR_NS = 7 * DAY_NS
"""How much older a whole carry may be for the one that is not whole to be passed over: a week of events is folded."""

_KEY = (
    "realm, sender_address, mapping_id, outside_address, outside_port_low, outside_port_high, protocol, "
    "destination_address, destination_port, inside_address, inside_port"
)
_KEYS_OF_SESSION = (
    "realm, kind, coalesce(nas_address, toIPv6('::')), session_id, if(session_id = '', account, ''), "
    "if(session_id = '', station, ''), if(session_id = '', address, toIPv6('::'))"
)
OPENED_LOG_NUMBER = "indexOf({logs:Array(String)}, coalesce(opened_log, log))"
"""As LOG_NUMBER, of the record that a carried row names."""
SINCE_PLACE = f"({LOG_NUMBER}, leaf_index) >= ({{since_log:UInt32}}, {{since_leaf:UInt64}})"
"""Rows of the leaf `since_leaf` of a log, and of every leaf after it, of later logs too."""
# A carried one counts as what it stands for: its opening at its own time, or else the last sign of it.
_MOMENTS = (
    "event = 'carry' AS is_carry, "
    "toUnixTimestamp64Nano(if(is_carry, coalesce(opened, last_seen, time), time)) AS moment, "
    "if(is_carry, coalesce(opened_log, log), log) AS told_log, "
    "indexOf({logs:Array(String)}, told_log) AS log_number, "
    "if(is_carry, coalesce(opened_leaf, leaf_index), leaf_index) AS leaf, "
    "if(is_carry, coalesce(opened_row, row), row) AS place, "
    "multiIf(event = 'close', 2, event = 'open' OR (is_carry AND opened IS NOT NULL), 0, 1) AS rank, "
    "toUnixTimestamp64Nano(if(is_carry, coalesce(last_seen, time), time)) AS seen"
)
_LAST = "(moment, log_number, leaf, place, rank)"
_WITHIN = (
    "received >= fromUnixTimestamp64Nano({received:Int64}, 'UTC') "
    "AND time < fromUnixTimestamp64Nano({until:Int64}, 'UTC') "
    f"AND (time >= fromUnixTimestamp64Nano({{since:Int64}}, 'UTC') OR {SINCE_PLACE})"
)
_NAT_EVENTS = f"{_WITHIN} AND kind != 'flow'"
_SESSION_EVENTS = (
    f"{_WITHIN} AND event IN ('open', 'update', 'close', 'carry') AND (session_id != '' OR address != toIPv6('::'))"
)
_NAT = (
    f"SELECT {_KEY}, tupleElement(told, 1) AS kind, tupleElement(told, 2) AS quality, "
    "tupleElement(told, 3) AS opened_log, tupleElement(told, 4) AS opened_leaf, tupleElement(told, 5) AS opened_row, "
    "if(is_known, opened_ns, NULL) AS opened_unix_ns, last_seen_unix_ns "
    f"FROM (SELECT {_KEY}, maxIf(moment, rank = 0) AS opened_ns, maxIf(moment, rank = 2) AS closed_ns, "
    "countIf(rank = 0) > 0 "
    "AND opened_ns >= closed_ns AS is_known, max(seen) AS last_seen_unix_ns, "
    "argMaxIf((kind, quality, told_log, leaf, place), (moment, -toInt64(log_number), -toInt64(leaf), -toInt64(place)), "
    "rank = 0) AS at_open, "
    f"argMax((kind, quality, told_log, leaf, place), {_LAST}) AS at_last, "
    "if(is_known, at_open, at_last) AS told "
    f"FROM (SELECT {_KEY}, kind, quality, {_MOMENTS} FROM {{db}}.nat WHERE {_NAT_EVENTS} "
    "AND cityHash64(outside_address, outside_port_low, inside_address) % {slices:UInt32} = {slice:UInt32}) "
    f"GROUP BY {_KEY} HAVING argMax(rank, {_LAST}) != 2 "
    "AND last_seen_unix_ns >= {silent_since:Int64})"
)
_SESSION_COLUMNS = (
    f"log, {LOG_NUMBER} AS log_number, leaf_index, row, realm, event, "
    "toUnixTimestamp64Nano(time) AS time_unix_ns, address, kind, session_id, "
    "account, station, nas_address, nas_identifier, login_id, ended_why, quality, dedup_key, details, "
    "toUnixTimestamp64Nano(opened) AS opened_unix_ns, toUnixTimestamp64Nano(last_seen) AS last_seen_unix_ns, "
    f"opened_log, {OPENED_LOG_NUMBER} AS opened_log_number, opened_leaf, opened_row"
)
_OPEN_SESSIONS = (
    f"(SELECT {_KEYS_OF_SESSION} FROM (SELECT *, {_MOMENTS} FROM {{db}}.sessions WHERE {_SESSION_EVENTS} "
    "AND cityHash64(session_id) % {slices:UInt32} = {slice:UInt32}) GROUP BY "
    f"{_KEYS_OF_SESSION} HAVING argMax(rank, {_LAST}) != 2)"
)
_OF_OPEN_SESSIONS = (
    f"SELECT {_SESSION_COLUMNS} FROM {{db}}.sessions WHERE {_SESSION_EVENTS} "
    f"AND ({_KEYS_OF_SESSION}) IN {_OPEN_SESSIONS}"
)
_RESTARTS = f"SELECT {_SESSION_COLUMNS} FROM {{db}}.sessions WHERE {_WITHIN} AND event IN ('nas_on', 'nas_off')"

log = logging.getLogger(__name__)


def day_start_ns(day: str) -> int:
    """The first nanosecond of a UTC day `YYYYMMDD`. Raises ValueError."""
    return int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * 1_000_000_000


class OpenAtDayStart:
    """Items of what was opened before a UTC day and not closed before it, as the rows that are in the index tell.

    They follow from the rows of the carry before and the events since. `not_carried` is known when `items` has ended:
    how many had no room, None where the engine could not fold them all.
    """

    def __init__(self, engine: Engine, day: str) -> None:
        self._engine = engine
        self.day_start_ns = day_start_ns(day)
        self._start = carry_to_start_from(engine, self.day_start_ns - 1)
        self.not_carried: int | None = 0 if self._start is None or self._start.is_whole else None

    def items(self) -> Iterator[tuple[str, Row]]:
        """(table, row) of each. Raises IndexUnavailableError where the engine cannot be asked at all."""
        yield from self._limited("nat", self._mappings(), MAX_MAPPINGS)
        yield from self._limited("sessions", self._sessions(), MAX_SESSIONS)

    def _limited(self, table: str, rows: Iterator[Row], limit: int) -> Iterator[tuple[str, Row]]:
        for number, row in enumerate(rows):
            if number < limit:
                earlier = row["opened_log"] if row["opened_log"] != self._engine.origin else None
                yield table, {**row, "opened_log": earlier, "time_unix_ns": self.day_start_ns}
            elif self.not_carried is not None:
                self.not_carried += 1

    def _mappings(self) -> Iterator[Row]:
        for rows in self._sliced("nat", _NAT_EVENTS, _NAT):
            yield from rows

    def _sessions(self) -> Iterator[Row]:
        restarts = self._engine.query(_RESTARTS, self._asked())
        for rows in self._sliced("sessions", _SESSION_EVENTS, _reduced(_OF_OPEN_SESSIONS)):
            for interval in fold_sessions([*rows, *restarts]):
                if interval.end_ns is not None or interval.last_seen_ns < self.day_start_ns - MAX_SILENT_NS:
                    continue
                evidence = interval.evidence()
                yield {
                    **interval.first,
                    "opened_unix_ns": interval.start_ns,
                    "last_seen_unix_ns": interval.last_seen_ns,
                    "opened_log": evidence.log,
                    "opened_leaf": evidence.leaf_index,
                    "opened_row": evidence.row,
                    "dedup_key": "",
                }

    def _sliced(self, table: str, events: str, statement: str) -> Iterator[list[Row]]:
        asked = self._asked()
        (counted,) = self._engine.query(f"SELECT count() AS n FROM {{db}}.{table} WHERE {events}", asked)
        slices = 1 + int(counted["n"]) // SLICE_EVENTS
        for number in range(slices):
            try:
                rows = self._engine.query(statement, {**asked, "slices": slices, "slice": number})
            except IndexUnavailableError as error:
                # Refused for its size, it would be refused again; if the engine is gone this raises.
                self._engine.query("SELECT 1 AS one")
                log.warning("what is open in %s on %d ns cannot be carried whole: %s", table, self.day_start_ns, error)
                self.not_carried = None
                continue
            yield rows

    def _asked(self) -> dict[str, Any]:
        since = self._start.day_start_ns if self._start else 0
        number, leaf = self._start.place if self._start else (0, 0)
        return {
            "since": since,
            "since_log": number,
            "since_leaf": leaf,
            "received": max(0, since - DAY_NS),
            "until": self.day_start_ns,
            "silent_since": self.day_start_ns - MAX_SILENT_NS,
        }


class CarryStart(NamedTuple):
    """A complete carry of open records: its day's start, the place it is as of (number of the log, leaf), and whether
    it has everything that was open."""

    day_start_ns: int
    place: tuple[int, int]
    is_whole: bool


def carry_to_start_from(engine: Engine, moment_ns: int) -> CarryStart | None:
    """The newest one whose day began at `moment_ns` or before; where that is not whole, the newest whole one, if it is
    at most MAX_DETOUR_NS older. None where there is no carry."""
    rows = engine.query(
        f"SELECT DISTINCT {LOG_NUMBER} AS log_number, details FROM {{db}}.events WHERE code = {{code:String}}",
        {"code": OPEN_CARRIED},
    )
    found = [one for one in map(_carry_start, rows) if one is not None and one.day_start_ns <= moment_ns]
    if not found:
        return None
    newest = max(found, key=lambda one: (one.day_start_ns, one.is_whole, one.place))
    whole = [one for one in found if one.is_whole and one.day_start_ns >= newest.day_start_ns - MAX_DETOUR_NS]
    return max(whole, key=lambda one: (one.day_start_ns, one.place), default=newest)


def _carry_start(row: Row) -> CarryStart | None:
    details = json.loads(row["details"])
    try:
        place = int(row["log_number"]), int(details["before_leaf"])
        return CarryStart(day_start_ns(str(details["day"])), place, details["not_carried"] == 0)
    except (ValueError, KeyError, TypeError):
        return None


def _reduced(statement: str) -> str:
    """All but updates, and of those the first and the last of each session and address: they tell the same holders."""
    by = f"{_KEYS_OF_SESSION}, address"
    updates = f"SELECT * FROM ({statement} AND event = 'update')"
    first = f"{updates} ORDER BY time_unix_ns, log_number, leaf_index, row LIMIT 1 BY {by}"
    last = f"{updates} ORDER BY time_unix_ns DESC, log_number DESC, leaf_index DESC, row DESC LIMIT 1 BY {by}"
    return f"{statement} AND event != 'update' UNION ALL SELECT * FROM ({first}) UNION ALL SELECT * FROM ({last})"
