"""Which addresses the subjects of a scope had, and when: sessions folded into windows; and the accounts of a person.

A window is cut to the scope's interval. A session without a recorded end lasts until somebody else is seen at its
address; one without a recorded start begins at its first sign. Of an account that changed hands the windows are those
in which it was the person's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from archive.ask.event_rows import SESSION_ROWS, ipv6_text
from archive.attribution.folding import Evidence, Interval, Row, place_in_logs
from archive.attribution.intervals import fold_sessions
from archive.cases.scope import Scope
from archive.errors import AskError
from archive.index.carry_open import SINCE_PLACE, carry_to_start_from
from archive.index.engine import LOG_NUMBER, Engine

LOOK_BACK_NS = 86_400 * 1_000_000_000
"""As in `who`: openings are looked for this far before the carry that the interval follows."""
MAX_SESSION_EVENTS = 500_000
"""Events of sessions that one scope may rest on: a year of 200 people. They are folded row by row."""
NO_PLACE = 2**31, 0
_WITHIN = (
    f"(time >= fromUnixTimestamp64Nano({{since:Int64}}, 'UTC') OR {SINCE_PLACE}) "
    "AND time <= fromUnixTimestamp64Nano({until:Int64}, 'UTC')"
)
_KEY = "(realm, kind, coalesce(nas_address, toIPv6('::')), session_id)"
_IDENTITIES = (
    f"SELECT {LOG_NUMBER} AS log_number, leaf_index, row, toUnixTimestamp64Nano(time) AS time_unix_ns, account, "
    "normalizeUTF8NFC(person) AS person FROM {db}.identity WHERE person != '' AND account IN "
    "(SELECT account FROM {db}.identity WHERE has({persons:Array(String)}, normalizeUTF8NFC(person)))"
)

Span = tuple[int, int]
"""First and last nanosecond."""


class Window(NamedTuple):
    """An inside address that a subject had from `start_ns` to `end_ns`, both included, within the scope's interval, and
    already from `since_ns` on."""

    realm: str
    address: bytes
    start_ns: int
    end_ns: int
    since_ns: int


@dataclass
class Subjects:
    """What a scope comes to. `accounts`: spans by account in lower case; `places` are records of their sessions, as
    (log, leaf, row)."""

    windows: list[Window] = field(default_factory=list)
    accounts: dict[str, list[Span]] = field(default_factory=dict)
    places: set[tuple[str, int, int]] = field(default_factory=set)
    translated: dict[tuple[str, bytes], list[Span]] = field(default_factory=dict)
    """Inside addresses that stood behind an outside address of the scope, and when: whoever was logged in there is who
    the question is about, but no further traffic of theirs."""


def find_subjects(engine: Engine, scope: Scope) -> Subjects:
    """Raises AskError `too_wide` beyond MAX_SESSION_EVENTS, IndexUnavailableError."""
    whole = (scope.from_unix_ns, scope.until_unix_ns)
    found = Subjects(accounts={account.lower(): [whole] for account in scope.accounts})
    found.translated = _translated(engine, scope)
    for account, spans in _accounts_of_persons(engine, scope):
        found.accounts.setdefault(account.lower(), []).extend(spans)
    rows = _session_rows(engine, scope, found)
    chosen = [
        (session, span)
        for session in fold_sessions(rows)
        for span in _spans_of(session, scope, found)
        if session.overlaps(*span)
    ]
    ends = _seen_after(engine, [session for session, _ in chosen if session.end_ns is None], scope.until_unix_ns)
    for session, span in chosen:
        window = _window(session, span, ends)
        if window is None:
            continue
        found.places |= set(_places(session))
        if _is_of_person(session, scope, found.accounts):
            found.windows.append(window)
    found.places |= {place for row in rows if (place := _rejection(row, scope, found.accounts)) is not None}
    return found


def _accounts_of_persons(engine: Engine, scope: Scope) -> Iterator[tuple[str, list[Span]]]:
    """Accounts that were of one of the persons within the interval, and when."""
    if not scope.persons:
        return
    rows = engine.query(_IDENTITIES, {"persons": list(scope.persons)})
    by_account: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda r: (r["time_unix_ns"], *place_in_logs(r))):
        by_account.setdefault(row["account"], []).append(row)
    for account, told in by_account.items():
        ends = [later["time_unix_ns"] - 1 for later in told[1:]] + [scope.until_unix_ns]
        spans = [
            (max(row["time_unix_ns"], scope.from_unix_ns), min(end, scope.until_unix_ns))
            for row, end in zip(told, ends, strict=True)
            if row["person"] in scope.persons
        ]
        if held := [span for span in spans if span[0] <= span[1]]:
            yield account, held


def _session_rows(engine: Engine, scope: Scope, found: Subjects) -> list[Row]:
    carry = carry_to_start_from(engine, scope.from_unix_ns)
    since = min(scope.from_unix_ns, carry.day_start_ns if carry else scope.from_unix_ns) - LOOK_BACK_NS
    number, leaf = carry.place if carry else NO_PLACE
    parameters: dict[str, Any] = {
        "since": since,
        "until": scope.until_unix_ns + LOOK_BACK_NS,
        "since_log": number,
        "since_leaf": leaf,
        "accounts": sorted(found.accounts),
        "devices": list(scope.devices),
        "translated": sorted({ipv6_text(address) for _, address in found.translated}),
        "limit": MAX_SESSION_EVENTS + 1,
    }
    conditions = [
        "has({accounts:Array(String)}, lowerUTF8(account))",
        "has({devices:Array(String)}, lower(station))",
        "address IN (SELECT arrayJoin({translated:Array(IPv6)}))",
    ]
    for place, subject in enumerate(scope.addresses):
        parameters |= dict(zip((f"low{place}", f"high{place}"), subject.range16(), strict=True))
        condition = f"address >= {{low{place}:IPv6}} AND address <= {{high{place}:IPv6}}"
        if subject.realm:
            parameters[f"realm{place}"] = subject.realm
            condition += f" AND realm = {{realm{place}:String}}"
        conditions.append(f"({condition})")
    named = f"({' OR '.join(conditions)})"
    keys = f"SELECT {_KEY} FROM {{db}}.sessions WHERE {_WITHIN} AND session_id != '' AND {named}"
    rows = engine.query(
        f"{SESSION_ROWS}{_WITHIN} AND ({named} OR (session_id != '' AND {_KEY} IN ({keys}))) LIMIT {{limit:UInt32}}",
        parameters,
    )
    if len(rows) > MAX_SESSION_EVENTS:
        raise AskError(f"the scope has more than {MAX_SESSION_EVENTS} events of sessions; narrow it", code="too_wide")
    if not rows:
        return []
    restarts = engine.query(f"{SESSION_ROWS}{_WITHIN} AND event IN ('nas_on', 'nas_off')", parameters)
    return [*rows, *restarts]


def _translated(engine: Engine, scope: Scope) -> dict[tuple[str, bytes], list[Span]]:
    """Inside addresses of translations by an outside address of the scope."""
    if not scope.addresses:
        return {}
    parameters: dict[str, Any] = {
        "from": scope.from_unix_ns,
        "since": scope.from_unix_ns - LOOK_BACK_NS,
        "until": scope.until_unix_ns,
    }
    named = []
    for place, subject in enumerate(scope.addresses):
        parameters |= dict(zip((f"low{place}", f"high{place}"), subject.range16(), strict=True))
        named.append(f"(outside_address >= {{low{place}:IPv6}} AND outside_address <= {{high{place}:IPv6}})")
    rows = engine.query(
        "SELECT realm, inside_address, toUnixTimestamp64Nano(min(time)) AS first, toUnixTimestamp64Nano(max(time)) AS "
        "last, countIf(event = 'close') AS closed FROM {db}.nat WHERE time >= fromUnixTimestamp64Nano({since:Int64}, "
        "'UTC') AND time <= fromUnixTimestamp64Nano({until:Int64}, 'UTC') "
        f"AND ({' OR '.join(named)}) GROUP BY realm, inside_address, inside_port, outside_port_low, protocol "
        "HAVING last >= {from:Int64} OR closed = 0",
        parameters,
    )
    found: dict[tuple[str, bytes], list[Span]] = {}
    for row in rows:
        span = int(row["first"]), int(row["last"]) if row["closed"] else scope.until_unix_ns
        found.setdefault((row["realm"], row["inside_address"]), []).append(span)
    return found


def _spans_of(session: Interval, scope: Scope, found: Subjects) -> list[Span]:
    """When a session is within the scope, by what is known of it."""
    row = session.first
    whole = (scope.from_unix_ns, scope.until_unix_ns)
    if row["station"].lower() in scope.devices or _is_at(row, scope):
        return [whole]
    spans = list(found.accounts.get(row["account"].lower(), [])) if row["account"] else []
    return [*spans, *found.translated.get((row["realm"], row["address"]), [])]


def _is_of_person(session: Interval, scope: Scope, accounts: dict[str, list[Span]]) -> bool:
    """Whether the session tells of an address that is not named in the scope itself."""
    row = session.first
    return row["station"].lower() in scope.devices or row["account"].lower() in accounts


def _is_at(row: Row, scope: Scope) -> bool:
    return any(subject.holds(row["address"], row["realm"]) for subject in scope.addresses)


def _window(session: Interval, span: Span, ends: dict[tuple[str, bytes], list[tuple[int, Any]]]) -> Window | None:
    row = session.first
    start = session.start_ns if session.start_ns is not None else (session.address_from_ns or session.last_seen_ns)
    end = session.end_ns
    if end is None:
        own = _holder(row)
        seen = ends.get((row["realm"], row["address"]), [])
        end = min(
            (moment - 1 for moment, other in seen if moment > session.last_seen_ns and other != own), default=None
        )
    since, start, end = start, max(start, span[0]), span[1] if end is None else min(end, span[1])
    return Window(row["realm"], row["address"], start, end, since) if start <= end else None


def _seen_after(
    engine: Engine, open_ended: list[Interval], until_ns: int
) -> dict[tuple[str, bytes], list[tuple[int, Any]]]:
    """Signs of sessions at the addresses of those that have no end: (moment, holder) by realm and address."""
    if not open_ended:
        return {}
    addresses = sorted({ipv6_text(session.first["address"]) for session in open_ended})
    rows = engine.query(
        "SELECT DISTINCT realm, address, toUnixTimestamp64Nano(time) AS time_unix_ns, kind, nas_address, session_id, "
        "account FROM {db}.sessions WHERE event IN ('open', 'update') AND address IN "
        "(SELECT arrayJoin({addresses:Array(IPv6)})) AND time > fromUnixTimestamp64Nano({since:Int64}, 'UTC') "
        "AND time <= fromUnixTimestamp64Nano({until:Int64}, 'UTC')",
        {
            "addresses": addresses,
            "since": min(session.last_seen_ns for session in open_ended),
            "until": until_ns,
        },
    )
    found: dict[tuple[str, bytes], list[tuple[int, Any]]] = {}
    for row in rows:
        found.setdefault((row["realm"], row["address"]), []).append((row["time_unix_ns"], _holder(row)))
    return found


def _holder(row: Row) -> tuple[Any, ...]:
    return row["kind"], row["nas_address"], row["session_id"], "" if row["session_id"] else row["account"]


def _places(session: Interval) -> Iterator[tuple[str, int, int]]:
    """The records of a session; of what is carried the carry too, which may be all that is left."""
    told: Iterable[Evidence | None] = (session.opened, session.closed, *session.updates)
    for evidence in told:
        for one in (evidence, evidence.carried if evidence else None):
            if one is not None:
                yield one.log, int(one.leaf_index), int(one.row)


def _rejection(row: Row, scope: Scope, accounts: dict[str, list[Span]]) -> tuple[str, int, int] | None:
    """The record of a log-in that was refused: it is no session and still of the account or the device."""
    if row["event"] != "reject":
        return None
    spans = list(accounts.get(row["account"].lower(), []) if row["account"] else [])
    if row["station"].lower() in scope.devices:
        spans.append((scope.from_unix_ns, scope.until_unix_ns))
    if any(start <= row["time_unix_ns"] <= end for start, end in spans):
        return row["log"], int(row["leaf_index"]), int(row["row"])
    return None
