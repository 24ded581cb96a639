"""From a question and what is known to candidates, each step with its certainty and the record behind it. Pure.

No text here says that a person did something: an account was logged in, an address was held.
"""

from collections.abc import Container, Sequence
from typing import Any

from archive.addresses import format_address, format_endpoint
from archive.attribution.candidate import Answer, Candidate, Holder, Seen, Step, merge
from archive.attribution.certainty import NO_RECORD, Certainty, weakest
from archive.attribution.facts_at import is_private
from archive.attribution.folding import Interval, Row, evidence_of, place_in_logs
from archive.attribution.question import NS, Known, Question

ANY_PORT = (0, 65_535)
"""Outside ports of a translation whose source does not report the translated port."""
FLOW_REPORT_NS = 1800 * NS
"""Longest an exporter of flows keeps a connection to itself: the active time-out of Cisco IOS and RouterOS, 30 min."""

NOT_ALL_CARRIED = "what had been open for days is not carried whole into that day"

_Limit = tuple[Certainty, str]
"""What no step about the window can exceed, and why."""


def answer(question: Question, known: Known) -> Answer:
    """Attribute. Steps: outside address (if a translation applies), inside address, session, device, account,
    person."""
    limit = _limit(question, known)
    holders = _holders_of_mappings(question, known, limit)
    if not holders and question.address is not None and question.to_address is None:
        holders = _holders_directly(question, known)
    candidates = merge([c for holder in holders for c in _candidates(question, holder, known, limit)])
    if len({c.holder for c in candidates}) > 1:
        for candidate in candidates:
            candidate.weaken(Certainty.SEVERAL, "more than one holder fits the question")
    for candidate in candidates if known.may_lack_open else ():
        candidate.weaken(Certainty.ASSUMED, NOT_ALL_CARRIED)
    if candidates:
        return Answer(weakest([c.certainty for c in candidates]), candidates)
    return _nobody(question, known, limit)


def _limit(question: Question, known: Known) -> _Limit:
    start, end = question.window
    if start < known.expired_before_ns:
        return Certainty.EXPIRED, "records of that time are past their retention period"
    if _touches(known.purged, start, end):
        return Certainty.EXPIRED, "records of that day were purged; only what a hold keeps is left"
    if known.losses:
        loss = known.losses[0]
        return Certainty.NOT_RECEIVED, f"{loss['how']} at {loss['listener'] or 'a receiver'} touches the interval"
    if _touches(known.unindexed, start, end):
        return Certainty.PENDING, "the index of that day was dropped to make room; `phayan reindex` brings it back"
    if end > known.indexed_until_ns:
        return Certainty.PENDING, "not everything received until then is indexed yet"
    if known.reports_at_end and end + FLOW_REPORT_NS > known.indexed_until_ns:
        return Certainty.PENDING, "a source here reports a connection only when it has ended"
    return Certainty.EXACT, ""


def _touches(intervals: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    return any(start <= last and first <= end for first, last in intervals)


def _under(limit: _Limit, certainty: Certainty, why: str) -> _Limit:
    """A step's own certainty and reason, or the limit where that is weaker."""
    return limit if weakest([certainty, limit[0]]) != certainty else (certainty, why)


def _absent(limit: _Limit, why: str) -> _Limit:
    """A step for which no record is found: while some may be missing nobody can say that no source carries it."""
    return (Certainty.CANNOT_KNOW, why) if limit[0] == Certainty.EXACT else limit


def _nobody(question: Question, known: Known, limit: _Limit) -> Answer:
    reported = known.reports_outside or known.knows_inside
    address = question.address
    if limit[0] == Certainty.EXPIRED:
        return Answer(limit[0], [], limit[1])
    if known.carrier is not None and not reported:
        return Answer(Certainty.NOT_OURS, [], "the address is a carrier's, which alone knows to whom it gave it then")
    if known.own_addresses is not None and not reported and _is_of_nobody_here(address, known.own_addresses):
        return Answer(Certainty.NOT_OURS, [], "the address is in no uplink's list")
    if limit[0] != Certainty.EXACT:
        return Answer(limit[0], [], limit[1])
    if not reported:
        return Answer(
            Certainty.CANNOT_KNOW, [], "no source reports translations of this address, and no session had it"
        )
    if known.may_lack_open:
        return Answer(Certainty.CANNOT_KNOW, [], NOT_ALL_CARRIED)
    return Answer(NO_RECORD, [], "everything received in this interval is indexed and nothing fits")


def _is_of_nobody_here(address: bytes | None, own: Container[bytes]) -> bool:
    """Whether no uplink lists an address of the internet; a private one may be of anybody behind them."""
    return address is not None and address not in own and not is_private(address)


def _holders_of_mappings(question: Question, known: Known, limit: _Limit) -> list[Holder]:
    start, end = question.window
    of_the_port = [m for m in known.mappings if question.is_about(m)]
    holders = []
    for mapping in of_the_port:
        if not question.may_lead_to(mapping):
            continue
        row = mapping.first
        alone = question.port is not None and all(_inside(m) == _inside(mapping) for m in of_the_port)
        certainty, why = _under(limit, *_mapping_certainty(question, mapping, alone=alone))
        ports = _outside_ports(mapping)
        port = None if ports in (ANY_PORT, (0, 0)) else "-".join(str(p) for p in dict.fromkeys(ports))
        outside = format_endpoint(row["outside_address"], port)
        proof = mapping.evidence()
        public = Step("public_address", outside, certainty, why, proof, mapping.start_ns, mapping.end_ns)
        named = format_endpoint(row["inside_address"], row["inside_port"])
        inside = Step("inside_address", named, Certainty.EXACT, "named by the translation", proof)
        seen = Seen(row["sender_address"], row["outside_address"])
        holders.append(Holder(*_inside(mapping), *mapping.overlap(start, end), (public, inside), seen))
    return holders


def _inside(mapping: Interval) -> tuple[str, bytes]:
    return mapping.first["realm"], mapping.first["inside_address"]


def _outside_ports(mapping: Interval) -> tuple[int, int]:
    return mapping.first["outside_port_low"], mapping.first["outside_port_high"]


def _mapping_certainty(question: Question, mapping: Interval, *, alone: bool) -> _Limit:
    if question.port is not None and _outside_ports(mapping) == ANY_PORT:
        return Certainty.CANNOT_KNOW, "the source does not report translated ports"
    if question.is_silent_on_destination(mapping) and not alone:
        return Certainty.CANNOT_KNOW, "the translation does not carry its destination"
    end_ns = mapping.overlap(*question.window)[1]
    if mapping.start_ns is None:
        return Certainty.ASSUMED, "the start of the translation was not recorded"
    if mapping.start_inferred and mapping.first["kind"] == "block":
        return Certainty.ASSUMED, "the source gives no exact times or ports of the block"
    if mapping.start_inferred:
        return Certainty.ASSUMED, "the source gives no exact times of the translation"
    if mapping.last_seen_ns >= end_ns:
        return Certainty.EXACT, "start and end of the translation are recorded"
    if mapping.end_ns is None:
        return Certainty.ASSUMED, "no end of the translation is recorded yet"
    if mapping.ended_why == "reopened":
        return Certainty.ASSUMED, "the end was not recorded; taken as the next use of the same port"
    return Certainty.ASSUMED, "the source gives no exact times of the translation"


def _holders_directly(question: Question, known: Known) -> list[Holder]:
    """The asked address is an inside address itself."""
    if question.address is None:
        return []
    found = {s.first["realm"] for s in known.sessions if s.first["address"] == question.address}
    realms = sorted(realm for realm in found if question.realm in (None, realm))
    return [Holder(realm, question.address, *question.window) for realm in realms]


def _candidates(question: Question, holder: Holder, known: Known, limit: _Limit) -> list[Candidate]:
    sessions = [
        s
        for s in known.sessions
        if (s.first["realm"], s.first["address"]) == (holder.realm, holder.address)
        and s.overlaps(holder.start_ns, holder.end_ns)
    ]
    if not sessions and holder.steps:
        step = Step("session", "", *_absent(limit, "no log-in is recorded for this inside address then"))
        return [Candidate(holder.realm, holder.address, [*holder.steps, step], seen=holder.seen)]
    return [_candidate_of_session(question, holder, session, known.identities, limit) for session in sessions]


def _session_certainty(session: Interval, holder: Holder) -> _Limit:
    start_ns, end_ns = holder.start_ns, holder.end_ns
    if session.start_ns is None or session.start_inferred:
        return Certainty.ASSUMED, "no log-in was recorded, only later signs of the session"
    if not holder.steps:
        # Asked for an inside address: the session's own bounds are the answer, the window only selects.
        start_ns, end_ns = session.overlap(start_ns, end_ns)
    if session.start_ns > start_ns:
        return Certainty.ASSUMED, "the session began after the translation did"
    if session.address_from_ns is None or session.address_from_ns > start_ns:
        return Certainty.ASSUMED, "the address of the session was reported only later"
    if session.end_ns is not None and not session.end_inferred:
        if session.end_ns < end_ns:
            return Certainty.ASSUMED, "the session ended before the translation did"
        return Certainty.EXACT, "log-in and log-out enclose the interval"
    if session.last_seen_ns >= end_ns:
        return Certainty.EXACT, "log-in before and a sign of the session after the interval"
    if session.end_ns is not None:
        return Certainty.ASSUMED, "no log-out was recorded; taken as ended when the device began anew"
    return Certainty.ASSUMED, "no log-out or later sign of the session is recorded yet"


def _candidate_of_session(
    question: Question, holder: Holder, session: Interval, identities: list[Row], limit: _Limit
) -> Candidate:
    row, proof, exact = session.first, session.evidence(), Certainty.EXACT
    asked = Step("inside_address", format_address(holder.address), exact, "the address asked for", proof)
    found = Candidate(holder.realm, holder.address, list(holder.steps) or [asked])
    found.device, found.seen = row["station"] or None, holder.seen
    certainty, why = _under(limit, *_session_certainty(session, holder))
    found.steps.append(Step("session", row["session_id"], certainty, why, proof, session.start_ns, session.end_ns))
    if row["station"]:
        note = (
            "randomised: it identifies nothing beyond this session" if _is_randomised(row["station"]) else "as reported"
        )
        found.steps.append(Step("device", row["station"], exact, note, proof))
    if not row["account"]:
        found.steps.append(Step("account", "", *_absent(limit, "no account is recorded for this session")))
        return found
    found.account = row["account"]
    found.steps.append(Step("account", row["account"], exact, "the account that logged in", proof))
    as_of_ns = min(max(question.at_unix_ns, holder.start_ns), holder.end_ns)
    known_as = _person_as_of(row["account"], as_of_ns, identities)
    found.person = known_as["person"] if known_as else _person_in_session(row)
    if found.person:
        why = "as recorded for the account at that time" if known_as else "as the directory named the account at log-in"
        found.steps.append(Step("person", found.person, exact, why, evidence_of(known_as) if known_as else proof))
    else:
        found.steps.append(Step("person", "", *_absent(limit, "no identity is recorded for this account at that time")))
    return found


def _person_as_of(account: str, at_ns: int, identities: list[Row]) -> Row | None:
    rows = [r for r in identities if r["account"] == account and r["person"] and r["time_unix_ns"] <= at_ns]
    return max(rows, key=lambda r: (r["time_unix_ns"], *place_in_logs(r)), default=None)


def _person_in_session(row: Row) -> str | None:
    details: Any = row.get("details_object") or {}
    person = details.get("person") if isinstance(details, dict) else None
    return person if isinstance(person, str) and person else None


def _is_randomised(station: str) -> bool:
    """Locally administered address: second hexadecimal digit 2, 6, a or e."""
    return len(station) > 1 and station[1].lower() in "26ae"
