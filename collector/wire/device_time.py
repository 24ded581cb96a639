"""Times a device writes into a line, as Unix nanoseconds. Arrival time is given, never read from a clock."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

NS_PER_SECOND = 1_000_000_000
# A candidate nearer than this is the nearest year: the next one is at least 365 days away.
_HALF_YEAR_NS = 182 * 86_400 * NS_PER_SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# timestamp('ns') of the schema is a signed 64-bit count.
_MAX_UNIX_SECONDS = (2**63 - 1) // NS_PER_SECOND - 1
_MAX_CACHE_ENTRIES = 16_384
_MONTHS = {
    name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)
}
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)\Z")


class DeviceTimeReader:
    """Reads times for one decode call. `zone` applies where the text has no offset (RFC 3164, local ISO
    8601).
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._known: dict[tuple[str, str], int | None] = {}

    def iso8601(self, date_and_time: str, fraction: str | None, offset: str | None) -> int | None:
        """RFC 3339 form: `2026-10-16T14:15:54`, digits after the point or None, `Z`, `+07:00` or None.

        None for an impossible date, a leap second (forbidden by RFC 5424 section 6.2.3) or a year that the
        index cannot hold.
        """
        key = (date_and_time, offset or "")
        try:
            seconds_ns = self._known[key]
        except KeyError:
            seconds_ns = self._remember(key, self._iso_seconds_ns(date_and_time, offset))
        return None if seconds_ns is None else seconds_ns + _fraction_ns(fraction)

    def rfc3164(self, text: str, year: str | None, fraction: str | None, arrival_unix_ns: int) -> int | None:
        """RFC 3164 section 4.1.2 form `Oct 16 14:15:54`, of the year nearest to arrival when none is written."""
        key = (text, year or "")
        known = self._known.get(key)
        if known is None or (year is None and abs(known - arrival_unix_ns) >= _HALF_YEAR_NS):
            known = self._remember(key, self._local_seconds_ns(text, year, arrival_unix_ns))
        return None if known is None else known + _fraction_ns(fraction)

    def _remember(self, key: tuple[str, str], value: int | None) -> int | None:
        if len(self._known) >= _MAX_CACHE_ENTRIES:
            self._known.clear()
        self._known[key] = value
        return value

    def _iso_seconds_ns(self, date_and_time: str, offset: str | None) -> int | None:
        try:
            moment = datetime.fromisoformat(date_and_time)
            return _unix_ns(moment.replace(tzinfo=_zone_of(offset) or self._zone))
        except (ValueError, OverflowError):
            return None

    def _local_seconds_ns(self, text: str, year: str | None, arrival_unix_ns: int) -> int | None:
        month = _MONTHS.get(text[:3].title())
        if month is None:
            return None
        hour, minute, second = (int(part) for part in text[-8:].split(":"))
        day = int(text[3:-8])
        arrival_year = (_EPOCH + timedelta(seconds=arrival_unix_ns // NS_PER_SECOND)).year
        years = [int(year)] if year else [arrival_year - 1, arrival_year, arrival_year + 1]
        found: list[int] = []
        for candidate in years:
            try:
                moment = datetime(candidate, month, day, hour, minute, second, tzinfo=self._zone)
                unix_ns = _unix_ns(moment)
            except (ValueError, OverflowError):  # 29 February exists in one of the years only
                continue
            if unix_ns is not None:
                found.append(unix_ns)
        return min(found, key=lambda unix_ns: abs(unix_ns - arrival_unix_ns)) if found else None


def _zone_of(offset: str | None) -> tzinfo | None:
    if not offset:
        return None
    if offset in "Zz":
        return UTC
    match = _OFFSET.match(offset)
    if match is None:
        raise ValueError(offset)
    delta = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-delta if match[1] == "-" else delta)


def _unix_ns(moment: datetime) -> int | None:
    delta = moment - _EPOCH
    seconds = delta.days * 86_400 + delta.seconds
    return seconds * NS_PER_SECOND if abs(seconds) <= _MAX_UNIX_SECONDS else None


def _fraction_ns(fraction: str | None) -> int:
    return int(fraction[:9].ljust(9, "0")) if fraction else 0
