"""The account service."""

import threading

from authgw.accounts.service import AccountsSettings, run_accounts
from deploy.layout import Appliance
from deploy.network_facts import network_facts


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
