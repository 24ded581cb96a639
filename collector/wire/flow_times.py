"""Start and end of flows as Unix nanoseconds, from the time elements an exporter uses."""

from collections.abc import Callable

import numpy as np

from collector.wire.field_values import Values

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
_UPTIME_MODULUS_MS = 2**32
FUTURE_TOLERANCE_MS = 3_600_000
"""An uptime later than the header's by less than this is a clock that ran on; anything later is a wrapped counter,
which may lie up to 49.7 days in the past."""
MAX_ENDED_AGE_MS = 7 * 86_400_000
"""No exporter keeps an ended flow for longer. One whose last uptime would lie further back counts it from another start
than the header's (FortiOS 5.2: its flows are a week ahead), so the header is no base for it."""
# Seconds from 1900 (NTP era 0) to 1970, and the length of an era (RFC 7011 section 6.1.9).
_NTP_OFFSET_SECONDS = 2_208_988_800
_NTP_ERA_SECONDS = 2**32
_MAX_UNIX_SECONDS = (2**63 - 1) // NS_PER_SECOND - 1
# NX-OS sends FIRST_SWITCHED in 8 bytes: milliseconds of the epoch above this value (the year 2004), else
# uptime.
_LEAST_EPOCH_MS = 2**40


def uptime_to_unix_ns(uptime: Values, header_uptime_ms: np.ndarray, export_unix_ns: np.ndarray) -> Values:
    """sysUpTime milliseconds to absolute time by the modular 32-bit difference to the header's (RFC 3954
    section 8).
    """
    behind = (header_uptime_ms.astype("uint64") - uptime.values) % np.uint64(_UPTIME_MODULUS_MS)
    behind = behind.astype("int64")
    behind = np.where(behind > _UPTIME_MODULUS_MS - FUTURE_TOLERANCE_MS, behind - _UPTIME_MODULUS_MS, behind)
    unix_ns = export_unix_ns - behind * NS_PER_MS
    absolute = uptime.values >= np.uint64(_LEAST_EPOCH_MS)
    if absolute.any():
        from_epoch = scaled(uptime, NS_PER_MS)
        return Values(np.where(absolute, from_epoch.values, unix_ns), np.where(absolute, from_epoch.mask(), True))
    return Values(unix_ns, uptime.valid)


def without_base(uptime: Values, header_uptime_ms: np.ndarray) -> np.ndarray:
    """bool [records]: the header's uptime cannot be of the same clock as this one, the last of a flow."""
    behind = (header_uptime_ms.astype("uint64") - uptime.values) % np.uint64(_UPTIME_MODULUS_MS)
    too_old = (behind > MAX_ENDED_AGE_MS) & (behind <= _UPTIME_MODULUS_MS - FUTURE_TOLERANCE_MS)
    return too_old & (uptime.values < np.uint64(_LEAST_EPOCH_MS))


def uptime_by_latest(uptime: Values, latest: np.ndarray, export_unix_ns: np.ndarray) -> Values:
    """sysUpTime without a base (IPFIX without systemInitTimeMilliseconds; without_base): `latest` is taken for the
    export time.

    An estimate: durations and order are right, the position is late by the exporter's idle time-out at most.
    """
    behind = (latest.astype("uint64") - uptime.values) % np.uint64(_UPTIME_MODULUS_MS)
    return Values(export_unix_ns - behind.astype("int64") * NS_PER_MS, uptime.valid)


def uptime_after_init(uptime: Values, system_init_ms: np.ndarray, export_unix_ns: np.ndarray) -> Values:
    """sysUpTime from the start time an options record gave; the 32-bit uptime counts modulo 49.7 days.

    Valid where the start time is known.
    """
    known = (system_init_ms > 0) & (system_init_ms < np.uint64(2**43))  # 2**43 ms is the year 2248
    base = np.where(known, system_init_ms, 0).astype("int64")
    export_uptime = (export_unix_ns // NS_PER_MS - base) % _UPTIME_MODULUS_MS
    found = uptime_to_unix_ns(uptime, export_uptime, export_unix_ns // NS_PER_MS * NS_PER_MS)
    return Values(found.values, known)


def latest_uptime(uptime: Values, set_starts: np.ndarray, set_sizes: np.ndarray) -> np.ndarray:
    """The latest uptime of each record's own set, modular, repeated for its records."""
    first = np.repeat(uptime.values[set_starts], set_sizes)
    ahead = (uptime.values - first).astype("uint32").view("int32").astype("int64")
    return first + np.repeat(np.maximum.reduceat(ahead, set_starts), set_sizes).astype("uint64")


def scaled(values: Values, unit_ns: int) -> Values:
    """Counts of `unit_ns` since 1970; 0 and what the index cannot hold are unknown."""
    valid = (values.values > 0) & (values.values <= np.uint64((2**63 - 1) // unit_ns)) & values.mask()
    return Values(np.where(valid, values.values, 0).astype("int64") * unit_ns, valid)


def from_ntp(values: Values) -> Values:
    """dateTimeMicroseconds and dateTimeNanoseconds: seconds of NTP era 0 or 1, and a 32-bit fraction of a
    second.
    """
    seconds = (values.values >> np.uint64(32)).astype("int64")
    fraction = values.values & np.uint64(0xFFFFFFFF)
    seconds = np.where(seconds < _NTP_OFFSET_SECONDS, seconds + _NTP_ERA_SECONDS, seconds) - _NTP_OFFSET_SECONDS
    nanoseconds = ((fraction * np.uint64(NS_PER_SECOND)) >> np.uint64(32)).astype("int64")
    valid = (values.values != 0) & (seconds <= _MAX_UNIX_SECONDS) & values.mask()
    return Values(np.where(valid, seconds * NS_PER_SECOND + nanoseconds, 0), valid)


def before_export_us(values: Values, export_unix_ns: np.ndarray) -> Values:
    """flowStartDeltaMicroseconds, flowEndDeltaMicroseconds: microseconds before the export time."""
    valid = values.mask() & (values.values < np.uint64(_UPTIME_MODULUS_MS))  # the element has 32 bits
    return Values(export_unix_ns - np.where(valid, values.values, 0).astype("int64") * 1_000, valid)


# Absolute start and end elements, the most precise first.
ABSOLUTE_TIMES: tuple[tuple[int, int, Callable[[Values], Values]], ...] = (
    (156, 157, from_ntp),
    (154, 155, from_ntp),
    (152, 153, lambda values: scaled(values, NS_PER_MS)),
    (150, 151, lambda values: scaled(values, NS_PER_SECOND)),
)
DELTA_TIMES = (158, 159)
UPTIME_TIMES = (22, 21)
SYSTEM_INIT_TIME = 160
OBSERVATION_TIMES: tuple[tuple[int, Callable[[Values], Values]], ...] = (
    (325, from_ntp),
    (324, from_ntp),
    (323, lambda values: scaled(values, NS_PER_MS)),
    (322, lambda values: scaled(values, NS_PER_SECOND)),
)
