"""`phayan decode`: raw payloads, text or captures to NDJSON, without an appliance."""

import json

import click

from collector.decode_file import decode_files
from deploy.options import data_option


@click.command("decode")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--kind", type=click.Choice(["auto", "netflow", "sflow", "syslog"]), default="auto", show_default=True)
@data_option
def decode_command(files: tuple[str, ...], kind: str, data: str | None) -> None:
    """Decode files as one stream in the given order; one record a line."""
    for record in decode_files(files, kind=kind):
        click.echo(json.dumps(record, ensure_ascii=False))
