"""`phayan reindex`: rebuild the index from the journal while the appliance runs."""

import json
import sys
import time
from typing import Any

import click

from archive.errors import AskError
from deploy.options import ask, data_option, format_option

POLL_SECONDS = 0.5
FAILED = 1


@click.command("reindex")
@click.option("--stop", is_flag=True, help="End the run that goes on; days that were put in place stay")
@click.option("--detach", is_flag=True, help="Begin, and do not wait for the end")
@format_option("table", "json")
@data_option
def reindex_command(stop: bool, detach: bool, output: str, data: str | None) -> None:
    """Rebuild the index from the journal, a day at a time, while receiving goes on. Exit 0 finished, 1 not.

    Of logs that ended at a change of keys nothing is rebuilt: their rows stay."""
    if stop:
        _finish(ask(data, "reindex_stop"), output)
    try:
        progress = ask(data, "reindex_start")
    except AskError as error:
        if error.code != "busy":
            raise
        click.echo(f"phayan: {error}; waiting for its end", err=True)
        progress = ask(data, "reindex_progress")
    if detach:
        click.echo("the index is being rebuilt; `phayan reindex --stop` ends it, `phayan reindex` shows how far it is")
        return
    _finish(_wait(data, progress), output)


def _wait(data: str | None, progress: dict[str, Any]) -> dict[str, Any]:
    """Show how far the run is until it ends. Ctrl-C leaves it running."""
    try:
        with click.progressbar(length=1_000, label="rebuilding", file=sys.stderr, width=0) as bar:
            while progress["state"] == "running":
                time.sleep(POLL_SECONDS)
                progress = ask(data, "reindex_progress")
                finished, total = progress.get("leaves_done", 0), progress.get("leaves_total", 0)
                done = 1_000 * finished // max(1, total)
                bar.label = f"{finished} of {total} leaves"
                bar.update(max(0, done - bar.pos))
    except KeyboardInterrupt:
        click.echo("it goes on without this window; `phayan reindex --stop` ends it", err=True)
        sys.exit(FAILED)
    return progress


def _finish(progress: dict[str, Any], output: str) -> None:
    if output == "json":
        click.echo(json.dumps({"format": 1, **progress}, ensure_ascii=False))
    elif progress["state"] == "none":
        click.echo("nothing was being rebuilt")
    else:
        click.echo(
            f"{progress['state']}: {progress['leaves_done']} leaves, {progress['rows']} rows, "
            f"{len(progress['days_done'])} days put in place"
        )
        for day in progress["days_kept"]:
            click.echo(f"  {day} keeps its rows: segments of that day are missing; ask `phayan verify` why")
        if progress["problem"]:
            click.echo(f"  {progress['problem']}")
    sys.exit(0 if progress["state"] in ("finished", "none") else FAILED)
