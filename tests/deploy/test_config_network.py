"""Exporters and uplinks in the configuration: wrong ones are refused in one sentence, right ones become facts."""

import tomllib
from typing import Any, get_args

import pytest

from archive.network_settings import KINDS, fact_key
from deploy.config import Config, parse_config
from deploy.config_network import UplinkSettings
from deploy.errors import ConfigError
from deploy.network_facts import network_facts
from deploy.settings_doc import settings_document

RIGHT = """
[[exporter]]
network = "192.0.2.1"
name = "เกตเวย์"
[[exporter.interface]]
number = 2
name = "ether1"
uplink = "TOT"
[[exporter]]
network = "192.0.2.0/24"
name = "others"

[[uplink]]
name = "TOT"
[[uplink.address]]
network = "203.0.113.0/29"
from = 2026-01-01
until = "2026-03-31"
[[uplink.address]]
network = "2001:db8::/48"
[[uplink]]
name = "AIS"
kind = "carrier_nat"
[[uplink.address]]
network = "203.0.113.0/29"
from = 2026-04-01
"""


def parse(text: str) -> Config:
    return parse_config(tomllib.loads(text), "phayan.toml")


def exporter(*interfaces: dict[str, Any], network: str = "192.0.2.1", name: str = "gw", **more: Any) -> dict[str, Any]:
    return {"network": network, "name": name, "interface": list(interfaces), **more}


def uplink(*address: dict[str, Any], name: str = "TOT", **more: Any) -> dict[str, Any]:
    return {"name": name, "address": list(address), **more}


OWN = {"network": "203.0.113.0/29"}


def test_the_settings_become_facts() -> None:
    gateway, others, tot, ais = network_facts(parse(RIGHT))
    assert gateway == {
        "exporter": "192.0.2.1/32", "name": "เกตเวย์",
        "interfaces": [{"number": 2, "name": "ether1", "uplink": "TOT"}],
    }  # fmt: skip
    assert (fact_key(others), others["interfaces"]) == ("exporter 192.0.2.0/24", [])
    assert tot == {
        "uplink": "TOT", "kind": "public", "zone": "Asia/Bangkok",
        "networks": [
            {"network": "203.0.113.0/29", "from": "2026-01-01", "until": "2026-03-31"},
            {"network": "2001:db8::/48", "from": None, "until": None},
        ],
    }  # fmt: skip
    assert (ais["kind"], ais["networks"][0]["from"]) == ("carrier_nat", "2026-04-01")


def test_nothing_set_is_no_fact() -> None:
    assert network_facts(Config()) == ()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"exporter": [exporter(naem="x")]}, ["exporter.0.naem", "'name'"]),
        ({"exporter": [exporter({"number": 1, "name": "a", "uplnk": "x"})]}, ["interface.0.uplnk", "'uplink'"]),
        ({"uplink": [uplink(adress=[])]}, ["uplink.0.adress", "'address'"]),
        ({"uplink": [uplink({**OWN, "form": "2026-01-01"})]}, ["uplink.0.address.0.form", "'from'"]),
        ({"uplink": [uplink({**OWN, "from_day": "2026-01-01"})]}, ["address.0.from_day", "'from'"]),
        ({"exporter": [{"network": "192.0.2.1"}]}, ["exporter.0.name", "missing"]),
        ({"exporter": [exporter(network="gateway")]}, ["exporter.0.network", "gateway", "10.0.0.0/8"]),
        ({"exporter": [exporter(network="192.0.2.1/24")]}, ["exporter.0.network", "10.0.0.0/8"]),
        ({"exporter": [exporter({"number": -1, "name": "a"})]}, ["interface.0.number", "0 to 4294967295"]),
        ({"exporter": [exporter({"number": 1, "name": ""})]}, ["exporter.0.interface.0.name"]),
        ({"exporter": [exporter(*[{"number": 1, "name": "a"}] * 2)]}, ["interface number 1", "twice"]),
        ({"exporter": [exporter(), exporter(network="192.0.2.1/32")]}, ["192.0.2.1/32", "twice"]),
        ({"exporter": [exporter({"number": 1, "name": "a", "uplink": "TOT"})]}, ["'TOT'", "[[uplink]]"]),
        (
            {"exporter": [exporter({"number": 1, "name": "a", "uplink": "TO"})], "uplink": [uplink()]},
            ["'TO'", "valid are 'TOT'"],
        ),
        ({"uplink": [uplink(), uplink()]}, ["uplink name TOT", "twice"]),
        ({"uplink": [uplink(kind="nat")]}, ["uplink.0.kind", "nat", "carrier_nat"]),
        ({"uplink": [uplink({**OWN, "from": "2569-01-01"})]}, ["address.0.from", "2569-01-01", "ISO", "Christian"]),
        ({"uplink": [uplink({**OWN, "from": "1/2/2026"})]}, ["address.0.from", "1/2/2026", "2026-01-31"]),
        ({"uplink": [uplink({**OWN, "until": 2026})]}, ["address.0.until", "2026-01-31"]),
        ({"uplink": [uplink({**OWN, "from": "2026-03-01", "until": "2026-02-28"})]}, ["lies after", "address.0"]),
        ({"uplink": [uplink(OWN), uplink(OWN, name="AIS")]}, ["203.0.113.0/29", "'TOT'", "'AIS'", "same days"]),
    ],
)  # fmt: skip
def test_a_wrong_one_is_refused_in_one_sentence(values: dict[str, Any], expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(values, "phayan.toml")
    text = str(caught.value)
    assert "\n" not in text
    assert "{" not in text, "a sentence, not a dump"
    for part in expected:
        assert part in text, text


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (("2026-01-01", "2026-01-31"), ("2026-02-01", None), False),
        (("2026-01-01", "2026-02-01"), ("2026-02-01", None), True),
        ((None, "2026-01-31"), ("2026-02-01", "2026-03-01"), False),
        ((None, None), ("2026-02-01", "2026-03-01"), True),
        (("2026-01-01", "2026-12-31"), ("2026-02-01", "2026-03-01"), True),
    ],
)
def test_an_address_has_one_uplink_on_each_day(one: tuple, other: tuple, meet: bool) -> None:
    days = [{**OWN, **{k: v for k, v in zip(("from", "until"), pair, strict=True) if v}} for pair in (one, other)]
    for first, second in (days, reversed(days)):
        values = {"uplink": [uplink(first), uplink(second, name="AIS")]}
        if meet:
            with pytest.raises(ConfigError, match="same days"):
                parse_config(values, "x")
        else:
            parse_config(values, "x")


def test_kinds_are_those_that_answers_know() -> None:
    assert get_args(UplinkSettings.model_fields["kind"].annotation) == KINDS


def test_the_settings_page_names_keys_as_they_are_written() -> None:
    page = settings_document()
    assert "| `from` |" in page
    assert "from_day" not in page
