"""`phayan cases`: requests of officials and others, who approved them, what was handed over."""

import functools
from collections.abc import Callable
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
    "open": "รออนุมัติ / waits for approval",
    "approved": "อนุมัติแล้ว / approved",
    "refused": "ไม่อนุมัติ / refused",
    "closed": "ปิดแล้ว / closed",
}
_FIELDS = (
    click.option("--title", help="What it is about"),
    click.option("--ground", help="Why: order, preserve, information_act or own"),
    click.option("--letter", help="Number of the letter"),
    click.option("--officer", help="Who asks"),
    click.option("--unit", help="Their unit"),
    click.option("--item", "legal_items", multiple=True, help="Item of section 18, 1 to 8; may repeat"),
    click.option("--court-order", help="Number of the court order"),
    click.option("--override-reason", help="Why to go on without a court order"),
    click.option("--received", metavar="TIME", help="When the letter was received [default: now]"),
    click.option("--due-days", help="Days until the answer is due [default: 7]"),
)
_NAMES = (
    "title", "ground", "letter", "officer", "unit", "legal_items", "court_order", "override_reason", "received",
    "due_days",
)  # fmt: skip


def field_options(command: Callable[..., None]) -> Callable[..., None]:
    """Fields of a case as one argument, `fields`; what was not given is None."""

    @functools.wraps(command)
    def with_fields(**values: Any) -> None:
        fields = {name: values.pop(name) for name in _NAMES}
        command(fields={**fields, "legal_items": list(fields["legal_items"]) or None}, **values)

    for decorate in reversed(_FIELDS):
        with_fields = decorate(with_fields)
    return with_fields


@click.group("cases")
def cases_command() -> None:
    """Cases: open, list, show, change, approve, refuse, close, hand-over, legal-items."""


@cases_command.command("open")
@field_options
@scope_options
@person_options
@format_option("table", "json")
@data_option
def open_command(
    fields: dict[str, Any], scope: dict[str, Any] | None, person: dict[str, str], output: str, data: str | None
) -> None:
    """Register a request. Another person has to approve it before a package can be made."""
    _print(ask_and_say(data, "case_open", scope=scope, **fields, **person), output)


@cases_command.command("list")
@click.option("--state", type=click.Choice([*STATES]), help="Only these")
@format_option("table", "json")
@data_option
def list_command(state: str | None, output: str, data: str | None) -> None:
    """All cases, newest first."""
    result = ask_and_say(data, "case_list", state=state)
    if output == "json":
        print_json(result)
        return
    lines = one_person_lines(result["one_person"])
    for case in result["cases"]:
        overdue = " เลยกำหนด / overdue" if case["is_overdue"] else ""
        lines.append(f"{case['id']} {STATES[case['state']]}, {_due(case)}{overdue}: {case['title']} ({case['letter']})")
    click.echo("\n".join(lines or ["ไม่มีเรื่อง / no cases"]))


@cases_command.command("show")
@click.argument("case_id", metavar="CASE")
@format_option("table", "json")
@data_option
def show_command(case_id: str, output: str, data: str | None) -> None:
    """One case with everything that happened to it."""
    _print(ask_and_say(data, "case_show", id=case_id), output)


@cases_command.command("change")
@click.argument("case_id", metavar="CASE")
@field_options
@scope_options
@person_options
@format_option("table", "json")
@data_option
def change_command(
    case_id: str,
    fields: dict[str, Any],
    scope: dict[str, Any] | None,
    person: dict[str, str],
    output: str,
    data: str | None,
) -> None:
    """Correct a case. A change of what was approved needs another approval."""
    _print(ask_and_say(data, "case_change", id=case_id, scope=scope, **fields, **person), output)


@cases_command.command("approve")
@click.argument("case_id", metavar="CASE")
@click.option("--note", help="A note for the record")
@person_options
@format_option("table", "json")
@data_option
def approve_command(case_id: str, note: str | None, person: dict[str, str], output: str, data: str | None) -> None:
    """Approve a case: the second person signs in with --as NAME."""
    _print(ask_and_say(data, "case_approve", id=case_id, note=note, **person), output)


@cases_command.command("refuse")
@click.argument("case_id", metavar="CASE")
@click.option("--reason", required=True, help="Why")
@person_options
@format_option("table", "json")
@data_option
def refuse_command(case_id: str, reason: str, person: dict[str, str], output: str, data: str | None) -> None:
    """Refuse a request; the case ends."""
    _print(ask_and_say(data, "case_refuse", id=case_id, reason=reason, **person), output)


@cases_command.command("close")
@click.argument("case_id", metavar="CASE")
@click.option("--reason", required=True, help="Why, e.g. answered")
@person_options
@format_option("table", "json")
@data_option
def close_command(case_id: str, reason: str, person: dict[str, str], output: str, data: str | None) -> None:
    """Close a case; no package is made of it any more."""
    _print(ask_and_say(data, "case_close", id=case_id, reason=reason, **person), output)


@cases_command.command("hand-over")
@click.argument("case_id", metavar="CASE")
@click.option("--to", required=True, help="Who received it")
@click.option("--how", required=True, help="How, e.g. on a disk in a sealed envelope")
@click.option("--when", metavar="TIME", help="When [default: now]")
@click.option("--package", help="Which package")
@click.option("--receipt", help="Number or name on the receipt")
@person_options
@format_option("table", "json")
@data_option
def hand_over_command(case_id: str, person: dict[str, str], output: str, data: str | None, **given: Any) -> None:
    """Note that something was handed over: to whom, how, when, and the receipt."""
    _print(ask_and_say(data, "case_hand_over", id=case_id, **given, **person), output)


@cases_command.command("legal-items")
@format_option("table", "json")
@data_option
def legal_items_command(output: str, data: str | None) -> None:
    """What officials may ask for, with source; what was not read in the law says so."""
    result = ask_and_say(data, "legal_items")
    if output == "json":
        print_json(result)
        return
    for item in result["items"]:
        order = " [คำสั่งศาล / court order]" if item["needs_court_order"] else ""
        click.echo(f"{item['number']}. {item['th']}{order}\n   {item['en']}; {item['source']}")
    for ground in result["grounds"]:
        click.echo(f"{ground['code']}: {ground['th']}\n   {ground['en']}; {ground['source']}")
    for note in result["notes"].values():
        click.echo(f"- {note['th']}\n  {note['en']}; {note['source']}")


def _due(case: dict[str, Any]) -> str:
    before = case["working_day_before"]
    weekend = f" (วันทำการก่อนหน้า / working day before {before})" if before else ""
    return f"กำหนด / due {case['due_day']}{weekend}"


def _print(case: dict[str, Any], output: str) -> None:
    if output == "json":
        print_json(case)
        return
    lines = [
        *one_person_lines(case["one_person_mode"] or case["one_person"]),
        f"{case['id']} {STATES[case['state']]}: {case['title']}",
        f"เลขหนังสือ / letter: {case['letter'] or '-'}; รับเมื่อ / received {case['received']}; {_due(case)}",
        f"ผู้ขอ / who asks: {case['officer']}, {case['unit'] or '-'}",
        f"เหตุ / ground: {case['ground']['th']} / {case['ground']['en']}",
        *(f"  ({item['number']}) {item['th']} / {item['en']}" for item in case["legal_items"]),
        *scope_lines(case["scope"]),
        f"ลงรับโดย / opened by {case['opened_by']}; อนุมัติโดย / approved by {case['approved_by'] or '-'}",
    ]
    for label, name in (("คำสั่งศาล / court order", "court_order"), ("เหตุที่ไม่มี / without because", "override_reason")):
        lines += [f"{label}: {case[name]}"] if case[name] else []
    lines += [f"การเก็บรักษา / holds: {', '.join(case['holds'])}"] if case["holds"] else []
    click.echo("\n".join([*lines, *history_lines(case["history"])]))
