"""The sealer process."""

import threading

from archive.sealer_service import run_sealer
from deploy.layout import Appliance


def run_sealer_process(appliance: Appliance, stop: threading.Event) -> None:
    """Seal."""
    run_sealer(appliance.paths, appliance.config.archive.head_interval_seconds, stop)
