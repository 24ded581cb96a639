"""An appliance moves to another box: the old log names its successor and ends, the new one begins with that."""

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.appliance import PHAYAN, RunningAppliance

SECONDS = 60.0


def send(appliance: RunningAppliance, text: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(f"<13>1 - gw app - - - parcel {text}".encode(), ("127.0.0.1", appliance.ports["syslog_udp"]))


def wait_for(appliance: RunningAppliance, *texts: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + SECONDS
    while True:
        rows = appliance.ask("search", "parcel")["rows"]
        if [row["fields"]["message"] for row in rows] == [f"parcel {text}" for text in texts]:
            return rows
        assert time.monotonic() < deadline, rows
        time.sleep(0.3)


def run(appliance: RunningAppliance, *arguments: str) -> str:
    done = appliance.phayan(*arguments, "--config", str(appliance.config_path))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refusal(appliance: RunningAppliance, *arguments: str) -> str:
    done = appliance.phayan(*arguments, "--config", str(appliance.config_path))
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr


def start_moved(appliance: RunningAppliance) -> str:
    """`phayan up` on the old box says that it only anchors, and keeps running."""
    output = appliance.directory.with_name("moved.log")
    with output.open("w", encoding="utf-8") as log:
        command = [str(PHAYAN), "up", "--data", str(appliance.directory), "--config", str(appliance.config_path)]
        appliance.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + SECONDS
    while "was moved to" not in output.read_text(encoding="utf-8"):
        assert time.monotonic() < deadline, output.read_text(encoding="utf-8")
        assert appliance.process.poll() is None, output.read_text(encoding="utf-8")
        time.sleep(0.1)
    return output.read_text(encoding="utf-8")


def test_a_move_to_another_box(tmp_path: Path) -> None:
    place = tmp_path / "usb"
    place.mkdir()
    old, new = RunningAppliance(tmp_path / "old"), RunningAppliance(tmp_path / "new")
    extra = f'[[copy]]\nname = "usb"\nurl = "{place}"\n'
    old.configure(extra)
    new.configure()
    try:
        old.start()
        send(old, "before")
        (before,) = wait_for(old, "before")
        vkey = run(new, "move", "prepare", "--origin", "new.test/log").splitlines()[0]
        assert vkey.startswith("new.test/log+")
        running = old.phayan("move", "name-successor", vkey, "--yes", "--config", str(old.config_path))
        assert "another `phayan up` runs" in running.stderr
        old.stop()

        run(old, "copies", "prepare", "usb")
        run(old, "copies", "run", "usb")
        assert "name-successor" in refusal(new, "move", "accept", str(place), "--yes")
        assert not (new.directory / "log").exists()

        run(old, "move", "name-successor", vkey, "--yes")
        head = (tmp_path / "old.head").read_bytes()
        assert "ended already" in refusal(old, "move", "name-successor", vkey, "--yes")
        start_moved(old)
        assert set(old.process_ids()) == {"anchor"}
        old.stop()
        assert (tmp_path / "old.head").read_bytes() == head
        run(old, "copies", "run", "usb")

        assert "new.test/log continues" in run(new, "move", "accept", str(place), "--yes")
        assert not list((new.directory / "prepared").glob("*.pem"))
        new.start()
        assert wait_for(new, "before") == [before]
        send(new, "after")
        after, again = wait_for(new, "after", "before")
        assert again == before
        assert after["log"] == "new.test/log"
        record = new.ask("search", "parcel")["rows"][1]
        assert record["log"] == before["log"]
        report = json.loads(new.phayan("verify", "--format", "json").stdout)
        assert report["exit_code"] == 0, report["defects"]
        assert "moved" in [one["code"] for one in report["statements"]]
    finally:
        old.stop()
        new.stop()
