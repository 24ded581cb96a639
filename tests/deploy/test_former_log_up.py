"""The real appliance over a change of keys: what was received before it is found after it."""

import socket
import time
from pathlib import Path
from typing import Any

from tests.appliance import RunningAppliance

SECONDS = 60.0


def send(appliance: RunningAppliance, text: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(f"<13>1 - gw app - - - {text}".encode(), ("127.0.0.1", appliance.ports["syslog_udp"]))


def wait_for(appliance: RunningAppliance, *texts: str) -> list[dict[str, Any]]:
    """The rows of exactly these messages, newest first."""
    deadline = time.monotonic() + SECONDS
    while True:
        rows = appliance.ask("search", "seam")["rows"]
        found = [row["fields"]["message"] for row in rows]
        if found == [f"seam {text}" for text in texts]:
            return rows
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def test_search_and_record_of_both_logs_after_a_key_change(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "data")
    appliance.configure()
    try:
        appliance.start()
        send(appliance, "seam before")
        (before,) = wait_for(appliance, "before")
        appliance.stop()
        changed = appliance.phayan("keys", "change", "--yes", "--config", str(appliance.config_path))
        assert changed.returncode == 0, changed.stderr
        appliance.start()
        assert wait_for(appliance, "before") == [before]
        send(appliance, "seam after")
        after, again = wait_for(appliance, "after", "before")
        assert again == before
        assert after["log"] != before["log"]
        table = appliance.phayan("search", "seam").stdout.splitlines()
        assert [before["log"] in line for line in table] == [False, True]
        deadline = time.monotonic() + SECONDS
        while appliance.ask("status")["former_logs_behind"]:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert appliance.phayan("verify").returncode == 0
    finally:
        appliance.stop()
