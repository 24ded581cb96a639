"""Options several commands share."""

import functools
from collections.abc import Callable
from typing import Any

import click

from archive.local_rpc import call_local
from deploy.layout import find_data_directory, open_appliance

data_option = click.option("--data", metavar="DIR", help="Data directory [default: $PHAYAN_DATA or ./phayan-data]")
config_option = click.option(
    "--config", metavar="FILE", type=click.Path(), help="Settings [default: phayan.toml in the data directory]"
)


def format_option(*choices: str):  # type: ignore[no-untyped-def]
    """`--format` with the first choice as default."""
    return click.option("--format", "output", type=click.Choice(choices), default=choices[0], show_default=True)


def ask(data: str | None, op: str, **arguments: Any) -> Any:
    """A request to the running appliance of a data directory. Raises AskError."""
    return call_local(open_appliance(str(find_data_directory(data)), None).ask_socket, op, **arguments)


_QUESTION = (
    click.argument("address", required=False),
    click.option("--port", help="Port of ADDRESS"),
    click.option("--proto", "protocol", help="tcp, udp, icmp or a number"),
    click.option("--to", metavar="ADDRESS[:PORT]", help="Where the connection went"),
    click.option("--at", required=True, metavar="TIME", help="Moment, e.g. 2026-11-20T08:01:12+07:00"),
    click.option(
        "--tolerance",
        "tolerance_seconds",
        metavar="SECONDS",
        type=float,
        help="Half width of the window [default: 60]",
    ),
    click.option("--realm", help="Only this realm"),
)
_QUESTION_NAMES = ("address", "port", "protocol", "to", "at", "tolerance_seconds", "realm")


def question_options(command: Callable[..., None]) -> Callable[..., None]:
    """The attribution question on the command line; the command gets it as one argument, `question`."""

    @functools.wraps(command)
    def with_question(**values: Any) -> None:
        question = {name: values.pop(name) for name in _QUESTION_NAMES}
        command(question=question, **values)

    for decorate in reversed(_QUESTION):
        with_question = decorate(with_question)
    return with_question
