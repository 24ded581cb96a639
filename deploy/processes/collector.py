"""The collector process."""

import threading

from collector.service import CollectorSettings, run_collector
from deploy.collector_certificate import syslog_tls_files
from deploy.layout import Appliance
from deploy.listeners import listeners


def run_collector_process(appliance: Appliance, stop: threading.Event) -> None:
    """Receive syslog, NetFlow and sFlow."""
    config = appliance.config
    wanted = listeners(appliance)
    run_collector(
        CollectorSettings(
            spool_directory=appliance.paths.spool,
            run_directory=appliance.paths.run,
            listeners=wanted,
            close_after_seconds=config.archive.spool_close_seconds,
            reserve_bytes=config.storage.reserve_bytes,
            tls=syslog_tls_files(
                config.syslog,
                appliance.directory / "collector",
                config.portal.host_name,
                needed=any(listener.transport == "tls" for listener in wanted),
            ),
        ),
        stop,
    )
