"""`phayan verify`: works from the files alone, with everything stopped."""

import sys
from pathlib import Path

import click

from archive.verify.run import verify_archive
from deploy.layout import open_appliance
from deploy.options import config_option, data_option, format_option


@click.command("verify")
@click.option("--checkpoint", type=click.Path(exists=True, dir_okay=False), help="A checkpoint from a printed report")
@format_option("table", "json")
@data_option
@config_option
def verify_command(checkpoint: str | None, output: str, data: str | None, config: str | None) -> None:
    """Verify the whole archive. Exit 0 intact, 1 defect found, 2 could not run."""
    appliance = open_appliance(data, config)
    note = Path(checkpoint).read_bytes() if checkpoint else None
    report = verify_archive(appliance.directory, appliance.paths.head, checkpoint=note)
    if output == "json":
        click.echo(report.to_json())
    else:
        click.echo(report.to_text(), nl=False)
    sys.exit(report.exit_code)
