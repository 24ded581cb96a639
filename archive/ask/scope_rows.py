"""The rows of the index that are of a scope, in columns.

*sessions*: every record of the sessions of the accounts, devices and addresses that overlap the interval, and of those
that stood behind an outside address of the scope. *nat*, *flows*, *logs*: what names an address while a subject had it,
and what names an address of the scope itself; lines whose `user` is an account. A translation or a flow counts from its
beginning to its end, so that one that began before the interval and lasted into it is whole; a line at its receipt, for
its own clock may be wrong. Never rows of `identity` or `cases`.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc_  # its functions are made at import, out of a type checker's sight

from archive.ask.event_rows import ipv6_text
from archive.ask.scope_sessions import LOOK_BACK_NS, Span, Subjects, Window, find_subjects
from archive.cases.scope import Scope
from archive.errors import AskError
from archive.index.engine import Engine
from archive.schema import SCHEMAS

pc: Any = pc_

MAX_ROWS = 2_000_000
"""Rows of one table that a call looks at: 600 MB of flows. A wider scope is asked day by day."""
MAX_AHEAD_NS = 86_400 * 1_000_000_000
"""A device's clock may be this far ahead of ours; days before that are not read."""
NS = 1_000_000_000

_FIRST = {"nat": "time", "flows": "coalesce(`start`, `end`, received)", "logs": "received"}
_LAST = {"nat": "time", "flows": "coalesce(`end`, `start`, received)", "logs": "received"}
_MAPPING = (
    "realm", "sender_address", "outside_address", "outside_port_low", "protocol", "inside_address", "inside_port",
    "destination_address", "destination_port", "mapping_id",
)  # fmt: skip
"""Columns that are alike in the events of one translation."""
FOR_EVER_NS = 2**62
_INSIDE = {
    "nat": ("inside_address",),
    "flows": ("source_address", "destination_address", "postnat_source_address", "postnat_destination_address"),
    "logs": ("source_address", "destination_address"),
}
_NAMED = {**_INSIDE, "nat": ("inside_address", "outside_address", "destination_address")}
"""Columns that an address of the scope is looked for in. Who sent a record is no subject of it."""


def rows_in_scope(
    engine: Engine, scope: Scope, day: str | None = None, *, history: Engine | None = None
) -> dict[str, pa.Table]:
    """Rows in `archive.schema.SCHEMAS`, by table, in the order of their records; tables without any are left out.

    `day` (`YYYYMMDD`, UTC, of receipt) narrows to one day. `history` tells who had which address, by default `engine`:
    where an archive has several logs, `engine` is the one whose rows are wanted and `history` reads all. Raises
    AskError `too_wide`, IndexUnavailableError.
    """
    subjects = find_subjects(history or engine, scope)
    found = {"sessions": _session_rows(engine, subjects, day)}
    for table in _FIRST:
        found[table] = _traffic_rows(engine, table, scope, subjects, day)
    return {name: rows for name, rows in found.items() if rows.num_rows}


def _received_on(day: str | None) -> tuple[str, dict[str, Any]]:
    """SQL condition and parameters of a receipt day."""
    if day is None:
        return "1", {}
    start = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    end = start + timedelta(days=1)
    return (
        "received >= fromUnixTimestamp64Nano({day:Int64}, 'UTC') "
        "AND received < fromUnixTimestamp64Nano({next_day:Int64}, 'UTC')",
        {"day": int(start.timestamp()) * NS, "next_day": int(end.timestamp()) * NS},
    )


def _session_rows(engine: Engine, subjects: Subjects, day: str | None) -> pa.Table:
    if not subjects.places:
        return SCHEMAS["sessions"].empty_table()
    condition, parameters = _received_on(day)
    leaves = sorted({leaf for _, leaf, _ in subjects.places})
    rows = engine.query_table(
        f"SELECT log, {_columns('sessions')} FROM {{db}}.sessions WHERE {condition} "
        "AND leaf_index IN (SELECT arrayJoin({leaves:Array(UInt64)})) ORDER BY leaf_index, row",
        {**parameters, "leaves": leaves},
    )
    places = zip(*(rows[name].to_pylist() for name in ("log", "leaf_index", "row")), strict=True)
    return _typed(rows, "sessions", np.array([place in subjects.places for place in places], np.bool_))


def _traffic_rows(engine: Engine, table: str, scope: Scope, subjects: Subjects, day: str | None) -> pa.Table:
    named, parameters = _named_condition(table, scope, subjects)
    if not named:
        return SCHEMAS[table].empty_table()
    condition, of_day = _received_on(day)
    first, last = _FIRST[table], _LAST[table]
    # The events of a translation that lasts into the interval may lie outside of it.
    around = LOOK_BACK_NS if table == "nat" else 0
    rows = engine.query_table(
        f"SELECT {_columns(table)}, toUnixTimestamp64Nano({first}) AS first_unix_ns, "
        f"toUnixTimestamp64Nano({last}) AS last_unix_ns FROM {{db}}.{table} "
        f"WHERE {condition} AND received >= fromUnixTimestamp64Nano({{earliest:Int64}}, 'UTC') "
        f"AND {last} >= fromUnixTimestamp64Nano({{start:Int64}}, 'UTC') "
        f"AND {first} <= fromUnixTimestamp64Nano({{end:Int64}}, 'UTC') AND ({' OR '.join(named)}) "
        "ORDER BY leaf_index, row LIMIT {limit:UInt32}",
        {
            **parameters,
            **of_day,
            "earliest": max(0, scope.from_unix_ns - around - MAX_AHEAD_NS),
            "start": scope.from_unix_ns - around,
            "end": scope.until_unix_ns + around,
            "limit": MAX_ROWS + 1,
        },
    )
    if rows.num_rows > MAX_ROWS:
        raise AskError(f"the scope has more than {MAX_ROWS} rows of {table}; narrow it", code="too_wide")
    return _typed(rows, table, _is_in_scope(rows, table, scope, subjects))


def _named_condition(table: str, scope: Scope, subjects: Subjects) -> tuple[list[str], dict[str, Any]]:
    """Conditions of which a row of the scope fulfils one; they narrow what is looked at in columns."""
    found: list[str] = []
    parameters: dict[str, Any] = {}
    if subjects.windows:
        parameters["inside"] = sorted({ipv6_text(window.address) for window in subjects.windows})
        wanted = "(SELECT arrayJoin({inside:Array(IPv6)}))"
        found += [f"`{column}` IN {wanted}" for column in _INSIDE[table]]
    for place, subject in enumerate(scope.addresses):
        parameters |= dict(zip((f"low{place}", f"high{place}"), subject.range16(), strict=True))
        found += [
            f"(`{column}` >= {{low{place}:IPv6}} AND `{column}` <= {{high{place}:IPv6}})" for column in _NAMED[table]
        ]
    if table == "logs" and subjects.accounts:
        parameters["accounts"] = sorted(subjects.accounts)
        found.append("has({accounts:Array(String)}, lowerUTF8(user))")
    return found, parameters


def _is_in_scope(rows: pa.Table, table: str, scope: Scope, subjects: Subjects) -> np.ndarray:
    """One truth a row."""
    found = np.zeros(rows.num_rows, np.bool_)
    if not rows.num_rows:
        return found
    first, last = (rows[name].to_numpy().astype(np.int64) for name in ("first_unix_ns", "last_unix_ns"))
    begin, end = first, last
    if table == "nat":
        first, last, begin, end = _lifetimes(rows, first)
    touches = (begin <= scope.until_unix_ns) & (end >= scope.from_unix_ns)
    realm = rows["realm"].combine_chunks().cast(pa.string())
    for column in _NAMED[table]:
        addresses = rows[column].combine_chunks().cast(pa.binary(16))
        if scope.addresses:
            found |= _is_named(addresses, realm, scope)
        if column in _INSIDE[table] and subjects.windows:
            keys = _joined(realm, addresses)
            found |= _is_within(keys, first, last, _spans_by_key(subjects.windows))
    if table == "logs" and subjects.accounts:
        users = pc.utf8_lower(rows["user"].combine_chunks().cast(pa.string())).cast(pa.binary())
        found |= _is_within(users, first, last, {name.encode(): spans for name, spans in subjects.accounts.items()})
    return found & touches


def _lifetimes(rows: pa.Table, moments: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of each event the first and the last recorded moment of its translation, then when it may have begun and ended: a
    day before, where its beginning is not among the rows, and a day after its last sign, where its end is not."""
    keys: dict[tuple[Any, ...], int] = {}
    columns = (rows[name].to_pylist() for name in _MAPPING)
    codes = np.array([keys.setdefault(key, len(keys)) for key in zip(*columns, strict=True)], np.int64)
    events = rows["event"].combine_chunks().cast(pa.string()).to_pylist()
    first, last = np.full(len(keys), FOR_EVER_NS), np.full(len(keys), -FOR_EVER_NS)
    np.minimum.at(first, codes, moments)
    np.maximum.at(last, codes, moments)
    begins, ends = np.zeros(len(keys), np.bool_), np.zeros(len(keys), np.bool_)
    begins[codes[[event in ("open", "carry") for event in events]]] = True
    ends[codes[[event == "close" for event in events]]] = True
    begun = np.where(begins, first, first - LOOK_BACK_NS)
    ended = np.where(ends, last, last + LOOK_BACK_NS)
    return first[codes], last[codes], begun[codes], ended[codes]


def _joined(realm: pa.Array, addresses: pa.Array) -> pa.Array:
    """Keys of `_key`; null where there is no address."""
    return pc.binary_join_element_wise(realm.cast(pa.binary()), addresses.cast(pa.binary()), b"\0")


def _key(window: Window) -> bytes:
    return window.realm.encode() + b"\0" + window.address


def _spans_by_key(windows: Iterable[Window]) -> dict[bytes, list[Span]]:
    found: dict[bytes, list[Span]] = {}
    for window in windows:
        found.setdefault(_key(window), []).append((window.since_ns, window.end_ns))
    return found


def _is_within(keys: pa.Array, first: np.ndarray, last: np.ndarray, spans: dict[bytes, list[Span]]) -> np.ndarray:
    """Whether a row, from its first to its last moment, touches a span of its key. The loop goes over keys."""
    names = list(spans)
    codes = pc.fill_null(pc.index_in(keys, pa.array(names, pa.binary())), -1).to_numpy(zero_copy_only=False)
    found = np.zeros(len(codes), np.bool_)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    for code in np.unique(codes[codes >= 0]).tolist():
        rows = order[bounds[code] : bounds[code + 1]]
        starts, ends = (np.array(side, np.int64) for side in zip(*_disjoint(spans[names[code]]), strict=True))
        place = np.searchsorted(starts, last[rows], side="right") - 1
        found[rows] = (place >= 0) & (first[rows] <= ends[np.maximum(place, 0)])
    return found


def _disjoint(spans: Iterable[Span]) -> Iterator[Span]:
    """The same moments in spans that do not touch, in order."""
    current: Span | None = None
    for start, end in sorted(spans):
        if current is not None and start <= current[1] + 1:
            current = (current[0], max(current[1], end))
            continue
        if current is not None:
            yield current
        current = (start, end)
    if current is not None:
        yield current


def _is_named(addresses: pa.Array, realm: pa.Array, scope: Scope) -> np.ndarray:
    """Whether a row's address lies in a network of the scope. The loop goes over networks."""
    is_there = addresses.is_valid().to_numpy(zero_copy_only=False)
    raw = pc.fill_null(addresses, pa.scalar(bytes(16), pa.binary(16)))
    halves = np.frombuffer(raw.buffers()[1], ">u8", 2 * len(raw), 16 * raw.offset).reshape(-1, 2).astype(np.uint64)
    found = np.zeros(len(raw), np.bool_)
    for subject in scope.addresses:
        low, high = (_halves(text) for text in subject.range16())
        inside = _at_least(halves, low) & ~_above(halves, high)
        if subject.realm:
            inside &= pc.equal(realm, subject.realm).to_numpy(zero_copy_only=False)
        found |= inside
    return found & is_there


def _halves(text: str) -> tuple[np.uint64, np.uint64]:
    packed = ipaddress.IPv6Address(text).packed
    return np.uint64(int.from_bytes(packed[:8], "big")), np.uint64(int.from_bytes(packed[8:], "big"))


def _above(halves: np.ndarray, limit: tuple[np.uint64, np.uint64]) -> np.ndarray:
    return (halves[:, 0] > limit[0]) | ((halves[:, 0] == limit[0]) & (halves[:, 1] > limit[1]))


def _at_least(halves: np.ndarray, limit: tuple[np.uint64, np.uint64]) -> np.ndarray:
    return _above(halves, limit) | ((halves[:, 0] == limit[0]) & (halves[:, 1] == limit[1]))


def _columns(table: str) -> str:
    return ", ".join(f"`{name}`" for name in SCHEMAS[table].names)


def _typed(rows: pa.Table, table: str, chosen: np.ndarray) -> pa.Table:
    schema = SCHEMAS[table]
    return rows.select(schema.names).filter(pa.array(chosen)).cast(schema)
