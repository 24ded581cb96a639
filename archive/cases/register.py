"""Cases and holds as the records tell. Pure: a fold of events in the order of their numbers.

An event that does not fit (a case that is not there, values of another shape) changes nothing and is counted: the
journal keeps it, and whoever reads it sees it.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from archive.cases.errors import CaseError
from archive.cases.events import CASE_EVENTS, CLOCK_CONFIRMED, HOLD_EVENTS, ONE_PERSON, CaseEvent
from archive.cases.scope import Scope
from archive.cases.scope_text import parse_scope

OPEN, APPROVED, REFUSED, CLOSED = "open", "approved", "refused", "closed"
IN_FORCE, RELEASED, EXPIRED = "in_force", "released", "expired"
HOLD_KINDS = ("order", "preserve")
CASE_TEXTS = ("title", "letter", "officer", "unit", "ground", "court_order", "override_reason")
"""Fields of a case that are plain text; a change may name any of them."""
MATERIAL = frozenset({"scope", "ground", "legal_items", "court_order", "override_reason", "letter"})
"""What an approval is about: whoever changes one of these ends the approval."""

DECIDING = frozenset({"case_approved", "hold_released", CLOCK_CONFIRMED})
"""Events by which records may leave or be purged: a line of the working copy alone is not enough for them."""


@dataclass(frozen=True)
class Case:
    """A request, who asks on what ground, and what became of it. Moments are nanoseconds since 1970. `scope` is None
    only where the ground allows no records at all."""

    id: str
    state: str
    title: str
    letter: str
    officer: str
    unit: str
    ground: str
    court_order: str
    override_reason: str
    legal_items: tuple[int, ...]
    received_unix_ns: int
    due_days: int
    scope: Scope | None
    opened_unix_ns: int
    opened_by: str
    changed_by: tuple[str, ...] = ()
    approved_by: str = ""
    approved_unix_ns: int = 0
    one_person: bool = False
    ended_unix_ns: int = 0
    ended_why: str = ""
    packages: tuple[CaseEvent, ...] = ()
    hand_overs: tuple[CaseEvent, ...] = ()
    downloads: tuple[CaseEvent, ...] = ()
    history: tuple[CaseEvent, ...] = ()

    @property
    def is_waiting(self) -> bool:
        """Whether the answer is still owed: neither refused, closed, nor handed over."""
        return self.state in (OPEN, APPROVED) and not self.hand_overs

    @property
    def requesters(self) -> frozenset[str]:
        """Who opened it or changed it since the last approval; none of them may approve it."""
        return frozenset({self.opened_by, *self.changed_by})

    @property
    def asked(self) -> CaseEvent:
        """The record that opened it or changed it last."""
        return next(event for event in reversed(self.history) if event.event in ("case_opened", "case_changed"))


@dataclass(frozen=True)
class Hold:
    """What may not be purged until `until_unix_ns`, or until it is released. `case` is empty where there is none."""

    id: str
    kind: str
    order_number: str
    officer: str
    unit: str
    scope: Scope
    placed_unix_ns: int
    placed_by: str
    until_unix_ns: int
    case: str = ""
    note: str = ""
    released_unix_ns: int = 0
    released_by: str = ""
    release_reason: str = ""
    one_person: bool = False
    history: tuple[CaseEvent, ...] = ()

    def state(self, at_unix_ns: int) -> str:
        """`in_force`, `released` or `expired` at a moment. A clock set back behind the placing ends nothing."""
        if self.released_unix_ns and self.released_unix_ns <= at_unix_ns:
            return RELEASED
        return EXPIRED if at_unix_ns > self.until_unix_ns else IN_FORCE


@dataclass
class Register:
    """Everything the records tell. `one_person` is the mode that was recorded last; `unfitting` counts records that
    changed nothing."""

    zone: str
    cases: dict[str, Case] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    clock_confirmed: list[CaseEvent] = field(default_factory=list)
    one_person: bool = False
    unfitting: int = 0

    def apply(self, event: CaseEvent) -> None:
        """Take one more record, which comes after all that were taken."""
        try:
            if event.event in CASE_EVENTS:
                self.cases[event.case] = _apply_case(self.cases.get(event.case), event, self.zone)
            elif event.event in HOLD_EVENTS:
                self.holds[event.hold] = _apply_hold(self.holds.get(event.hold), event, self.zone)
            elif event.event == CLOCK_CONFIRMED:
                self.clock_confirmed.append(event)
            elif event.event == ONE_PERSON:
                self.one_person = bool(event.values["one_person"])
        except (KeyError, TypeError, ValueError, AttributeError, CaseError):
            self.unfitting += 1

    def holds_in_force(self, at_unix_ns: int) -> list[Hold]:
        return [hold for _, hold in sorted(self.holds.items()) if hold.state(at_unix_ns) == IN_FORCE]


def fold_events(events: Iterable[CaseEvent], zone: str, proven: Container[tuple[int, int]] | None = None) -> Register:
    """The register of all `events`, each taken once; of DECIDING ones those whose key is `proven` (None: all)."""
    register = Register(zone)
    for key, event in sorted({event.key: event for event in events}.items()):
        if proven is None or event.event not in DECIDING or key in proven:
            register.apply(event)
    return register


def _apply_case(case: Case | None, event: CaseEvent, zone: str) -> Case:
    if event.event == "case_opened":
        if case is not None:
            raise ValueError("a case is opened once")
        return _opened(event, zone)
    if case is None:
        raise KeyError(event.case)
    case = replace(case, history=(*case.history, event))
    values, moment = event.values, event.time_unix_ns
    if event.event == "case_changed":
        changed = _changed(case, values, zone)
        return replace(changed, changed_by=(*case.changed_by, event.actor))
    if event.event == "case_approved":
        one_person = bool(values.get("one_person"))
        return replace(
            case, state=APPROVED, approved_by=event.actor, approved_unix_ns=moment, one_person=one_person, changed_by=()
        )
    if event.event in ("case_refused", "case_closed"):
        state = REFUSED if event.event == "case_refused" else CLOSED
        return replace(case, state=state, ended_unix_ns=moment, ended_why=str(values["reason"]))
    name = {"package_made": "packages", "handed_over": "hand_overs", "downloaded": "downloads"}[event.event]
    taken: dict[str, Any] = {name: (*getattr(case, name), event)}
    return replace(case, **taken)


def _opened(event: CaseEvent, zone: str) -> Case:
    values = event.values
    texts: dict[str, Any] = {name: str(values[name]) for name in CASE_TEXTS}
    return Case(
        **texts,
        id=event.case,
        state=OPEN,
        legal_items=tuple(int(item) for item in values["legal_items"]),
        received_unix_ns=int(values["received_unix_ns"]),
        due_days=int(values["due_days"]),
        scope=None if values["scope"] is None else _scope(values["scope"], zone),
        opened_unix_ns=event.time_unix_ns,
        opened_by=event.actor,
        history=(event,),
    )


def _changed(case: Case, values: dict[str, Any], zone: str) -> Case:
    given: dict[str, Any] = {name: str(values[name]) for name in CASE_TEXTS if name in values}
    if "legal_items" in values:
        given["legal_items"] = tuple(int(item) for item in values["legal_items"])
    for name in ("received_unix_ns", "due_days"):
        if name in values:
            given[name] = int(values[name])
    if "scope" in values:
        given["scope"] = None if values["scope"] is None else _scope(values["scope"], zone)
    if case.state == APPROVED and MATERIAL & values.keys():
        given |= {"state": OPEN, "approved_by": "", "approved_unix_ns": 0, "one_person": False}
    return replace(case, **given)


def _apply_hold(hold: Hold | None, event: CaseEvent, zone: str) -> Hold:
    values = event.values
    if event.event == "hold_placed":
        if hold is not None or values["kind"] not in HOLD_KINDS:
            raise ValueError("a hold is placed once")
        return Hold(
            id=event.hold,
            kind=values["kind"],
            order_number=str(values["order_number"]),
            officer=str(values["officer"]),
            unit=str(values["unit"]),
            scope=_scope(values["scope"], zone),
            placed_unix_ns=event.time_unix_ns,
            placed_by=event.actor,
            until_unix_ns=int(values["until_unix_ns"]),
            case=event.case,
            note=str(values.get("note", "")),
            history=(event,),
        )
    if hold is None:
        raise KeyError(event.hold)
    hold = replace(hold, history=(*hold.history, event))
    if event.event == "hold_extended":
        # An extension never ends a hold earlier, whatever it says.
        return replace(hold, until_unix_ns=max(hold.until_unix_ns, int(values["until_unix_ns"])))
    return replace(
        hold,
        released_unix_ns=event.time_unix_ns,
        released_by=event.actor,
        release_reason=str(values["reason"]),
        one_person=bool(values.get("one_person")),
    )


def _scope(given: Any, zone: str) -> Scope:
    # Records hold moments in full, so that "now" plays no part.
    return parse_scope(given, now_unix_ns=0, zone=zone)
