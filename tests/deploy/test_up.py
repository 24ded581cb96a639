"""`phayan up` and `init` as a user meets them: ports in use, a second start, an orderly end, nothing left behind."""

import socket
from pathlib import Path

import pytest

from archive.spool_read import count_spool_records
from archive.verify.run import verify_archive
from tests.appliance import RunningAppliance


@pytest.mark.parametrize("name", ["syslog_udp", "syslog_tcp", "radius_acct"])
def test_a_port_in_use_is_named_and_nothing_keeps_running(tmp_path: Path, name: str) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    kind = socket.SOCK_STREAM if name.endswith("tcp") else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("0.0.0.0", appliance.ports[name]))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(AssertionError) as caught:
            appliance.start()
    assert appliance.process is not None
    assert appliance.process.wait(30) == 78
    assert str(appliance.ports[name]) in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_start_stop_start_continues_one_log(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    first = appliance.start()
    assert "/setup?secret=" in first
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.sendto(b"<13>kept over the restart", ("127.0.0.1", appliance.ports["syslog_udp"]))
    appliance.stop()
    assert appliance.process is not None
    assert appliance.process.returncode == 0
    left = {p.name: sum(count_spool_records(p.parent, p.name).values()) for p in (tmp_path / "office/spool").iterdir()}
    assert left == dict.fromkeys(left, 0), "everything received is sealed when `phayan up` ends"
    appliance.start()
    rows = appliance.ask("search", '"kept over the restart"', "--since", "-1h")["rows"]
    assert len(rows) == 1
    appliance.stop()
    report = verify_archive(appliance.directory, tmp_path / "office.head")
    assert report.exit_code == 0, report.to_text()


def test_commands_say_that_nothing_runs(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    done = appliance.phayan("status")
    assert done.returncode == 2
    assert "phayan up" in done.stderr
    assert done.stderr.count("\n") == 1
    assert appliance.phayan("verify").returncode == 2


def test_init_makes_a_log_once(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    assert appliance.phayan("init", "--origin", "school.example/log").returncode == 0
    assert verify_archive(appliance.directory, tmp_path / "office.head").exit_code == 0
    again = appliance.phayan("init")
    assert again.returncode == 2
    assert "already belongs to a log" in again.stderr
