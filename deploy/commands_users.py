"""`phayan users`: accounts of people, through the same service the pages use."""

import getpass
import json
import sys
from typing import Any

import click

from authgw.accounts.client import AccountsClient
from deploy.errors import DeployError
from deploy.layout import find_data_directory, open_appliance
from deploy.options import data_option, format_option


def _client(data: str | None) -> AccountsClient:
    return AccountsClient(open_appliance(str(find_data_directory(data)), None).accounts_socket)


def _actor() -> str:
    return f"console {getpass.getuser()}"


def _read_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise DeployError("no terminal to ask for the password; use --password-stdin")
    return click.prompt("Password", hide_input=True, confirmation_prompt=True)


@click.group("users")
def users_command() -> None:
    """Accounts of people: add, list, show, change, set-password, disable, enable."""


@users_command.command("add")
@click.argument("name")
@click.option("--person", required=True, help="First and family name")
@click.option("--identified-how", required=True, help="What was seen, e.g. national card, staff roster")
@click.option("--identified-by", required=True, help="Who saw it")
@click.option("--identified-when", default="", help="When, ISO 8601 [default: now]")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input")
@data_option
def add_command(
    name: str,
    person: str,
    identified_how: str,
    identified_by: str,
    identified_when: str,
    password_stdin: bool,
    data: str | None,
) -> None:
    """Make an account for one person."""
    password = _read_password(password_stdin)
    account = _client(data).user_add(
        name,
        person,
        identified_how=identified_how,
        identified_by=identified_by,
        identified_when=identified_when,
        password=password,
        actor=_actor(),
    )
    click.echo(f"account {account['name']} of {account['person']} made")


@users_command.command("list")
@format_option("table", "json")
@data_option
def list_command(output: str, data: str | None) -> None:
    """All accounts."""
    accounts = _client(data).user_list()
    if output == "json":
        click.echo(json.dumps(accounts, ensure_ascii=False, indent=2))
        return
    for account in accounts:
        state = "disabled" if account["disabled"] else "active"
        click.echo(f"{account['name']:24} {state:9} {account['person']}")


@users_command.command("show")
@click.argument("name")
@data_option
def show_command(name: str, data: str | None) -> None:
    """One account and its history."""
    client = _client(data)
    shown: dict[str, Any] = {**client.user_show(name), "events": client.user_events(name)}
    click.echo(json.dumps(shown, ensure_ascii=False, indent=2))


@users_command.command("change")
@click.argument("name")
@click.option("--person", help="New name of the person")
@click.option("--identified-how", help="What was seen")
@click.option("--identified-by", help="Who saw it")
@data_option
def change_command(
    name: str, person: str | None, identified_how: str | None, identified_by: str | None, data: str | None
) -> None:
    """Change what is recorded of an account's person. Earlier answers keep the earlier name."""
    account = _client(data).user_change(
        name, person=person, identified_how=identified_how, identified_by=identified_by, actor=_actor()
    )
    click.echo(f"account {account['name']} of {account['person']} changed")


@users_command.command("set-password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input")
@data_option
def set_password_command(name: str, password_stdin: bool, data: str | None) -> None:
    """Give an account another password."""
    _client(data).user_set_password(name, _read_password(password_stdin), actor=_actor())
    click.echo(f"password of {name} set")


@users_command.command("disable")
@click.argument("name")
@click.option("--reason", default="", help="Why, for the record")
@data_option
def disable_command(name: str, reason: str, data: str | None) -> None:
    """End an account's service; its history stays."""
    _client(data).user_disable(name, disabled=True, reason=reason, actor=_actor())
    click.echo(f"account {name} disabled; `phayan users enable {name}` undoes this")


@users_command.command("enable")
@click.argument("name")
@data_option
def enable_command(name: str, data: str | None) -> None:
    """Let a disabled account log in again."""
    _client(data).user_disable(name, disabled=False, actor=_actor())
    click.echo(f"account {name} enabled")
