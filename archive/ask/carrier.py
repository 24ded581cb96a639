"""What to do about an address that a carrier gives to many customers at once. Pure."""

from datetime import UTC, datetime
from typing import Any

from archive.addresses import format_endpoint
from archive.ask.services import PROTOCOL_NAMES
from archive.attribution.facts_at import Carrier
from archive.attribution.question import NS, Question
from archive.time_text import format_iso


def carrier_to_json(question: Question, carrier: Carrier | None, zone: str) -> dict[str, Any] | None:
    """The `carrier` object of docs/CONTRACT.md: our own addresses towards it at that time, and what to ask it."""
    if carrier is None or question.address is None:
        return None
    protocol = "" if question.protocol is None else PROTOCOL_NAMES.get(question.protocol, str(question.protocol))
    what = " ".join(part for part in (format_endpoint(question.address, question.port), protocol) if part)
    to = format_endpoint(question.to_address, question.to_port) if question.to_address else ""
    at, own = format_iso(question.at_unix_ns, zone), ", ".join(carrier.own)
    utc = datetime.fromtimestamp(question.at_unix_ns // NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    english = [
        f"Ask {carrier.uplink} which of its customers' addresses and ports was behind {what}"
        f"{f' towards {to}' if to else ''} at {at} ({utc})."
    ]
    thai = [
        f"โปรดถาม {carrier.uplink} ว่าที่อยู่และพอร์ตใดของลูกค้าอยู่หลัง {what}{f' ที่ติดต่อไปยัง {to}' if to else ''} เมื่อ {at} ({utc})"
    ]
    if question.port is None:
        english.append("A carrier needs the port as well: ask for it whoever gave you the address.")
        thai.append("ผู้ให้บริการต้องใช้หมายเลขพอร์ตด้วย โปรดขอจากผู้ที่แจ้งที่อยู่นี้")
    if own:
        english.append(f"Our own address towards it was {own}. Then ask here for that address and the port it names.")
        thai.append(f"ที่อยู่ของหน่วยงานที่ติดต่อกับผู้ให้บริการคือ {own} จากนั้นถามที่นี่อีกครั้งด้วยที่อยู่นั้นและพอร์ตที่ได้รับแจ้ง")
    else:
        english.append("Then ask here for our own address and the port it names.")
        thai.append("จากนั้นถามที่นี่อีกครั้งด้วยที่อยู่ของหน่วยงานและพอร์ตที่ได้รับแจ้ง")
    return {
        "uplink": carrier.uplink,
        "own_addresses": list(carrier.own),
        "ask": {"en": " ".join(english), "th": " ".join(thai)},
        "log": carrier.evidence.log,
        "leaf_index": carrier.evidence.leaf_index,
        "row": carrier.evidence.row,
    }
