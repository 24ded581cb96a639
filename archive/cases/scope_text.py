"""Scopes as people and the contract write them. Pure.

Days without a time are whole days of the site (R55): `from` begins at midnight, `until` ends with the day's last
nanosecond.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from archive.cases.errors import CaseError
from archive.cases.scope import SCOPE_FORMAT, SUBJECT_KEYS, Scope, SubjectAddress
from archive.errors import ArchiveFormatError
from archive.time_text import parse_time

MAX_SUBJECTS = 500
"""Persons, accounts, addresses and devices of one scope together: a school class is 50, and one record holds them."""
MAX_SUBJECT_CHARACTERS = 200
MIN_MOMENT_NS = 0
MAX_MOMENT_NS = 2**62
"""Year 2116: what fits the index with room to add."""
NS = 1_000_000_000
_DAY = re.compile(r"\s*\d{4}-\d{1,2}-\d{1,2}\s*\Z", re.ASCII)
_STATION = re.compile(r"[0-9a-f]{12}\Z")
_REALM = re.compile(r"[a-z0-9_-]{1,32}\Z")


def parse_scope(given: Any, *, now_unix_ns: int, zone: str) -> Scope:
    """A scope as people and the contract write it. Raises CaseError `bad_scope` with one sentence.

    `addresses` are texts (`10.0.0.7`, `10.0.0.0/24@main`) or objects {network, realm}; moments as in
    `archive.time_text`, days alone are whole days.
    """
    if not isinstance(given, Mapping):
        raise _bad("a scope is an object with subjects, from and until", "ขอบเขตต้องระบุเรื่องที่ถามและช่วงเวลา")
    unknown = sorted(set(map(str, given)) - {*SUBJECT_KEYS, "from", "until", "format"})
    if unknown:
        raise _bad(
            f"a scope has no {unknown[0][:40]!r}; valid are {', '.join(SUBJECT_KEYS)}, from, until", "ขอบเขตมีช่องที่ไม่รู้จัก"
        )
    if given.get("format", SCOPE_FORMAT) != SCOPE_FORMAT:
        raise _bad(f"a scope of format {given['format']!r}; valid is {SCOPE_FORMAT}", "รูปแบบขอบเขตไม่รองรับ")
    start = _moment(given, "from", now_unix_ns, zone)
    end = _moment(given, "until", now_unix_ns, zone)
    scope = Scope(
        start,
        end,
        _sorted(_text(one) for one in _list(given, "persons")),
        _sorted(_text(one) for one in _list(given, "accounts")),
        tuple(sorted({_address(one) for one in _list(given, "addresses")})),
        _sorted(_station(one) for one in _list(given, "devices")),
    )
    check_scope(scope)
    return scope


def check_scope(scope: Scope) -> None:
    """Raises CaseError `bad_scope`."""
    count = sum(len(getattr(scope, key)) for key in SUBJECT_KEYS)
    if count == 0:
        raise _bad(
            "a scope names at least one person, account, address or device",
            "ขอบเขตต้องระบุบุคคล บัญชี ที่อยู่ IP หรืออุปกรณ์อย่างน้อยหนึ่งรายการ",
        )
    if count > MAX_SUBJECTS:
        raise _bad(f"{count} subjects; a scope has at most {MAX_SUBJECTS}", f"ขอบเขตมีได้ไม่เกิน {MAX_SUBJECTS} รายการ")
    if scope.from_unix_ns > scope.until_unix_ns:
        raise _bad("the scope begins after it ends", "เวลาเริ่มของขอบเขตอยู่หลังเวลาสิ้นสุด")


def day_bounds_ns(text: str, zone: str) -> tuple[int, int]:
    """First and last nanosecond of a day of the site, `2026-11-20` or `2569-11-20`. Raises ArchiveFormatError."""
    first = parse_time(text, now_unix_ns=0, zone=zone)
    day = datetime.fromtimestamp(first // NS, ZoneInfo(zone)).replace(tzinfo=None) + timedelta(days=1)
    return first, int(day.replace(tzinfo=ZoneInfo(zone)).timestamp()) * NS - 1


def is_day(text: str) -> bool:
    """Whether a text is a day without a time."""
    return _DAY.match(text) is not None


def _bad(english: str, thai: str) -> CaseError:
    return CaseError(english, thai, code="bad_scope")


def _sorted(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _list(given: Mapping[str, Any], key: str) -> list[Any]:
    value = given.get(key) or []
    if not isinstance(value, list | tuple):
        raise _bad(f"{key} of a scope is a list", "รายการในขอบเขตไม่ถูกต้อง")
    if len(value) > MAX_SUBJECTS:
        raise _bad(f"{len(value)} {key}; a scope has at most {MAX_SUBJECTS}", f"ขอบเขตมีได้ไม่เกิน {MAX_SUBJECTS} รายการ")
    return list(value)


def _text(value: Any) -> str:
    text = unicodedata.normalize("NFC", value.strip()) if isinstance(value, str) else ""
    if not text or len(text) > MAX_SUBJECT_CHARACTERS or not text.isprintable():
        raise _bad(
            f"{str(value)[:60]!r} is no name; valid are 1 to {MAX_SUBJECT_CHARACTERS} printable characters",
            "ชื่อบุคคลหรือบัญชีไม่ถูกต้อง",
        )
    return text


def _address(value: Any) -> SubjectAddress:
    if isinstance(value, Mapping):
        network, realm = value.get("network"), value.get("realm") or ""
    else:
        network, _, realm = str(value).partition("@")
    try:
        found = ipaddress.ip_network(str(network).strip())
    except ValueError:
        raise _bad(
            f"{str(value)[:80]!r} is no address or network; valid are 10.0.1.7, 10.0.1.0/24, 2001:db8::/32, "
            "with @REALM after it for one realm",
            "ที่อยู่ IP หรือเครือข่ายไม่ถูกต้อง เช่น 10.0.1.7 หรือ 10.0.1.0/24",
        ) from None
    if isinstance(found, ipaddress.IPv6Network) and found.network_address.scope_id is not None:
        raise _bad(f"{str(value)[:80]!r} names an interface of one machine", "ที่อยู่ IP ไม่ถูกต้อง")
    if realm and not _REALM.match(str(realm)):
        raise _bad(f"{str(realm)[:40]!r} is no realm; valid are a-z, 0-9, _ and -, at most 32", "ชื่อ realm ไม่ถูกต้อง")
    return SubjectAddress(str(found), str(realm))


def _station(value: Any) -> str:
    digits = re.sub(r"[:.\-]", "", str(value).strip().lower())
    if not _STATION.match(digits):
        raise _bad(
            f"{str(value)[:60]!r} is no device; valid is a MAC address, aa:bb:cc:dd:ee:ff", "เลข MAC ของอุปกรณ์ไม่ถูกต้อง"
        )
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


def _moment(given: Mapping[str, Any], key: str, now_unix_ns: int, zone: str) -> int:
    text = str(given.get(key) or "").strip()
    if not text:
        raise _bad(f"the scope has no {key!r}; valid is a day or a moment", "ขอบเขตต้องระบุเวลาเริ่มและเวลาสิ้นสุด")
    try:
        if is_day(text):
            moment = day_bounds_ns(text, zone)[0 if key == "from" else 1]
        else:
            moment = parse_time(text, now_unix_ns=now_unix_ns, zone=zone)
    except (ArchiveFormatError, OverflowError) as error:
        raise _bad(f"{key} of the scope: {error}", f"อ่านเวลา “{text[:40]}” ของขอบเขตไม่ได้") from error
    if not MIN_MOMENT_NS <= moment <= MAX_MOMENT_NS:
        raise _bad(f"{key} of the scope lies outside 1970 to 2116", "เวลาในขอบเขตอยู่นอกช่วงที่รองรับ")
    return moment
