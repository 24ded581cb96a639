"""`phayan up` when it is started twice, killed, interrupted from the keyboard, or cannot write where it should."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import deploy.supervisor as supervisor
from archive.local_rpc import MAX_SOCKET_PATH_BYTES
from archive.spool_read import count_spool_records
from archive.verify.run import verify_archive
from deploy.config import load_config
from deploy.errors import ConfigError
from deploy.layout import open_appliance
from deploy.supervisor import Supervisor
from tests.appliance import RunningAppliance
from tests.e2e.lab import wait_until


def test_a_second_start_on_the_same_directory_harms_nothing(tmp_path: Path) -> None:
    first, second = RunningAppliance(tmp_path / "office"), RunningAppliance(tmp_path / "office")
    first.configure()
    first.start()
    try:
        before = first.process_ids()
        second.configure()
        with pytest.raises(AssertionError) as caught:
            second.start()
        assert "another `phayan up` runs on" in str(caught.value)
        assert "Traceback" not in str(caught.value)
        assert second.process is not None
        assert second.process.wait(30) == 78
        assert _down(first) == []
        assert first.process_ids() == before
    finally:
        first.stop()


def _down(appliance: RunningAppliance) -> list[str]:
    return [a["source"] for a in appliance.ask("status")["alarms"] if a["code"] == "process_down"]


def test_everything_is_sealed_after_ctrl_c(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    appliance.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        for number in range(200):
            link.sendto(b"<13>line %d" % number, ("127.0.0.1", appliance.ports["syslog_udp"]))
    assert appliance.process is not None
    # What a terminal does: the signal goes to the whole foreground process group.
    os.killpg(appliance.process.pid, signal.SIGINT)
    assert appliance.process.wait(60) == 0
    left = {p.name: sum(count_spool_records(p.parent, p.name).values()) for p in (tmp_path / "office/spool").iterdir()}
    assert left == dict.fromkeys(left, 0)
    assert verify_archive(appliance.directory, tmp_path / "office.head").exit_code == 0
    assert "Traceback" not in appliance.output.read_text(encoding="utf-8")


def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    appliance.start()
    children = appliance.process_ids()
    assert len(children) == 10
    assert appliance.process is not None
    appliance.process.kill()
    appliance.process.wait(10)
    wait_until(lambda: not [pid for pid in children.values() if _lives(pid)], 60, "every process ended")
    appliance.start()
    appliance.stop()
    assert verify_archive(appliance.directory, tmp_path / "office.head").exit_code == 0


def _lives(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:4]
    except FileNotFoundError:
        return False


def test_readiness_means_that_every_process_answers(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    appliance.start()
    try:
        for name in ("portal_http", "portal_https", "admin", "syslog_tcp"):
            with socket.create_connection(("127.0.0.1", appliance.ports[name]), timeout=2):
                pass
        for name in ("collector", "radius"):
            assert (tmp_path / "office/run" / f"{name}.json").exists()
        assert appliance.phayan("users", "list").returncode == 0
    finally:
        appliance.stop()


@pytest.mark.parametrize("place", ["long", "no directory"])
def test_a_place_that_cannot_be_used_is_said_in_one_sentence(tmp_path: Path, place: str) -> None:
    directory = tmp_path / ("d" * MAX_SOCKET_PATH_BYTES) if place == "long" else Path("/dev/null/office")
    appliance = RunningAppliance(directory)
    appliance.output = tmp_path / "unused"
    done = appliance.phayan("up")
    assert done.returncode in (2, 78)
    assert "Traceback" not in done.stderr
    assert ("a socket's path" if place == "long" else "/dev/null") in done.stderr


def _small_supervisor(directory: Path, names: tuple[str, ...], script: str) -> Supervisor:
    directory.mkdir(exist_ok=True)
    appliance = open_appliance(str(directory), None)
    return Supervisor(appliance, {name: [sys.executable, "-c", script, name, str(directory)] for name in names})


def test_signals_in_quick_succession_still_stop(tmp_path: Path) -> None:
    script = """
import signal, sys, threading
from deploy.signals import stop_on_signals
stop = threading.Event()
stop_on_signals(stop, [signal.SIGTERM])
print("ready", flush=True)
while not stop.wait(0.0005): pass
"""
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        for _ in range(20):
            child.send_signal(signal.SIGTERM)
        try:
            assert child.wait(20) == 0
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


def test_the_order_of_stopping_and_a_process_that_ignores_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 1.0)
    monkeypatch.setattr(supervisor, "stop_on_signals", lambda *_: None)
    script = """
import signal, sys, time, pathlib
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
def end(*_):
    with (folder / "ended").open("a") as file: file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if name == "admin" else end)
(folder / f"{name}.up").touch()
time.sleep(60)
"""
    names = ("sealer", "ask", "collector", "admin")
    made = _small_supervisor(tmp_path / "office", names, script)
    runner = threading.Thread(target=made.run, args=(lambda: None,))
    runner.start()
    wait_until(lambda: all((tmp_path / "office" / f"{name}.up").exists() for name in names), 20, "all run")
    processes = [child.process for child in made._children]
    made._stop.set()
    runner.join(20)
    assert not runner.is_alive()
    assert (tmp_path / "office/ended").read_text().split() == ["collector", "ask", "sealer"]
    assert [p.returncode for p in processes if p is not None] == [0, 0, 0, -signal.SIGKILL]


def test_a_process_that_keeps_dying_is_started_ever_slower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "stop_on_signals", lambda *_: None)
    made = _small_supervisor(tmp_path / "office", ("collector",), "import sys; sys.exit(1)")
    runner = threading.Thread(target=made.run, args=(lambda: None,))
    runner.start()
    time.sleep(4)
    made._stop.set()
    runner.join(20)
    assert 2 <= made._children[0].restarts <= 5


def test_files_named_in_the_settings_lie_beside_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "etc" / "phayan.toml"
    settings.parent.mkdir()
    settings.write_text('[archive]\nhead_file = "heads/office.head"\n')
    monkeypatch.chdir(tmp_path)
    appliance = open_appliance("office", "etc/phayan.toml")
    monkeypatch.chdir("/")
    assert appliance.paths.head == tmp_path / "etc/heads/office.head"


@pytest.mark.parametrize(
    "text",
    [
        '[[radius.client]]\nnetwork = "10.0.0.1"\nsecret = "hunter2"',
        "[directory]\nbind_password = 4711471147",
        "[archive]\nindex_dsn = 4711471147",
    ],
)
def test_a_wrong_setting_is_not_shown_when_it_is_secret(tmp_path: Path, text: str) -> None:
    path = tmp_path / "phayan.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "hunter2" not in str(caught.value)
    assert "4711471147" not in str(caught.value)


@pytest.mark.slow
def test_a_process_that_falls_silent_is_an_alarm_until_it_speaks_again(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    appliance.start()
    pid = appliance.process_ids()["collector"]
    try:
        os.kill(pid, signal.SIGSTOP)
        assert wait_until(lambda: _down(appliance), 90, "an alarm is raised") == ["collector"]
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: _down(appliance) == [], 60, "the alarm is cleared")
        events = wait_until(
            lambda: len(appliance.ask("search", "event:alarm_cleared", "--since", "-1h")["rows"]), 30, "it is a record"
        )
        assert events == 1
    finally:
        os.kill(pid, signal.SIGCONT)
        appliance.stop()
