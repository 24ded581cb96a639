"""People and their accounts, through the account service. Only administrators change anything."""

from datetime import date
from typing import Any

from flask import Blueprint, abort, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from admin_ui.language import Fault, fault_of
from archive.errors import AskError
from archive.time_text import BUDDHIST_OFFSET_YEARS, THAI_MONTHS
from authgw.accounts.client import AccountsClient

blueprint = Blueprint("people", __name__)

MAX_SHOWN = 200
"""Rows of one page; the find field narrows further."""
_DONE = ("added", "disabled", "enabled", "password")
_ADD_FIELDS = ("name", "person", "identified_how", "identified_by")


def _client() -> AccountsClient:
    return current_app.extensions["accounts"]


def _actor() -> str:
    return f"operator:{g.operator.name}"


@blueprint.get("/people")
def people_page() -> str | tuple[str, int]:
    return _render()


@blueprint.post("/people/add")
def person_add() -> str | tuple[str, int] | Response:
    """A new account; the service journals the event before the account exists."""
    if not g.operator.may_change:
        abort(403)
    given = {name: request.form.get(name, "").strip() for name in _ADD_FIELDS}
    try:
        _client().user_add(
            given["name"],
            given["person"],
            identified_how=given["identified_how"],
            identified_by=given["identified_by"],
            password=request.form.get("password") or None,
            actor=_actor(),
        )
    except AskError as error:
        return _render(fault_of(error, g.language), form=given, status=400)
    return redirect(url_for("people.people_page", done="added"), 303)


@blueprint.post("/people/disable")
def person_disable() -> str | tuple[str, int] | Response:
    """Disable an account or, with `disabled=no`, enable it again."""
    if not g.operator.may_change:
        abort(403)
    disabled = request.form.get("disabled") != "no"
    try:
        _client().user_disable(
            request.form.get("name", ""),
            disabled=disabled,
            reason=request.form.get("reason", "").strip(),
            actor=_actor(),
        )
    except AskError as error:
        return _render(fault_of(error, g.language), status=400)
    return redirect(url_for("people.people_page", done="disabled" if disabled else "enabled"), 303)


@blueprint.post("/people/password")
def person_password() -> str | tuple[str, int] | Response:
    """Replace an account's password; the event says that it happened, never what it was."""
    if not g.operator.may_change:
        abort(403)
    try:
        _client().user_set_password(request.form.get("name", ""), request.form.get("password", ""), actor=_actor())
    except AskError as error:
        return _render(fault_of(error, g.language), status=400)
    return redirect(url_for("people.people_page", done="password"), 303)


def _render(fault: Fault | None = None, form: dict[str, str] | None = None, status: int = 200) -> str | tuple[str, int]:
    find = request.args.get("q", "").strip()
    people: list[dict[str, Any]] | None = None
    try:
        people = [_shape(person) for person in _client().user_list()]
    except AskError as error:
        fault = fault or fault_of(error, g.language)
        status = 503 if error.code == "not_running" else max(status, 400)
    if people is not None and find:
        wanted = find.casefold()
        people = [p for p in people if wanted in p["name"].casefold() or wanted in p["person"].casefold()]
    done = request.args.get("done", "")
    page = render_template(
        "people.html",
        people=people[:MAX_SHOWN] if people is not None else None,
        total=len(people or []),
        find=find,
        form=form or {},
        fault=fault,
        done=done if done in _DONE else None,
        may_change=g.operator.may_change,
    )
    return page, status


def _shape(person: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": str(person.get("name") or person.get("account") or ""),
        "person": str(person.get("person") or ""),
        "identified_how": person.get("identified_how") or "",
        "identified_by": person.get("identified_by") or "",
        "day": _show_day(str(person.get("identified_when") or "")),
        "disabled": bool(person.get("disabled")),
        "has_password": bool(person.get("has_password")),
    }


def _show_day(text: str) -> str:
    """A day for a person; what is not a day comes back as it is."""
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        return text
    if g.language == "en":
        return day.isoformat()
    return f"{day.day} {THAI_MONTHS[day.month - 1]} {day.year + BUDDHIST_OFFSET_YEARS}"
