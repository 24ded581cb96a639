"""Guessing passwords: limits, their bounds, and what is not a failure."""

import threading

from authgw.portal.throttle import (
    MAX_FAILURES_PER_ACCOUNT,
    MAX_FAILURES_PER_ADDRESS,
    MAX_REMEMBERED,
    WINDOW_SECONDS,
    Attempt,
    FailureThrottle,
    Refusal,
)
from tests.clocks import ManualClock


def test_an_address_has_its_limit_whatever_the_account() -> None:
    throttle = FailureThrottle(ManualClock())
    for i in range(MAX_FAILURES_PER_ADDRESS):
        assert isinstance(throttle.admit("10.0.0.1", f"user{i}"), Attempt)
        assert throttle.left("10.0.0.1", "x")[0] == MAX_FAILURES_PER_ADDRESS - i - 1
    assert throttle.admit("10.0.0.1", "another") == Refusal(WINDOW_SECONDS)


def test_an_account_has_its_limit_whatever_the_address() -> None:
    throttle = FailureThrottle(ManualClock())
    for i in range(MAX_FAILURES_PER_ACCOUNT):
        assert isinstance(throttle.admit(f"10.0.0.{i}", "Somchai" if i % 2 else "SOMCHAI"), Attempt)
    assert isinstance(throttle.admit("10.0.9.9", "somchai"), Refusal)
    assert isinstance(throttle.admit("10.0.9.9", "malee"), Attempt)


def test_failures_slide_out_of_the_window() -> None:
    clock = ManualClock()
    throttle = FailureThrottle(clock)
    for _ in range(MAX_FAILURES_PER_ADDRESS):
        throttle.admit("10.0.0.1", "somchai")
        clock.advance(10)
    assert throttle.admit("10.0.0.1", "somchai") == Refusal(WINDOW_SECONDS - 10 * MAX_FAILURES_PER_ADDRESS)
    clock.advance(WINDOW_SECONDS - 10 * MAX_FAILURES_PER_ADDRESS)
    assert isinstance(throttle.admit("10.0.0.1", "somchai"), Attempt)
    assert isinstance(throttle.admit("10.0.0.1", "somchai"), Refusal)


def test_a_forgiven_guess_leaves_nothing_behind() -> None:
    throttle = FailureThrottle(ManualClock())
    for _ in range(100):
        attempt = throttle.admit("10.0.0.1", "somchai")
        assert isinstance(attempt, Attempt)
        throttle.forgive(attempt)
    assert not throttle._addresses
    assert not throttle._accounts


def test_many_at_once_cannot_pass_the_limit() -> None:
    throttle = FailureThrottle(ManualClock())
    admitted: list[object] = []
    threads = [threading.Thread(target=lambda: admitted.append(throttle.admit("10.0.0.1", "a"))) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(a, Attempt) for a in admitted) == MAX_FAILURES_PER_ADDRESS


def test_memory_is_bounded() -> None:
    throttle = FailureThrottle(ManualClock())
    for i in range(MAX_REMEMBERED + 500):
        throttle.admit(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", f"user{i}" + "x" * 10_000)
    assert len(throttle._addresses) <= MAX_REMEMBERED
    assert len(throttle._accounts) <= MAX_REMEMBERED
    assert max(map(len, throttle._accounts)) <= 300
