"""`phayan up`: every process in the foreground, restarted when one dies. For trying and developing; systemd
does this in production."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from archive.local_rpc import is_answering
from deploy.errors import EX_CONFIG, StartError
from deploy.layout import Appliance
from deploy.restart_notes import RestartNotes
from deploy.signals import stop_on_signals

START_ORDER = (
    "sealer",
    "anchor",
    "accounts",
    "ask",
    "timers",
    "collector",
    "radius",
    "portal",
    "portal-redirect",
    "admin",
    "demo",
)
STOP_ORDER = (
    ("demo",),
    ("collector", "radius", "portal", "portal-redirect", "admin"),
    ("accounts", "timers"),
    ("ask",),
    ("sealer",),
    ("anchor",),
)
"""Senders and receivers first, then the sealer, so that everything received is sealed when `phayan up` ends; the last
head is brought to the witnesses."""
STOP_SECONDS = 30.0
"""A process that has not ended this long after SIGTERM is killed; the journal survives that."""
FIRST_BACKOFF_SECONDS = 0.2
LAST_BACKOFF_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A process that lived this long starts again without delay."""
READY_SECONDS = 90.0


SUPERVISOR_VARIABLE = "PHAYAN_SUPERVISOR_PID"
"""Tells a process whose child it is, so that one that starts while the supervisor is killed notices it."""
PROBE_SECONDS = 2.0


def _answers_tcp(address: str, port: int) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    try:
        with socket.create_connection((host, port), timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False


@dataclass
class Child:
    """One process and its restarts."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    backoff_seconds: float = FIRST_BACKOFF_SECONDS
    due: float = 0.0
    restarts: int = field(default=0)

    def start(self) -> None:
        # A process group of its own: Ctrl-C reaches the supervisor alone, which then stops all in order.
        environment = {**os.environ, SUPERVISOR_VARIABLE: str(os.getpid())}
        self.process = subprocess.Popen(self.command, process_group=0, env=environment)
        self.started = time.monotonic()


class Supervisor:
    """Starts the processes, restarts them, stops them in order."""

    def __init__(self, appliance: Appliance, commands: dict[str, list[str]]) -> None:
        self._appliance = appliance
        self._children = [Child(name, commands[name]) for name in START_ORDER if name in commands]
        self._stop = threading.Event()
        self._notes = RestartNotes(appliance.timers_socket, self._stop)

    def run(self, on_ready: Callable[[], None]) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP. Raises StartError when a process says that it cannot start as
        configured."""
        # nohup ignores SIGHUP, and means it.
        hang_up = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)
        stop_on_signals(self._stop, (signal.SIGINT, signal.SIGTERM, *hang_up))
        failure = None
        try:
            for child in self._children:
                child.start()
            threading.Thread(target=self._announce, args=(on_ready,), daemon=True).start()
            while not self._stop.wait(0.1) and failure is None:
                failure = self._watch()
        finally:
            self._stop.set()
            self._shut_down()
        if failure is not None:
            raise StartError(f"{failure} cannot run as configured; its message is above")

    def _watch(self) -> str | None:
        """Restart what died. Returns the name of a process that refused to start the first time."""
        now = time.monotonic()
        for child in self._children:
            if child.process is None:
                if now >= child.due:
                    self._start_again(child)
                continue
            code = child.process.poll()
            if code is None:
                continue
            if code == EX_CONFIG and child.restarts == 0 and now - child.started < STEADY_SECONDS:
                return child.name
            if now - child.started > STEADY_SECONDS:
                child.backoff_seconds = FIRST_BACKOFF_SECONDS
            print(f"phayan: {child.name} ended ({code}); starting it again", file=sys.stderr, flush=True)
            self._note("process_ended", child, code)
            child.process = None
            self._delay(child)
        return None

    def _start_again(self, child: Child) -> None:
        child.restarts += 1
        try:
            child.start()
        except OSError as error:
            # No memory or no descriptor now; the others must not end for it.
            print(f"phayan: {child.name} cannot be started: {error.strerror}", file=sys.stderr, flush=True)
            self._delay(child)
            return
        self._note("process_restarted", child, None)

    def _delay(self, child: Child) -> None:
        child.due = time.monotonic() + child.backoff_seconds
        child.backoff_seconds = min(child.backoff_seconds * 2, LAST_BACKOFF_SECONDS)

    def _note(self, event: str, child: Child, code: int | None) -> None:
        """Have it sealed; the process that writes it may be the one that died."""
        self._notes.add(event, child.name, code, child.process.pid if child.process else None)

    def _announce(self, on_ready: Callable[[], None]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and not self._stop.is_set():
            if not self._unready():
                on_ready()
                return
            self._stop.wait(0.2)
        if not self._stop.is_set():
            print(f"phayan: no answer yet from {', '.join(self._unready())}", file=sys.stderr, flush=True)

    def _unready(self) -> list[str]:
        """Processes that have given no sign yet that they do their work."""
        run, config = self._appliance.paths.run, self._appliance.config
        sockets = {
            "ask": self._appliance.ask_socket,
            "accounts": self._appliance.accounts_socket,
            "timers": self._appliance.timers_socket,
            "sealer": self._appliance.sealer_socket,
        }
        ports = {
            "portal": (config.portal.address, config.portal.https_port),
            "portal-redirect": (config.portal.address, config.portal.http_port),
            "admin": (config.admin.address, config.admin.port),
        }
        unready = []
        for child in self._children:
            if child.name in sockets:
                ready = is_answering(sockets[child.name], PROBE_SECONDS)
            elif child.name in ports:
                ready = _answers_tcp(*ports[child.name])
            else:
                ready = child.name == "demo" or (run / f"{child.name}.json").exists()
            if not ready:
                unready.append(child.name)
        return unready

    def _shut_down(self) -> None:
        for names in STOP_ORDER:
            group = [c for c in self._children if c.name in names and c.process is not None]
            for child in group:
                if child.process is not None and child.process.poll() is None:
                    child.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            for child in group:
                if child.process is None:
                    continue
                try:
                    child.process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    print(f"phayan: {child.name} did not stop in time and is killed", file=sys.stderr, flush=True)
                    child.process.kill()
                    child.process.wait()
