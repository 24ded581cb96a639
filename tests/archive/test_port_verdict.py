"""Which sources can answer a port question: decided from what they sent, and shown in status."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import nat_datagrams as made
import pytest
from ask_desk import AskDesk

from archive.addresses import parse_address
from archive.ask.exporters import LOOK_BACK_SECONDS, LOOK_INTERVAL_SECONDS, ExporterReader
from archive.attribution.port_verdict import TEXTS, Answers, Sent, decide
from archive.network_settings import STATED, encode_fact, exporter_fact

OUTSIDE, INSIDE, SERVER = "203.0.113.5", "10.0.0.7", "198.51.100.80"
SYSLOG = "syslog/udp-5514"
CONNTRACK = (
    "<134>Nov 20 08:01:12 gw conntrack: {word}tcp 6 src=10.0.0.7 dst=198.51.100.80 sport=5000 dport=443 "
    "src=198.51.100.80 dst=203.0.113.5 sport=443 dport=40000 id=7"
)
PACKET = "<4>Nov 20 08:01:12 gw kernel: drop IN=e0 OUT=e1 SRC=10.0.0.7 DST=8.8.8.8 LEN=60 PROTO=TCP SPT=5000 DPT=443"
FILTERLOG = (
    "<134>Nov 20 08:01:12 fw filterlog[97530]: 146,,,1535324496,igb1.12,match,block,in,4,0x0,,63,12617,0,DF,6,tcp,60,"
    "10.170.12.50,175.16.199.1,49724,853,0,S,1891286705,,64240,,mss;sackOK;TS;nop;wscale"
)


@pytest.mark.parametrize(
    ("sent", "verdict", "code"),
    [
        ({}, "no", "no_nat_fields"),
        ({"flows": 9}, "no", "no_nat_fields"),
        ({"flows": 9, "with_nat_fields": 9}, "no", "nothing_translated"),
        ({"flows": 9, "with_nat_fields": 9, "translated": 9}, "no", "no_translated_port"),
        ({"flows": 9, "with_nat_fields": 9, "translated": 9, "used": 9, "without_port": 1}, "no", "no_translated_port"),
        ({"flows": 9, "with_nat_fields": 9, "translated": 9, "used": 9}, "only_at_end", "flows_with_ports"),
        ({"flows": 9, "opens": 4, "closes": 5}, "yes", "nat_events"),
        ({"opens": 4, "closes": 5, "updates": 1, "used": 1}, "yes", "nat_events"),
        ({"opens": 4}, "yes", "no_closings"),
        ({"closes": 4, "updates": 9}, "only_at_end", "closings_only"),
        ({"updates": 4}, "no", "updates_only"),
        ({"flows": 9, "opens": 4, "closes": 4, "sampled": True}, "no", "sampled"),
    ],
)
def test_verdicts(sent: dict[str, Any], verdict: str, code: str) -> None:
    assert decide(Sent(**sent)) == (Answers(verdict), code)


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    names = [field.name for field in fields(Sent)]
    found = {decide(Sent(**dict(zip(names, map(bool, values), strict=True))))[1] for values in _samples()}
    assert found == TEXTS.keys()
    assert all(english.endswith(".") and thai and not thai.isascii() for english, thai in TEXTS.values())


def _samples() -> Iterator[tuple[int, ...]]:
    count = len(fields(Sent))
    for bits in range(2**count):
        yield tuple(bits >> place & 1 for place in range(count))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[AskDesk]:
    made_desk = AskDesk(tmp_path)
    yield made_desk
    made_desk.close()


def verdicts(desk: AskDesk) -> dict[str, tuple[str, str]]:
    exporters = desk.ask("status")["exporters"]
    json.dumps(exporters)
    return {f"{one['address']} {one['version']}": (one["answers_ports"], one["code"]) for one in exporters}


def flow(ns: int, outside: str | None = None, port: int | None = None) -> tuple[str, bytes]:
    record = made.plain(ns, INSIDE, SERVER)
    if outside is None:
        return made.message(ns, made.PLAIN, record)
    ports = None if port is None else (port, 443)
    fields = made.ADDRESSES_ONLY if port is None else made.TRANSLATED
    return made.message(ns, fields, made.translated(record, outside, SERVER, ports))


def nat_event(ns: int, event: int) -> tuple[str, bytes]:
    return made.message(ns, made.SESSION, made.session(ns, event, INSIDE, OUTSIDE, 40000))


def block_event(ns: int, event: int) -> tuple[str, bytes]:
    return made.message(ns, made.BLOCK, made.block(ns, event, INSIDE, OUTSIDE, 1024, 2047))


def line(text: str, **words: str) -> tuple[str, bytes]:
    return SYSLOG, text.format(**words).encode()


def test_each_kind_of_source_has_its_verdict(desk: AskDesk) -> None:
    now = desk.log.clock.unix_ns()
    sent: dict[str, list[tuple[str, bytes]]] = {
        "192.0.2.1": [flow(now)],
        "192.0.2.2": [flow(now, OUTSIDE)],
        "192.0.2.3": [flow(now, OUTSIDE, 40000)],
        "192.0.2.4": [flow(now, INSIDE, 5000)],
        "192.0.2.5": [nat_event(now, made.CREATE), nat_event(now, made.DELETE)],
        "192.0.2.6": [block_event(now, made.ALLOCATE), block_event(now, made.RELEASE)],
        "192.0.2.7": [line(CONNTRACK, word="[NEW] "), line(CONNTRACK, word="[DESTROY] ")],
        "192.0.2.8": [line(CONNTRACK, word="[DESTROY] ")],
        "192.0.2.9": [line(CONNTRACK, word="")],
        "192.0.2.10": [line(PACKET)],
        "192.0.2.11": [line(FILTERLOG)],
        "192.0.2.12": [line("<134>Nov 20 08:01:12 host app: nothing of connections")],
    }
    for address, records in sent.items():
        desk.log.put("collector", *records, source=(parse_address(address), 40_514))
    assert verdicts(desk) == {
        "192.0.2.1 ipfix": ("no", "no_nat_fields"),
        "192.0.2.2 ipfix": ("no", "no_translated_port"),
        "192.0.2.3 ipfix": ("only_at_end", "flows_with_ports"),
        "192.0.2.4 ipfix": ("no", "nothing_translated"),
        "192.0.2.5 ipfix": ("yes", "nat_events"),
        "192.0.2.6 ipfix": ("yes", "nat_events"),
        "192.0.2.7 syslog": ("yes", "nat_events"),
        "192.0.2.8 syslog": ("only_at_end", "closings_only"),
        "192.0.2.9 syslog": ("no", "updates_only"),
        "192.0.2.10 syslog": ("no", "no_nat_fields"),
        "192.0.2.11 syslog": ("no", "no_nat_fields"),
    }


CAPTURES = {
    "ipfix_test_mikrotik_{tpl,data258}": "no_translated_port",
    "netflow9_test_fortigate_fortios_521_{tpl,data257}": "no_nat_fields",
    "netflow9_test_cisco_asa_1_{tpl,data}": "nothing_translated",
    "ipfix_test_openbsd_pflow_{tpl,data}": "no_nat_fields",
    "netflow9_test_softflowd_{tpl_data}": "no_nat_fields",
    "netflow9_test_ubnt_edgerouter_{tpl,data1024}": "no_nat_fields",
}
"""Captures of RouterOS 6, FortiOS 5.2, an ASA without NAT, OpenBSD (whose pflow pfSense has), softflowd, EdgeRouter."""


@pytest.mark.parametrize("name", CAPTURES)
def test_real_exporters(desk: AskDesk, name: str) -> None:
    folder = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "netflow"
    start, parts = name.rstrip("}").split("{")
    paths = [folder / f"{start}{part}.dat" for part in parts.split(",")]
    if not folder.exists():
        assert os.environ.get("CI") != "true", "captures are missing"
        pytest.skip("captures are not beside this checkout (../shared/corpus)")
    desk.log.put("collector", *[(made.LISTENER, path.read_bytes()) for path in paths])
    assert {code for _, code in verdicts(desk).values()} == {CAPTURES[name]}


def test_an_exporter_is_shown_by_name_and_each_of_its_domains_apart(desk: AskDesk) -> None:
    now = desk.log.clock.unix_ns()
    named = exporter_fact("192.0.2.254/32", "gw-1", [])
    desk.log.put("identity", ("identity", encode_fact(STATED, named, now)))
    nat = made.message(now, made.SESSION, made.session(now, made.CREATE, INSIDE, OUTSIDE, 40000), domain=8)
    desk.log.put("collector", flow(now), flow(now), nat)
    shown = desk.ask("status")["exporters"]
    assert [(one["name"], one["observation_domain"], one["flows"], one["code"]) for one in shown] == [
        ("gw-1", 7, 2, "no_nat_fields"), ("gw-1", 8, 1, "no_closings"),
    ]  # fmt: skip


def test_sources_of_an_earlier_day_are_gone(desk: AskDesk) -> None:
    desk.log.put("collector", flow(desk.log.clock.unix_ns()))
    assert verdicts(desk)
    desk.log.clock.advance(LOOK_BACK_SECONDS + 1)
    assert verdicts(desk) == {}


def test_the_index_is_asked_once_in_a_while(desk: AskDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ExporterReader(desk.log.engine, "Asia/Bangkok")
    desk.log.put("collector", flow(desk.log.clock.unix_ns()))
    asked: list[str] = []
    query = desk.log.engine.query

    def counting(sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        asked.append(sql)
        return query(sql, parameters)

    monkeypatch.setattr(desk.log.engine, "query", counting)
    now = desk.log.clock.unix_ns()
    first = reader.read(now)
    once = len(asked)
    assert reader.read(now + int(LOOK_INTERVAL_SECONDS * 10**9) - 1) == first
    assert len(asked) == once
    reader.read(now + int(LOOK_INTERVAL_SECONDS * 10**9))
    assert len(asked) == 2 * once
    reader.read(now - sys.maxsize // 4)
    assert len(asked) == 3 * once, "the clock was set back"
