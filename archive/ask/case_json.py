"""Cases and holds as the JSON objects of docs/CONTRACT.md. Pure."""

from collections.abc import Iterable
from typing import Any

from archive.cases.due import due_of
from archive.cases.events import CaseEvent
from archive.cases.legal import LegalTexts
from archive.cases.register import Case, Hold
from archive.time_text import format_iso

CASE_FORMAT = 1
HOLD_FORMAT = 1


def case_to_json(case: Case, texts: LegalTexts, holds: Iterable[Hold], now_unix_ns: int, zone: str) -> dict[str, Any]:
    """The case object without its history."""
    due = due_of(case.received_unix_ns, case.due_days, zone)
    ground = texts.grounds.get(case.ground)
    ground_texts = texts.shown(ground) if ground else ("", "")
    return {
        "format": CASE_FORMAT,
        "id": case.id,
        "state": case.state,
        "title": case.title,
        "letter": case.letter,
        "officer": case.officer,
        "unit": case.unit,
        "ground": {
            "code": case.ground,
            "en": ground_texts[0],
            "th": ground_texts[1],
            "allows_package": ground is not None and ground.allows_package,
        },
        "legal_items": [_item(texts, number) for number in case.legal_items],
        "court_order": case.court_order,
        "override_reason": case.override_reason,
        "received": format_iso(case.received_unix_ns, zone),
        "due": format_iso(due.unix_ns, zone),
        "due_day": due.day.isoformat(),
        "working_day_before": due.working_day_before.isoformat() if due.working_day_before else None,
        "is_overdue": case.is_waiting and due.is_overdue(now_unix_ns),
        "scope": case.scope.to_json(zone) if case.scope else None,
        "opened": format_iso(case.opened_unix_ns, zone),
        "opened_by": case.opened_by,
        "approved": _moment(case.approved_unix_ns, zone),
        "approved_by": case.approved_by or None,
        "one_person": case.one_person,
        "ended": _moment(case.ended_unix_ns, zone),
        "ended_why": case.ended_why or None,
        "packages": [_told(event, zone) for event in case.packages],
        "hand_overs": [_told(event, zone) for event in case.hand_overs],
        "downloads": [_told(event, zone) for event in case.downloads],
        "holds": [hold.id for hold in holds if hold.case == case.id],
    }


def hold_to_json(hold: Hold, now_unix_ns: int, zone: str) -> dict[str, Any]:
    """The hold object without its history."""
    return {
        "format": HOLD_FORMAT,
        "id": hold.id,
        "kind": hold.kind,
        "state": hold.state(now_unix_ns),
        "order_number": hold.order_number,
        "officer": hold.officer,
        "unit": hold.unit,
        "scope": hold.scope.to_json(zone),
        "placed": format_iso(hold.placed_unix_ns, zone),
        "placed_by": hold.placed_by,
        "until": format_iso(hold.until_unix_ns, zone),
        "case": hold.case or None,
        "note": hold.note,
        "released": _moment(hold.released_unix_ns, zone),
        "released_by": hold.released_by or None,
        "release_reason": hold.release_reason or None,
        "one_person": hold.one_person,
    }


def history_to_json(events: Iterable[CaseEvent], zone: str) -> list[dict[str, Any]]:
    """Every change, oldest first."""
    return [
        {**_told(event, zone), "event": event.event, "number": event.number, "role": event.role} for event in events
    ]


def _told(event: CaseEvent, zone: str) -> dict[str, Any]:
    return {"time": format_iso(event.time_unix_ns, zone), "actor": event.actor, "values": event.values}


def _item(texts: LegalTexts, number: int) -> dict[str, Any]:
    item = texts.items.get(number)
    english, thai = texts.shown(item) if item else ("", "")
    return {"number": number, "en": english, "th": thai}


def _moment(moment_unix_ns: int, zone: str) -> str | None:
    return format_iso(moment_unix_ns, zone) if moment_unix_ns else None
