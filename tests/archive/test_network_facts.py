"""Names and addresses as of any time, from statements in the journal."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from archive.addresses import parse_address
from archive.attribution.facts_at import is_private
from archive.attribution.network_facts import NetworkFacts
from archive.network_settings import STATED, WITHDRAWN, changed_facts, exporter_fact, fact_key, uplink_fact
from archive.network_statement import state_network
from archive.spool import SpoolWriter
from tests.clocks import ManualClock

ZONE = "Asia/Bangkok"


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp()) * 10**9


def row(at: str, details: Any, event: str = STATED, leaf: int = 1) -> dict[str, Any]:
    return {"log": "x", "leaf_index": leaf, "row": 0, "time_unix_ns": ns(at), "event": event, "details_object": details}


def gateway(name: str, network: str = "192.0.2.1/32", uplink: str = "TOT") -> dict[str, Any]:
    interfaces = [{"number": 1, "name": "LAN", "uplink": ""}, {"number": 2, "name": "WAN", "uplink": uplink}]
    return exporter_fact(network, name, interfaces)


def uplink(name: str, *networks: tuple[str, str | None, str | None], kind: str = "public") -> dict[str, Any]:
    return uplink_fact(name, kind, ZONE, [{"network": n, "from": f, "until": u} for n, f, u in networks])


def names(facts: NetworkFacts, at: str, address: str = "192.0.2.1") -> str | None:
    found = facts.at(ns(at)).exporter_of(parse_address(address))
    return found.name if found else None


def whose(facts: NetworkFacts, at: str, address: str = "203.0.113.5") -> str | None:
    found = facts.at(ns(at)).network_of(parse_address(address))
    return found.uplink if found else None


def test_a_name_is_the_one_that_held_then():
    facts = NetworkFacts([
        row("2026-02-01", gateway("new"), leaf=2), row("2026-01-01", gateway("old")),
        row("2026-03-01", gateway("new"), WITHDRAWN, leaf=3),
    ])  # fmt: skip
    assert [names(facts, at) for at in ("2025-12-31", "2026-01-01", "2026-01-31", "2026-02-01", "2026-03-01")] == [
        None, "old", "old", "new", None,
    ]  # fmt: skip


def test_the_longest_network_names_the_exporter():
    facts = NetworkFacts([row("2026-01-01", gateway("all", "192.0.2.0/24")), row("2026-01-01", gateway("one"))])
    assert (names(facts, "2026-01-02"), names(facts, "2026-01-02", "192.0.2.9")) == ("one", "all")
    assert names(facts, "2026-01-02", "2001:db8::1") is None


def test_days_of_a_network_are_of_the_site_and_the_last_one_counts():
    facts = NetworkFacts([row("2026-01-01", uplink("TOT", ("203.0.113.0/29", "2026-01-10", "2026-01-20")))])
    moments = ("2026-01-09T23:59:59", "2026-01-10T00:00:00", "2026-01-20T23:59:59", "2026-01-21T00:00:00")
    assert [whose(facts, at) for at in moments] == [None, "TOT", "TOT", None]


def test_a_dated_network_stated_later_counts_for_its_days_and_an_undated_one_does_not():
    listed = uplink("TOT", ("203.0.113.0/29", "2026-01-10", None), ("198.51.100.0/24", None, None))
    facts = NetworkFacts([row("2026-05-01", listed)])
    assert [whose(facts, at) for at in ("2026-01-09", "2026-01-11", "2026-06-01")] == [None, "TOT", "TOT"]
    assert [whose(facts, at, "198.51.100.1") for at in ("2026-04-30", "2026-05-01")] == [None, "TOT"]


def test_an_address_that_moved_to_another_uplink():
    facts = NetworkFacts([
        row("2026-01-01", uplink("old", ("203.0.113.0/29", None, "2026-02-28"))),
        row("2026-01-01", uplink("new", ("203.0.113.0/29", "2026-03-01", None))),
    ])  # fmt: skip
    assert [whose(facts, at) for at in ("2026-02-28", "2026-03-01")] == ["old", "new"]


@pytest.mark.parametrize(
    ("uplinks", "complete"),
    [
        ([], False),
        ([uplink("A", ("203.0.113.0/29", None, None))], True),
        ([uplink("A", ("203.0.113.0/29", None, None)), uplink("B")], False),
        ([uplink("A", ("100.64.0.7/32", None, None), kind="carrier_nat")], False),
        ([uplink("A", ("100.64.0.7/32", None, None), ("203.0.113.0/29", None, None), kind="carrier_nat")], True),
        ([uplink("A", ("203.0.113.0/29", "2027-01-01", None))], False),
    ],
)
def test_lists_are_complete_when_each_uplink_lists_what_it_is_seen_under(uplinks, complete):
    assert NetworkFacts([row("2026-01-01", one) for one in uplinks]).at(ns("2026-02-01")).lists_all is complete


def test_public_addresses_behind_a_carrier_are_the_carriers():
    listed = uplink("3BB", ("100.64.0.7/32", None, None), ("203.0.113.0/24", None, None), kind="carrier_nat")
    facts = NetworkFacts([row("2026-01-01", listed, leaf=7)]).at(ns("2026-02-01"))
    carrier = facts.carrier_of(parse_address("203.0.113.5"))
    assert carrier is not None
    assert (carrier.uplink, carrier.own, carrier.evidence.leaf_index) == ("3BB", ("100.64.0.7",), 7)
    assert facts.carrier_of(parse_address("100.64.0.7")) is None
    assert facts.carrier_of(parse_address("198.51.100.1")) is None


@pytest.mark.parametrize(
    "details",
    [
        {}, [], None, "x", {"exporter": "x"}, {"exporter": "192.0.2.1", "name": "a"},
        {"exporter": "192.0.2.1", "name": "a", "interfaces": [{"number": "x"}]},
        {"uplink": "a"}, {"uplink": "a", "kind": "public", "zone": "No/Where", "networks": []},
        {"uplink": "a", "kind": "strange", "zone": ZONE, "networks": [{"network": "203.0.113.0/24"}]},
        {"uplink": "a", "kind": "public", "zone": ZONE, "networks": [{"network": "x"}, {}, 7]},
        {"uplink": "a", "kind": "public", "zone": ZONE, "networks": [{"network": "203.0.113.0/24", "from": "x"}]},
    ],
)  # fmt: skip
def test_a_statement_that_cannot_be_read_names_nothing(details):
    facts = NetworkFacts([row("2026-01-01", details), row("2026-01-01", gateway("good", "192.0.2.9/32"))])
    assert (names(facts, "2026-02-01"), whose(facts, "2026-02-01")) == (None, None)
    assert names(facts, "2026-02-01", "192.0.2.9") == "good"


@pytest.mark.parametrize(
    ("address", "private"),
    [("10.255.0.1", True), ("11.0.0.1", False), ("100.127.255.255", True), ("100.128.0.0", False), ("fd00::1", True),
     ("2001:db8::1", False), ("192.168.0.1", True), ("172.32.0.1", False)],
)  # fmt: skip
def test_private_addresses(address, private):
    assert is_private(parse_address(address)) is private


def test_changes_are_stated_and_removals_withdrawn():
    before = {fact_key(one): one for one in (gateway("gw"), uplink("TOT"), uplink("AIS"))}
    after = [gateway("gw 2"), uplink("TOT"), uplink("NT")]
    assert [(event, fact_key(details)) for event, details in changed_facts(before, after)] == [
        (WITHDRAWN, "uplink AIS"), (STATED, "exporter 192.0.2.1/32"), (STATED, "uplink NT"),
    ]  # fmt: skip
    assert changed_facts(before, list(before.values())) == []


def test_the_journal_is_told_once_and_again_when_the_copy_is_lost(tmp_path):
    clock = ManualClock()
    writer = SpoolWriter(tmp_path / "spool", "identity", clock=clock)
    copy = tmp_path / "copy.json"
    facts = [gateway("gw"), uplink("TOT", ("203.0.113.0/29", None, None))]
    assert state_network(writer, copy, [], clock) == 0
    assert not copy.exists()
    assert [state_network(writer, copy, facts, clock) for _ in range(2)] == [2, 0]
    assert state_network(writer, copy, facts[:1], clock) == 1
    for damage in (b"", b"[1]", b'{"x": 1}', b"\xff"):
        copy.write_bytes(damage)
        assert state_network(writer, copy, facts[:1], clock) == 1
    assert json.loads(copy.read_bytes()) == {fact_key(facts[0]): facts[0]}
    writer.close()


def test_the_copy_stays_when_the_journal_cannot_be_told(tmp_path):
    clock = ManualClock()
    writer = SpoolWriter(tmp_path / "spool", "identity", clock=clock)
    copy = tmp_path / "copy.json"
    state_network(writer, copy, [gateway("gw")], clock)
    before = copy.read_bytes()
    writer.close()
    with pytest.raises(Exception, match="clos"):
        state_network(writer, copy, [gateway("other")], clock)
    assert copy.read_bytes() == before
