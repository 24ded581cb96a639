"""`phayan who`, `search`, `status`: questions to the running appliance of a data directory."""

import csv
import json
import sys
from typing import Any

import click

from admin_ui.metrics import metrics_text
from deploy.options import ask, data_option, format_option, question_options
from deploy.status_text import status_lines

FOUND, NOTHING = 0, 3
TRAFFIC_FIELDS = ("origin", "date", "duration_seconds", "volume_bytes", "volume_packets", "service")
ROUTE_FIELDS = ("exporter", "input_interface", "output_interface", "uplink")
TRAFFIC_COLUMNS = (*TRAFFIC_FIELDS, *ROUTE_FIELDS)
"""Columns of CSV that rows of flows fill, besides source, destination and time."""


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


@click.command("who")
@question_options
@format_option("table", "json")
@data_option
def who_command(question: dict[str, Any], output: str, data: str | None) -> None:
    """Who was using ADDRESS (and port) at a moment? Exit 0 found, 3 nobody, 2 could not ask."""
    result = ask(data, "who", **question)
    if output == "json":
        _print_json(result)
    else:
        _print_who(result)
    sys.exit(FOUND if result["candidates"] else NOTHING)


def _print_who(result: dict[str, Any]) -> None:
    asked = result["asked"]
    click.echo(f"asked: {asked['from']} to {asked['until']} (moment {asked['at']})")
    click.echo(f"answer: {result['certainty']} - {result['sentence']['en']}")
    click.echo(f"        {result['sentence']['th']}")
    if result["why"]:
        click.echo(f"        {result['why']}")
    if result["uplink"]:
        click.echo(f"uplink: {result['uplink']['name']} ({result['uplink']['kind']})")
    if result["carrier"]:
        click.echo(result["carrier"]["ask"]["en"])
        click.echo(result["carrier"]["ask"]["th"])
    for number, candidate in enumerate(result["candidates"], 1):
        name = candidate["person"] or "(person not recorded)"
        click.echo(f"{number}. {name}, account {candidate['account'] or '-'}: {candidate['certainty']}")
        if route := candidate["route"]:
            exporter = route["exporter"] or route["exporter_address"]
            click.echo(f"     {'route':15} exporter {exporter}, uplink {route['uplink'] or 'not known'}")
        for step in candidate["steps"]:
            place = _place(step, result) if step["leaf_index"] is not None else "no record"
            click.echo(
                f"     {step['step']:15} {step['value'] or '-':28} {step['certainty']:12} {place}; {step['why']}"
            )
    for loss in result["losses"]:
        click.echo(f"loss: {loss['from']} to {loss['until']} at {loss['listener']} ({loss['how']})")


def _place(record: dict[str, Any], result: dict[str, Any]) -> str:
    """Leaf and row, with the log where that is an earlier one."""
    place = f"leaf {record['leaf_index']} row {record['row']}"
    return place if record["log"] == result["log"] else f"log {record['log']} {place}"


def _traffic_values(row: dict[str, Any]) -> list[Any]:
    """The nine fields of a flow; of a translation its route; `unknown` where the record does not tell one."""
    traffic, route = row.get("traffic", {}), row.get("traffic", row).get("route", {})
    if not route:
        return [""] * len(TRAFFIC_COLUMNS)
    values = [traffic.get(name, "") for name in TRAFFIC_FIELDS] + [route.get(name, "") for name in ROUTE_FIELDS]
    return ["unknown" if value is None else value for value in values]


@click.command("search")
@click.argument("query", required=False, default="")
@click.option("--since", metavar="TIME", help="From this moment [default: one day ago]")
@click.option("--until", metavar="TIME", help="Until this moment [default: now]")
@click.option("--limit", type=int, default=50, show_default=True, help="Rows, at most 10000")
@format_option("table", "json", "csv")
@data_option
def search_command(query: str, since: str | None, until: str | None, limit: int, output: str, data: str | None) -> None:
    """Search all records: src:10.0.1.7 dport:443 user:somchai "free text" -action:deny. Exit 0 found, 3 nothing."""
    result = ask(data, "search", query=query, since=since, until=until, limit=limit)
    rows = result["rows"]
    if output == "json":
        _print_json(result)
    elif output == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(
            ["time", "table", "source", "destination", "what", "sender", "log", "leaf_index", "row", *TRAFFIC_COLUMNS]
        )
        for row in rows:
            s = row["summary"]
            writer.writerow(
                [
                    *(row["time"], row["table"], s["source"], s["destination"], s["what"], s["sender"]),
                    *(row["log"], row["leaf_index"], row["row"], *_traffic_values(row)),
                ]
            )
    else:
        for row in rows:
            s = row["summary"]
            click.echo(
                f"{row['time']} {row['table']:8} {s['source']:>24} -> {s['destination']:24} {s['what']} "
                f"[{_place(row, result)}]"
            )
        if result["more"]:
            click.echo(f"(more than {limit} rows; narrow the question or raise --limit)", err=True)
    sys.exit(FOUND if rows else NOTHING)


@click.command("status")
@format_option("table", "json", "prometheus")
@data_option
def status_command(output: str, data: str | None) -> None:
    """Counters, lags, losses and alarms of the running appliance."""
    if output == "prometheus":
        click.echo(metrics_text(ask(data, "metrics")), nl=False)
        return
    result = ask(data, "status")
    if output == "json":
        _print_json(result)
        return
    click.echo("\n".join(status_lines(result)))
