"""A row hidden in the index of a real appliance: the full verification finds it and raises the alarm."""

import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from archive.local_rpc import call_local
from tests.appliance import RunningAppliance
from tests.collector.wire.flow_builder import netflow5

HIDE = """
import sys, clickhouse_connect
client = clickhouse_connect.get_client(dsn="chdb://" + sys.argv[1])
(name,) = client.query("SELECT name FROM system.databases WHERE name LIKE 'phayan%'").first_row
found = client.query("SELECT leaf_index, row FROM " + name + ".logs WHERE message LIKE '%hide me%'").result_rows
where = "leaf_index = %d AND row = %d" % found[0]
client.command("ALTER TABLE " + name + ".logs DELETE WHERE " + where + " SETTINGS mutations_sync = 2")
print(len(found), found[0][0])
"""
"""In a process of its own: an embedded engine is one for the life of a process."""


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[RunningAppliance]:
    made = RunningAppliance(tmp_path / "office")
    made.configure()
    yield made
    made.stop()


def until(look: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
    return found


def verify_now(appliance: RunningAppliance) -> dict[str, Any]:
    return call_local(appliance.directory / "run" / "timers.sock", "verify_now", timeout_seconds=60)


def status(appliance: RunningAppliance) -> dict[str, Any]:
    return call_local(appliance.directory / "run" / "ask.sock", "status")


def test_a_row_hidden_while_the_appliance_was_stopped_is_found(appliance: RunningAppliance, full_counts: bool) -> None:
    """The alarm is waited for with `--full` only: none is raised in the first 15 s of an index process."""
    appliance.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        for number in range(5):
            link.sendto(b"<13>gw1 app: hide me %d" % number, ("127.0.0.1", appliance.ports["syslog_udp"]))
        link.sendto(netflow5(3), ("127.0.0.1", appliance.ports["netflow"]))
    until(lambda: status(appliance)["streams"].get("collector", {}).get("indexed", 0) >= 6)
    before = verify_now(appliance)
    assert (before["verdict"], before["defects"]) == ("intact", 0), before
    index = before["index"]
    assert (index["state"], index["is_complete"], index["defects"], index["problem"]) == ("checked", True, 0, "")
    assert index["rows"] > 5
    assert index["sampled_rows"] > 5
    assert index["other_decoder_leaves"] == 0
    appliance.stop()

    hidden = run(
        [sys.executable, "-c", HIDE, str(appliance.directory / "index")], capture_output=True, text=True, check=False
    )
    assert hidden.returncode == 0, hidden.stderr
    count, leaf = map(int, hidden.stdout.split())
    assert count == 5
    appliance.start()
    after = verify_now(appliance)
    assert (after["verdict"], after["exit_code"]) == ("defect", 1), after
    assert after["index"]["places"] == [{"table": "logs", "leaf_index": leaf, "what": "rows_missing"}]
    assert after["message"] == f"Table logs of the index lacks 1 row of leaf {leaf}."
    if full_counts:
        until(lambda: "verify_defect" in {alarm["code"] for alarm in status(appliance)["alarms"]}, 40)
