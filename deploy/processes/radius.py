"""The RADIUS process."""

import threading

from authgw.radius.clients import RadiusClient
from authgw.radius.service import RadiusSettings, run_radius
from deploy.demo.service import demo_radius_client
from deploy.layout import Appliance
from deploy.processes.directory import directory_settings


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
            reserve_bytes=appliance.config.storage.reserve_bytes,
            counts_when_full=appliance.config.storage.when_reserve_ends == "count",
        ),
        stop,
    )
