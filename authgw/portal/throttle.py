"""How often a password may be guessed, per device and per account. Pure but for the clock it is given."""

import math
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass

from archive.clock import Clock
from authgw.names import account_key

WINDOW_SECONDS = 300
"""Failures older than this are forgotten; nobody who mistyped waits longer."""
MAX_FAILURES_PER_ADDRESS = 5
"""A person knows a password or not after five tries; a guesser gets 1,440 a day."""
MAX_FAILURES_PER_ACCOUNT = 20
"""Above the limit of one address, so that one device cannot lock a colleague out; many devices together can guess no
faster than this."""
MAX_REMEMBERED = 10_000
"""Addresses, and accounts, with failures in the window: about 4 MB. Beyond it the longest quiet one is forgotten."""
MAX_NAME_CHARACTERS = 300
_WINDOW_NS = WINDOW_SECONDS * 1_000_000_000

_Failures = OrderedDict[str, "deque[int]"]


@dataclass(frozen=True)
class Attempt:
    """One admitted guess, counted as a failure until it is forgiven."""

    address: str
    account: str
    moment_ns: int


@dataclass(frozen=True)
class Refusal:
    """Too many failures; the next try is possible after `wait_seconds`."""

    wait_seconds: int


class FailureThrottle:
    """Counts failures. A guess counts from the moment it is admitted, so that many at once cannot pass the limit.
    Safe for many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._addresses: _Failures = OrderedDict()
        self._accounts: _Failures = OrderedDict()

    def admit(self, address: str, name: str) -> Attempt | Refusal:
        """Admit a guess at the password of `name`, or say how long to wait."""
        account = _account(name)
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            _, wait_ns = self._state(address, account, now_ns)
            if wait_ns > 0:
                return Refusal(math.ceil(wait_ns / 1e9))
            self._addresses[address].append(now_ns)
            self._accounts[account].append(now_ns)
            return Attempt(address, account, now_ns)

    def forgive(self, attempt: Attempt) -> None:
        """The guess was right, or could not be checked: it is no failure."""
        with self._lock:
            for table, key in ((self._addresses, attempt.address), (self._accounts, attempt.account)):
                failures = table.get(key)
                if failures and attempt.moment_ns in failures:
                    failures.remove(attempt.moment_ns)
                if not failures:
                    table.pop(key, None)

    def left(self, address: str, name: str) -> tuple[int, int]:
        """Guesses left to this device at this account, and the seconds to wait when none is left."""
        with self._lock:
            remaining, wait_ns = self._state(address, _account(name), self._clock.monotonic_ns())
        return remaining, math.ceil(max(0, wait_ns) / 1e9)

    def _state(self, address: str, account: str, now_ns: int) -> tuple[int, int]:
        """Guesses left, and nanoseconds until there is one again."""
        by_address = self._recent(self._addresses, address, now_ns)
        by_account = self._recent(self._accounts, account, now_ns)
        limits = ((by_address, MAX_FAILURES_PER_ADDRESS), (by_account, MAX_FAILURES_PER_ACCOUNT))
        waits = [failures[0] + _WINDOW_NS - now_ns for failures, limit in limits if len(failures) >= limit]
        return max(0, min(limit - len(failures) for failures, limit in limits)), max(waits, default=0)

    def _recent(self, table: _Failures, key: str, now_ns: int) -> "deque[int]":
        failures = table.setdefault(key, deque())
        table.move_to_end(key)
        while failures and failures[0] + _WINDOW_NS <= now_ns:
            failures.popleft()
        while len(table) > MAX_REMEMBERED:
            table.popitem(last=False)
        return failures


def _account(name: str) -> str:
    return account_key(name[:MAX_NAME_CHARACTERS])
