"""Cases and holds of a running appliance, as people at its console meet them."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archive.ask.operators import OperatorStore
from archive.clock import SystemClock
from archive.errors import AskError
from archive.local_rpc import call_local
from archive.verify.run import verify_archive
from tests.appliance import RunningAppliance

PASSWORD = "correct horse battery"
SCOPE = ("--address", "203.0.113.1", "--account", "somchai", "--from", "-2d", "--until", "now")


def run(appliance: RunningAppliance, *arguments: str, stdin: str | None = None) -> Any:
    done = appliance.phayan(*arguments, "--format", "json", stdin=stdin)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_case_and_a_hold_over_a_restart(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    secret = re.search(r"secret=(\S+)", appliance.setup_link(appliance.start()))
    assert secret
    socket = appliance.directory / "run/ask.sock"
    call_local(socket, "set_up", secret=secret[1], name="nok", password=PASSWORD)
    OperatorStore(appliance.directory / "operators", SystemClock()).add("kla", PASSWORD, "administrator")
    asking = ("--as", "kla", "--password-stdin")

    opened = run(
        appliance, "cases", "open", "--title", "คำขอ", "--ground", "order", "--letter", "12/2569", "--officer", "o",
        "--unit", "u", "--item", "2", *SCOPE, *asking, stdin=PASSWORD + "\n",
    )  # fmt: skip
    assert (opened["state"], opened["opened_by"]) == ("open", "kla")
    alone = appliance.phayan("cases", "approve", opened["id"])
    assert alone.returncode == 2
    assert "บุคคลที่สอง" in alone.stderr
    assert "second person" in alone.stderr
    person = ("--as", "nok", "--password-stdin")
    approved = run(appliance, "cases", "approve", opened["id"], *person, stdin=PASSWORD + "\n")
    assert (approved["state"], approved["approved_by"]) == ("approved", "nok")

    asked = {"reason": "letter", "case": opened["id"], "port": "5", "at": "-1h", "tolerance_seconds": 1}
    with pytest.raises(AskError, match=r"203\.0\.113\.9") as caught:
        call_local(socket, "package_create", **asked, address="203.0.113.9")
    assert caught.value.code == "out_of_scope"
    assert call_local(socket, "package_create", **asked, address="203.0.113.1")["id"]

    hold = run(appliance, "holds", "preserve", "--officer", "o", "--unit", "u", "--case", opened["id"], *SCOPE)
    assert hold["state"] == "in_force"
    assert "เก็บไว้ก่อน" in appliance.phayan("holds", "list").stdout

    appliance.stop()
    # Lost between two starts, the copy comes back from what is sealed.
    (appliance.directory / "cases/events.jsonl").unlink()
    appliance.start()
    deadline = time.monotonic() + 30
    while not (holds := call_local(socket, "hold_list")["holds"]) and time.monotonic() < deadline:
        time.sleep(0.2)
    (again,) = holds
    assert (again["id"], again["until"], again["state"]) == (hold["id"], hold["until"], "in_force")
    shown = call_local(socket, "case_show", id=opened["id"])
    assert (shown["approved_by"], shown["holds"]) == ("nok", [hold["id"]])
    refused = appliance.phayan("holds", "release", hold["id"], "--reason", "x", *person, stdin=PASSWORD + "\n")
    assert (refused.returncode, "--as NAME" in refused.stderr) == (2, True)
    until = (datetime.now(UTC) + timedelta(days=120)).isoformat()
    run(
        appliance, "holds", "extend", hold["id"], "--hold-until", until, "--order", "13/2569", *asking,
        stdin=PASSWORD + "\n",
    )  # fmt: skip
    released = run(appliance, "holds", "release", hold["id"], "--reason", "x", *person, stdin=PASSWORD + "\n")
    assert released["state"] == "released"
    appliance.stop()
    report = verify_archive(appliance.directory, tmp_path / "office.head")
    assert report.exit_code == 0, report.to_text()
    for path in (appliance.directory / "cases").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
