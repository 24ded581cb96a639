"""Each process of the appliance, built from the configuration. No logic of its own."""

import threading
from importlib.metadata import version

from admin_ui.service import run_admin
from admin_ui.settings import AdminSettings
from archive.ask.service import AskSettings, run_ask
from archive.index.settings import DecodingSettings
from archive.run_report import write_run_report
from archive.sealer_service import run_sealer
from authgw.accounts.service import AccountsSettings, run_accounts
from authgw.directory.ldap import DirectorySettings
from authgw.portal.service import PortalSettings, run_portal, run_portal_redirect
from authgw.radius.clients import RadiusClient
from authgw.radius.service import RadiusSettings, run_radius
from collector.service import CollectorSettings, run_collector
from deploy.collector_certificate import syslog_tls_files
from deploy.decoders import make_chunk_decoder
from deploy.demo.service import demo_radius_client, run_demo
from deploy.first_start import create_portal_certificate
from deploy.layout import Appliance
from deploy.listeners import listener_realms, listeners, realm_networks
from deploy.network_facts import network_facts
from deploy.timers import run_timers


def directory_settings(appliance: Appliance) -> DirectorySettings | None:
    """The LDAP server, if one is configured."""
    values = appliance.config.directory
    if not values.host:
        return None
    return DirectorySettings(
        host=values.host,
        port=values.port,
        tls=values.tls,
        ca_file=appliance.configured_file(values.ca_file),
        server_name=values.server_name or None,
        base_dn=values.base_dn,
        bind_dn=values.bind_dn,
        bind_password=values.bind_password,
        user_filter=values.user_filter,
    )


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
            tls=syslog_tls_files(
                config.syslog,
                appliance.directory / "collector",
                config.portal.host_name,
                needed=any(listener.transport == "tls" for listener in wanted),
            ),
        ),
        stop,
    )


def run_radius_process(appliance: Appliance, stop: threading.Event) -> None:
    """Answer RADIUS."""
    values = appliance.config.radius
    clients = tuple(
        RadiusClient(
            network=client.network,
            secret=client.secret.encode(),
            name=client.name,
            require_message_authenticator=client.require_message_authenticator,
            limit_proxy_state=client.limit_proxy_state,
        )
        for client in values.client
    )
    if appliance.demo:
        clients = (demo_radius_client(appliance), *clients)
    run_radius(
        RadiusSettings(
            listen_address=values.address,
            auth_port=values.authentication_port,
            acct_port=values.accounting_port,
            clients=clients,
            spool_directory=appliance.paths.spool,
            accounts_path=appliance.accounts_path,
            run_directory=appliance.paths.run,
            directory=directory_settings(appliance),
            close_after_seconds=appliance.config.archive.spool_close_seconds,
        ),
        stop,
    )


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


def run_accounts_process(appliance: Appliance, stop: threading.Event) -> None:
    """Keep the accounts."""
    run_accounts(
        AccountsSettings(
            accounts_path=appliance.accounts_path,
            spool_directory=appliance.paths.spool,
            socket_path=appliance.accounts_socket,
            close_after_seconds=appliance.config.archive.spool_close_seconds,
            network_facts=network_facts(appliance.config),
        ),
        stop,
    )


def run_sealer_process(appliance: Appliance, stop: threading.Event) -> None:
    """Seal."""
    run_sealer(appliance.paths, appliance.config.archive.head_interval_seconds, stop)


def run_ask_process(appliance: Appliance, stop: threading.Event) -> None:
    """Index and answer."""
    config = appliance.config
    run_ask(
        AskSettings(
            paths=appliance.paths,
            dsn=appliance.index_dsn,
            zone=config.site.zone,
            retention_days=config.archive.retention_days,
            demo=appliance.demo,
            site_name=config.site.name,
            software=f"phayan {version('phayan')}",
            close_after_seconds=config.archive.spool_close_seconds,
            decoder_factory=make_chunk_decoder,
            decoding=DecodingSettings(config.site.zone, realm_networks(appliance), listener_realms(appliance)),
        ),
        stop,
    )


def run_demo_process(appliance: Appliance, stop: threading.Event) -> None:
    """Feed a demo with an invented office."""
    run_demo(appliance, stop)


def run_timers_process(appliance: Appliance, stop: threading.Event) -> None:
    """Verify at night and when asked."""
    run_timers(appliance, stop)


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
