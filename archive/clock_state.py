"""What the system clock says of itself: offset, root dispersion, source. From chronyd where it runs, else from the
kernel (adjtimex(2)), which is told by whatever daemon disciplines it."""

import ctypes
import subprocess
from dataclasses import dataclass
from typing import Any

from archive.clock import Clock

NS = 1_000_000_000
COMMAND_SECONDS = 5.0
"""A daemon that does not answer a local question by then is not asked again this minute."""
_STA_UNSYNC, _STA_NANO, _TIME_ERROR = 0x0040, 0x2000, 5
_CHRONY_FIELDS = 14
_UNSYNCHRONISED = "Not synchronised"


class _Timex(ctypes.Structure):
    """`struct timex` of linux/timex.h; all that follows `constant` is room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("rest", ctypes.c_long * 32),
    )


@dataclass(frozen=True)
class ClockSample:
    """State of the clock at one moment. `offset_ns` is system time minus true time, `dispersion_ns` the largest error
    the source admits; None where nobody says."""

    unix_ns: int
    monotonic_ns: int
    is_synchronised: bool
    offset_ns: int | None
    dispersion_ns: int | None
    source: str

    def values(self) -> dict[str, Any]:
        """As in a `clock` leaf (docs/FORMAT.md)."""
        return {
            "unix_ns": str(self.unix_ns),
            "monotonic_ns": str(self.monotonic_ns),
            "synchronised": self.is_synchronised,
            "offset_ns": self.offset_ns,
            "dispersion_ns": self.dispersion_ns,
            "source": self.source,
        }


def read_clock_state(clock: Clock) -> ClockSample:
    """A sample of this machine's clock. Never raises: what cannot be learned is unknown, and unsynchronised."""
    unix_ns, monotonic_ns = clock.unix_ns(), clock.monotonic_ns()
    said = parse_chrony_tracking(_output_of("chronyc", "-c", "tracking"))
    if said is None:
        said = _ask_kernel()
    return ClockSample(unix_ns, monotonic_ns, *said)


def parse_chrony_tracking(line: str) -> tuple[bool, int | None, int | None, str] | None:
    """Synchronised, offset, dispersion and source from `chronyc -c tracking`; None if this is none. Pure.

    chronyc prints the correction still to be made (positive: the system clock is slow), and half the root delay belongs
    to the root distance (RFC 5905).
    """
    fields = line.strip().split(",")
    if len(fields) != _CHRONY_FIELDS:
        return None
    try:
        correction, delay, dispersion = float(fields[4]), float(fields[10]), float(fields[11])
    except ValueError:
        return None
    if fields[13] == _UNSYNCHRONISED or fields[2] == "0":
        return False, None, None, "chrony: no source"
    error_ns = round((abs(delay) / 2 + dispersion) * NS)
    return True, round(-correction * NS), error_ns, f"chrony: {fields[1] or fields[0]} stratum {fields[2]}"


def _ask_kernel() -> tuple[bool, int | None, int | None, str]:
    state = _Timex()
    result = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
    if result in (-1, _TIME_ERROR) or state.status & _STA_UNSYNC:
        return False, None, None, "kernel: unsynchronised"
    unit_ns = 1 if state.status & _STA_NANO else 1_000
    server = _output_of("timedatectl", "show-timesync", "--property=ServerName", "--value").strip()
    return True, state.offset * unit_ns, state.maxerror * 1_000, f"timesyncd: {server}" if server else "kernel"


def _output_of(*command: str) -> str:
    """Standard output; empty where the command is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=COMMAND_SECONDS, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""
