"""The portal's real processes in a data directory of their own."""

import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from archive.clock import SystemClock
from archive.spool import SpoolWriter
from authgw.accounts.store import AccountService
from tests.authgw.portal.portal_pages import HIDDEN, PASSWORD, journal_payloads

REPOSITORY = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class PortalProcess:
    """`python -m deploy.process portal` and `portal-redirect` on free ports of loopback."""

    directory: Path
    http_port: int = field(default_factory=free_port)
    https_port: int = field(default_factory=free_port)
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data = self.directory / "data"
        self.config = self.directory / "phayan.toml"
        self.config.write_text(
            "[archive]\nspool_close_seconds = 1\n[site]\nname = 'โรงเรียนบ้านตัวอย่าง'\n"
            f"[portal]\naddress = '127.0.0.1'\nhttp_port = {self.http_port}\nhttps_port = {self.https_port}\n",
            encoding="utf-8",
        )
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "phayan"),
                "init",
                "--data",
                str(self.data),
                "--config",
                str(self.config),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        spool = SpoolWriter(self.data / "spool", "identity")
        service = AccountService(self.data / "accounts" / "accounts.sqlite", spool, SystemClock())
        for name in ("somchai", "malee"):
            service.user_add(
                name, "สมชาย ใจดี", actor="test", identified_how="card", identified_by="test", password=PASSWORD
            )
        service.close()
        spool.close()

    def start(self, name: str = "portal", *, wait: bool = True) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.process", name, "--data", str(self.data), "--config", str(self.config)],
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        if wait:
            self.wait_answer(process, self.https_port if name == "portal" else self.http_port)
        return process

    def wait_answer(self, process: subprocess.Popen[str], port: int, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            try:
                self.ask("GET", "/capport", port=port)
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"nothing answers on port {port}")

    def ask(
        self, method: str, path: str, fields: dict[str, str] | None = None, *, port: int | None = None, host: str = ""
    ) -> tuple[http.client.HTTPResponse, str]:
        port = port or self.https_port
        if port == self.https_port:
            context = ssl.create_default_context(cafile=str(self.data / "portal" / "portal.crt"))
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=10, context=context
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Host": host} if host else {}
        body = urlencode(fields) if fields is not None else None
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text

    def log_in(self, name: str = "somchai") -> tuple[http.client.HTTPResponse, str]:
        form = dict(HIDDEN.findall(self.ask("GET", "/?other=1")[1]))
        return self.ask("POST", "/login", {**form, "username": name, "password": PASSWORD})

    def events(self) -> list[dict]:
        return [json.loads(p) for p in journal_payloads(self.data / "spool" / "portal")]

    def counters(self) -> dict:
        return json.loads((self.data / "run" / "portal.json").read_text())

    def stop_all(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stderr:
                process.stderr.close()


def worker_of(process: subprocess.Popen[str]) -> int:
    """The one child of a master."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    found = re.search(r"\) (\S)", state)
    return found is not None and found[1] != "Z"
