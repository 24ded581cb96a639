"""The portal process, and the one that sends plain HTTP to it."""

import threading

from authgw.portal.service import PortalSettings, run_portal, run_portal_redirect
from deploy.first_start import create_portal_certificate
from deploy.layout import Appliance
from deploy.processes.directory import directory_settings


def portal_settings(appliance: Appliance) -> PortalSettings:
    """The captive portal."""
    config = appliance.config
    return PortalSettings(
        listen_address=config.portal.address,
        http_port=config.portal.http_port,
        https_port=config.portal.https_port,
        host_name=config.portal.host_name,
        portal_directory=appliance.directory / "portal",
        spool_directory=appliance.paths.spool,
        run_directory=appliance.paths.run,
        accounts_path=appliance.accounts_path,
        site=config.site.name,
        zone=config.site.zone,
        retention_days=config.archive.retention_days,
        directory=directory_settings(appliance),
        close_after_seconds=config.archive.spool_close_seconds,
        reserve_bytes=config.storage.reserve_bytes,
        counts_when_full=config.storage.when_reserve_ends == "count",
    )


def run_portal_process(appliance: Appliance, stop: threading.Event) -> None:
    """Serve the portal's pages."""
    settings = portal_settings(appliance)
    if not (settings.portal_directory / "portal.crt").exists():
        create_portal_certificate(settings.portal_directory, settings.host_name)
    run_portal(settings, stop)


def run_portal_redirect_process(appliance: Appliance, stop: threading.Event) -> None:
    """Send plain HTTP to the portal."""
    run_portal_redirect(portal_settings(appliance), stop)
