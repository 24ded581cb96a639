"""Options and printing that `phayan cases` and `phayan holds` share."""

import functools
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

from deploy.errors import DeployError
from deploy.options import ask

_SCOPE = (
    click.option("--person", "persons", multiple=True, help="A person, as the records name them; may repeat"),
    click.option("--account", "accounts", multiple=True, help="An account; may repeat"),
    click.option("--address", "addresses", multiple=True, metavar="ADDRESS[/N][@REALM]", help="Address or network"),
    click.option("--device", "devices", multiple=True, metavar="MAC", help="A device by its MAC address; may repeat"),
    click.option("--from", "from_", metavar="TIME", help="From this moment; a day alone is the whole day"),
    click.option("--until", "until_", metavar="TIME", help="Until this moment; a day alone is the whole day"),
)
_SUBJECTS = ("persons", "accounts", "addresses", "devices")


def scope_options(command: Callable[..., None]) -> Callable[..., None]:
    """What a case or hold is about; the command gets it as `scope`, None where no option was given."""

    @functools.wraps(command)
    def with_scope(**values: Any) -> None:
        given: dict[str, Any] = {name: list(values.pop(name)) for name in _SUBJECTS}
        given |= {"from": values.pop("from_"), "until": values.pop("until_")}
        command(scope=given if any(given.values()) else None, **values)

    for decorate in reversed(_SCOPE):
        with_scope = decorate(with_scope)
    return with_scope


def person_options(command: Callable[..., None]) -> Callable[..., None]:
    """Who acts: an operator who signs in here; the command gets `person`, arguments of the request."""

    @functools.wraps(command)
    def with_person(**values: Any) -> None:
        name, from_stdin = values.pop("as_name"), values.pop("password_stdin")
        person = {} if not name else {"name": name, "password": _read_password(name, from_stdin)}
        command(person=person, **values)

    with_person = click.option(
        "--password-stdin", is_flag=True, help="Read that operator's password from standard input"
    )(with_person)
    return click.option("--as", "as_name", metavar="NAME", help="Operator who acts and signs in here")(with_person)


def _read_password(name: str, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise DeployError("no terminal to ask for the password; use --password-stdin")
    return click.prompt(f"รหัสผ่านของ / Password of {name}", hide_input=True)


def ask_and_say(data: str | None, op: str, **arguments: Any) -> Any:
    """`ask`; a refusal is said in both languages. Raises DeployError, AskError."""
    try:
        return ask(data, op, **{name: value for name, value in arguments.items() if value is not None})
    except Exception as error:
        thai = str(getattr(error, "message_th", "") or "")
        if thai and thai != str(error):
            click.echo(f"phayan: {thai}", err=True)
        raise


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def one_person_lines(is_on: bool) -> list[str]:
    """Said above every list and every case while no second person is asked for."""
    if not is_on:
        return []
    return ["โหมดผู้ปฏิบัติงานคนเดียว: ไม่มีบุคคลที่สองอนุมัติ / One-person mode: no second person approves"]


def scope_lines(scope: dict[str, Any] | None) -> Iterable[str]:
    """Of people's reading."""
    if scope is None:
        yield "ขอบเขต / scope: -"
        return
    yield f"ช่วงเวลา / interval: {scope['from']} - {scope['until']}"
    addresses = [f"{one['network']}@{one['realm']}" if one["realm"] else one["network"] for one in scope["addresses"]]
    for label, values in (
        ("บุคคล / persons", scope["persons"]),
        ("บัญชี / accounts", scope["accounts"]),
        ("ที่อยู่ IP / addresses", addresses),
        ("อุปกรณ์ / devices", scope["devices"]),
    ):
        if values:
            yield f"{label}: {', '.join(values)}"


def history_lines(history: list[dict[str, Any]]) -> Iterable[str]:
    yield "ประวัติ / history:"
    for event in history:
        said = ", ".join(
            f"{name}={value}" for name, value in event["values"].items() if name != "scope" and value not in ("", None)
        )
        yield f"  {event['time']} {event['event']} {event['actor']} ({event['role']}) {said}"
