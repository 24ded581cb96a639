"""Moments as people write them and as we print them. Pure: `now` is handed in.

Storage, exports and URLs are ISO 8601 with an offset. A year from 2400 on is of the Buddhist era (minus 543); a time
without an offset is time of the site.
"""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from archive.errors import ArchiveFormatError

SITE_ZONE = "Asia/Bangkok"
BUDDHIST_OFFSET_YEARS = 543
FIRST_BUDDHIST_YEAR = 2400
MAX_OFFSET_HOURS = 14
NS = 1_000_000_000
THAI_MONTHS = ("ม.ค.", "ก.พ.", "มี.ค.", "เม.ย.", "พ.ค.", "มิ.ย.", "ก.ค.", "ส.ค.", "ก.ย.", "ต.ค.", "พ.ย.", "ธ.ค.")
_RELATIVE = re.compile(r"-\s*(\d{1,6})\s*(s|m|h|d)\Z", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_ABSOLUTE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d{2}:?\d{2})?\Z",
    re.ASCII,
)
_HELP = "valid are 2026-11-20T08:01:12+07:00, 2569-11-20 08:01:12 (site time), -15m, -2h, -1d, now"


def parse_time(text: str, *, now_unix_ns: int, zone: str = SITE_ZONE) -> int:
    """Nanoseconds since 1970 of a moment in text. Raises ArchiveFormatError with what is valid."""
    text = text.strip()
    if text == "now":
        return now_unix_ns
    relative = _RELATIVE.match(text)
    if relative:
        return now_unix_ns - int(relative[1]) * _UNITS[relative[2]] * NS
    match = _ABSOLUTE.match(text)
    if not match:
        raise ArchiveFormatError(f"{text!r} is not a time; {_HELP}", code="bad_time")
    year = int(match[1])
    if year >= FIRST_BUDDHIST_YEAR:
        year -= BUDDHIST_OFFSET_YEARS
    try:
        moment = datetime(  # noqa: DTZ001 - the zone is put on below
            year, int(match[2]), int(match[3]), int(match[4] or 0), int(match[5] or 0), int(match[6] or 0)
        )
        seconds = int(_aware(moment, match[8], zone).timestamp())
    except (ValueError, OverflowError) as error:
        raise ArchiveFormatError(f"{text!r} is not a time: {error}; {_HELP}", code="bad_time") from error
    return seconds * NS + int((match[7] or "").ljust(9, "0"))


def _aware(moment: datetime, offset: str | None, zone: str) -> datetime:
    """A moment with its offset, or in the site's zone. Raises ValueError for an offset no place has."""
    if offset is None:
        return moment.replace(tzinfo=ZoneInfo(zone))
    if offset == "Z":
        return moment.replace(tzinfo=UTC)
    digits = offset[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > MAX_OFFSET_HOURS or minutes > 59:
        raise ValueError(f"no place is {offset} from UTC")
    sign = -1 if offset[0] == "-" else 1
    return moment.replace(tzinfo=UTC) - sign * timedelta(hours=hours, minutes=minutes)


def format_iso(unix_ns: int, zone: str = SITE_ZONE) -> str:
    """`2026-11-20T08:01:12.410000000+07:00`, always nine digits."""
    moment = datetime.fromtimestamp(unix_ns // NS, ZoneInfo(zone))
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    offset = moment.strftime("%z")
    return f"{text}.{unix_ns % NS:09d}{offset[:3]}:{offset[3:]}"


def format_english(unix_ns: int, zone: str = SITE_ZONE) -> str:
    """`2026-11-20 08:10:03.251 +07:00`, for people."""
    text = format_iso(unix_ns, zone)
    return f"{text[:10]} {text[11:23]} {text[-6:]}"


def format_thai(unix_ns: int, zone: str = SITE_ZONE) -> str:
    """`20 พ.ย. 2569 08:10:03.251 น. (+07:00)`, for people; never for storage."""
    moment = datetime.fromtimestamp(unix_ns // NS, ZoneInfo(zone))
    text = format_iso(unix_ns, zone)
    year = moment.year + BUDDHIST_OFFSET_YEARS
    return f"{moment.day} {THAI_MONTHS[moment.month - 1]} {year} {text[11:23]} น. ({text[-6:]})"


def format_utc_time(unix_ns: int) -> str:
    """ASN.1 UTCTime, `YYMMDDHHMMSSZ`, for signatures."""
    return datetime.fromtimestamp(unix_ns // NS, UTC).strftime("%y%m%d%H%M%SZ")
