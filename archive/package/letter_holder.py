"""How, when and by whom each holder was identified, the kind of login, and the device, as far as the records of the
package say. Pure."""

import json
from typing import Any

from archive.package.content import IndexRow, PackageContent
from archive.package.letter_blocks import Block, Facts, Paragraph, Section
from archive.package.letter_words import Pair, given, joined, moment_ns, name, same, text, word

PROOF = ("identified_how", "identified_when", "identified_by")
"""Of an identity record's details (authgw writes them), in the order printed."""
DEVICE_EVENTS = "device_"
"""Events of stream identity about a device begin so and name it in `station`."""


def identified_section(content: PackageContent) -> Section:
    candidates = content.answer["candidates"]
    blocks: list[Block] = [Paragraph(text("identified"))]
    for number, candidate in enumerate(candidates, 1):
        title = name("candidate", number=number, count=len(candidates))
        blocks.append(Facts(_facts(content, candidate), title))
    return Section(word("sections", "identified"), blocks)


def details_of(row: IndexRow) -> dict[str, Any]:
    """The JSON object of a row's `details`; empty where there is none."""
    try:
        found = json.loads(row.values.get("details") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _facts(content: PackageContent, candidate: dict[str, Any]) -> list[tuple[Pair, Pair]]:
    rows = [row for record in content.records for row in record.rows]
    account, device = candidate["account"], candidate["device"]
    identity = [row for row in rows if row.table == "identity" and account and row.values["account"] == account]
    sessions = [row for row in rows if row.table == "sessions" and account and row.values["account"] == account]
    facts = [
        (name("person"), given(candidate["person"])),
        (name("account"), given(account)),
        *((name(code), given(_proof(identity, code))) for code in PROOF),
    ]
    for row in sorted(identity, key=lambda one: one.values["time"]):
        said = joined(
            same(row.values["event"]), same(row.values["person"]), same(row.values["actor"]),
            moment_ns(row.values["time"], content.facts.zone),
        )  # fmt: skip
        facts.append((name("identity_event"), said))
    kinds = dict.fromkeys(row.values["kind"] for row in sessions)
    sources = dict.fromkeys(str(details_of(row).get("source") or "") for row in sessions)
    facts += [
        (name("login_kind"), joined(*(word("login", kind) for kind in kinds)) if kinds else name("not_recorded")),
        (name("login_source"), given(", ".join(filter(None, sources)))),
        (name("device"), given(device)),
        (name("device_state"), given(_device_state(rows, device))),
    ]
    return facts


def _proof(identity: list[IndexRow], code: str) -> str:
    """The newest statement of a part of the proof of identity."""
    for row in sorted(identity, key=lambda one: one.values["time"], reverse=True):
        details = details_of(row)
        changed = details.get("after")
        for place in (details, changed if isinstance(changed, dict) else {}):
            if place.get(code):
                return str(place[code])
    return ""


def _device_state(rows: list[IndexRow], device: str | None) -> str:
    """What identity records say of the device: own, shared, lent, lost."""
    said = []
    for row in rows:
        if row.table != "identity" or not str(row.values["event"]).startswith(DEVICE_EVENTS):
            continue
        details = details_of(row)
        if device and str(details.get("station", "")).lower() == device.lower():
            said.append(" ".join(filter(None, (row.values["event"], str(details.get("state") or "")))))
    return ", ".join(dict.fromkeys(said))
