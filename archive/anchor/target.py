"""What a witness and an authority have in common as targets: how long to wait after a failure, and what to remember."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.durable import make_directory, replace_file

NS = 1_000_000_000
POLL_SECONDS = 1.0
"""How often a target looks for a newer head; one comes every ten seconds."""
FIRST_BACKOFF_SECONDS = 5.0
LAST_BACKOFF_SECONDS = 300.0
"""A line that comes back is used within five minutes."""
MAX_STATE_BYTES = 4 * 1024 * 1024
"""336 queued heads of 4 KiB, and JSON's escapes."""


@dataclass
class Backoff:
    """When to try again, on the monotonic clock. Doubles with each failure in a row."""

    failures: int = 0
    due_monotonic_ns: int = 0

    def seconds_left(self, monotonic_ns: int) -> float:
        return max(0.0, (self.due_monotonic_ns - monotonic_ns) / NS)

    def fail(self, monotonic_ns: int) -> None:
        seconds = min(FIRST_BACKOFF_SECONDS * 2 ** min(self.failures, 10), LAST_BACKOFF_SECONDS)
        self.failures += 1
        self.due_monotonic_ns = monotonic_ns + int(seconds * NS)

    def succeed(self, monotonic_ns: int, pause_seconds: float) -> None:
        self.failures = 0
        self.due_monotonic_ns = monotonic_ns + int(pause_seconds * NS)


class StateFile:
    """What one target remembers over restarts, in `anchors/state/`. It is of one log: what another one left is
    forgotten. Losing it costs a request or two, and the queue."""

    def __init__(self, anchors: Path, kind: str, name: str, log: str) -> None:
        """`name` tells targets of one kind apart, `log` is the verifier key of the log."""
        digest = hashlib.sha256(f"{kind}\n{name}".encode()).hexdigest()[:16]
        self._path = anchors / "state" / f"{kind}-{digest}.json"
        self._log = log

    def load(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """The values last saved; those of `defaults` where there is none of the same type."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(MAX_STATE_BYTES))
        except (OSError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("log") != self._log:
            return dict(defaults)
        return {
            name: found[name] if type(found.get(name)) is type(default) else default
            for name, default in defaults.items()
        }

    def save(self, values: Mapping[str, Any]) -> None:
        """Durable on return. Raises OSError."""
        make_directory(self._path.parent)
        replace_file(self._path, json.dumps({"log": self._log, **values}).encode())
