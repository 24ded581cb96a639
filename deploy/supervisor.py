"""`phayan up`: every process in the foreground, restarted when one dies. For trying and developing; systemd
does this in production."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from archive.errors import AskError
from archive.local_rpc import call_local
from deploy.errors import EX_CONFIG, StartError
from deploy.layout import Appliance

START_ORDER = (
    "sealer",
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
)
"""Senders and receivers first, the sealer last, so that everything received is sealed when `phayan up` ends."""
STOP_SECONDS = 30.0
"""A process that has not ended this long after SIGTERM is killed; the journal survives that."""
FIRST_BACKOFF_SECONDS = 0.2
LAST_BACKOFF_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A process that lived this long starts again without delay."""
READY_SECONDS = 90.0


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
        self.process = subprocess.Popen(self.command)
        self.started = time.monotonic()


class Supervisor:
    """Starts the processes, restarts them, stops them in order."""

    def __init__(self, appliance: Appliance, commands: dict[str, list[str]]) -> None:
        self._appliance = appliance
        self._children = [Child(name, commands[name]) for name in START_ORDER if name in commands]
        self._stop = threading.Event()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Run until SIGINT or SIGTERM. Raises StartError when a process says that it cannot start as configured."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._stop.set())
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
                    child.start()
                    child.restarts += 1
                    self._note("process_restarted", child, None)
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
            child.due = now + child.backoff_seconds
            child.backoff_seconds = min(child.backoff_seconds * 2, LAST_BACKOFF_SECONDS)
        return None

    def _note(self, event: str, child: Child, code: int | None) -> None:
        """Have it sealed, in a thread: the process that writes it may be the one that died."""

        def write() -> None:
            for _ in range(20):
                try:
                    call_local(
                        self._appliance.timers_socket,
                        "note",
                        timeout_seconds=5,
                        event=event,
                        process=child.name,
                        exit_code=code,
                        pid=child.process.pid if child.process else None,
                    )
                    return
                except AskError:
                    if self._stop.wait(0.5):
                        return

        threading.Thread(target=write, daemon=True).start()

    def _announce(self, on_ready: Callable[[], None]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and not self._stop.is_set():
            try:
                call_local(self._appliance.ask_socket, "setup_state", timeout_seconds=5)
            except AskError:
                self._stop.wait(0.2)
                continue
            if (self._appliance.paths.run / "collector.json").exists():
                on_ready()
                return
            self._stop.wait(0.2)
        if not self._stop.is_set():
            print("phayan: not every process answers yet; `phayan status` tells which", file=sys.stderr, flush=True)

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
