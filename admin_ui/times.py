"""Moments as an operator types and reads them. ISO 8601 with offset in addresses; the Buddhist era only for display."""

import re
import time
from datetime import datetime
from zoneinfo import ZoneInfo

from archive.errors import ArchiveFormatError
from archive.time_text import THAI_MONTHS, format_english, format_iso, format_thai, parse_time

NS = 1_000_000_000
CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d\Z", re.ASCII)
"""What `format_iso` prints: the only form of an absolute moment in our addresses."""

MACHINE_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?\+00:00\Z", re.ASCII)
"""A moment as a column of the index holds it: ISO 8601 in UTC."""

_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:\s+(.*))?\Z", re.ASCII)
_WORDED = re.compile(r"(\d{1,2})\s*([ก-๙.]+)\s*(\d{4})(?:\s+(.*))?\Z")
_THAI_DIGITS = str.maketrans("๐๑๒๓๔๕๖๗๘๙", "0123456789")
_LONG_MONTHS = (
    "มกราคม", "กุมภาพันธ์", "มีนาคม", "เมษายน", "พฤษภาคม", "มิถุนายน",
    "กรกฎาคม", "สิงหาคม", "กันยายน", "ตุลาคม", "พฤศจิกายน", "ธันวาคม",
)  # fmt: skip
_MONTHS = {
    name.replace(".", ""): number for names in (THAI_MONTHS, _LONG_MONTHS) for number, name in enumerate(names, 1)
}


def read_time(text: str, zone: str) -> int:
    """Nanoseconds since 1970 of what was typed: everything `parse_time` reads, and `20/11/2569 08:01:12`,
    `20 พ.ย. 2569 08:01 น.`, Thai digits, an hour without seconds. Raises ArchiveFormatError `bad_time`.
    """
    typed = text.strip().translate(_THAI_DIGITS)
    typed = re.sub(r"\s*น\.?\s*(?:\(([+-]\d\d:\d\d)\))?\Z", lambda m: m[1] or "", typed)
    # A `+` of an address typed by hand arrives as a blank.
    typed = re.sub(r"(\d) (\d\d:\d\d)\Z", r"\1+\2", typed) if re.search(r"T\d", typed) else typed
    for pattern in (_SLASHED, _WORDED):
        match = pattern.match(typed)
        if match:
            month = _MONTHS.get(match[2].replace(".", "")) if pattern is _WORDED else int(match[2])
            if month is not None:
                typed = f"{match[3]}-{month:02d}-{int(match[1]):02d}" + (f" {match[4]}" if match[4] else "")
            break
    return parse_time(typed, now_unix_ns=time.time_ns(), zone=zone)


def canonical(text: str, zone: str) -> str:
    """`text` as an absolute ISO moment, for addresses that mean the same tomorrow. Raises ArchiveFormatError."""
    return text if CANONICAL.match(text) else format_iso(read_time(text, zone), zone)


def show_time(iso: str | None, language: str, zone: str) -> str:
    """An ISO moment for a person; what is not a moment comes back as it is."""
    return _show(iso, zone, format_thai if language == "th" else format_english)


def other_era(iso: str | None, language: str, zone: str) -> str:
    """The same moment in the other era, for the tooltip."""
    return _show(iso, zone, format_english if language == "th" else format_thai)


def show_unix_ns(value: str | int | None, language: str, zone: str) -> str:
    """Nanoseconds since 1970 (a number or its decimal text) for a person."""
    try:
        iso = format_iso(int(value or 0), zone)
    except (ValueError, OverflowError, OSError):
        return str(value)
    return show_time(iso, language, zone)


def clock_of(iso: str | None, zone: str) -> str:
    """`08:15`, for the state dot."""
    try:
        return _show(iso, zone, format_english)[11:16]
    except IndexError:
        return ""


def typed_form(iso: str | None, language: str, zone: str) -> str:
    """How a moment is filled into a field again: `2569-11-20 08:01:12` or `2026-11-20 08:01:12`, fraction if any."""
    if not iso or not CANONICAL.match(iso):
        return iso or ""
    unix_ns = parse_time(iso, now_unix_ns=0, zone=zone)
    moment = datetime.fromtimestamp(unix_ns // NS, ZoneInfo(zone))
    year = moment.year + (543 if language == "th" else 0)
    fraction = f".{unix_ns % NS:09d}".rstrip("0").rstrip(".")
    return f"{year:04d}-{moment:%m-%d %H:%M:%S}{fraction}"


def _show(iso: str | None, zone: str, form) -> str:  # type: ignore[no-untyped-def]
    if not iso:
        return ""
    try:
        return form(parse_time(iso, now_unix_ns=0, zone=zone), zone)
    except (ArchiveFormatError, ValueError, OverflowError):
        return iso
