"""`phayan retention`: what is purged when, and purging what is due."""

import json
import sys
import time
from typing import Any

import click

from archive.errors import AskError
from deploy.options import ask, data_option, format_option

POLL_SECONDS = 0.5
FAILED = 1
STATES = {
    "kept": "เก็บไว้ / kept",
    "due": "ครบกำหนด / due",
    "purged": "ลบแล้ว / purged",
    "held": "ลบแล้ว เหลือตามคำสั่ง / purged, held records kept",
}


@click.group("retention", invoke_without_command=True)
@format_option("table", "json")
@data_option
@click.pass_context
def retention_command(context: click.Context, output: str, data: str | None) -> None:
    """What is kept until when. Shows and deletes nothing; `phayan retention run` purges what is due."""
    if context.invoked_subcommand is None:
        plan = ask(data, "retention_plan")
        click.echo(json.dumps(plan, ensure_ascii=False) if output == "json" else _table(plan))


@retention_command.command("run")
@click.option("--yes", is_flag=True, help="Do not ask")
@format_option("table", "json")
@data_option
def run_command(yes: bool, output: str, data: str | None) -> None:
    """Purge what is due, except what holds keep. Done every night by itself. Exit 0 finished, 1 not."""
    plan = ask(data, "retention_plan")
    due = [one for one in plan["days"] if one["state"] == "due"]
    if not yes and due:
        records = sum(one["records"] for one in due)
        click.confirm(
            f"ลบข้อมูล {len(due)} วัน ({due[0]['day']} ถึง {due[-1]['day']}) {records} ระเบียน โดยเก็บส่วนที่มีคำสั่งให้เก็บไว้ / "
            f"Purge {len(due)} days, {due[0]['day']} to {due[-1]['day']}, {records} records, but what holds keep?",
            abort=True,
        )
    try:
        progress = ask(data, "retention_run")
    except AskError as error:
        if error.code != "busy":
            raise
        progress = ask(data, "retention_progress")
    progress = _wait(data, progress, max(1, len(due)))
    if output == "json":
        click.echo(json.dumps({"format": 1, **progress}, ensure_ascii=False))
    else:
        days = progress.get("days_done", [])
        click.echo(f"{progress['state']}: {len(days)} days, {progress.get('records', 0)} records")
        if progress.get("problem"):
            click.echo(f"  {progress['problem']}")
    sys.exit(0 if progress["state"] == "finished" else FAILED)


@retention_command.command("confirm-clock")
@click.option(
    "--reason", required=True, help="How you know that the clock is right, e.g. compared with time.navy.mi.th"
)
@data_option
def confirm_clock_command(reason: str, data: str | None) -> None:
    """Say that the clock is right after it jumped, so that days that are due are purged again. It is sealed."""
    ask(data, "clock_confirm", reason=reason)
    click.echo("บันทึกแล้ว การลบจะเริ่มใหม่เมื่อบันทึกนี้ถูกผนึก / recorded; purging goes on once this is sealed")


def _wait(data: str | None, progress: dict[str, Any], days: int) -> dict[str, Any]:
    try:
        with click.progressbar(length=days, label="purging", file=sys.stderr) as bar:
            while progress["state"] == "running":
                time.sleep(POLL_SECONDS)
                progress = ask(data, "retention_progress")
                bar.label = f"purging {progress.get('day', '')}"
                bar.update(max(0, min(days, len(progress.get("days_done", []))) - bar.pos))
    except KeyboardInterrupt:
        click.echo("it goes on without this window; `phayan retention` shows how far it is", err=True)
        sys.exit(FAILED)
    return progress


def _table(plan: dict[str, Any]) -> str:
    lines = [f"เก็บข้อมูล {plan['retention_days']} วันนับจากวันที่ได้รับ / kept for {plan['retention_days']} days from receipt"]
    if plan["problem"]:
        lines.append(f"ยังไม่ลบข้อมูลใด / nothing is purged: {plan['problem']}")
    for one in plan["days"]:
        held = f"  {one['held_units']} units under {', '.join(one['holds'])}" if one["state"] == "held" else ""
        due = f"  {one['due']}" if one["due"] else ""
        size = f"{one['bytes'] / 1e6:.1f} MB"
        lines.append(f"{one['day']}  {STATES[one['state']]}{due}  {one['records']} records, {size}{held}")
    if plan["holds"]:
        lines.append(
            "คำสั่งให้เก็บ / holds in force: " + ", ".join(f"{one['id']} ({one['until']})" for one in plan["holds"])
        )
    return "\n".join(lines)
