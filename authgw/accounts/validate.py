"""What may be written about a person. Pure; a refusal is one sentence in English and one in Thai."""

import unicodedata
from datetime import UTC, datetime

from authgw.errors import AccountError

MAX_TEXT_CHARACTERS = 200
"""A Thai name with ranks and an office's title fits; a page of text does not belong here."""


def check_text(text: str) -> str:
    """Trimmed NFC text without control characters, possibly empty. Raises AccountError `bad_text`."""
    normal = unicodedata.normalize("NFC", text).strip()
    if len(normal) > MAX_TEXT_CHARACTERS or any(unicodedata.category(c) in ("Cc", "Cs") for c in normal):
        raise AccountError(
            f"A text has at most {MAX_TEXT_CHARACTERS} characters and no control characters.",
            code="bad_text",
            message_th=f"ข้อความยาวไม่เกิน {MAX_TEXT_CHARACTERS} ตัวอักษร และไม่มีอักขระควบคุม",
        )
    return normal


def check_person(person: str) -> str:
    """The person's name. Raises AccountError `person_missing` when empty: there are no accounts of nobody."""
    normal = check_text(person)
    if not normal:
        raise AccountError(
            "An account needs the name of the person it belongs to.",
            code="person_missing",
            message_th="บัญชีต้องระบุชื่อบุคคลเจ้าของบัญชี",
        )
    return normal


def check_proof(how: str, by: str, when: str, now_unix_ns: int) -> dict[str, str]:
    """The three columns of the proof of identity. An empty `when` is today (UTC); it may not lie in the
    future."""
    how, by, when = check_text(how), check_text(by), check_text(when)
    if not how or not by:
        raise AccountError(
            "State how the person was identified and by whom.",
            code="proof_missing",
            message_th="ต้องระบุว่ายืนยันตัวบุคคลด้วยวิธีใด และใครเป็นผู้ยืนยัน",
        )
    now = datetime.fromtimestamp(now_unix_ns / 1e9, UTC)
    if not when:
        return {"identified_how": how, "identified_by": by, "identified_when": now.date().isoformat()}
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        moment = None
    # A date without offset is site time, at most 14 hours ahead of UTC; the day after that is a typing error.
    if moment is None or (moment.date() - now.date()).days > 1:
        raise AccountError(
            "The day of identification is a past date, written like 2026-11-20.",
            code="bad_date",
            message_th="วันที่ยืนยันตัวบุคคลต้องไม่เป็นอนาคต และเขียนแบบ 2026-11-20 (ปี ค.ศ.)",
        )
    return {"identified_how": how, "identified_by": by, "identified_when": when}
