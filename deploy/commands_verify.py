"""`phayan verify`: works from the files alone, with everything stopped."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from archive.policy import parse_policy
from archive.verify.anchors import Trust
from archive.verify.run import verify_archive
from deploy.layout import Appliance, open_appliance
from deploy.options import config_option, data_option, format_option
from deploy.verify_trust import verifier_trust

_file = click.Path(exists=True, dir_okay=False)


@click.command("verify")
@click.option(
    "--checkpoint",
    "checkpoints",
    type=_file,
    multiple=True,
    help="A checkpoint kept elsewhere, with or without cosignatures",
)
@click.option("--token", "tokens", type=_file, multiple=True, help="A time stamp (RFC 3161 response) over one of them")
@click.option("--policy", type=_file, help="Witnesses to trust, a tlog-policy [default: those of the settings]")
@click.option("--quick", is_flag=True, help="The last day's leaves and the hash tree; no content")
@format_option("table", "json")
@data_option
@config_option
def verify_command(
    checkpoints: tuple[str, ...],
    tokens: tuple[str, ...],
    policy: str | None,
    quick: bool,
    output: str,
    data: str | None,
    config: str | None,
) -> None:
    """Verify the whole archive. Exit 0 intact, 1 defect found, 2 could not run."""
    appliance = open_appliance(data, config)
    trust = _choose_trust(appliance, policy)
    with _progress_bar() as progress:
        report = verify_archive(
            appliance.directory,
            appliance.paths.head,
            progress=progress,
            checkpoints=[Path(path).read_bytes() for path in checkpoints],
            tokens=[Path(path).read_bytes() for path in tokens],
            trust=trust,
            quick=quick,
        )
    if output == "json":
        click.echo(report.to_json())
    else:
        click.echo(report.to_text(), nl=False)
    sys.exit(report.exit_code)


def _choose_trust(appliance: Appliance, policy: str | None) -> Trust:
    """The settings' trust; with `policy` its witnesses instead of theirs. Raises ArchiveFormatError, ConfigError."""
    trust = verifier_trust(appliance)
    if policy is None:
        return trust
    witnesses = parse_policy(Path(policy).read_bytes()).witnesses
    return Trust(tuple(witness.key.text() for witness in witnesses), trust.authorities)


@contextmanager
def _progress_bar() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error while that is a terminal; each log of the archive fills it anew."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label="leaves", file=sys.stderr, show_pos=True) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield show
