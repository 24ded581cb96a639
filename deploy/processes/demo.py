"""The demo process."""

import threading

from deploy.demo.service import run_demo
from deploy.layout import Appliance


def run_demo_process(appliance: Appliance, stop: threading.Event) -> None:
    """Feed a demo with an invented office."""
    run_demo(appliance, stop)
