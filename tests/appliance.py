"""Starting the real appliance as a user would, on free ports, and asking it."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
PHAYAN = Path(sys.executable).parent / "phayan"
SECRET = "a-shared-secret-of-tests"


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RunningAppliance:
    """`phayan up` in a directory of its own. Commands run through the installed `phayan`."""

    directory: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    output: Path = Path()

    def configure(self, extra: str = "") -> None:
        udp = ("syslog_udp", "netflow", "sflow", "radius_auth", "radius_acct")
        tcp = ("syslog_tcp", "syslog_tls", "syslog_relp", "portal_http", "portal_https", "admin")
        self.ports = {name: free_port(socket.SOCK_DGRAM) for name in udp} | {name: free_port() for name in tcp}
        p = self.ports
        self.config_path.parent.mkdir(parents=True, exist_ok=True)
        self.config_path.write_text(
            f"""
[archive]
spool_close_seconds = 1
head_interval_seconds = 1
[syslog]
udp_ports = [{p["syslog_udp"]}]
tcp_ports = [{p["syslog_tcp"]}]
tls_ports = [{p["syslog_tls"]}]
relp_ports = [{p["syslog_relp"]}]
[netflow]
ports = [{p["netflow"]}]
[sflow]
ports = [{p["sflow"]}]
[radius]
authentication_port = {p["radius_auth"]}
accounting_port = {p["radius_acct"]}
[[radius.client]]
network = "127.0.0.0/8"
secret = "{SECRET}"
name = "gw1"
[portal]
http_port = {p["portal_http"]}
https_port = {p["portal_https"]}
[admin]
port = {p["admin"]}
{extra}
""",
            encoding="utf-8",
        )

    @property
    def config_path(self) -> Path:
        return self.directory.with_name(self.directory.name + ".toml")

    def start(self, seconds: float = 60) -> str:
        """Start and wait until it says that it runs; returns what it printed."""
        self.output = self.directory.with_name(self.directory.name + ".log")
        log = self.output.open("w", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(PHAYAN), "up", "--data", str(self.directory), "--config", str(self.config_path)],
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            text = self.output.read_text(encoding="utf-8")
            if "Phayan is running" in text and ("admin pages" in text):
                return text
            if self.process.poll() is not None:
                raise AssertionError(f"phayan up ended with {self.process.returncode}:\n{text}")
            time.sleep(0.1)
        raise AssertionError(f"phayan up did not get ready in {seconds} s:\n{self.output.read_text(encoding='utf-8')}")

    def stop(self, seconds: float = 60) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(seconds)

    def phayan(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command against this directory."""
        return subprocess.run(
            [str(PHAYAN), *arguments, "--data", str(self.directory)],
            capture_output=True,
            text=True,
            timeout=120,
            input=stdin,
            check=False,
        )

    def ask(self, *arguments: str) -> Any:
        """The JSON of a command that found something or nothing."""
        done = self.phayan(*arguments, "--format", "json")
        assert done.returncode in (0, 1, 3), done.stderr
        return json.loads(done.stdout)

    def add_user(self, name: str, person: str, password: str) -> None:
        done = self.phayan(
            "users", "add", name, "--person", person, "--identified-how", "staff card", "--identified-by", "registrar",
            "--password-stdin", stdin=password + "\n",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def approved_case(self, address: str, since: str, until: str) -> str:
        """The number of an approved case about an address; needs `[cases] one_person`."""
        opened = self.phayan(
            "cases", "open", "--title", "เรื่องทดสอบ", "--ground", "order", "--letter", "12/2569",
            "--officer", "ร.ต.ท. ประสิทธิ์", "--unit", "บก.ปอท.", "--item", "2",
            "--address", address, "--from", since, "--until", until, "--format", "json",
        )  # fmt: skip
        assert opened.returncode == 0, opened.stderr
        case = json.loads(opened.stdout)
        number = str(case.get("id") or case["case"]["id"])
        approved = self.phayan("cases", "approve", number)
        assert approved.returncode == 0, approved.stderr
        return number

    def process_ids(self) -> dict[str, int]:
        """Process name to pid, from the command lines of the supervisor's children."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = {}
        for pid in children:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"deploy.process" in command:
                found[command[command.index(b"deploy.process") + 1].decode()] = int(pid)
        return found

    def setup_link(self, text: str) -> str:
        match = re.search(r"http://\S+/setup\?secret=\S+", text)
        assert match, text
        return match[0]
