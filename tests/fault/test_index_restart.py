"""The index process killed in the middle of a NetFlow v9 stream that names its template once."""

import os
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest

from archive.clock import SystemClock
from archive.verify.run import verify_archive
from tests.appliance import RunningAppliance
from tests.e2e.lab import wait_until
from tests.fault.v9_stream import data, template

SAMPLE_KILLS, FULL_KILLS = 1, 5
"""Of the process while the template is known. The sample is what `make test` runs."""
DATAGRAMS_BETWEEN = 20


@pytest.mark.slow
def test_a_killed_index_process_goes_on_with_the_template_it_was_taught(tmp_path: Path, full_counts: bool) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    appliance.start()
    sent: list[int] = []
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exporter:
            exporter.connect(("127.0.0.1", appliance.ports["netflow"]))
            now = SystemClock().unix_ns() // 1_000_000_000

            def send(count: int) -> None:
                for _ in range(count):
                    sent.append(len(sent) + 1)
                    exporter.send(data(now, len(sent) + 1, source_port=1000 + sent[-1]))

            # The first ones wait for it: late rows over a kill too.
            send(DATAGRAMS_BETWEEN)
            _wait_indexed(appliance)
            _kill_ask(appliance)
            exporter.send(template(now, len(sent) + 1))
            for _ in range(FULL_KILLS if full_counts else SAMPLE_KILLS):
                send(DATAGRAMS_BETWEEN)
                _kill_ask(appliance)
                send(DATAGRAMS_BETWEEN)
                _wait_indexed(appliance)
            found = Counter(
                row["fields"]["source_port"] - 1000
                for row in appliance.ask("search", "table:flows", "--since", "-1h", "--limit", "10000")["rows"]
            )
        assert found == Counter(dict.fromkeys(sent, 1)), "each flow once"
        written = appliance.ask("search", "table:events", "--since", "-1h", "--limit", "10000")["rows"]
        days = [row["fields"]["details"] for row in written if row["fields"]["code"] == "carry_written"]
        assert 1 <= len(days) <= 2, "once a day, twice where the day ends meanwhile"
    finally:
        appliance.stop()
    report = verify_archive(appliance.directory, tmp_path / "office.head")
    assert report.exit_code == 0, report.to_text()


def _kill_ask(appliance: RunningAppliance) -> None:
    pid = wait_until(lambda: appliance.process_ids().get("ask"), 30, "ask runs")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: appliance.process_ids().get("ask") not in (None, pid), 30, "ask is started again")


def _wait_indexed(appliance: RunningAppliance) -> None:
    def ready() -> bool:
        done = appliance.phayan("status", "--format", "json")
        if done.returncode:
            return False
        count = appliance.ask("status")["streams"]["collector"]
        return count["received"] == count["indexed"] > 0

    wait_until(ready, 90, "everything received is indexed")
