"""Samples of the system clock, one a minute, handed to the sealer once an hour."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path

from archive.clock import Clock
from archive.clock_state import ClockSample, read_clock_state
from archive.durable import make_directory, replace_file

NS = 1_000_000_000
SAMPLE_SECONDS = 60
SAMPLES_A_LEAF = 60


class ClockWatch:
    """`tick` is called every few seconds. What was not handed over when the process ends goes with `close`."""

    def __init__(
        self, inbox: Path, clock: Clock, read_state: Callable[[Clock], ClockSample] = read_clock_state
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._read_state = read_state
        self._samples: list[ClockSample] = []
        self._next_ns = clock.monotonic_ns()
        self.last: ClockSample | None = None

    def tick(self) -> None:
        """Take a sample if one is due. Raises OSError where an hour's samples cannot be written; they are kept."""
        now = self._clock.monotonic_ns()
        if now < self._next_ns:
            return
        # After a pause of the process one sample, not all that were missed.
        self._next_ns = now + SAMPLE_SECONDS * NS
        self.last = self._read_state(self._clock)
        self._samples = [*self._samples[-(2 * SAMPLES_A_LEAF - 1) :], self.last]
        if len(self._samples) >= SAMPLES_A_LEAF:
            self._hand_over()

    def close(self) -> None:
        """Hand over what there is. Raises OSError."""
        if self._samples:
            self._hand_over()

    def _hand_over(self) -> None:
        fields = {
            "boot_id": self._clock.boot_id(),
            "step": None,
            "samples": [sample.values() for sample in self._samples],
        }
        make_directory(self._inbox)
        name = f"{self._samples[0].monotonic_ns:020d}-{secrets.token_hex(4)}.json"
        replace_file(self._inbox / name, json.dumps(fields).encode())
        self._samples = []
