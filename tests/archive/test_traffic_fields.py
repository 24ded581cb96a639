"""The nine fields of a flow: filled, or named as unknown."""

from typing import Any

import pytest

from archive.addresses import parse_address
from archive.ask.services import service_name
from archive.ask.traffic import flow_traffic
from archive.attribution.network_facts import NetworkFacts
from archive.network_settings import STATED, exporter_fact, uplink_fact

ZONE = "Asia/Bangkok"
T0 = 1_795_132_800 * 10**9
INTERFACES = [{"number": 1, "name": "LAN", "uplink": ""}, {"number": 2, "name": "WAN", "uplink": "TOT"}]
DETAILS = (
    exporter_fact("192.0.2.1/32", "gw", INTERFACES),
    uplink_fact("TOT", "public", ZONE, [{"network": "203.0.113.0/29", "from": None, "until": None}]),
    uplink_fact("AIS", "public", ZONE, [{"network": "198.51.100.0/24", "from": None, "until": None}]),
)
FACTS = NetworkFacts(
    {"log": "x", "leaf_index": 1, "row": n, "time_unix_ns": T0, "event": STATED, "details_object": details}
    for n, details in enumerate(DETAILS)
)


def flow(**given: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "exporter_address": "192.0.2.1", "source_address": "10.0.0.7", "source_port": 5000,
        "destination_address": "8.8.8.8", "destination_port": 443, "protocol": 6, "tos": 0,
        "start_unix_ns": T0 + 10**9, "end_unix_ns": T0 + 3_500_000_000, "received_unix_ns": T0 + 9 * 10**9,
        "bytes": 1234, "packets": 5, "input_interface": 1, "output_interface": 2,
        "postnat_source_address": "203.0.113.5", "postnat_source_port": 40000, "postnat_destination_address": None,
    }  # fmt: skip
    assert given.keys() <= row.keys()
    row |= given
    return {k: parse_address(v) if k.endswith("address") and v else v for k, v in row.items()}


def traffic(**given: Any) -> dict[str, Any]:
    return flow_traffic(flow(**given), FACTS, ZONE)


def test_every_field_is_filled():
    found = traffic()
    assert found == {
        "source": "10.0.0.7:5000", "origin": "203.0.113.5:40000", "destination": "8.8.8.8:443",
        "route": {
            "exporter": "gw", "exporter_address": "192.0.2.1", "input_interface": "LAN", "output_interface": "WAN",
            "uplink": "TOT",
        },
        "date": "2026-11-20", "time": "07:00:01.000000000+07:00", "time_of": "start",
        "volume_bytes": 1234, "volume_packets": 5, "duration_seconds": 2.5, "service": "https/tcp", "unknown": [],
    }  # fmt: skip


def test_nothing_known_is_named_and_no_field_is_missing():
    found = traffic(
        exporter_address="192.0.2.9", source_address="::", destination_address="::", protocol=None, bytes=None,
        packets=None, start_unix_ns=None, end_unix_ns=None, postnat_source_address=None, postnat_source_port=None,
        source_port=None, destination_port=None,
    )  # fmt: skip
    assert found.keys() == traffic().keys()
    assert found["unknown"] == [
        "source", "origin", "destination", "volume_bytes", "volume_packets", "duration_seconds", "service",
        "route.exporter", "route.input_interface", "route.output_interface", "route.uplink",
    ]  # fmt: skip
    assert (found["time_of"], found["time"]) == ("receipt", "07:00:09.000000000+07:00")


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ({"postnat_source_address": None}, None),
        ({"postnat_source_address": "0.0.0.0"}, None),
        ({"postnat_source_address": None, "source_address": "198.51.100.9"}, "198.51.100.9:5000"),
        ({"postnat_source_port": None}, "203.0.113.5"),
        ({"postnat_source_address": "10.0.0.7", "postnat_source_port": None}, "10.0.0.7:5000"),
    ],
)
def test_origin_is_what_the_other_side_saw(given, origin):
    assert traffic(**given)["origin"] == origin


@pytest.mark.parametrize(
    ("given", "uplink"),
    [
        ({"input_interface": 2, "output_interface": 1}, "TOT"),
        ({"output_interface": 1}, "TOT"),
        ({"output_interface": None, "postnat_source_address": "198.51.100.9"}, "AIS"),
        ({"output_interface": 3, "postnat_source_address": None}, None),
        ({"output_interface": 3, "postnat_source_address": None, "destination_address": "198.51.100.9"}, "AIS"),
        ({"output_interface": 2, "postnat_source_address": "198.51.100.9"}, "TOT"),
    ],
)
def test_uplink_by_interface_else_by_address(given, uplink):
    assert traffic(**given)["route"]["uplink"] == uplink


def test_names_are_of_the_time_of_the_flow():
    early = traffic(start_unix_ns=T0 - 1, received_unix_ns=T0 + 10**9)
    assert (early["route"]["exporter"], early["route"]["uplink"]) == (None, None)
    assert "route.exporter" in early["unknown"]


@pytest.mark.parametrize(
    ("protocol", "source", "destination", "name"),
    [
        (6, 50000, 443, "https/tcp"), (6, 443, 50000, "https/tcp"), (17, 53, 53, "dns/udp"),
        (17, 123, 40000, "ntp/udp"), (6, 50000, 50001, "tcp"), (1, None, None, "icmp"), (1, 80, 80, "icmp"),
        (47, None, None, "gre"),
        (200, None, None, "protocol-200"), (None, 80, 80, None), (6, None, None, "tcp"),
    ],
)  # fmt: skip
def test_service(protocol, source, destination, name):
    assert service_name(protocol, source, destination) == name
