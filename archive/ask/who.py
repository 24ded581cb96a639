"""The attribution question against the index: gathers what is known, lets `archive.attribution` answer, shapes
the JSON."""

from collections.abc import Mapping
from typing import Any

from archive.addresses import format_endpoint, parse_address, parse_endpoint, parse_port
from archive.ask.coverage import Coverage
from archive.ask.event_rows import (
    NAT_ROWS,
    SESSION_ROWS,
    ipv6_text,
    later_sessions,
    later_translations,
    with_details,
)
from archive.ask.network import read_network_facts
from archive.attribution.answer import Answer, answer
from archive.attribution.intervals import Row, fold_mappings, fold_sessions
from archive.attribution.question import DEFAULT_TOLERANCE_SECONDS, Known, Question
from archive.errors import AskError
from archive.index.carry_open import EVIDENCE_KINDS, SINCE_PLACE, carry_to_start_from
from archive.index.engine import LOG_NUMBER, Engine
from archive.query.sql import PROTOCOLS
from archive.time_text import parse_time

LOOK_BACK_NS = 86_400 * 1_000_000_000
"""Openings are looked for this far before the carry that the window follows, for records that came after it was
written, and before the window where there is none; ends and signs of life this far after the window."""
MAX_EVENTS = 20_000
"""Events one answer may rest on; beyond it the question is too wide and says so."""
MAX_TOLERANCE_SECONDS = 3600.0


def parse_question(arguments: Mapping[str, Any], now_unix_ns: int, zone: str) -> Question:
    """A Question from the arguments of the `who` request. Raises AskError with one sentence a person can act on."""
    address = str(arguments.get("address") or "")
    to = str(arguments.get("to") or "")
    if not address and not to:
        raise AskError("give an ADDRESS or --to ADDRESS[:PORT]", code="bad_question")
    host, port = parse_endpoint(address) if address else (None, None)
    if arguments.get("port") not in (None, ""):
        port = parse_port(str(arguments["port"]))
    to_host, to_port = parse_endpoint(to) if to else (None, None)
    tolerance = _tolerance(arguments.get("tolerance_seconds"))
    if not 0 <= tolerance <= MAX_TOLERANCE_SECONDS:
        raise AskError(f"tolerance {tolerance:g} s; valid are 0 to {MAX_TOLERANCE_SECONDS:g}", code="bad_question")
    protocol = str(arguments.get("protocol") or "").lower()
    if (
        protocol
        and protocol not in PROTOCOLS
        and not (protocol.isascii() and protocol.isdigit() and int(protocol) < 256)
    ):
        raise AskError(
            f"{protocol!r} is not a protocol; valid are {', '.join(PROTOCOLS)}, 0 to 255", code="bad_question"
        )
    return Question(
        at_unix_ns=parse_time(str(arguments.get("at") or "now"), now_unix_ns=now_unix_ns, zone=zone),
        address=host,
        port=port,
        protocol=(PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)) if protocol else None,
        to_address=parse_address(format_endpoint(to_host, None)) if to_host else None,
        to_port=to_port,
        tolerance_seconds=tolerance,
        realm=str(arguments.get("realm") or "") or None,
    )


def _tolerance(given: Any) -> float:
    """Seconds; zero is a tolerance too."""
    try:
        return DEFAULT_TOLERANCE_SECONDS if given in (None, "") else float(given)
    except (TypeError, ValueError) as error:
        raise AskError(f"{given!r} is not a number of seconds", code="bad_question") from error


def ask_who(engine: Engine, coverage: Coverage, question: Question) -> Answer:
    """Answer from the index. Raises AskError `too_wide` when the question matches more than MAX_EVENTS events."""
    return answer(question, gather(engine, coverage, question))


def gather(engine: Engine, coverage: Coverage, question: Question) -> Known:
    """Everything the index holds that the answer may rest on."""
    start, end = question.window
    carry = carry_to_start_from(engine, start)
    since, until = min(start, carry.day_start_ns if carry else start) - LOOK_BACK_NS, end + LOOK_BACK_NS
    since_place = carry.place if carry else NO_PLACE
    rows = _nat_rows(engine, question, (since, until, since_place))
    mappings = fold_mappings(rows)
    fitting = [m for m in mappings if question.is_about(m) and question.may_lead_to(m)]
    if later := later_translations(engine, fitting, until):
        mappings = fold_mappings([*rows, *later])
        fitting = [m for m in mappings if question.is_about(m) and question.may_lead_to(m)]
    inside = {m.first["inside_address"] for m in fitting}
    direct = question.address is not None and question.to_address is None
    if direct and not fitting:
        inside.add(question.address)
    session_rows = _session_rows(engine, inside, (since, until, since_place), question.realm)
    sessions = fold_sessions(session_rows)
    at_hand = [s for s in sessions if s.first["address"] in inside and s.overlaps(start, end)]
    if later := later_sessions(engine, at_hand, until):
        sessions = fold_sessions([*session_rows, *later])
    kinds = {m.first["kind"] for m in mappings} or _reported_kinds(engine, question, since, until)
    accounts = sorted({s.first["account"] for s in sessions if s.first["account"]})
    facts = read_network_facts(engine).at(question.at_unix_ns)
    # While an earlier log is not indexed whole nobody knows all that the settings said.
    return Known(
        indexed_until_ns=coverage.indexed_until_ns,
        mappings=mappings,
        sessions=sessions,
        identities=_identity_rows(engine, accounts),
        losses=coverage.losses_touching(engine, start, end),
        reports_outside=bool(kinds),
        reports_at_end="flow" in kinds,
        knows_inside=bool(sessions),
        expired_before_ns=coverage.expired_before_ns,
        own_addresses=facts if facts.lists_all and coverage.is_whole else None,
        carrier=facts.carrier_of(question.address) if question.address is not None and coverage.is_whole else None,
        facts=facts,
        purged=coverage.purged,
        unindexed=coverage.unindexed,
        may_lack_open=not carry.is_whole if carry else _is_older(engine, since),
    )


Within = tuple[int, int, tuple[int, int]]
"""Moments from and until, and the place (number of the log, leaf) from which on older ones count too: they came after
the carry was made."""
NO_PLACE = 2**31, 0
_WITHIN = (
    f"(time >= fromUnixTimestamp64Nano({{start:Int64}}, 'UTC') OR {SINCE_PLACE}) "
    "AND time <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')"
)


def _parameters(within: Within) -> dict[str, Any]:
    start, end, (number, leaf) = within
    return {"start": start, "end": end, "since_log": number, "since_leaf": leaf}


def _nat_rows(engine: Engine, question: Question, within: Within) -> list[Row]:
    parameters: dict[str, Any] = {**_parameters(within), "limit": MAX_EVENTS + 1}
    conditions = [_WITHIN]
    if question.realm is not None:
        conditions.append("realm = {realm:String}")
        parameters["realm"] = question.realm
    if question.address is not None:
        conditions.append("outside_address = {outside:IPv6}")
        parameters["outside"] = ipv6_text(question.address)
    if question.port is not None:
        conditions.append("outside_port_low <= {port:UInt16} AND outside_port_high >= {port:UInt16}")
        parameters["port"] = question.port
    if question.protocol is not None:
        # A block of ports holds for every protocol; both lie side by side in the order of the table.
        conditions.append("protocol IN ({protocol:UInt8}, 0) AND (protocol = {protocol:UInt8} OR kind = 'block')")
        parameters["protocol"] = question.protocol
    # A mapping that does not carry its destination may still be the one; then any other of that port matters too.
    other = "outside_port_low = outside_port_high" if question.port is not None else "0"
    if question.to_address is not None:
        conditions.append(f"(destination_address = {{to:IPv6}} OR destination_address IS NULL OR {other})")
        parameters["to"] = ipv6_text(question.to_address)
    if question.to_port is not None:
        conditions.append(f"(destination_port = {{to_port:UInt16}} OR destination_port IS NULL OR {other})")
        parameters["to_port"] = question.to_port
    rows = engine.query(NAT_ROWS + " AND ".join(conditions) + " LIMIT {limit:UInt32}", parameters)
    if len(rows) > MAX_EVENTS:
        raise AskError(
            f"more than {MAX_EVENTS} translations match; add --port, --to or a smaller --tolerance", code="too_wide"
        )
    return rows


def _session_rows(engine: Engine, inside: set[bytes], wanted: Within, realm: str | None) -> list[Row]:
    """Every event of the sessions that ever had one of the addresses, and the restarts of their devices."""
    if not inside:
        return []
    within = _WITHIN
    parameters = _parameters(wanted)
    parameters["inside"] = [ipv6_text(a) for a in sorted(inside)]
    if realm is not None:
        within += " AND realm = {realm:String}"
        parameters["realm"] = realm
    keys = (
        "SELECT realm, kind, coalesce(nas_address, toIPv6('::')), session_id FROM {db}.sessions WHERE "
        f"{within} AND address IN (SELECT arrayJoin({{inside:Array(IPv6)}}))"
    )
    rows = engine.query(
        f"{SESSION_ROWS}{within} AND (realm, kind, coalesce(nas_address, toIPv6('::')), session_id) IN ({keys})",
        parameters,
    )
    rows += engine.query(f"{SESSION_ROWS}{within} AND event IN ('nas_on', 'nas_off')", parameters)
    return with_details(rows)


def _identity_rows(engine: Engine, accounts: list[str]) -> list[Row]:
    if not accounts:
        return []
    return engine.query(
        f"SELECT log, {LOG_NUMBER} AS log_number, leaf_index, row, toUnixTimestamp64Nano(time) AS time_unix_ns, event, "
        "account, person FROM {db}.identity WHERE account IN {accounts:Array(String)}",
        {"accounts": accounts},
    )


def _is_older(engine: Engine, since: int) -> bool:
    """Whether the index knows of evidence from before `since`, which no carry brings over."""
    (row,) = engine.query(
        "SELECT countIf(first_unix_ns < {since:Int64}) > 0 AS found FROM {db}.leaves WHERE first_unix_ns > 0 "
        "AND hasAny(listener_kinds, {kinds:Array(String)})",
        {"since": since, "kinds": sorted(EVIDENCE_KINDS)},
    )
    return bool(row["found"])


def _reported_kinds(engine: Engine, question: Question, start: int, end: int) -> set[str]:
    """Kinds of the translations that any source reports of the asked outside address in [start, end]."""
    sql = (
        "SELECT DISTINCT kind FROM {db}.nat WHERE time >= fromUnixTimestamp64Nano({start:Int64}, 'UTC') "
        "AND time <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')"
    )
    parameters: dict[str, Any] = {"start": start, "end": end}
    if question.realm is not None:
        sql += " AND realm = {realm:String}"
        parameters["realm"] = question.realm
    if question.address is not None:
        sql += " AND outside_address = {outside:IPv6}"
        parameters["outside"] = ipv6_text(question.address)
    return {row["kind"] for row in engine.query(sql, parameters)}
