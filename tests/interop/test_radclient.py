"""Debian's radclient 3.2 as NAS. It sends no Message-Authenticator of its own with PAP, so it plays the old NAS;
with `Message-Authenticator = 0x00` it signs and plays the new one."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "authgw"))

from radius_process import RadiusProcess, add_account, sessions_in

from authgw.radius.clients import RadiusClient

SECRET = "testing123-and-more"
SIGNED = "Message-Authenticator = 0x00\n"


@pytest.fixture(scope="module")
def radclient():
    found = shutil.which("radclient")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("radclient (freeradius-utils) is not installed")
        pytest.skip("radclient (freeradius-utils) is not installed")
    return found


@pytest.fixture(scope="module")
def radius(tmp_path_factory, radclient):
    directory = tmp_path_factory.mktemp("radclient")
    add_account(directory, "somchai", "password-9")
    add_account(directory, "มานี", "มานีมีตามอง")
    clients = (RadiusClient("127.0.0.1/32", SECRET.encode(), "old NAS", "no", False),)
    with RadiusProcess(directory, clients=clients) as process:
        yield process


def ask(radclient: str, port: int, kind: str, text: str, *, secret: str = SECRET, seconds: int = 3):
    """radclient's exit code and its text, which shows the reply's attributes in order."""
    done = subprocess.run(
        [radclient, "-x", "-r", "1", "-t", str(seconds), f"127.0.0.1:{port}", kind, secret],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stdout + done.stderr


def reply_attributes(text: str) -> list[str]:
    """Names of the attributes of the received packet, in order."""
    _, _, reply = text.partition("Received ")
    return re.findall(r"^\t([A-Za-z0-9-]+) =", reply, re.MULTILINE)


@pytest.mark.parametrize("extra", ["", SIGNED])
def test_pap_accept(radclient, radius, extra):
    code, text = ask(radclient, radius.auth_port, "auth", f"User-Name=somchai\nUser-Password=password-9\n{extra}")
    assert code == 0, text
    assert "Received Access-Accept" in text
    assert reply_attributes(text) == ["Message-Authenticator", "Class", "Acct-Interim-Interval"]
    assert "Acct-Interim-Interval = 300" in text
    assert radius.events()[-1]["details"]["verdict"] == "accept"


@pytest.mark.parametrize("extra", ["", SIGNED])
def test_pap_reject(radclient, radius, extra):
    code, text = ask(radclient, radius.auth_port, "auth", f"User-Name=somchai\nUser-Password=wrong\n{extra}")
    assert code == 1
    assert "Received Access-Reject" in text
    assert reply_attributes(text) == ["Message-Authenticator"]
    assert radius.events()[-1]["ended_why"] == "wrong_password"


def test_thai(radclient, radius):
    code, text = ask(radclient, radius.auth_port, "auth", 'User-Name="มานี"\nUser-Password="มานีมีตามอง"\n')
    assert code == 0, text
    assert radius.events()[-1]["account"] == "มานี"


def test_chap_is_rejected_with_its_own_reason(radclient, radius):
    code, text = ask(radclient, radius.auth_port, "auth", "User-Name=somchai\nCHAP-Password=password-9\n")
    assert code == 1
    assert "Received Access-Reject" in text
    assert radius.events()[-1]["ended_why"] == "chap_not_possible"


def test_proxy_state_comes_back(radclient, radius):
    _, text = ask(
        radclient,
        radius.auth_port,
        "auth",
        f"User-Name=somchai\nUser-Password=password-9\nProxy-State=0x6f6e65\n{SIGNED}",
    )
    assert reply_attributes(text)[0] == "Message-Authenticator"
    assert "Proxy-State = 0x6f6e65" in text.partition("Received ")[2]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("auth", f"User-Name=somchai\nUser-Password=password-9\n{SIGNED}"),
        ("acct", "User-Name=somchai\nAcct-Status-Type=Start\nAcct-Session-Id=1\n"),
        ("status", SIGNED),
    ],
)
def test_wrong_secret_is_silence(radclient, radius, kind, text):
    side = "acct" if kind == "acct" else "auth"
    before = len(radius.records())
    counter = "accounting_authenticator_wrong" if kind == "acct" else "message_authenticator_wrong"
    dropped = radius.counters()[side].get(f"dropped_{counter}", 0)
    port = radius.acct_port if side == "acct" else radius.auth_port
    code, output = ask(radclient, port, kind, text, secret="another-secret", seconds=1)
    assert code == 1
    assert "No reply" in output
    radius.wait_counter(side, f"dropped_{counter}", dropped + 1)
    assert len(radius.records()) == before


def test_accounting_is_found_in_the_journal_by_the_decoder(radclient, radius):
    session = "User-Name=somchai\nAcct-Session-Id=abc-1\nFramed-IP-Address=10.0.0.7\nNAS-Identifier=ap\n"
    session += "Calling-Station-Id=AA-BB-CC-00-00-01\nNAS-IP-Address=10.9.9.9\n"
    packets = [
        "Acct-Status-Type=Accounting-On\nNAS-Identifier=ap\n",
        f"{session}Acct-Status-Type=Start\n",
        f"{session}Acct-Status-Type=Interim-Update\nAcct-Session-Time=300\nAcct-Input-Octets=7\n"
        "Acct-Input-Gigawords=2\n",
        f"{session}Acct-Status-Type=Stop\nAcct-Session-Time=301\nAcct-Terminate-Cause=User-Request\n",
        "Acct-Status-Type=Accounting-Off\nNAS-Identifier=ap\n",
    ]
    before = len(radius.sessions())
    for text in packets:
        code, output = ask(radclient, radius.acct_port, "acct", text)
        assert code == 0, output
        assert "Received Accounting-Response" in output
    rows = radius.sessions()[before:]
    assert [r["event"] for r in rows] == ["nas_on", "open", "update", "close", "nas_off"]
    opened, update, closed = rows[1:4]
    assert opened["address"] == bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 7])
    assert opened["nas_address"] == bytes(10) + b"\xff\xff" + bytes([10, 9, 9, 9])
    assert (opened["account"], opened["session_id"]) == ("somchai", "abc-1")
    assert opened["station"] == "aa:bb:cc:00:00:01"
    assert update["input_octets"] == (2 << 32) + 7
    assert (closed["ended_why"], closed["session_seconds"]) == ("User-Request", 301)


def test_status_server_on_both_ports(radclient, radius):
    code, text = ask(radclient, radius.auth_port, "status", SIGNED)
    assert code == 0
    assert "Received Access-Accept" in text
    code, text = ask(radclient, radius.acct_port, "status", SIGNED)
    assert code == 0
    assert "Received Accounting-Response" in text
    assert reply_attributes(text) == ["Message-Authenticator"]


def test_a_burst_of_200_in_flight_loses_nothing(radclient, radius, tmp_path):
    count = 4000
    requests = tmp_path / "requests"
    requests.write_text(
        "\n".join(
            f"User-Name=somchai\nAcct-Status-Type=Interim-Update\nAcct-Session-Id=burst-{i}\n" for i in range(count)
        )
    )
    address = f"127.0.0.1:{radius.acct_port}"
    done = subprocess.run(
        [radclient, "-q", "-s", "-p", "200", "-r", "3", "-t", "3", "-f", str(requests), address, "acct", SECRET],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert re.search(rf"Accepted\s*: {count}$", done.stdout, re.MULTILINE), done.stdout
    stored = {r["session_id"] for r in radius.sessions() if r["session_id"].startswith("burst-")}
    assert len(stored) == count


def test_required_signature_silences_the_old_nas(radclient, tmp_path):
    add_account(tmp_path, "somchai", "password-9")
    clients = (RadiusClient("127.0.0.1/32", SECRET.encode(), "new NAS", "yes"),)
    with RadiusProcess(tmp_path, clients=clients) as radius:
        text = "User-Name=somchai\nUser-Password=password-9\n"
        code, output = ask(radclient, radius.auth_port, "auth", text, seconds=1)
        assert code == 1
        assert "No reply" in output
        code, output = ask(radclient, radius.auth_port, "auth", text + SIGNED)
        assert code == 0, output


SERVE = """
import sys, threading
from pathlib import Path
from authgw.radius.clients import RadiusClient
from authgw.radius.service import RadiusSettings, run_radius
root = Path(sys.argv[1])
client = RadiusClient("127.0.0.1/32", sys.argv[2].encode(), "killed", "no", False)
run_radius(
    RadiusSettings("127.0.0.1", (client,), root / "spool", root / "a.sqlite", root / "run", 0, 0), threading.Event()
)
"""


def test_kill_9_loses_nothing_acknowledged(radclient, tmp_path):
    """What radclient saw answered before the server was killed is in the journal."""
    server = subprocess.Popen([sys.executable, "-c", SERVE, str(tmp_path), SECRET], cwd=Path(__file__).parents[2])
    try:
        counters_path = tmp_path / "run" / "radius.json"
        deadline = time.monotonic() + 20
        while not counters_path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        port = json.loads(counters_path.read_text())["acct"]["port"]
        requests, address = tmp_path / "requests", f"127.0.0.1:{port}"
        requests.write_text("\n".join(f"Acct-Status-Type=Start\nAcct-Session-Id=kill-{i}\n" for i in range(30_000)))
        asking = subprocess.Popen(
            [radclient, "-x", "-p", "200", "-r", "1", "-t", "1", "-f", str(requests), address, "acct", SECRET],
            stdout=(tmp_path / "output").open("w"),
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.7)
        server.kill()
        server.wait(10)
        asking.terminate()
        asking.wait(10)
    finally:
        if server.poll() is None:
            server.kill()
    sent, answered = {}, set()
    output = (tmp_path / "output").read_text()
    for line, after in re.findall(r"^((?:Sent|Received) .*)\n((?:\t.*\n)*)", output, re.MULTILINE):
        identifier, client_port = re.search(r"Id (\d+) ", line)[1], re.search(r":(\d+) (?:to|length)", line)[1]
        session = re.search(r'Acct-Session-Id = "(.*)"', after)
        if line.startswith("Sent"):
            # radclient is ended in the middle of its last lines; a request cut there was not answered.
            if session is not None:
                sent[identifier, client_port] = session[1]
        else:
            client_port = re.search(r"to 127.0.0.1:(\d+)", line)[1]
            answered.add(sent[identifier, client_port])
    stored = {row["session_id"] for row in sessions_in(tmp_path)}
    assert len(answered) > 100
    assert answered <= stored
