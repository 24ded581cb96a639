"""The timers process."""

import threading

from deploy.layout import Appliance
from deploy.timers import run_timers


def run_timers_process(appliance: Appliance, stop: threading.Event) -> None:
    """Verify at night and when asked."""
    run_timers(appliance, stop)
