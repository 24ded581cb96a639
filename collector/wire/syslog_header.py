"""The header of one syslog line: RFC 5424, RFC 3164 and what devices make of it (no PRI, no time, no host)."""

import re
from typing import NamedTuple

from collector.wire.device_time import DeviceTimeReader

MAX_PRIORITY = 191
"""RFC 5424 section 6.2.1: facility 23, severity 7."""

_ISO = r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?"

_RFC5424 = re.compile(
    r"<(\d{1,3})>1 (?:-|" + _ISO + r"|[^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) "
    r'(-|(?:\[[^ \]="]+(?: +[^ =\]"]+="(?:[^"\\]|\\.)*")* *\])+)(?: |\Z)',
    re.DOTALL,
)
_PRIORITY = re.compile(r"<(\d{1,3})>")
# Time of RFC 3164 section 4.1.2; Cisco adds a year, a fraction, a colon, or a star for an unset clock.
_BSD_TIME = re.compile(
    r"[*.]?([A-Z][a-z]{2} {1,2}\d{1,2} )(?:(\d{4}) )?(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?: (\d{4}))?:?(?: +|\Z)"
)
_ISO_TIME = re.compile(_ISO + r"(?: +|\Z)")
# Host as the first word; a word that ends with a colon or holds a bracket, comma or equal sign is not one.
_HOST = re.compile(r"(?!last message repeated|message repeated)([^\s\[\],=<>(){}\"']{1,255})(?<!:) +(?=\S)")
# TAG of RFC 3164 section 4.1.3, or RouterOS topics ("firewall,info").
_TAG = re.compile(r"([^\s:\[\]]{1,64})(?:\[([^\]\s]{0,64})\])?:(?: +|\Z)|([a-z]+(?:,[a-z0-9!-]+)+) +")


class SyslogHeader(NamedTuple):
    """`format` is `rfc5424`, `rfc3164` or `unknown`; `message_start` counts characters of the line."""

    format: str
    priority: int | None
    device_time_unix_ns: int | None
    hostname: str
    app_name: str
    process_id: str
    message_id: str
    structured_data: str
    message_start: int


UNKNOWN_HEADER = SyslogHeader("unknown", None, None, "", "", "", "", "", 0)


def parse_header(line: str, arrival_unix_ns: int, times: DeviceTimeReader) -> SyslogHeader:
    """Header of a line. A line with neither a valid PRI nor a time is `unknown` and starts at 0."""
    position = 0
    priority = None
    match = _PRIORITY.match(line)
    if match is not None:
        priority = int(match[1])
        if priority > MAX_PRIORITY:
            return UNKNOWN_HEADER
        position = match.end()
        if line.startswith("1 ", position):
            modern = _RFC5424.match(line)
            if modern is not None:
                return _modern_header(modern, priority, line, times)

    time_unix_ns = None
    match = _BSD_TIME.match(line, position)
    if match is not None:
        day, year, clock, fraction, late_year = match.groups()
        time_unix_ns = times.rfc3164(day + clock, year or late_year, fraction, arrival_unix_ns)
    else:
        match = _ISO_TIME.match(line, position)
        if match is not None:
            time_unix_ns = times.iso8601(match[1], match[2], match[3])
        elif priority is None:
            return UNKNOWN_HEADER

    hostname = ""
    if match is not None:  # only after a time may the first word be the host (RFC 3164 section 4.1.2)
        position = match.end()
        match = _HOST.match(line, position)
        if match is not None:
            hostname = match[1]
            position = match.end()
    match = _TAG.match(line, position)
    if match is None:
        return SyslogHeader("rfc3164", priority, time_unix_ns, hostname, "", "", "", "", position)
    tag, process_id, topics = match.groups()
    return SyslogHeader(
        "rfc3164", priority, time_unix_ns, hostname, tag or topics, process_id or "", "", "", match.end()
    )


def _modern_header(match: re.Match[str], priority: int, line: str, times: DeviceTimeReader) -> SyslogHeader:
    _, moment, fraction, offset, hostname, app_name, process_id, message_id, data = match.groups()
    start = match.end()
    if line.startswith("\ufeff", start):  # BOM of MSG-UTF8, RFC 5424 section 6.4
        start += 1
    time_unix_ns = times.iso8601(moment, fraction, offset) if moment is not None else None
    hostname, app_name, process_id, message_id, data = (
        "" if value == "-" else value for value in (hostname, app_name, process_id, message_id, data)
    )
    return SyslogHeader("rfc5424", priority, time_unix_ns, hostname, app_name, process_id, message_id, data, start)
