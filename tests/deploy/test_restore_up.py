"""An appliance with people and traffic, copied to a disk, lost, and made again from the copy."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from archive.errors import ArchiveError
from archive.key_source import KeySource
from archive.local_rpc import call_local
from archive.origin import default_paths
from archive.sealer import Sealer
from tests.appliance import SECRET, RunningAppliance

PASSWORD = "correct horse battery"
LINES = 40
SECONDS = 60.0


@contextmanager
def usb_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk image with ext4 that is mounted, where this user may mount; else a directory."""
    place = tmp_path / "usb"
    place.mkdir()
    image = tmp_path / "usb.img"
    with image.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    is_mounted = False
    if shutil.which("mkfs.ext4"):
        made = subprocess.run(["mkfs.ext4", "-q", str(image)], capture_output=True, check=False)
        if made.returncode == 0:
            done = subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True, check=False)
            is_mounted = done.returncode == 0
    try:
        yield place
    finally:
        if is_mounted:
            subprocess.run(["umount", str(place)], check=True)


def send_lines(appliance: RunningAppliance, first: int, count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(first, first + count):
            sender.sendto(
                f"<13>1 - gw app - - - copied {number}".encode(), ("127.0.0.1", appliance.ports["syslog_udp"])
            )


def log_in(appliance: RunningAppliance, password: str = PASSWORD) -> str:
    """radclient's answer."""
    text = f'User-Name="somchai"\nUser-Password="{password}"\nMessage-Authenticator=0x00\n'
    command = ["radclient", "-x", "-r", "1", "-t", "5", f"127.0.0.1:{appliance.ports['radius_auth']}", "auth", SECRET]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


COUNT = """
import json, sys
from archive.index.engine import Engine
from archive.schema import SCHEMAS
engine = Engine(f"chdb://{sys.argv[1]}", sys.argv[2])
sql = "SELECT count() AS n FROM {db}.%s WHERE leaf_index < " + sys.argv[3]
print(json.dumps({name: int(engine.query(sql % name)[0]["n"]) for name in SCHEMAS}))
"""


def counts(directory: Path, log: str, leaves: int) -> dict[str, int]:
    """Rows of every table that stem from the first leaves of a log, of a stopped appliance."""
    command = [sys.executable, "-c", COUNT, str(directory / "index"), log, str(leaves)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout.splitlines()[-1])


def wait_for_lines(appliance: RunningAppliance, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + SECONDS
    while True:
        rows = appliance.ask("search", "copied", "--limit", "500")["rows"]
        if len(rows) == count:
            return rows
        assert time.monotonic() < deadline, len(rows)
        time.sleep(0.3)


def set_up(appliance: RunningAppliance, place: Path) -> None:
    """An administrator, a person who logged in, and traffic of devices."""
    appliance.configure(f'[[copy]]\nname = "usb"\nurl = "{place}"\n')
    run_copies(appliance, "prepare")
    secret = re.search(r"secret=(\S+)", appliance.setup_link(appliance.start()))
    assert secret
    call_local(appliance.directory / "run/ask.sock", "set_up", secret=secret[1], name="nok", password=PASSWORD)
    appliance.add_user("somchai", "Somchai Jaidee", PASSWORD)
    if shutil.which("radclient"):
        assert "Received Access-Accept" in log_in(appliance)
    send_lines(appliance, 0, LINES)
    wait_for_lines(appliance, LINES)


def make_recovery_key(appliance: RunningAppliance, file: Path) -> None:
    config = ("--config", str(appliance.config_path))
    made = appliance.phayan("recovery-key", "create", *config)
    assert made.returncode == 0, made.stderr
    found = re.search(r"AGE-SECRET-KEY-1\w+", made.stdout)
    assert found
    file.write_text(found[0] + "\n")
    again = appliance.phayan("recovery-key", "create", *config, stdin="n\n")
    assert again.returncode == 1
    assert "AGE-SECRET" not in again.stdout


def run_copies(appliance: RunningAppliance, *actions: str) -> None:
    for action in actions:
        done = appliance.phayan("copies", action, "usb", "--config", str(appliance.config_path))
        assert done.returncode == 0, done.stderr


def check_state_with_age(place: Path, key: Path, tmp_path: Path) -> None:
    """Debian's age and tar open the state; the checkpoint key is not in it."""
    (bundle,) = (place / "state").glob("*.tar.age")
    plain = tmp_path / "state.tar"
    subprocess.run(["age", "-d", "-i", str(key), "-o", str(plain), str(bundle)], check=True, timeout=30)
    listed = subprocess.run(["tar", "-tf", str(plain)], capture_output=True, text=True, check=True).stdout.split()
    assert {"accounts/accounts.sqlite", "operators/operators.sqlite", "phayan.toml", "package-key.age"} <= set(listed)
    assert not [name for name in listed if "checkpoint" in name]
    assert b"PRIVATE KEY" not in b"".join(p.read_bytes() for p in place.rglob("*") if p.is_file())


def restored_is_whole(appliance: RunningAppliance) -> None:
    """What came before is found, a person logs in with the old password, and what comes goes into the new log."""
    rows = wait_for_lines(appliance, LINES)
    assert {row["log"] for row in rows} != {appliance.ask("status")["log"]}
    if shutil.which("radclient"):
        assert "Received Access-Accept" in log_in(appliance)
        assert "Received Access-Reject" in log_in(appliance, "another password")
    socket_path = appliance.directory / "run/ask.sock"
    assert call_local(socket_path, "log_in", name="nok", password=PASSWORD)["role"] == "administrator"
    send_lines(appliance, LINES, 1)
    assert len({row["log"] for row in wait_for_lines(appliance, LINES + 1)}) == 2
    deadline = time.monotonic() + SECONDS
    while appliance.ask("status")["former_logs_behind"]:
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_a_lost_appliance_comes_back_from_its_copy(tmp_path: Path) -> None:
    if shutil.which("age") is None:
        pytest.skip("age is not installed")
    with usb_disk(tmp_path) as place:
        appliance = RunningAppliance(tmp_path / "office")
        key = tmp_path / "recovery.key"
        try:
            set_up(appliance, place)
            make_recovery_key(appliance, key)
            status = appliance.ask("status")
            old, leaves = status["log"], status["tree_size"] - status["index_lag_leaves"]
            certificate = (appliance.directory / "log/package.crt").read_bytes()
            # The anchor process has made a first copy by itself.
            (copy,) = status["processes"]["anchor"]["copies"]
            assert (copy["problem"], copy["tree_size"] > 0) == ("", True), copy
            appliance.stop()
            run_copies(appliance, "run")
            check_state_with_age(place, key, tmp_path)
            typed = appliance.phayan(
                "recovery-key", "check", "--key-stdin", "--config", str(appliance.config_path), stdin=key.read_text()
            )
            assert "opens" in typed.stdout, typed.stdout + typed.stderr
            before = counts(appliance.directory, old, leaves)
            assert before["logs"] >= LINES

            old_key = KeySource(tmp_path / "stolen")
            shutil.copytree(appliance.directory / "keys", old_key.directory)
            shutil.rmtree(appliance.directory)
            for path in tmp_path.glob("office.head*"):
                path.unlink()
            restored = appliance.phayan("restore", str(place), "--recovery-key", str(key), "--yes",
                                        "--config", str(appliance.config_path))  # fmt: skip
            assert restored.returncode == 0, restored.stdout + restored.stderr
            assert "ผู้อำนวยการ" in restored.stdout
            assert (appliance.directory / "log/package.crt").read_bytes() == certificate
            twice = appliance.phayan("restore", str(place), "--yes", "--config", str(appliance.config_path))
            assert twice.returncode == 2
            assert "not empty" in twice.stderr

            appliance.start()
            restored_is_whole(appliance)
            report = json.loads(appliance.phayan("verify", "--format", "json").stdout)
            assert report["exit_code"] == 0, report["defects"]
            assert "restored" in [one["code"] for one in report["statements"]]
            appliance.stop()
            assert counts(appliance.directory, old, leaves) == before
            # Even who has the old key finds no log here that it could sign on.
            paths = default_paths(appliance.directory)
            assert paths.origin() != old
            with pytest.raises(ArchiveError):
                Sealer(paths, old_key.load(old))
        finally:
            appliance.stop()


def test_without_the_key_records_come_back_alone(tmp_path: Path) -> None:
    appliance = RunningAppliance(tmp_path / "office")
    place = tmp_path / "usb"
    place.mkdir()
    appliance.configure(f'[[copy]]\nname = "usb"\nurl = "{place}"\n')
    config = ("--config", str(appliance.config_path))
    assert appliance.phayan("init", *config).returncode == 0
    run_copies(appliance, "prepare", "run")
    checked = appliance.phayan("copies", "verify", "usb", *config)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    shutil.rmtree(appliance.directory)
    (tmp_path / "office.head").unlink()
    segment = place / "log/tile/0/000.p/1"
    intact = segment.read_bytes()
    segment.write_bytes(bytes([intact[0] ^ 1]) + intact[1:])
    refused = appliance.phayan("restore", str(place), "--yes", *config)
    assert refused.returncode == 2
    assert "--accept-defects" in refused.stderr
    assert [path.name for path in appliance.directory.iterdir()] == ["fetched"]
    shutil.rmtree(appliance.directory)
    segment.write_bytes(intact)
    done = appliance.phayan("restore", str(place), "--yes", *config)
    assert done.returncode == 0, done.stderr
    assert "records only" in done.stdout
    assert appliance.phayan("verify").returncode == 0
