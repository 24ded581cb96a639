"""Names of exporters and uplinks in answers, as of the time of what is asked about, and whose address it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nat_datagrams as made
import pytest
from ask_desk import ZONE, AskDesk

from archive.event_record import encode_event
from archive.network_settings import STATED, WITHDRAWN, encode_fact, exporter_fact, uplink_fact
from archive.time_text import format_iso

NS = 10**9
OUTSIDE, INSIDE, SERVER, CARRIERS, STRANGER = "203.0.113.5", "10.0.0.7", "198.51.100.80", "198.18.0.9", "192.0.3.1"
INTERFACES = [{"number": 1, "name": "LAN", "uplink": ""}, {"number": 2, "name": "WAN", "uplink": "TOT"}]


def uplink(name: str, kind: str, *networks: str) -> dict[str, Any]:
    return uplink_fact(name, kind, ZONE, [{"network": n, "from": None, "until": None} for n in networks])


GATEWAY = exporter_fact("192.0.2.254/32", "gw-1", INTERFACES)
TOT = uplink("TOT", "public", "203.0.113.0/29")
AIS = uplink("AIS", "carrier_nat", "198.18.0.0/24", "100.64.3.7/32")


class Office(AskDesk):
    def state(self, *facts: dict[str, Any], event: str = STATED) -> None:
        now = self.log.clock.unix_ns() + NS
        self.log.put("identity", *[("identity", encode_fact(event, one, now)) for one in facts])
        self.log.clock.advance(10)

    def flow(self, *, nat: bool = True) -> None:
        self.log.clock.advance(10)
        now = self.log.clock.unix_ns()
        record = made.plain(now, INSIDE, SERVER)
        fields = made.TRANSLATED if nat else made.PLAIN
        record = made.translated(record, OUTSIDE, SERVER, (40000, 443)) if nat else record
        self.log.put("collector", made.message(now, fields, record))
        self.log.clock.advance(10)

    def flows(self) -> list[dict[str, Any]]:
        return self.ask("search", query="table:flows", since="-7d")["rows"]

    def who(self, address: str, **asked: Any) -> dict[str, Any]:
        asked = {"tolerance_seconds": 0, "at": format_iso(self.log.clock.unix_ns() - NS, ZONE), **asked}
        return self.ask("who", address=address, **asked)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made_office = Office(tmp_path)
    yield made_office
    made_office.close()


def test_a_flow_is_told_with_the_names_of_its_time(office: Office) -> None:
    office.flow()
    office.state(GATEWAY, TOT)
    office.flow()
    office.state(exporter_fact("192.0.2.254/32", "gw-2", []), TOT)
    office.state(TOT, event=WITHDRAWN)
    office.flow()
    office.state(GATEWAY, event=WITHDRAWN)
    office.flow()
    routes = [row["traffic"]["route"] for row in reversed(office.flows())]
    assert [(r["exporter"], r["input_interface"], r["output_interface"], r["uplink"]) for r in routes] == [
        (None, None, None, None), ("gw-1", "LAN", "WAN", "TOT"), ("gw-2", None, None, None), (None, None, None, None),
    ]  # fmt: skip
    assert routes[0]["exporter_address"] == "192.0.2.254"


def test_all_nine_fields_of_a_flow_in_search_and_record(office: Office) -> None:
    office.state(GATEWAY, TOT)
    office.flow()
    (row,) = office.flows()
    traffic = row["traffic"]
    assert (traffic["source"], traffic["origin"], traffic["destination"]) == (
        f"{INSIDE}:5000", f"{OUTSIDE}:40000", f"{SERVER}:443",
    )  # fmt: skip
    assert (traffic["volume_bytes"], traffic["volume_packets"], traffic["duration_seconds"]) == (1234, 5, 2.5)
    assert (traffic["service"], traffic["time_of"], traffic["unknown"]) == ("https/tcp", "start", [])
    record = office.ask("record", leaf_index=row["leaf_index"], row=row["row"], reason="x")
    shown = {one["table"]: one for one in record["rows"]}
    assert shown["flows"]["traffic"] == traffic
    assert shown["nat"]["route"] == {"exporter": "gw-1", "exporter_address": "192.0.2.254", "uplink": "TOT"}
    assert not any(name.endswith("unix_ns") for one in record["rows"] for name in one["fields"])


def test_without_translation_the_origin_of_an_inside_host_is_unknown(office: Office) -> None:
    office.flow(nat=False)
    (row,) = office.flows()
    assert row["traffic"]["unknown"] == [
        "origin", "route.exporter", "route.input_interface", "route.output_interface", "route.uplink",
    ]  # fmt: skip


def test_who_names_exporter_and_uplink_of_the_translation(office: Office) -> None:
    office.state(GATEWAY, TOT)
    office.flow()
    office.log.clock.advance(3600)
    answer = office.who(OUTSIDE, port=40000, at=format_iso(office.log.clock.unix_ns() - 3609 * NS, ZONE))
    (candidate,) = answer["candidates"]
    assert candidate["route"] == {"exporter": "gw-1", "exporter_address": "192.0.2.254", "uplink": "TOT"}
    assert answer["uplink"] == {"name": "TOT", "kind": "public", "is_ours": True}
    assert answer["carrier"] is None


def test_an_address_of_nobody_here_is_not_ours(office: Office) -> None:
    office.state(GATEWAY)
    assert office.who(STRANGER)["certainty"] == "cannot_know", "nothing is stated of any uplink"
    office.state(TOT, AIS)
    answer = office.who(STRANGER, port=443)
    assert (answer["certainty"], answer["uplink"], answer["carrier"]) == ("not_ours", None, None)
    assert office.who(OUTSIDE, port=443)["certainty"] == "cannot_know", "ours, and no source reports it"
    assert office.who(INSIDE)["certainty"] == "cannot_know", "a private address may be of anybody behind the uplinks"


def test_an_uplink_that_lists_nothing_leaves_it_open(office: Office) -> None:
    office.state(TOT, uplink("NT", "public"))
    assert office.who(STRANGER)["certainty"] == "cannot_know"


def test_before_the_uplinks_were_stated_nothing_is_known_of_them(office: Office) -> None:
    before = format_iso(office.log.clock.unix_ns() - NS, ZONE)
    office.log.clock.advance(100)
    office.state(TOT)
    assert (office.who(STRANGER)["certainty"], office.who(STRANGER, at=before)["certainty"]) == (
        "not_ours", "cannot_know",
    )  # fmt: skip


def test_a_carriers_address_leads_to_the_carrier(office: Office) -> None:
    office.state(TOT, AIS)
    answer = office.who(CARRIERS, port=40000, protocol="tcp", to=f"{SERVER}:443")
    assert (answer["certainty"], answer["candidates"]) == ("not_ours", [])
    assert answer["uplink"] == {"name": "AIS", "kind": "carrier_nat", "is_ours": False}
    carrier = answer["carrier"]
    assert (carrier["uplink"], carrier["own_addresses"]) == ("AIS", ["100.64.3.7"])
    for text in carrier["ask"].values():
        for said in ("AIS", f"{CARRIERS}:40000 tcp", f"{SERVER}:443", answer["asked"]["at"], "100.64.3.7", "Z)"):
            assert said in text
    (proof,) = office.log.rows("identity", where=f"leaf_index = {carrier['leaf_index']} AND row = {carrier['row']}")
    assert "AIS" in proof["details"]


def test_a_carriers_address_without_a_port_asks_for_one(office: Office) -> None:
    office.state(AIS)
    with_port, without = office.who(CARRIERS, port=7)["carrier"]["ask"], office.who(CARRIERS)["carrier"]["ask"]
    assert "needs the port" in without["en"]
    assert "needs the port" not in with_port["en"]
    assert "ต้องใช้หมายเลขพอร์ต" in without["th"]


def test_our_own_address_behind_a_carrier_is_ours(office: Office) -> None:
    office.state(AIS)
    answer = office.who("100.64.3.7", port=40000)
    assert (answer["certainty"], answer["carrier"]) == ("cannot_know", None)
    assert answer["uplink"]["is_ours"] is True


def test_statements_name_no_account(office: Office) -> None:
    office.state(GATEWAY)
    values = {"account": "somchai", "person": "สมชาย", "actor": "admin", "details": {}}
    office.log.put("identity", ("identity", encode_event("account_created", office.log.clock.unix_ns(), values)))
    assert [row["account"] for row in office.log.rows("identity", "account", "event = 'network_stated'")] == [""]
    found = office.ask("search", query='table:identity "gw-1"', since="-1d")["rows"]
    assert len(found) == 1
