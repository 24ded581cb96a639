"""The last verification, and running one now."""

from typing import Any

import segno
from flask import Blueprint, current_app, g, redirect, render_template, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

from admin_ui.language import fault_of, say
from admin_ui.pages.desk import ask, zone
from archive.errors import ArchiveError, AskError
from archive.time_text import format_iso, parse_time

blueprint = Blueprint("verify", __name__)

REFRESH_SECONDS = 2
_FRESHNESS = ("unproven", "anchored")
_ANCHOR_KINDS = {"witness": "anchor.witness", "timestamp_authority": "anchor.timestamp_authority"}
_LEVELS = {0: "ok", 1: "bad", 2: "warn"}


@blueprint.get("/verify")
def verify_page() -> str:
    """The newest result: from the run this process made if the index does not hold a newer one."""
    state = current_app.extensions["verify_run"].state
    fault = fault_of(state.failure, g.language) if state.failure else None
    last = None
    try:
        last = ask("verify_last")
    except AskError as error:
        if error.code in ("not_signed_in", "not_running"):
            raise
        fault = fault or fault_of(error, g.language)
    if state.result is not None and _unix_ns(last) < (state.finished_unix_ns or 0) - _INDEX_SLACK_NS:
        last = {**state.result, "time": format_iso(state.finished_unix_ns or 0, zone())}
    try:
        integrity = _shape_integrity(ask("integrity"))
    except AskError:
        integrity = None
    running = format_iso(state.started_unix_ns, zone()) if state.started_unix_ns else None
    return render_template(
        "verify.html",
        last=_shape(last) if last else None,
        integrity=integrity,
        running=running,
        fault=fault,
        refresh_seconds=REFRESH_SECONDS if running else None,
    )


_INDEX_SLACK_NS = 5_000_000_000
"""The record of a result is written just before the answer comes back."""


@blueprint.get("/verify/checkpoint")
def checkpoint_file() -> Response:
    """The newest published checkpoint as a file to keep elsewhere; `phayan verify --checkpoint` takes it."""
    found = ask("integrity")
    headers = {"Content-Disposition": f'attachment; filename="{found["tree_size"]}.checkpoint"'}
    return Response(found["checkpoint"], headers=headers, content_type="text/plain; charset=utf-8")


@blueprint.post("/verify")
def verify_now() -> Response:
    current_app.extensions["verify_run"].start(g.token)
    return redirect(url_for("verify.verify_page"), 303)


def _unix_ns(last: dict[str, Any] | None) -> int:
    try:
        return parse_time(str((last or {}).get("time", "")), now_unix_ns=0, zone=zone())
    except ArchiveError:
        return 0


def _shape(last: dict[str, Any]) -> dict[str, Any]:
    exit_code = last.get("exit_code")
    defects = last.get("first_defects") or []
    count = int(last.get("defects") or 0) if not isinstance(last.get("defects"), list) else len(last["defects"])
    known = exit_code if exit_code in _LEVELS else 2
    sentence = {
        0: say("verify.intact", g.language),
        1: say("verify.defect", g.language, n=f"{max(count, len(defects)):,}"),
        2: say("verify.could_not", g.language),
    }[known]
    # "Consistent, freshness unproven" would contradict a defect above it.
    freshness = str(last.get("freshness") or "") if known == 0 else ""
    texts = (last.get("freshness_text") or {}).get(g.language) or [] if known == 0 else []
    index = last.get("index") or {}
    return {
        "level": _LEVELS[known],
        "sentence": sentence,
        "freshness_sentences": texts
        or ([say(f"freshness.{freshness}", g.language)] if freshness in _FRESHNESS else []),
        "kind_sentence": say("verify.kind_quick" if last.get("kind") == "quick" else "verify.kind_full", g.language),
        "index_sentences": _index_sentences(index if isinstance(index, dict) else {}),
        "exit_code": exit_code,
        "exit_meaning": say(f"exit.{known}", g.language),
        "defects": [_shape_defect(defect) for defect in defects if isinstance(defect, dict)],
        "defect_count": max(count, len(defects)),
        **{
            name: last.get(name)
            for name in ("time", "seconds", "tree_size", "records", "bytes", "root", "log", "leaf_index", "row")
        },
    }


def _index_sentences(index: dict[str, Any]) -> list[str]:
    """What the index process found when it compared itself with the journal."""
    if index.get("state") != "checked":
        return [say("verify.index_not_checked", g.language)]
    if not index.get("defects"):
        rows = f"{int(index.get('rows') or 0):,}"
        return [say("verify.index_intact", g.language, rows=rows)]
    return index.get("messages_th" if g.language == "th" else "messages") or []


def _shape_integrity(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "log": found.get("log"),
        "anchors": [
            {
                **anchor,
                "kind_name": say(_ANCHOR_KINDS[anchor["kind"]], g.language),
                "level": "ok" if anchor["last"] and not anchor["problem"] else "warn",
            }
            for anchor in found["anchors"]
        ],
        "clock": found["clock"],
        "checkpoint": found["checkpoint"],
        # The library's SVG holds the text as black squares only.
        "picture": Markup(segno.make(found["checkpoint"], error="m").svg_inline(border=2, omitsize=True)),  # noqa: S704
    }


def _shape_defect(defect: dict[str, Any]) -> dict[str, Any]:
    thai = defect.get("message_th") if g.language == "th" else None
    place = [str(defect.get("file") or "")]
    place += [f"{name} {defect[name]}" for name in ("stream", "segment", "offset") if defect.get(name) is not None]
    return {
        "code": defect.get("code", ""),
        "sentence": thai or defect.get("message", ""),
        "place": " · ".join(part for part in place if part),
        "leaf": defect.get("leaf"),
    }
