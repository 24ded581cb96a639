"""The state dot: one word in every page's header, from the standing alarms, asked at most every ten seconds."""

import threading
import time
from dataclasses import dataclass
from typing import Any

from admin_ui.ask_client import LOOK_TIMEOUT_SECONDS, AskClient
from admin_ui.times import clock_of
from archive.errors import AskError

KEEP_SECONDS = 10.0
"""Asking for the state writes an audit record, so pages opened together share one answer."""
SEVERE = frozenset({"verify_defect", "kernel_drops", "udp_memory", "seal_lag", "signing_refused"})
"""Alarms that mean lost or endangered evidence; the others mean that something is late or down."""


@dataclass(frozen=True)
class Health:
    """`level`: ok, warn, bad or unknown. `clock`: site time of the answer."""

    level: str
    count: int = 0
    clock: str = ""


def health_of(status: dict[str, Any], zone: str) -> Health:
    """Level and number of the alarms of a `status` answer."""
    alarms = status.get("alarms") or []
    return Health(level_of(alarms), len(alarms), clock_of(status.get("now"), zone))


def level_of(alarms: list[dict[str, Any]]) -> str:
    if not alarms:
        return "ok"
    return "bad" if any(alarm.get("code") in SEVERE for alarm in alarms) else "warn"


class HealthReader:
    """Shared by all requests of the process."""

    def __init__(self, ask: AskClient, zone: str) -> None:
        self._ask = ask
        self._zone = zone
        self._lock = threading.Lock()
        self._known = Health("unknown")
        self._due = 0.0

    def read(self, token: str) -> Health:
        """The state as of at most KEEP_SECONDS ago; `unknown` when it cannot be asked."""
        with self._lock:
            if time.monotonic() < self._due:
                return self._known
            self._due = time.monotonic() + KEEP_SECONDS
        try:
            self.remember(self._ask.call("status", token, timeout_seconds=LOOK_TIMEOUT_SECONDS))
        except AskError:
            self._known = Health("unknown")
        return self._known

    def remember(self, status: dict[str, Any]) -> None:
        """Take a `status` answer that a page asked for anyway."""
        self._known = health_of(status, self._zone)
        self._due = time.monotonic() + KEEP_SECONDS
