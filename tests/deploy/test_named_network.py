"""Exporters and uplinks of the settings in a running appliance: stated at its start, named in answers and status."""

import csv
import socket
import struct
import time
from pathlib import Path
from typing import Any

from tests.appliance import RunningAppliance

NETWORK = """
[[exporter]]
network = "127.0.0.1"
name = "เกตเวย์"
[[exporter.interface]]
number = 3
name = "LAN"
[[exporter.interface]]
number = 4
name = "WAN"
uplink = "TOT"
[[uplink]]
name = "TOT"
[[uplink.address]]
network = "203.0.113.0/29"
[[uplink]]
name = "AIS"
kind = "carrier_nat"
[[uplink.address]]
network = "198.18.0.0/24"
[[uplink.address]]
network = "100.64.3.7"
"""
INDEX_SECONDS = 60


def netflow5() -> bytes:
    """One flow of 10.0.0.7:5000 to 198.51.100.80:443, in by 3 and out by 4, of the last ten seconds."""
    now = int(time.time())
    header = struct.pack(">HHIIIIBBH", 5, 1, 600_000, now, 0, 0, 0, 0, 0)
    ends = bytes([10, 0, 0, 7, 198, 51, 100, 80, 0, 0, 0, 0])
    numbers = struct.pack(">HHIIIIHH", 3, 4, 5, 1234, 590_000, 592_500, 5000, 443)
    return header + ends + numbers + struct.pack(">BBBBHHBBH", 0, 24, 6, 0, 0, 0, 0, 0, 0)


def test_names_of_the_settings_are_in_every_answer(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure(NETWORK)
    appliance.start()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exporter:
            exporter.sendto(netflow5(), ("127.0.0.1", appliance.ports["netflow"]))
        rows = wait_for_rows(appliance, "table:flows")
        stated = wait_for_rows(appliance, "event:network_stated")
        assert {row["fields"]["actor"] for row in stated} == {"settings"}
        assert len(stated) == 3
        (flow,) = appliance.ask("search", "table:flows")["rows"]
        assert rows[0]["row"] == flow["row"]
        # The flow began ten seconds ago, before the first start of this archive: nothing was stated then.
        assert flow["traffic"]["route"]["exporter"] is None
        assert "route.uplink" in flow["traffic"]["unknown"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exporter:
            later = bytearray(netflow5())
            later[8:12] = struct.pack(">I", int(time.time()) + 60)
            exporter.sendto(bytes(later), ("127.0.0.1", appliance.ports["netflow"]))
        (named, _) = wait_for_rows(appliance, "table:flows", 2)
        assert named["traffic"]["route"] == {
            "exporter": "เกตเวย์", "exporter_address": "127.0.0.1", "input_interface": "LAN", "output_interface": "WAN",
            "uplink": "TOT",
        }  # fmt: skip
        assert (named["traffic"]["service"], named["traffic"]["duration_seconds"]) == ("https/tcp", 2.5)
        (first, second) = csv.DictReader(
            appliance.phayan("search", "table:flows", "--format", "csv").stdout.splitlines()
        )
        assert (first["uplink"], first["service"], first["volume_bytes"]) == ("TOT", "https/tcp", "1234")
        assert (second["uplink"], second["origin"]) == ("unknown", "unknown")
        answer = appliance.ask("who", "198.18.0.9", "--port", "40000", "--at", "now")
        assert (answer["certainty"], answer["carrier"]["own_addresses"]) == ("not_ours", ["100.64.3.7"])
        assert "AIS" in appliance.phayan("who", "198.18.0.9", "--port", "40000", "--at", "now").stdout
        sources = appliance.ask("status")["exporters"]
        assert {(one["name"], one["answers_ports"], one["code"]) for one in sources} == {
            ("เกตเวย์", "no", "no_nat_fields")
        }
        assert "(no_nat_fields)" in appliance.phayan("status").stdout
    finally:
        appliance.stop()


def wait_for_rows(appliance: RunningAppliance, query: str, count: int = 1) -> list[dict[str, Any]]:
    deadline = time.monotonic() + INDEX_SECONDS
    while len(rows := appliance.ask("search", query)["rows"]) < count:
        assert time.monotonic() < deadline, f"{query} finds {len(rows)} of {count} rows"
        time.sleep(0.3)
    return rows
