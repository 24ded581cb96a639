"""The admin process."""

import threading

from admin_ui.service import run_admin
from admin_ui.settings import AdminSettings
from archive.run_report import write_run_report
from deploy.layout import Appliance


def run_admin_process(appliance: Appliance, stop: threading.Event) -> None:
    """Serve the admin pages."""
    values = appliance.config.admin
    run = appliance.paths.run
    run_admin(
        AdminSettings(
            ask_socket=appliance.ask_socket,
            accounts_socket=appliance.accounts_socket,
            address=values.address,
            port=values.port,
            run_directory=run,
            zone=appliance.config.site.zone,
            site_name=appliance.config.site.name,
            tls_certificate=appliance.configured_file(values.tls_certificate),
            tls_key=appliance.configured_file(values.tls_key),
            metrics_allow=tuple(values.metrics_allow),
            report=lambda counters: write_run_report(run, "admin", counters),
        ),
        stop,
    )
