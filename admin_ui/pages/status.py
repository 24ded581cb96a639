"""Counters in the three states, lags, losses, alarms with what to do, processes."""

from typing import Any

from flask import Blueprint, current_app, g, render_template

from admin_ui.health import level_of
from admin_ui.language import fault_of
from admin_ui.pages.desk import ask
from archive.errors import AskError

blueprint = Blueprint("status", __name__)

LISTENER_COLUMNS = (
    ("state.received", ("received_records",)),
    ("status.column_drops", ("kernel_drops",)),
    ("status.column_truncated", ("truncated_records",)),
    ("status.column_refused", ("refused_records", "refused_connections")),
    ("status.column_malformed", ("malformed_frames",)),
    ("status.column_handshakes", ("failed_handshakes",)),
    ("status.column_unwritten", ("unwritten_records",)),
    ("status.column_connections", ("connections",)),
)
"""Words and counters, which are added, of each column of the listeners."""
PORT_ANSWERS = {
    "yes": ("ok", "answers_ports.yes"),
    "only_at_end": ("warn", "answers_ports.only_at_end"),
    "no": ("bad", "answers_ports.no"),
}
"""Sign and words of whether a source can answer a port question."""
SILENT_SECONDS = 30.0
"""Every process writes its counters each second or few; the service raises its alarm at the same age."""


@blueprint.get("/status")
def status_page() -> str | tuple[str, int]:
    try:
        status = ask("status")
    except AskError as error:
        if error.code in ("not_signed_in", "not_running"):
            raise
        return render_template("status.html", status=None, fault=fault_of(error, g.language)), 500
    current_app.extensions["health"].remember(status)
    return render_template(
        "status.html",
        status=status,
        fault=None,
        alarms=[_shape_alarm(alarm) for alarm in status.get("alarms") or []],
        listeners=[_shape_listener(name, values) for name, values in (status.get("listeners") or {}).items()],
        listener_columns=[words for words, _ in LISTENER_COLUMNS],
        exporters=[_shape_exporter(one) for one in status.get("exporters") or []],
        losses_day=[row for row in status.get("loss_sums") or [] if row.get("losses_24h")],
        processes=[_shape_process(name, values) for name, values in (status.get("processes") or {}).items()],
    )


def _shape_alarm(alarm: dict[str, Any]) -> dict[str, Any]:
    suffix = "_th" if g.language == "th" else ""
    return {
        "level": level_of([alarm]),
        "sentence": alarm.get(f"message{suffix}") or alarm.get("message", ""),
        "what_to_do": alarm.get(f"what_to_do{suffix}") or alarm.get("what_to_do", ""),
        "source": alarm.get("source", ""),
        "since": alarm.get("since"),
        "details": alarm.get("details", ""),
    }


def _shape_listener(name: str, counters: dict[str, Any]) -> dict[str, Any]:
    numbers = [sum(int(counters.get(counter) or 0) for counter in added) for _, added in LISTENER_COLUMNS]
    return {"name": name, "numbers": numbers}


def _shape_exporter(one: dict[str, Any]) -> dict[str, Any]:
    icon, words = PORT_ANSWERS.get(str(one.get("answers_ports")), PORT_ANSWERS["no"])
    return {
        "name": one.get("name") or "",
        "place": " ".join(str(one[part]) for part in ("address", "version") if one.get(part)),
        "domain": one.get("observation_domain"),
        "flows": int(one.get("flows") or 0),
        "last": one.get("last"),
        "icon": icon,
        "answers": words,
        "why": (one.get("text") or {}).get(g.language, ""),
    }


def _shape_process(name: str, values: dict[str, Any]) -> dict[str, Any]:
    age = float(values.get("age_seconds") or 0)
    return {"name": name, "alive": age <= SILENT_SECONDS, "age": f"{age:.1f}"}
