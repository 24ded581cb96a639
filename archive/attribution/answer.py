"""From a question and what is known to candidates, each step with its certainty and the record behind it. Pure.

No text here says that a person did something: an account was logged in, an address was held.
"""

from dataclasses import dataclass, field
from typing import Any

from archive.addresses import format_address, format_endpoint
from archive.attribution.certainty import NO_RECORD, Certainty, weakest
from archive.attribution.intervals import Evidence, Interval, Row, evidence_of
from archive.attribution.question import Known, Question


@dataclass(frozen=True)
class Step:
    """One link of the chain. `value` is what it found; `start_ns`/`end_ns` None means not recorded."""

    step: str
    value: str
    certainty: Certainty
    why: str
    evidence: Evidence | None = None
    start_ns: int | None = None
    end_ns: int | None = None


@dataclass
class Candidate:
    """Somebody who fits. `certainty` is that of the weakest step."""

    steps: list[Step] = field(default_factory=list)
    account: str | None = None
    person: str | None = None
    device: str | None = None

    @property
    def holder(self) -> str:
        """The account, or the inside address where no account is known: who counts as one holder."""
        inside = next((s.value for s in self.steps if s.step == "inside_address"), "")
        return f"account {self.account}" if self.account else f"address {inside}"

    @property
    def certainty(self) -> Certainty:
        return weakest([step.certainty for step in self.steps])


@dataclass
class Answer:
    """All candidates; `verdict` is a Certainty or `no_record`."""

    verdict: str
    candidates: list[Candidate]
    why: str = ""


@dataclass(frozen=True)
class _Holder:
    """An inside address over the part of the window in which it held what was asked for."""

    realm: str
    address: bytes
    start_ns: int
    end_ns: int
    steps: tuple[Step, ...] = ()


def answer(question: Question, known: Known) -> Answer:
    """Attribute. Steps: outside address (if a translation applies), inside address, session, device, account, person."""
    ceiling, why = _ceiling(question, known)
    holders = _holders_of_mappings(question, known, ceiling, why)
    if not holders and question.address is not None and question.to_address is None:
        holders = _holders_directly(question, known)
    candidates = [c for holder in holders for c in _candidates(holder, known, ceiling, why)]
    candidates = _merge(candidates)
    if len({c.holder for c in candidates}) > 1:
        for candidate in candidates:
            _weaken(candidate, Certainty.SEVERAL, "more than one holder fits the question")
    if candidates:
        return Answer(weakest([c.certainty for c in candidates]), candidates)
    return _nobody(question, known, ceiling, why)


def _ceiling(question: Question, known: Known) -> tuple[Certainty, str]:
    """What no answer about this window can exceed. The tolerance behind the moment may still be in the future, which
    nobody can index, so the moment itself decides on `pending`."""
    if known.losses:
        loss = known.losses[0]
        return (
            Certainty.NOT_RECEIVED,
            f"{loss['how']} at {loss['listener'] or 'a receiver'} touches the interval",
        )
    if question.at_unix_ns > known.indexed_until_ns:
        return Certainty.PENDING, "not everything received until then is indexed yet"
    return Certainty.EXACT, ""


def _nobody(question: Question, known: Known, ceiling: Certainty, why: str) -> Answer:
    start, _ = question.window
    if start < known.expired_before_ns:
        return Answer(Certainty.EXPIRED, [], "records of that time are past their retention period")
    if ceiling != Certainty.EXACT:
        return Answer(ceiling, [], why)
    address = question.address
    if address is not None and known.own_addresses is not None and address not in known.own_addresses:
        if not known.reports_outside and not known.knows_inside:
            return Answer(Certainty.NOT_OURS, [], "the address is in no uplink's list")
    if not known.reports_outside and not known.knows_inside:
        return Answer(
            Certainty.CANNOT_KNOW, [], "no source reports translations of this address, and no session had it"
        )
    return Answer(NO_RECORD, [], "everything received in this interval is indexed and nothing fits")


def _holders_of_mappings(question: Question, known: Known, ceiling: Certainty, why: str) -> list[_Holder]:
    start, end = question.window
    fitting = [m for m in known.mappings if m.overlaps(start, end)]
    holders = []
    for mapping in fitting:
        row = mapping.first
        certainty, reason = _mapping_certainty(mapping, start, end)
        if ceiling != Certainty.EXACT:
            certainty, reason = weakest([certainty, ceiling]), why
        ports = f"{row['outside_port_low']}"
        if row["outside_port_high"] != row["outside_port_low"]:
            ports += f"-{row['outside_port_high']}"
        step = Step(
            "public_address",
            format_endpoint(row["outside_address"], ports),
            certainty,
            reason,
            mapping.evidence(),
            mapping.start_ns,
            mapping.end_ns,
        )
        from_ns, to_ns = mapping.overlap(start, end)
        inside = Step(
            "inside_address",
            format_endpoint(row["inside_address"], row["inside_port"]),
            Certainty.EXACT,
            "named by the translation",
            mapping.evidence(),
        )
        holders.append(_Holder(row["realm"], row["inside_address"], from_ns, to_ns, (step, inside)))
    return holders


def _mapping_certainty(mapping: Interval, start: int, end: int) -> tuple[Certainty, str]:
    if mapping.start_ns is None:
        return Certainty.ASSUMED, "the start of the translation was not recorded"
    if mapping.end_ns is None and mapping.last_seen_ns < mapping.overlap(start, end)[1]:
        return Certainty.ASSUMED, "no end of the translation is recorded yet"
    if mapping.ended_why == "reopened":
        return Certainty.ASSUMED, "the end was not recorded; taken as the next use of the same port"
    return Certainty.EXACT, "start and end of the translation are recorded"


def _holders_directly(question: Question, known: Known) -> list[_Holder]:
    """The asked address is an inside address itself."""
    start, end = question.window
    if question.address is None:
        return []
    realms = sorted({s.first["realm"] for s in known.sessions if s.first["address"] == question.address})
    return [_Holder(realm, question.address, start, end) for realm in realms]


def _candidates(holder: _Holder, known: Known, ceiling: Certainty, why: str) -> list[Candidate]:
    sessions = [
        s
        for s in known.sessions
        if s.first["realm"] == holder.realm
        and s.first["address"] == holder.address
        and s.overlaps(holder.start_ns, holder.end_ns)
    ]
    if not sessions:
        if not holder.steps:
            return []
        step = Step("session", "", Certainty.CANNOT_KNOW, "no log-in is recorded for this inside address then")
        return [Candidate([*holder.steps, step])]
    result = []
    for session in sessions:
        certainty, reason = _session_certainty(session, holder)
        if ceiling != Certainty.EXACT:
            certainty, reason = weakest([certainty, ceiling]), why
        result.append(_candidate_of_session(holder, session, certainty, reason, known.identities))
    return result


def _session_certainty(session: Interval, holder: _Holder) -> tuple[Certainty, str]:
    if session.start_ns is None:
        return Certainty.ASSUMED, "no log-in was recorded, only later signs of the session"
    if not holder.steps:
        # Asked for an inside address: the session's own bounds are the answer, the window only selects.
        holder = _Holder(holder.realm, holder.address, *session.overlap(holder.start_ns, holder.end_ns))
    if session.start_ns > holder.start_ns:
        return Certainty.ASSUMED, "the session began after the translation did"
    if session.end_ns is not None:
        if session.ended_why in ("reopened", "nas_restart"):
            return Certainty.ASSUMED, "no log-out was recorded; taken as ended when the device began anew"
        if session.end_ns < holder.end_ns:
            return Certainty.ASSUMED, "the session ended before the translation did"
        return Certainty.EXACT, "log-in and log-out enclose the interval"
    if session.last_seen_ns >= holder.end_ns:
        return Certainty.EXACT, "log-in before and a sign of the session after the interval"
    return Certainty.ASSUMED, "no log-out or later sign of the session is recorded yet"


def _candidate_of_session(
    holder: _Holder, session: Interval, certainty: Certainty, reason: str, identities: list[Row]
) -> Candidate:
    row = session.first
    steps = list(holder.steps) or [
        Step(
            "inside_address",
            format_address(holder.address),
            Certainty.EXACT,
            "the address asked for",
            session.evidence(),
        )
    ]
    steps.append(
        Step(
            "session",
            row["session_id"],
            certainty,
            reason,
            session.evidence(),
            session.start_ns,
            session.end_ns,
        )
    )
    if row["station"]:
        note = (
            "randomised: it identifies nothing beyond this session" if _is_randomised(row["station"]) else "as reported"
        )
        steps.append(Step("device", row["station"], Certainty.EXACT, note, session.evidence()))
    steps.append(Step("account", row["account"], Certainty.EXACT, "the account that logged in", session.evidence()))
    known_as = _person_as_of(row["account"], holder.end_ns, identities)
    person = known_as["person"] if known_as else _person_in_session(row)
    if person:
        why = "as recorded for the account at that time" if known_as else "as the directory named the account at log-in"
        proof = evidence_of(known_as) if known_as else session.evidence()
        steps.append(Step("person", person, Certainty.EXACT, why, proof))
    else:
        steps.append(Step("person", "", Certainty.CANNOT_KNOW, "no identity is recorded for this account at that time"))
    return Candidate(steps, row["account"], person, row["station"] or None)


def _person_as_of(account: str, at_ns: int, identities: list[Row]) -> Row | None:
    rows = [r for r in identities if r["account"] == account and r["person"] and r["time_unix_ns"] <= at_ns]
    return max(rows, key=lambda r: (r["time_unix_ns"], r["leaf_index"], r["row"]), default=None)


def _person_in_session(row: Row) -> str | None:
    details: Any = row.get("details_object") or {}
    person = details.get("person") if isinstance(details, dict) else None
    return person if isinstance(person, str) and person else None


def _is_randomised(station: str) -> bool:
    """Locally administered address: second hexadecimal digit 2, 6, a or e."""
    return len(station) > 1 and station[1].lower() in "26ae"


def _merge(candidates: list[Candidate]) -> list[Candidate]:
    """One candidate per account, session and inside address; the first mapping's steps stand for the others."""
    kept: dict[tuple[str, ...], Candidate] = {}
    for candidate in candidates:
        key = tuple(f"{s.step}={s.value}" for s in candidate.steps)
        known = kept.get(key)
        if known is None or _rank(candidate) < _rank(known):
            kept[key] = candidate
    return list(kept.values())


def _rank(candidate: Candidate) -> int:
    return list(Certainty).index(candidate.certainty)


def _weaken(candidate: Candidate, certainty: Certainty, why: str) -> None:
    first = candidate.steps[0]
    if weakest([first.certainty, certainty]) != first.certainty:
        candidate.steps[0] = Step(first.step, first.value, certainty, why, first.evidence, first.start_ns, first.end_ns)
