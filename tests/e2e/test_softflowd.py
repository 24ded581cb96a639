"""softflowd watches real traffic between two namespaces through a NAT gateway and exports v5, v9 and IPFIX to us."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.appliance import RunningAppliance
from tests.e2e.lab import (
    APPLIANCE,
    CLIENTS,
    CONNECT_ONCE,
    GATEWAY,
    SERVE,
    SERVERS,
    Lab,
    can_make_namespaces,
    wait_until,
)

PCAP_HEADER_BYTES = 24
VERSIONS = {"5": "netflow5", "9": "netflow9", "10": "ipfix"}


@pytest.mark.interop
def test_softflowd_in_every_version(tmp_path: Path) -> None:
    if shutil.which("softflowd") is None or not can_make_namespaces():
        reason = "needs softflowd, root and network namespaces"
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    with Lab() as lab:
        appliance.start()
        try:
            for number, (version, name) in enumerate(VERSIONS.items()):
                _export(lab, appliance, version, 41_000 + number, tmp_path)
                _check(appliance, name, 41_000 + number)
        finally:
            appliance.stop()


def _export(lab: Lab, appliance: RunningAppliance, version: str, port: int, directory: Path) -> None:
    """One connection from c1 to s1 from inside port `port`, captured in the gateway, exported from there by softflowd.

    softflowd reads the capture instead of the interface: on kernels whose poll() does not wake for a TPACKET_V2 ring
    its live mode counts packets and never sees one.
    """
    capture = directory / f"capture-{version}.pcap"
    watcher = lab.start("gw", "tcpdump", "-U", "-i", "lan", "-w", str(capture), stderr=subprocess.DEVNULL)
    server = lab.start("s1", sys.executable, "-c", SERVE, str(8000 + int(version)))
    wait_until(lambda: capture.exists() and capture.stat().st_size >= PCAP_HEADER_BYTES, 10, "tcpdump is ready")
    time.sleep(0.5)
    to = (SERVERS["s1"], str(8000 + int(version)))
    assert lab.start("c1", sys.executable, "-c", CONNECT_ONCE, *to, str(port), "0.2").wait(20) == 0
    time.sleep(1)
    for process in (watcher, server):
        process.terminate()
        process.wait(10)
    collector = f"{APPLIANCE}:{appliance.ports['netflow']}"
    lab.inside("gw", "softflowd", "-d", "-r", str(capture), "-v", version, "-n", collector)


def _check(appliance: RunningAppliance, version: str, port: int) -> None:
    def flows() -> list[dict]:
        query = f"table:flows src:{CLIENTS['c1']} sport:{port}"
        return appliance.ask("search", query, "--since", "-1h")["rows"]

    rows = wait_until(flows, 30, f"{version} flows are indexed")
    fields = rows[0]["fields"]
    assert fields["version"] == version
    assert fields["destination_address"] == SERVERS["s1"]
    assert fields["protocol"] == 6
    assert fields["bytes"] > 100
    assert fields["packets"] >= 4
    assert fields["exporter_address"] == GATEWAY
    assert fields["start"] is not None
    assert fields["end"] is not None
    assert fields["start"] <= fields["end"]
