"""`phayan holds`: what may not be purged, by whose order, until when."""

from typing import Any

import click

from deploy.case_options import (
    ask_and_say,
    history_lines,
    one_person_lines,
    person_options,
    print_json,
    scope_lines,
    scope_options,
)
from deploy.options import data_option, format_option

STATES = {
    "in_force": "มีผล / in force",
    "released": "ยกเลิกแล้ว / released",
    "expired": "ครบกำหนดแล้ว / expired",
}
KINDS = {"order": "คำสั่งให้เก็บต่อ / order to keep longer", "preserve": "ให้เก็บไว้ก่อน / keep first"}


@click.group("holds")
def holds_command() -> None:
    """Holds: place, preserve, extend, list, show, release."""


@holds_command.command("place")
@click.option("--order", "order_number", required=True, help="Number of the order")
@click.option("--officer", required=True, help="Who orders it")
@click.option("--unit", required=True, help="Their unit")
@click.option("--hold-until", required=True, metavar="TIME", help="End of the hold, at most 2 years")
@click.option("--case", help="The case it belongs to")
@click.option("--note", help="A note for the record")
@scope_options
@person_options
@format_option("table", "json")
@data_option
def place_command(
    scope: dict[str, Any] | None, person: dict[str, str], hold_until: str, output: str, data: str | None, **given: Any
) -> None:
    """Keep what the scope covers beyond its time. In force at once; nothing is handed over."""
    _print(ask_and_say(data, "hold_place", kind="order", scope=scope, until=hold_until, **given, **person), output)


@holds_command.command("preserve")
@click.option("--officer", required=True, help="Who asks for it")
@click.option("--unit", required=True, help="Their unit")
@click.option("--order", "order_number", help="Number of the order, if there is one yet")
@click.option("--hold-until", metavar="TIME", help="End of the hold [default: 90 days from now]")
@click.option("--case", help="The case it belongs to")
@click.option("--note", help="A note for the record")
@scope_options
@person_options
@format_option("table", "json")
@data_option
def preserve_command(
    scope: dict[str, Any] | None,
    person: dict[str, str],
    hold_until: str | None,
    output: str,
    data: str | None,
    **given: Any,
) -> None:
    """Keep the data first, in one step. In force at once; no file is made."""
    _print(ask_and_say(data, "hold_place", kind="preserve", scope=scope, until=hold_until, **given, **person), output)


@holds_command.command("extend")
@click.argument("hold_id", metavar="HOLD")
@click.option("--order", "order_number", required=True, help="Number of the order that extends it")
@click.option("--hold-until", required=True, metavar="TIME", help="The new end, within the 2 years")
@click.option("--reason", help="Why")
@person_options
@format_option("table", "json")
@data_option
def extend_command(
    hold_id: str, hold_until: str, person: dict[str, str], output: str, data: str | None, **given: Any
) -> None:
    """Move the end of a hold, never beyond 2 years."""
    _print(ask_and_say(data, "hold_extend", id=hold_id, until=hold_until, **given, **person), output)


@holds_command.command("list")
@click.option("--state", type=click.Choice([*STATES]), help="Only these")
@format_option("table", "json")
@data_option
def list_command(state: str | None, output: str, data: str | None) -> None:
    """All holds, newest first."""
    result = ask_and_say(data, "hold_list", state=state)
    if output == "json":
        print_json(result)
        return
    lines = one_person_lines(result["one_person"])
    for hold in result["holds"]:
        order = hold["order_number"] or "-"
        lines.append(f"{hold['id']} {STATES[hold['state']]} ถึง / until {hold['until']}: {KINDS[hold['kind']]} {order}")
    click.echo("\n".join(lines or ["ไม่มีการเก็บรักษา / no holds"]))


@holds_command.command("show")
@click.argument("hold_id", metavar="HOLD")
@format_option("table", "json")
@data_option
def show_command(hold_id: str, output: str, data: str | None) -> None:
    """One hold with everything that happened to it."""
    _print(ask_and_say(data, "hold_show", id=hold_id), output)


@holds_command.command("release")
@click.argument("hold_id", metavar="HOLD")
@click.option("--reason", required=True, help="Why")
@person_options
@format_option("table", "json")
@data_option
def release_command(hold_id: str, reason: str, person: dict[str, str], output: str, data: str | None) -> None:
    """End a hold: the second person signs in with --as NAME."""
    _print(ask_and_say(data, "hold_release", id=hold_id, reason=reason, **person), output)


def _print(hold: dict[str, Any], output: str) -> None:
    if output == "json":
        print_json(hold)
        return
    lines = [
        *one_person_lines(hold["one_person_mode"] or hold["one_person"]),
        f"{hold['id']} {STATES[hold['state']]} ถึง / until {hold['until']}",
        f"{KINDS[hold['kind']]}: {hold['order_number'] or '-'}; {hold['officer']}, {hold['unit']}",
        *scope_lines(hold["scope"]),
        f"สั่งโดย / placed by {hold['placed_by']} {hold['placed']}; เรื่อง / case {hold['case'] or '-'}",
    ]
    lines += [f"ยกเลิก / released {hold['released']} {hold['released_by']}"] if hold["released"] else []
    click.echo("\n".join([*lines, *history_lines(hold["history"])]))
