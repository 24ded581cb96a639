"""Traffic of several UTC days whose decoding needs what earlier days said: templates, numbers, lines sent again."""

from collections.abc import Callable

from indexed_log import IndexedLog
from netflow_datagrams import data, template

from archive.addresses import parse_address
from archive.index.settings import DecodingSettings
from archive.schema import SCHEMAS
from archive.segment import utc_day
from tests.collector.wire.sflow_builder import datagram, flow_sample, sampled_ipv4

NS = 1_000_000_000
DAY_SECONDS = 86_400
NETFLOW, SFLOW, SYSLOG = "netflow/udp-2055", "sflow/udp-6343", "syslog/udp-5514"
RELP = "syslog/relp-2514"
LATE_EXPORTER = parse_address("192.0.2.77")
"""It sends data in the evening and its template only next morning, each day from another port."""
FLOW = ("10.0.0.7", 5000, "203.0.113.5", 40000)
SETTINGS = DecodingSettings("Asia/Bangkok", (("192.0.2.0/24", "annex"),))


def seconds(log: IndexedLog) -> int:
    return log.clock.unix_ns() // NS


def to_next_day(log: IndexedLog, seconds_after_midnight: int = 60) -> None:
    into_day = seconds(log) % DAY_SECONDS
    log.clock.advance(DAY_SECONDS - into_day + seconds_after_midnight)


def line(number: int) -> bytes:
    return f'<13>1 - gw1 app - - [meta sequenceId="{number}"] line {number}'.encode()


def receive_days(log: IndexedLog, days: int = 3, after_each: Callable[[], None] = lambda: None) -> list[str]:
    """The first day teaches the template, the others do not. Each midnight a datagram, a sample and a line of the
    senders that number theirs are lost. Midnight passes within the minutes that lines are decoded again of. Returns the
    days. A RELP sender sends its last line of the evening again in the morning, from another port."""
    number = line_number = 0
    seen = []

    def put(*records: tuple[str, bytes], **more: object) -> None:
        log.receive("collector", *records, **more)  # type: ignore[arg-type]
        after_each()

    def flows(count: int = 1) -> bytes:
        nonlocal number
        number += 1
        return data(seconds(log), number, *[FLOW] * count)

    def next_line() -> bytes:
        nonlocal line_number
        line_number += 1
        return line(line_number)

    def sflow() -> bytes:
        return datagram(flow_sample(sampled_ipv4(), sequence=10 * number), sequence=number)

    for day in range(days):
        if day:
            to_next_day(log)
            number += 3
            line_number += 2
        seen.append(utc_day(log.clock.unix_ns()))
        if day == 0:
            number += 1
            put((NETFLOW, template(seconds(log), number)))
        put((NETFLOW, flows(2)), (SYSLOG, next_line()), (SFLOW, sflow()))
        if day:
            put((NETFLOW, template(seconds(log), 2)), source=(LATE_EXPORTER, 2000 + day - 1))
            again = (RELP, f"<13>unanswered {day - 1}".encode())
            put(again, transport="relp", source=(LATE_EXPORTER, 4000 + day))
        log.receive("audit", ("system", b"not an event"))
        put((NETFLOW, flows(3)), (NETFLOW, flows()))
        log.clock.advance(6 * 3600)
        put((SYSLOG, next_line()), (SYSLOG, next_line()), (SYSLOG, b"<13>Nov 20 08:01:12 gw x: local"))
        put((NETFLOW, flows()), (SFLOW, sflow()), (SYSLOG, next_line()))
        to_next_day(log, -120)
        put((SYSLOG, next_line()), (NETFLOW, flows()))
        put((NETFLOW, data(seconds(log), 1, FLOW, FLOW)), source=(LATE_EXPORTER, 2000 + day))
        put((RELP, f"<13>unanswered {day}".encode()), transport="relp", source=(LATE_EXPORTER, 3000 + day))
    log.check()
    return seen


def all_rows(log: IndexedLog, since_day: str = "") -> dict[str, list[str]]:
    """Every row of every table, received on `since_day` or later, in an order of their own; of `leaves` too."""
    found = {}
    for table in SCHEMAS:
        rows = log.engine.query(
            f"SELECT * FROM {{db}}.{table} WHERE toYYYYMMDD(received) >= {{since:UInt32}}",
            {"since": int(since_day or 0)},
        )
        found[table] = sorted(repr(sorted(row.items())) for row in rows)
    leaves = [row for row in log.rows("leaves") if utc_day(int(row["last_unix_ns"])) >= since_day]
    found["leaves"] = [repr(sorted((k, _plain(v)) for k, v in row.items())) for row in leaves]
    return found


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, list) else value
