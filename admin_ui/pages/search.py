"""The front page: "who had this address?" first, then search. The address of the page is its whole state."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from admin_ui.language import fault_of
from admin_ui.pages.desk import ask, zone
from admin_ui.read_as import FIELD_WORDS, fault_position, read_as
from admin_ui.times import CANONICAL, canonical, typed_form
from archive.errors import ArchiveError, AskError
from archive.time_text import format_iso, parse_time

blueprint = Blueprint("search", __name__)

PRESETS = ("15m", "1h", "24h", "7d", "90d")
DEFAULT_PRESET = "24h"
LIMITS = (50, 200, 1000)
MAX_LIMIT = 10_000
"""Rows the service gives at once; reached only by paging through records of one instant."""
MAX_QUERY_CHARACTERS = 2000
BEHIND_NS = 60 * 1_000_000_000
"""The index is always some seconds behind; a minute is worth a line."""
EXAMPLES = (
    ("src:10.0.0.0/8 dport:443 -action:deny", "examples.network"),
    ("user:somchai", "examples.account"),
    ("table:sessions event:open", "examples.sessions"),
    ('"link down"', "examples.text"),
)


@dataclass(frozen=True)
class Form:
    """The search form as filled in. `since` and `until` are absolute moments or empty."""

    q: str
    range: str
    since: str
    until: str
    limit: int
    since_typed: str = ""
    until_typed: str = ""


@blueprint.get("/")
def search_page() -> str | tuple[str, int] | Response:
    """Without `q` only the forms; with it one search, which the service audits."""
    if "q" not in request.args:
        return _render(Form("", DEFAULT_PRESET, "", "", LIMITS[0]))
    try:
        form = _read_form()
    except ArchiveError as error:
        typed = Form(
            request.args["q"],
            "custom",
            "",
            "",
            LIMITS[0],
            request.args.get("since", ""),
            request.args.get("until", ""),
        )
        return _render(typed, fault=_query_fault(error, "")), 400
    address = _address(form)
    if "was" in request.args or not _is_canonical():
        return redirect(address, 303)
    times = {"since": form.since, "until": form.until} if form.range == "custom" else {"since": f"-{form.range}"}
    try:
        result = ask("search", query=form.q, limit=form.limit, **{k: v for k, v in times.items() if v})
    except AskError as error:
        if error.code in ("not_signed_in", "not_running"):
            raise
        return _render(form, fault=_query_fault(error, form.q)), 400
    return _render(form, result=result, **_paging(form, result))


def _read_form() -> Form:
    """Raises ArchiveError `bad_time`. A preset wins over moments unless the moments were typed just now."""
    given = request.args
    preset = given.get("range", "")
    since, until = given.get("since", "").strip(), given.get("until", "").strip()
    typed_now = given.get("was") == "preset" and bool(since or until)
    custom = bool(since or until) and (typed_now or preset not in PRESETS)
    limit = given.get("limit", "")
    return Form(
        q=given["q"][: MAX_QUERY_CHARACTERS + 1],
        range="custom" if custom else preset if preset in PRESETS else DEFAULT_PRESET,
        since=canonical(since, zone()) if custom and since else "",
        until=canonical(until, zone()) if custom and until else "",
        limit=min(MAX_LIMIT, max(1, int(limit))) if limit.isascii() and limit.isdigit() else LIMITS[0],
    )


def _is_canonical() -> bool:
    return all(CANONICAL.match(request.args[name]) for name in ("since", "until") if request.args.get(name))


def _address(form: Form, **changes: Any) -> str:
    values: dict[str, Any] = {"q": form.q, "limit": form.limit if form.limit != LIMITS[0] else None}
    if form.range == "custom":
        values |= {"since": form.since or None, "until": form.until or None}
    else:
        values["range"] = form.range
    return url_for("search.search_page", **{k: v for k, v in (values | changes).items() if v is not None})


def _query_fault(error: Exception, query: str) -> dict[str, Any]:
    fault = fault_of(error, g.language)
    position = fault_position(str(error)) if fault.code == "bad_query" else None
    place = None
    if position is not None and query:
        end = position
        while end < len(query) and not query[end].isspace():
            end += 1
        end = max(end, position + 1)
        place = {"before": query[:position], "at": query[position:end] or " ", "after": query[end:]}
    return {"sentence": fault.sentence, "detail": fault.detail, "place": place}


def _paging(form: Form, result: dict[str, Any]) -> dict[str, Any]:
    """Keyset paging by time of receipt. Records of one instant that fill a page need a longer page."""
    rows = result.get("rows") or []
    values: dict[str, Any] = {"older_url": None, "newest_url": None}
    window = {"range": None, "since": result.get("since"), "until": result.get("until")}
    values["permalink"] = _address(form, **window)
    if result.get("more") and rows:
        first, last = rows[0]["received_unix_ns"], rows[-1]["received_unix_ns"]
        limit = min(MAX_LIMIT, form.limit * 4) if first == last else form.limit
        if first != last or limit > form.limit:
            values["older_url"] = _address(
                form,
                **(window | {"until": format_iso(last, zone()), "limit": limit if limit != LIMITS[0] else None}),
            )
    if form.until:
        values["newest_url"] = _address(form, until=None, limit=None)
    indexed = int(result.get("indexed_until_unix_ns") or 0)
    until = parse_time(str(result["until"]), now_unix_ns=0, zone=zone())
    values["behind"] = format_iso(indexed, zone()) if indexed and until - indexed > BEHIND_NS else None
    return values


def _render(form: Form, fault: dict[str, Any] | None = None, result: Any = None, **values: Any) -> str:
    filled = Form(
        form.q,
        form.range,
        form.since,
        form.until,
        form.limit,
        form.since_typed or typed_form(form.since, g.language, zone()),
        form.until_typed or typed_form(form.until, g.language, zone()),
    )
    return render_template(
        "search.html",
        form=filled,
        fault=fault,
        result=result,
        phrases=read_as(form.q, g.language),
        presets=PRESETS,
        limits=sorted({*LIMITS, form.limit}),
        examples=EXAMPLES,
        fields=[field for field in FIELD_WORDS if field],
        **values,
    )
