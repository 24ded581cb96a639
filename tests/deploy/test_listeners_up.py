"""A listener of its own with a realm, in the running appliance, and what status and metrics say of it."""

import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from archive.local_rpc import call_local
from tests.appliance import RunningAppliance, free_port

SEARCHABLE_SECONDS = 60
SILENCE_SECONDS = 2


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    made = RunningAppliance(tmp_path_factory.mktemp("listeners") / "data")
    port = free_port(socket.SOCK_DGRAM)
    made.configure(
        f'[[listener]]\nkind = "syslog"\nport = {port}\nreceivers = 2\nrealm = "annex"\n'
        f'allow = ["127.0.0.1"]\nsilence_seconds = {SILENCE_SECONDS}\n'
    )
    made.ports["own"] = port
    try:
        made.start()
        yield made
    finally:
        made.stop()


def send(port: int, payload: bytes, source: str = "127.0.0.1") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind((source, 0))
        link.sendto(payload, ("127.0.0.1", port))


def wait_for(look: Callable[[], Any], what: str) -> Any:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + SEARCHABLE_SECONDS
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.3)
    raise AssertionError(f"{what} is not searchable")


def found(appliance: RunningAppliance, word: str) -> dict[str, Any]:
    """Columns of the one row with this word."""
    (row,) = wait_for(lambda: appliance.ask("search", f"table:logs {word}")["rows"], word)
    return row["fields"]


def metrics(text: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(text)
    return {
        (s.name, *(s.labels[label] for label in sorted(s.labels))): s.value
        for family in families
        for s in family.samples
    }


def test_realm_status_and_metrics_of_a_listener_of_its_own(appliance: RunningAppliance) -> None:
    ports = appliance.ports
    own, shared = f"syslog/udp-{ports['own']}", f"syslog/udp-{ports['syslog_udp']}"
    send(ports["own"], b"<13>word annexline")
    send(ports["own"], b"<13>word strangerline", source="127.0.0.9")
    send(ports["syslog_udp"], b"<13>word mainline")
    send(ports["sflow"], b"no sflow at all")
    assert found(appliance, "annexline")["realm"] == "annex"
    assert found(appliance, "mainline")["realm"] == "main"

    listeners = appliance.ask("status")["listeners"]
    ours = [values for name, values in listeners.items() if name.partition(".")[0] == own]
    assert len(ours) == 2
    assert sum(values["refused_records"] for values in ours) == 1
    assert sum(values["received_records"] for values in ours) == 1
    assert listeners[shared]["received_records"] == 1
    assert listeners[f"sflow/udp-{ports['sflow']}"]["received_records"] == 1

    def read_page() -> dict[tuple[str, ...], float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{ports['admin']}/metrics", timeout=20) as answer:
            return metrics(answer.read().decode())

    def lost(read: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
        return {key: value for key, value in read.items() if key[:2] == ("phayan_lost_records_total", "refused_source")}

    page = wait_for(lambda: (read := read_page()) and lost(read) and read, "the loss")
    assert {key[2].partition(".")[0]: value for key, value in lost(page).items()} == {own: 1}
    assert page["phayan_listener_records_total", shared] == 1
    assert page["phayan_receive_buffer_bytes", shared] > 0
    printed = metrics(appliance.phayan("status", "--format", "prometheus").stdout)
    assert lost(printed) == lost(page)
    assert printed["phayan_listener_records_total", shared] == 1
    table = appliance.phayan("status").stdout
    assert "refused_source" in table
    assert own in table


def test_a_device_that_stops_is_an_alarm_until_it_sends_again(appliance: RunningAppliance) -> None:
    def standing() -> int:
        return call_local(appliance.directory / "run" / "ask.sock", "metrics")["alarms"]["source_silent"]

    own = appliance.ports["own"]
    began = time.monotonic()
    while time.monotonic() - began < SILENCE_SECONDS + 1:
        send(own, b"<13>a device that works")
        time.sleep(0.2)
    assert standing() == 0
    wait_for(standing, "the silence")
    (alarm,) = [one for one in appliance.ask("status")["alarms"] if one["code"] == "source_silent"]
    assert alarm["source"] == f"127.0.0.1 syslog/udp-{own}"
    send(own, b"<13>a device that works again")
    wait_for(lambda: not standing(), "the return")
