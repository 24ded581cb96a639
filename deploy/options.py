"""Options several commands share."""

import click

data_option = click.option("--data", metavar="DIR", help="Data directory [default: $PHAYAN_DATA or ./phayan-data]")
config_option = click.option(
    "--config", metavar="FILE", type=click.Path(), help="Settings [default: phayan.toml in the data directory]"
)


def format_option(*choices: str):  # type: ignore[no-untyped-def]
    """`--format` with the first choice as default."""
    return click.option("--format", "output", type=click.Choice(choices), default=choices[0], show_default=True)
