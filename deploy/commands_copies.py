"""`phayan copies`: copies of the archive at other places."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from archive.clock import SystemClock
from archive.copies.copier import mark_target
from archive.copies.directory_target import DirectoryTarget
from archive.copies.fetch import fetch, plan_fetch
from archive.copies.memory import MemoryFile
from archive.index.checkpoint import read_checkpoint
from archive.time_text import format_iso
from archive.verify.run import verify_archive
from deploy.config_copies import CopySettings
from deploy.copying import find_copy, make_copier, make_target
from deploy.errors import DeployError
from deploy.layout import Appliance, open_appliance
from deploy.options import config_option, data_option, format_option
from deploy.verify_trust import verifier_trust


@click.group("copies", invoke_without_command=True)
@format_option("table", "json")
@data_option
@config_option
@click.pass_context
def copies_command(context: click.Context, output: str, data: str | None, config: str | None) -> None:
    """Copies at other places: their state, prepare, run, verify."""
    if context.invoked_subcommand is not None:
        return
    appliance = open_appliance(data, config)
    found = [_state_of(appliance, copy) for copy in appliance.config.copies]
    if output == "json":
        click.echo(json.dumps({"format": 1, "copies": found}, ensure_ascii=False))
        return
    for one in found:
        last = one["last_success"] or "never"
        click.echo(f"{one['name']:16} {one['address']}  last {last}, {one['behind_leaves']} leaves behind")
        if one["problem"]:
            click.echo(f"{'':16} {one['problem']}")
    if not found:
        click.echo("no copy in the settings; `[[copy]]` in docs/SETTINGS.md says how one is made")


@copies_command.command("prepare")
@click.argument("name")
@data_option
@config_option
def prepare_command(name: str, data: str | None, config: str | None) -> None:
    """Mark the place of copy NAME, once its disk is mounted. Without the mark nothing is written there."""
    appliance = open_appliance(data, config)
    copy = find_copy(appliance, name)
    target = make_target(appliance, copy)
    mark_target(target, SystemClock())
    click.echo(f"{target.address} is ready for the copy {name}")


@copies_command.command("run")
@click.argument("name", required=False)
@data_option
@config_option
def run_command(name: str | None, data: str | None, config: str | None) -> None:
    """Bring the copy NAME, or all of them, up to date now."""
    appliance = open_appliance(data, config)
    copies = [find_copy(appliance, name)] if name else list(appliance.config.copies)
    if not copies:
        raise DeployError("no copy in the settings; `[[copy]]` in docs/SETTINGS.md says how one is made")
    for copy in copies:
        copier = make_copier(appliance, copy)
        try:
            head = copier.run()
        finally:
            copier.target.close()
        click.echo(f"{copy.name}: {head.size} leaves at {copier.target.address}, {copier.sent_bytes} bytes sent")


@copies_command.command("verify")
@click.argument("name")
@format_option("table", "json")
@data_option
@config_option
@click.pass_context
def verify_command(context: click.Context, name: str, output: str, data: str | None, config: str | None) -> None:
    """Verify the log in copy NAME from its bytes alone. Exit 0 intact, 1 defect found, 2 could not run."""
    appliance = open_appliance(data, config)
    target = make_target(appliance, find_copy(appliance, name))
    trust = verifier_trust(appliance)
    if isinstance(target, DirectoryTarget) and "head" in plan_fetch(target) and target.list("head"):
        place = Path(target.address)
        report = verify_archive(place, place / "head", trust=trust)
    else:
        with tempfile.TemporaryDirectory(dir=appliance.directory) as temporary, progress_bar() as tell:
            place = Path(temporary)
            fetch(target, place, plan_fetch(target), tell)
            report = verify_archive(place, place / "head", trust=trust)
    target.close()
    click.echo(report.to_json() if output == "json" else report.to_text(), nl=output == "json")
    context.exit(report.exit_code)


@contextmanager
def progress_bar(total: int = 0) -> Iterator[Callable[[int], None]]:
    """Of bytes, on standard error while that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=max(total, 1), label="bytes", file=sys.stderr) as bar:
        yield bar.update


def _state_of(appliance: Appliance, copy: CopySettings) -> dict[str, Any]:
    """From what the copier remembers and the anchor process last reported; asks no target."""
    report: dict[str, Any] = {}
    try:
        text = (appliance.paths.run / "anchor.json").read_text(encoding="utf-8")
        report = next(one for one in json.loads(text).get("copies", ()) if one.get("name") == copy.name)
    except (OSError, ValueError, StopIteration, AttributeError):
        pass
    address = copy.url.rstrip("/") if copy.url.startswith("s3:") else copy.url
    memory = MemoryFile(appliance.directory / "copies", copy.name, str(report.get("address") or address)).load()
    last = memory.last_success_unix_ns
    size = read_checkpoint(appliance.paths).size
    return {
        "name": copy.name,
        "address": address,
        "last_success": format_iso(last, appliance.config.site.zone) if last else None,
        "tree_size": memory.head_size,
        "behind_leaves": max(0, size - memory.head_size),
        "behind_bytes": report.get("behind_bytes"),
        "purges_waiting": len(memory.purges),
        "problem": report.get("problem") or None,
    }
