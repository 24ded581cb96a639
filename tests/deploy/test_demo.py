"""`phayan up --demo`: filled pages within a minute, example questions that keep their promise, nothing mixed with real
data."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pytest

from archive.clock import SystemClock
from archive.origin import ArchivePaths, create_log
from authgw.decoder import SessionDecoder
from collector.wire.flows import FlowDecoder
from collector.wire.syslog import SyslogDecoder
from deploy.config import Config
from deploy.demo.lines import NS, Connection, accepted_line, conntrack_line, dropped_line
from deploy.demo.netflow9 import FlowExporter
from deploy.demo.office import LAB, NETWORKS, STAFF, make_people
from deploy.demo.radius_packets import START, STOP, accounting_request
from deploy.demo.secrets_file import load_demo_secrets
from deploy.demo.service import refuse_real_log
from deploy.errors import EX_CONFIG, StartError
from deploy.layout import Appliance
from tests.appliance import PHAYAN, RunningAppliance

READY_SECONDS = 60
ARRIVAL_UNIX_NS = 1_795_000_100 * NS
CONNECTION = Connection(
    7, 6, "10.10.0.101", 40_000, 20_001, "198.51.100.10", 443, 1_795_000_000 * NS + 123_456_000,
    1_795_000_002 * NS, 500, 9_000,
)  # fmt: skip


def chunk(*payloads: bytes, listener: str) -> pa.Table:
    """One row per payload, as a decoder gets them."""
    count = len(payloads)
    return pa.table(
        {
            "row": pa.array(range(count), pa.uint32()),
            "received_unix_ns": pa.array([ARRIVAL_UNIX_NS] * count, pa.int64()),
            "source_address": pa.array([bytes(10) + b"\xff\xff\x7f\0\0\x01"] * count, pa.binary(16)),
            "source_port": pa.array([5000] * count, pa.uint16()),
            "transport": ["udp"] * count,
            "listener": [listener] * count,
            "truncated": [False] * count,
            "payload": pa.array(payloads, pa.binary()),
            "realm": ["main"] * count,
        }
    )


def v4(text: str) -> bytes:
    return bytes(10) + b"\xff\xff" + bytes(int(part) for part in text.split("."))


def test_the_office_is_forty_people_and_says_that_it_is_invented() -> None:
    people = make_people()
    assert len(people) == 40
    assert (
        len({p.account for p in people}) == len({p.address for p in people}) == len({p.station for p in people}) == 40
    )
    assert all(p.account.startswith("demo.") and "ตัวอย่าง" in p.name for p in people)
    assert {p.network for p in people} == set(NETWORKS)
    assert {p.logs_in for p in people if p.network is LAB} == {False}


def test_gateway_lines_are_read_as_translations_and_packets() -> None:
    lines = [conntrack_line(CONNECTION, closed=False), conntrack_line(CONNECTION, closed=True)]
    lines += [accepted_line(CONNECTION), dropped_line("192.0.2.200", 22)]
    tables = SyslogDecoder().decode(None, 1, chunk(*lines, listener="syslog/udp-5514")).tables
    opened, closed = tables["nat"].to_pylist()
    assert (opened["event"], closed["event"]) == ("open", "close")
    assert opened["time"].value == CONNECTION.opened_unix_ns
    assert closed["time"].value == CONNECTION.closed_unix_ns
    assert opened["quality"] == "exact"
    assert opened["mapping_id"] == closed["mapping_id"] == "7"
    assert opened["outside_address"] == v4("203.0.113.1")
    assert opened["outside_port_low"] == 20_001
    assert opened["inside_address"] == v4("10.10.0.101")
    logs = tables["logs"].to_pylist()
    assert [row["format"] for row in logs] == ["conntrack", "conntrack", "netfilter", "netfilter"]
    assert [row["action"] for row in logs[2:]] == ["accept", "drop"]


def test_flows_are_read_back_in_both_directions() -> None:
    exporter = FlowExporter(CONNECTION.opened_unix_ns - 60 * NS)
    datagrams = [
        exporter.datagram([CONNECTION], CONNECTION.closed_unix_ns, template=True),
        exporter.datagram([CONNECTION], CONNECTION.closed_unix_ns + NS, template=False),
    ]
    decoder = FlowDecoder()
    decoded = decoder.decode(decoder.initial_state(), 1, chunk(*datagrams, listener="netflow"))
    assert decoded.waiting == 0
    assert "losses" not in decoded.tables, "the sequence numbers follow each other"
    flows = decoded.tables["flows"].to_pylist()
    assert len(flows) == 4
    assert [f["bytes"] for f in flows[:2]] == [500, 9_000]
    assert flows[0]["source_address"] == flows[1]["destination_address"] == v4("10.10.0.101")
    assert abs(flows[0]["end"].value - CONNECTION.closed_unix_ns) < NS


def test_accounting_is_read_as_a_session() -> None:
    person = make_people()[0]
    now = ARRIVAL_UNIX_NS // NS
    packets = [
        accounting_request(
            STAFF, status, b"s" * 24, 1, now, person=person, session_id="A-1", marker=b"phayan-login:" + b"0" * 32,
            session_seconds=9, octets=(1, 2),
        )
        for status in (START, STOP)
    ]  # fmt: skip
    rows = SessionDecoder().decode(None, 1, chunk(*packets, listener="radius-acct")).tables["sessions"].to_pylist()
    assert [r["event"] for r in rows] == ["open", "close"]
    assert {r["account"] for r in rows} == {person.account}
    assert {r["address"] for r in rows} == {v4(person.address)}
    assert {r["login_id"] for r in rows} == {"0" * 32}


def test_secrets_are_random_per_directory_and_private(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = load_demo_secrets(tmp_path / "a")
    assert load_demo_secrets(tmp_path / "a") == first
    assert load_demo_secrets(tmp_path / "b") != first
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "a").iterdir())
    assert len(list((tmp_path / "a").iterdir())) == 1


@pytest.mark.parametrize(
    ("origin", "marked", "refused"),
    [
        ("box.phayan.invalid/1", False, True),
        ("box.phayan.invalid/1", True, True),
        ("demo.box.phayan.invalid/1", False, True),
        ("demo.box.phayan.invalid/1", True, False),
    ],
)
def test_a_demo_refuses_any_log_but_its_own(tmp_path: Path, origin: str, marked: bool, refused: bool) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    create_log(ArchivePaths(directory, tmp_path / "d.head"), origin, SystemClock())
    if marked:
        (directory / "demo").touch()
    appliance = Appliance(directory, None, Config(), True)
    if refused:
        with pytest.raises(StartError, match="real data"):
            refuse_real_log(appliance)
    else:
        refuse_real_log(appliance)


def test_up_demo_refuses_a_real_directory(tmp_path: Path) -> None:
    real = tmp_path / "real"
    made = subprocess.run([str(PHAYAN), "init", "--data", str(real)], capture_output=True, timeout=60, check=False)
    assert made.returncode == 0
    up = [str(PHAYAN), "up", "--demo", "--data", str(real)]
    done = subprocess.run(up, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EX_CONFIG
    assert "holds real data; a demo never mixes with it" in done.stderr
    assert not (real / "demo").exists()
    assert not (real / "spool").exists() or not list((real / "spool").rglob("*.open"))


class Demo:
    """`phayan up [--demo]` in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.appliance = RunningAppliance(directory)
        self.appliance.configure()
        self.output = directory.with_name("demo.log")

    def start(self, *options: str) -> None:
        with self.output.open("w", encoding="utf-8") as log:
            place = ["--data", str(self.appliance.directory), "--config", str(self.appliance.config_path)]
            self.process = subprocess.Popen(
                [str(PHAYAN), "up", *options, *place],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def printed(self, words: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while words not in (text := self.output.read_text(encoding="utf-8")):
            assert self.process.poll() is None, text
            assert time.monotonic() < deadline, text
            time.sleep(0.2)
        return text

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(90) == 0
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)

    def state(self) -> dict:
        return json.loads((self.appliance.directory / "run" / "demo.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_newcomer_sees_a_running_office(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "demo")
    demo.start("--demo")
    try:
        text = demo.printed("on the portal: account", READY_SECONDS)
        status = demo.appliance.ask("status")
        assert status["demo"] is True
        assert status["losses"] == []
        assert status["kernel_drops"] == 0
        for name in ("collector", "radius", "identity"):
            assert status["streams"][name]["indexed"] > 0, name
        for table, least in (("flows", 20), ("logs", 40), ("nat", 40), ("sessions", 60)):
            rows = demo.appliance.ask("search", f"table:{table}", "--limit", "1000")["rows"]
            assert len(rows) >= least, table
        people = json.loads(demo.appliance.phayan("users", "list", "--format", "json").stdout)
        assert len(people) == 40
        assert {p["identified_how"] for p in people} == {"demo"}
        _promises_are_kept(text)
        state = demo.state()
        assert state["ready"] is True
        assert [q["certainty"] for q in state["questions"]] == ["exact", "several", "exact", "cannot_know"]
        assert state["accepted"] >= 31
        assert state["rejected"] >= 2
        assert state["no_answer"] == state["not_sent"] == 0
    finally:
        demo.stop()
    # Without --demo the directory is still a demo, and goes on as one.
    demo.start()
    try:
        demo.printed("on the portal: account", READY_SECONDS)
        assert demo.appliance.ask("status")["demo"] is True
        assert len(json.loads(demo.appliance.phayan("users", "list", "--format", "json").stdout)) == 40
    finally:
        demo.stop()


def _promises_are_kept(text: str) -> None:
    """Each printed command, typed as it stands, gives the printed certainty."""
    promises = re.findall(r"^  .*: (\w+)\n    (phayan who .*)$", text, re.MULTILINE)
    assert [certainty for certainty, _ in promises] == ["exact", "several", "exact", "cannot_know"]
    for certainty, command in promises:
        words = shlex.split(command)
        done = subprocess.run(
            [str(PHAYAN), *words[1:], "--format", "json"], capture_output=True, text=True, timeout=60, check=False
        )
        answer = json.loads(done.stdout)
        assert answer["certainty"] == certainty, command
        names = [c["person"] for c in answer["candidates"]]
        assert len(names) == (2 if certainty == "several" else 1)
        if certainty == "exact":
            assert "ตัวอย่าง" in names[0]
