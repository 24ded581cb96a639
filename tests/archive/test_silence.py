"""Who is silent now, as sealed records tell it, over restarts of the collector that tell nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from indexed_log import DEVICE, IndexedLog

from archive.addresses import parse_address
from archive.ask.silence import FORGET_DAYS, LOOK_INTERVAL_SECONDS, SilentSources
from archive.event_record import encode_event

SYSLOG, NETFLOW = "syslog/udp-5514", "netflow/udp-2055"
SOURCE = "192.0.2.254"
LINE = b"<134>Nov 20 08:01:12 gw1 app: a line"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IndexedLog]:
    made = IndexedLog.make(tmp_path)
    yield made
    made.close()


def tell(log: IndexedLog, how: str, listener: str = SYSLOG, source: str = SOURCE) -> None:
    """A source fell silent or came back. Not on the stream `collector`: every `put` there is a start of its writer."""
    now = log.clock.unix_ns()
    values = {"listener": listener, "how": how, "source": source, "count": None}
    values |= {"from_unix_ns": str(now - 900 * 10**9), "to_unix_ns": str(now)}
    log.put("other", ("loss", encode_event(how, now, values)))


def silent(log: IndexedLog, sources: SilentSources, listeners: set[str] | None = None) -> list[tuple[str, str]]:
    return [(one.listener, one.source) for one in sources.read(log.clock.unix_ns(), listeners)]


def start_collector(log: IndexedLog) -> None:
    log.put("collector", ("restart", b"x"))


def test_a_source_is_silent_until_it_comes_back(log: IndexedLog) -> None:
    sources = SilentSources(log.engine)
    assert silent(log, sources) == []
    tell(log, "source_silent")
    tell(log, "source_silent", source="2001:db8::1")
    assert silent(log, sources) == [(SYSLOG, SOURCE), (SYSLOG, "2001:db8::1")]
    tell(log, "source_returned")
    assert silent(log, sources) == [(SYSLOG, "2001:db8::1")]
    tell(log, "source_silent")
    assert silent(log, sources) == [(SYSLOG, "2001:db8::1"), (SYSLOG, SOURCE)]


def test_each_listener_misses_its_own_sources(log: IndexedLog) -> None:
    sources = SilentSources(log.engine)
    tell(log, "source_silent", SYSLOG)
    tell(log, "source_silent", NETFLOW)
    tell(log, "source_returned", SYSLOG)
    assert silent(log, sources) == [(NETFLOW, SOURCE)]
    assert silent(log, sources, {SYSLOG}) == [], "the listener is gone from the settings"
    assert silent(log, sources, {SYSLOG, NETFLOW}) == [(NETFLOW, SOURCE)]


def test_an_old_silence_is_a_device_that_was_removed(log: IndexedLog) -> None:
    sources = SilentSources(log.engine)
    tell(log, "source_silent")
    log.clock.advance(FORGET_DAYS * 86_400 - 60)
    assert silent(log, sources) == [(SYSLOG, SOURCE)]
    log.clock.advance(120)
    assert silent(log, sources) == []


def test_a_restart_does_not_end_a_silence_but_a_record_after_it_does(log: IndexedLog) -> None:
    sources = SilentSources(log.engine)
    log.put("other", (SYSLOG, LINE))
    tell(log, "source_silent")
    tell(log, "source_silent", source="192.0.2.9")
    start_collector(log)
    assert silent(log, sources) == [(SYSLOG, SOURCE), (SYSLOG, "192.0.2.9")]
    log.put("other", (SYSLOG, LINE), source=DEVICE)
    log.clock.advance(LOOK_INTERVAL_SECONDS)
    assert silent(log, sources) == [(SYSLOG, "192.0.2.9")]
    assert silent(log, SilentSources(log.engine)) == [(SYSLOG, "192.0.2.9")], "also for a service just started"
    log.clock.advance(LOOK_INTERVAL_SECONDS)
    log.put("other", (SYSLOG, LINE), source=(parse_address("192.0.2.9"), 514))
    assert silent(log, sources) == []
    tell(log, "source_silent")
    assert silent(log, sources) == [(SYSLOG, SOURCE)], "the new collector has missed it itself"


def test_records_of_another_kind_of_listener_end_no_silence(log: IndexedLog) -> None:
    sources = SilentSources(log.engine)
    tell(log, "source_silent", NETFLOW)
    start_collector(log)
    log.put("other", (SYSLOG, LINE), source=DEVICE)
    assert silent(log, sources) == [(NETFLOW, SOURCE)]


def test_the_index_is_searched_once_a_minute(log: IndexedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []
    query = log.engine.query
    monkeypatch.setattr(log.engine, "query", lambda sql, *a: (searched.append(sql), query(sql, *a))[1])
    sources = SilentSources(log.engine)
    tell(log, "source_silent")
    silent(log, sources)
    assert not [sql for sql in searched if "{db}.logs" in sql], "the collector itself will tell"
    start_collector(log)
    for _ in range(5):
        log.clock.advance(5)
        silent(log, sources)
    assert len([sql for sql in searched if "{db}.logs" in sql]) == 1


def test_a_source_that_is_no_address_is_a_name_like_any(log: IndexedLog) -> None:
    sources = SilentSources(log.engine)
    tell(log, "source_silent", source="unknown")
    start_collector(log)
    log.put("other", (SYSLOG, LINE))
    assert silent(log, sources) == [(SYSLOG, "unknown")]
