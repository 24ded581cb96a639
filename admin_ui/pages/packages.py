"""Evidence packages: made from a "who" question, followed while they are made, downloaded."""

import base64
import re
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from admin_ui.language import Fault, fault_of, say
from admin_ui.pages.desk import ask
from admin_ui.pages.who import ask_arguments, question_text, read_question
from archive.errors import AskError

blueprint = Blueprint("packages", __name__)

REFRESH_SECONDS = 3
MAX_TITLE_CHARACTERS = 200
MAX_REASON_CHARACTERS = 500
MAX_CASE_CHARACTERS = 64
BUSY_STATES = ("waiting", "building", "signing")
_ICONS = {"ready": "ok", "failed": "failed"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@blueprint.get("/packages")
def packages_page() -> str | tuple[str, int]:
    return _render()


@blueprint.post("/packages")
def package_create() -> str | tuple[str, int] | AnyResponse:
    """Start a package of a question. The reason goes into the audit record and the package."""
    question = read_question(request.form)
    try:
        made = ask(
            "package_create",
            **ask_arguments(question),
            title=request.form.get("title", "").strip()[:MAX_TITLE_CHARACTERS],
            reason=request.form.get("reason", "").strip()[:MAX_REASON_CHARACTERS],
            case=request.form.get("case", "").strip()[:MAX_CASE_CHARACTERS],
        )
    except AskError as error:
        if error.code in ("not_signed_in", "not_running"):
            raise
        return _render(fault_of(error, g.language), status=400)
    return redirect(url_for("packages.packages_page", created=str(made["id"])), 303)


@blueprint.get("/packages/<package_id>/download")
def package_download(package_id: str) -> str | tuple[str, int] | AnyResponse:
    """The package as a file, fetched piece by piece. A piece that fails breaks the download off, never shortens it."""
    try:
        first = ask("package_fetch", id=package_id, offset=0)
    except AskError as error:
        if error.code in ("not_signed_in", "not_running"):
            raise
        return _render(fault_of(error, g.language), status=404)
    total = int(first.get("total_bytes") or 0)
    if total <= 0:
        return _render(Fault(say("package.broken_off", g.language)), status=404)
    name = _UNSAFE.sub("_", str(first.get("name") or f"{package_id}.zip")).lstrip(".") or "package"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(total),
        "X-Package-SHA256": _UNSAFE.sub("", str(first.get("sha256") or "")),
    }
    pieces = _pieces(current_app.extensions["ask"], g.token, package_id, first, total)
    return Response(pieces, content_type="application/octet-stream", headers=headers)


def _pieces(service: Any, token: str, package_id: str, first: dict[str, Any], total: int) -> Iterator[bytes]:
    """Bytes of the package in order. Raises AskError, which breaks the connection."""
    piece, sent = base64.b64decode(first["data_base64"]), 0
    while piece:
        yield piece
        sent += len(piece)
        if sent >= total:
            return
        answer = service.call("package_fetch", token, id=package_id, offset=sent)
        piece = base64.b64decode(answer["data_base64"])
    raise AskError(f"the package ended after {sent} of {total} bytes", code="package_short")


def _render(fault: Fault | None = None, status: int = 200) -> str | tuple[str, int]:
    packages: list[dict[str, Any]] = []
    try:
        packages = [_shape(package) for package in (ask("package_list") or {}).get("packages") or []]
    except AskError as error:
        if error.code in ("not_signed_in", "not_running"):
            raise
        fault = fault or fault_of(error, g.language)
    busy = any(package["is_busy"] for package in packages)
    created = request.args.get("created", "")[:64]
    page = render_template(
        "packages.html",
        packages=packages,
        fault=fault,
        created=created,
        refresh_seconds=REFRESH_SECONDS if busy and fault is None else None,
    )
    return page, status


def _shape(package: dict[str, Any]) -> dict[str, Any]:
    state = str(package.get("state") or "")
    question = package.get("question")
    percent = round(100 * min(1.0, max(0.0, float(package.get("progress") or 0))))
    return {
        "id": str(package.get("id") or ""),
        "created": package.get("created"),
        "title": package.get("title") or "",
        "case": str(package.get("case") or ""),
        "question_text": question_text(question) if isinstance(question, dict) else str(question or ""),
        "certainty": package.get("certainty"),
        "state": state,
        "icon": _ICONS.get(state, "waiting"),
        "is_busy": state in BUSY_STATES,
        "percent": percent,
        "message": package.get("message") or "",
        "size_bytes": package.get("size_bytes"),
        "sha256": package.get("sha256") or "",
    }
