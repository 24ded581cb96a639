"""Stopping by signal."""

import _thread
import signal
import threading
from collections.abc import Iterable


def stop_on_signals(stop: threading.Event, numbers: Iterable[signal.Signals]) -> None:
    """Set `stop` when one of the signals comes, however often.

    Not in the handler itself: it runs in the main thread, which may hold the event's own lock just then (it waits for
    it, or a second signal comes), and would wait for itself for ever. Thread objects have such a lock too.
    """
    for number in numbers:
        signal.signal(number, lambda *_: _thread.start_new_thread(stop.set, ()))
