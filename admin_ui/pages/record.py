"""One sealed record: its fields, its leaf, its proof, and for a reason its raw bytes."""

import base64
import json
from typing import Any

from flask import Blueprint, Response, g, render_template, request

from admin_ui.language import Fault, say
from admin_ui.pages.desk import ask
from admin_ui.proof_check import check_proof
from admin_ui.raw_bytes import MAX_SHOWN_BYTES, show_hex, show_text

blueprint = Blueprint("record", __name__, url_prefix="/record/<int:leaf>/<int:row>")

MAX_REASON_CHARACTERS = 500
MAX_LOG_CHARACTERS = 300
"""Longest origin that is asked for; names are far below."""


@blueprint.get("")
def record_page(leaf: int, row: int) -> str:
    """All fields. With `check=1` the proof, fetched just now, is computed again and what was checked is listed."""
    record = _ask(leaf, row)
    check = check_proof(record["proof"]) if request.args.get("check") == "1" else None
    return _render(record, check=check)


@blueprint.post("")
def record_raw(leaf: int, row: int) -> str | tuple[str, int]:
    """The raw bytes. The reason is in the service's audit record before they leave it."""
    reason = request.form.get("reason", "").strip()[:MAX_REASON_CHARACTERS]
    if not reason:
        fault = Fault(say("raw.reason_missing", g.language))
        return _render(_ask(leaf, row), fault=fault), 400
    record = _ask(leaf, row, reason=reason)
    payload = base64.b64decode(record.get("payload_base64") or "")
    shown, encoding = show_text(payload[:MAX_SHOWN_BYTES])
    raw = {
        "reason": reason,
        "size": len(payload),
        "cut": len(payload) > MAX_SHOWN_BYTES,
        "text": shown,
        "encoding": encoding,
        "hex": show_hex(payload),
    }
    return _render(record, raw=raw)


@blueprint.get("/proof")
def record_proof(leaf: int, row: int) -> Response:
    """The C2SP tlog-proof as a file for other verifiers."""
    record = _ask(leaf, row)
    return Response(
        record["tlog_proof"],
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="leaf-{leaf}.tlog-proof"'},
    )


def _ask(leaf: int, row: int, **arguments: Any) -> Any:
    """The record of the log in the address, of the newest one without."""
    if log := request.args.get("log", "")[:MAX_LOG_CHARACTERS]:
        arguments["log"] = log
    return ask("record", leaf_index=leaf, row=row, **arguments)


def _render(record: dict[str, Any], **values: Any) -> str:
    leaf = record["proof"]["leaf"]
    try:
        leaf_text = json.dumps(json.loads(leaf), ensure_ascii=False, indent=2)
    except ValueError:
        leaf_text = leaf
    defaults: dict[str, Any] = {"check": None, "raw": None, "fault": None}
    log = request.args.get("log") or None
    return render_template("record.html", record=record, log=log, leaf_text=leaf_text, **(defaults | values))
