"""The one clock interface. Pure code is handed a Clock; tests hand it a false one."""

import time
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and the identity of this boot."""

    def unix_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...

    def boot_id(self) -> str: ...


class SystemClock:
    """The machine's clock. `monotonic_ns` is comparable between processes of one boot (CLOCK_MONOTONIC)."""

    def unix_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def boot_id(self) -> str:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
