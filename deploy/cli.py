"""The command `phayan`. Names, options and exit codes are a contract (docs/CONTRACT.md)."""

import sys

import click

from archive.errors import ArchiveError
from authgw.errors import AuthgwError
from collector.errors import CollectorError
from deploy.commands_ask import search_command, status_command, who_command
from deploy.commands_cases import cases_command
from deploy.commands_copies import copies_command
from deploy.commands_decode import decode_command
from deploy.commands_holds import holds_command
from deploy.commands_keys import keys_command
from deploy.commands_move import move_command
from deploy.commands_package import package_command
from deploy.commands_recovery_key import recovery_key_command
from deploy.commands_reindex import reindex_command
from deploy.commands_restore import restore_command
from deploy.commands_retention import retention_command
from deploy.commands_run import init_command, up_command
from deploy.commands_users import users_command
from deploy.commands_verify import verify_command
from deploy.commands_witness import witness_command
from deploy.errors import DeployError

COULD_NOT = 2


class _Group(click.Group):
    """Every known failure is one sentence on stderr and an exit code, never a traceback."""

    def main(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        try:
            return super().main(*args, **kwargs)
        except DeployError as error:
            click.echo(f"phayan: {error}", err=True)
            sys.exit(error.exit_code)
        except (ArchiveError, AuthgwError, CollectorError) as error:
            click.echo(f"phayan: {error}", err=True)
            sys.exit(COULD_NOT)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            click.echo(f"phayan: {error.strerror or error}{where}", err=True)
            sys.exit(COULD_NOT)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="phayan", prog_name="phayan")
def main() -> None:
    """Phayan identifies the users of an internet connection and keeps their traffic data as evidence."""


for command in (
    init_command,
    up_command,
    search_command,
    who_command,
    verify_command,
    package_command,
    decode_command,
    status_command,
    keys_command,
    reindex_command,
    users_command,
    cases_command,
    holds_command,
    retention_command,
    witness_command,
    copies_command,
    recovery_key_command,
    restore_command,
    move_command,
):
    main.add_command(command)
