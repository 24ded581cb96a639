"""Reading the arguments of requests about cases and holds. Each refusal is one sentence in both languages."""

from collections.abc import Mapping
from typing import Any

from archive.cases.due import DEFAULT_DUE_DAYS, MAX_DUE_DAYS, MIN_DUE_DAYS
from archive.cases.errors import CaseError
from archive.cases.legal import Ground, LegalTexts
from archive.cases.register import CASE_TEXTS, Case
from archive.cases.scope_text import day_bounds_ns, is_day, parse_scope
from archive.errors import ArchiveFormatError
from archive.time_text import parse_time

MAX_TEXT_CHARACTERS = 500
"""Of one field: a title, a number, a reason."""
NAMES = {
    "title": ("title", "ชื่อเรื่อง"),
    "letter": ("number of the letter", "เลขหนังสือ"),
    "officer": ("name of who asks", "ชื่อผู้ขอ"),
    "unit": ("unit of who asks", "หน่วยงานของผู้ขอ"),
    "reason": ("reason", "เหตุผล"),
    "order_number": ("number of the order", "เลขคำสั่ง"),
    "to": ("name of who received it", "ชื่อผู้รับมอบ"),
    "how": ("way of handing over", "วิธีส่งมอบ"),
}


def text_of(arguments: Mapping[str, Any], name: str, *, is_needed: bool = False) -> str:
    """A trimmed text; empty where it is not given. Raises CaseError."""
    value = arguments.get(name)
    english, thai = NAMES.get(name, (name, name))
    if value is not None and not isinstance(value, str):
        raise CaseError(f"the {english} is text", f"{thai} ต้องเป็นข้อความ")
    text = " ".join((value or "").split())
    if len(text) > MAX_TEXT_CHARACTERS:
        raise CaseError(
            f"the {english} has {len(text)} characters; at most {MAX_TEXT_CHARACTERS}",
            f"{thai}ยาวเกิน {MAX_TEXT_CHARACTERS} ตัวอักษร",
        )
    if is_needed and not text:
        raise CaseError(f"the {english} is missing", f"ต้องระบุ{thai}")
    return text


def moment_of(given: Any, name: str, now_unix_ns: int, zone: str, *, last: bool = False) -> int:
    """A moment; of a day alone its first nanosecond, or its `last` one. Raises CaseError."""
    text = str(given).strip()
    try:
        if is_day(text):
            return day_bounds_ns(text, zone)[1 if last else 0]
        return parse_time(text, now_unix_ns=now_unix_ns, zone=zone)
    except (ArchiveFormatError, OverflowError) as error:
        raise CaseError(f"{name}: {error}", f"อ่านเวลา “{text[:40]}” ไม่ได้", code="bad_time") from error


def case_values(
    arguments: Mapping[str, Any],
    texts: LegalTexts,
    now_unix_ns: int,
    zone: str,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Values of `case_opened`; with `before`, those of a case with what `arguments` change. Raises CaseError."""
    given = {**(before or {}), **{k: v for k, v in arguments.items() if v is not None}}
    values: dict[str, Any] = {name: text_of(given, name) for name in CASE_TEXTS}
    ground = texts.grounds.get(values["ground"])
    if ground is None:
        valid = ", ".join(texts.grounds)
        raise CaseError(f"ground {values['ground']!r}; valid are {valid}", f"เหตุที่ขอไม่ถูกต้อง ใช้ได้: {valid}")
    for name in ("title", "officer", *(("letter", "unit") if ground.needs_letter else ())):
        text_of(given, name, is_needed=True)
    values["legal_items"] = _legal_items(given.get("legal_items"), texts, ground)
    _check_court_order(values, texts)
    values["due_days"] = _due_days(given.get("due_days"))
    values["received_unix_ns"] = str(_received(given, now_unix_ns, zone))
    scope = given.get("scope")
    if scope is None and not ground.needs_scope:
        values["scope"] = None
    else:
        values["scope"] = parse_scope(scope, now_unix_ns=now_unix_ns, zone=zone).to_json(zone)
    return values


def values_of(case: Case, zone: str) -> dict[str, Any]:
    """The values that `case_opened` would have for a case as it stands."""
    texts: dict[str, Any] = {name: getattr(case, name) for name in CASE_TEXTS}
    return texts | {
        "legal_items": list(case.legal_items),
        "due_days": case.due_days,
        "received_unix_ns": str(case.received_unix_ns),
        "scope": case.scope.to_json(zone) if case.scope else None,
    }


def _received(given: Mapping[str, Any], now_unix_ns: int, zone: str) -> int:
    if given.get("received"):
        moment = moment_of(given["received"], "received", now_unix_ns, zone)
    else:
        moment = int(given.get("received_unix_ns") or now_unix_ns)
    if not 0 < moment <= now_unix_ns:
        raise CaseError("the letter was received later than now", "วันที่รับหนังสืออยู่หลังเวลาปัจจุบัน", code="bad_time")
    return moment


def _due_days(given: Any) -> int:
    text = str(DEFAULT_DUE_DAYS if given in (None, "") else given)
    if not (text.isascii() and text.isdigit() and len(text) < 4 and MIN_DUE_DAYS <= int(text) <= MAX_DUE_DAYS):
        raise CaseError(
            f"{text[:20]!r} days; valid are {MIN_DUE_DAYS} to {MAX_DUE_DAYS}",
            f"จำนวนวันต้องอยู่ระหว่าง {MIN_DUE_DAYS} ถึง {MAX_DUE_DAYS}",
        )
    return int(text)


def _legal_items(given: Any, texts: LegalTexts, ground: Ground) -> list[int]:
    found: set[int] = set()
    for one in given if isinstance(given, list | tuple) else []:
        text = str(one)
        if not (text.isascii() and text.isdigit() and len(text) < 3 and int(text) in texts.items):
            valid = ", ".join(map(str, texts.items))
            raise CaseError(f"legal item {text[:20]!r}; valid are {valid}", f"ข้อกฎหมายไม่ถูกต้อง ใช้ได้: {valid}")
        found.add(int(text))
    if ground.needs_items and not found:
        raise CaseError(
            "the request names no item of section 18; `phayan cases legal-items` lists them",
            "ต้องระบุข้อของมาตรา 18 ดูรายการได้ด้วย `phayan cases legal-items`",
        )
    return sorted(found)


def _check_court_order(values: Mapping[str, Any], texts: LegalTexts) -> None:
    needed = texts.needs_court_order(tuple(values["legal_items"]))
    if needed and not values["court_order"] and not values["override_reason"]:
        english, thai = texts.shown(texts.notes["court_order"])
        listed = ", ".join(map(str, needed))
        raise CaseError(
            f"item {listed} without the number of a court order: {english}; give it, or a reason to go on without",
            f"ข้อ {listed} ยังไม่มีเลขคำสั่งศาล: {thai} โปรดระบุเลขคำสั่งศาล หรือเหตุผลที่ดำเนินการโดยไม่มี",
            code="court_order_missing",
        )
