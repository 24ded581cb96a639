"""The Flask application: requests signed in and checked, answers with their headers, failures in a sentence."""

import hashlib
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from admin_ui import pages, times
from admin_ui.ask_client import AskClient
from admin_ui.headers import install_headers
from admin_ui.health import Health, HealthReader
from admin_ui.language import Fault, choose_language, fault_of, keep_language, say, word_of
from admin_ui.pages.verify_run import VerifyRun
from admin_ui.settings import AdminSettings
from admin_ui.signing_in import form_is_ours, form_token, identify, keep_form_secret
from admin_ui.words import VOCABULARIES
from archive.errors import AskError
from authgw.accounts.client import AccountsClient

MAX_FORM_BYTES = 64 * 1024
"""Every form here is a few short fields."""
MAX_SUMMARY_CHARACTERS = 400
"""Of a log line in a result row; the record page shows it whole."""
OPEN_ENDPOINTS = frozenset({"static", "account.log_in", "account.set_up"})
MACHINE_ENDPOINTS = frozenset({"static", "metrics.metrics_page"})
"""Nobody signs in for these, and they set no cookie."""
NAVIGATION = (
    ("search.search_page", "nav.search"),
    ("who.who_page", "nav.who"),
    ("packages.packages_page", "nav.packages"),
    ("verify.verify_page", "nav.verify"),
    ("status.status_page", "nav.status"),
    ("people.people_page", "nav.people"),
)

log = logging.getLogger(__name__)


def create_app(settings: AdminSettings) -> Flask:
    """The pages over the two sockets of `settings`."""
    app = Flask("admin_ui")
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_FORM_BYTES,
        BEHIND_TLS=settings.tls_certificate is not None,
        SETTINGS=settings,
    )
    ask = AskClient(settings.ask_socket)
    app.extensions["ask"] = ask
    app.extensions["accounts"] = AccountsClient(settings.accounts_socket)
    app.extensions["health"] = HealthReader(ask, settings.zone)
    app.extensions["verify_run"] = VerifyRun(ask)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(_template_words(settings))
    app.context_processor(_page_values)
    app.before_request(_before)
    app.after_request(_after)
    install_headers(app)
    for blueprint in pages.BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.register_error_handler(Exception, _failure)
    return app


def _before() -> AnyResponse | tuple[str, int] | None:
    g.token, g.operator, g.demo, g.language = "", None, False, choose_language(request)
    if request.endpoint in MACHINE_ENDPOINTS:
        return None
    identify(current_app.extensions["ask"])
    if request.method == "POST" and not form_is_ours(request):
        if g.operator is None and request.endpoint not in OPEN_ENDPOINTS:
            return _sentence("fault.title.refused", "fault.not_signed_in", 401, sign_in=True)
        return _sentence("fault.title.refused", "fault.form_old", 403, sign_in=g.operator is None)
    if g.operator is not None or request.endpoint in OPEN_ENDPOINTS:
        return None
    if request.method in ("GET", "HEAD"):
        arguments: dict[str, Any] = {}
        if request.path != "/" or request.query_string:
            arguments["next"] = request.full_path.rstrip("?")
        return redirect(url_for("account.log_in", **arguments), 303)
    return _sentence("fault.title.refused", "fault.not_signed_in", 401, sign_in=True)


def _after(response: Response) -> Response:
    if request.endpoint not in MACHINE_ENDPOINTS:
        keep_language(request, response)
        keep_form_secret(response)
    return response


def _sentence(title: str, text: str, status: int, *, sign_in: bool = False) -> tuple[str, int]:
    fault = Fault(say(text, g.language), title=say(title, g.language))
    return render_template("sentence.html", fault=fault, sign_in=sign_in), status


def _failure(error: Exception) -> tuple[str, int] | AnyResponse:
    """Whatever was not answered by a page itself."""
    if not hasattr(g, "language"):
        g.token, g.operator, g.demo, g.language = "", None, False, choose_language(request)
    if isinstance(error, AskError):
        if error.code == "not_signed_in":
            return _sentence("fault.title.refused", "fault.not_signed_in", 401, sign_in=True)
        shown = fault_of(error, g.language)
        fault = Fault(shown.sentence, shown.detail, say("fault.title.failed", g.language))
        status = {"no_such_record": 404, "not_running": 503, "timeout": 504, "no_permission": 403}.get(error.code, 500)
        return render_template("sentence.html", fault=fault, sign_in=g.operator is None), status
    if isinstance(error, HTTPException):
        status = error.code or 500
        if 300 <= status < 400:
            return error.get_response()
        if status == 404:
            return _sentence("fault.title.not_found", "fault.not_found", 404, sign_in=g.operator is None)
        key = {405: "fault.method", 413: "fault.too_large", 403: "fault.no_permission"}.get(status, "fault.failed")
        return _sentence("fault.title.refused", key, status, sign_in=g.operator is None)
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return _sentence("fault.title.failed", "fault.failed", 500)


def _page_values() -> dict[str, Any]:
    operator = g.get("operator")
    return {
        "language": g.get("language", "th"),
        "operator": operator,
        "demo": g.get("demo", False),
        "health": current_app.extensions["health"].read(g.token) if operator else Health("unknown"),
        "navigation": NAVIGATION,
        "active": request.endpoint,
        "csrf": form_token(),
        "refresh_seconds": None,
    }


def _template_words(settings: AdminSettings) -> dict[str, Any]:
    zone = settings.zone
    digests: dict[str, str] = {}

    def static_url(name: str) -> str:
        if name not in digests:
            content = (Path(current_app.static_folder or "") / name).read_bytes()
            digests[name] = hashlib.sha256(content).hexdigest()[:16]
        return url_for("static", filename=name, v=digests[name])

    def language_url(language: str) -> str:
        # A page that answered a POST has no address of its own; the other language then opens the page itself.
        kept = [(k, v) for k, v in request.args.items(multi=True) if k != "lang"]
        return f"{request.path if request.endpoint else '/'}?{urlencode([*kept, ('lang', language)])}"

    def split_time(iso: str) -> tuple[str, str]:
        shown = times.show_time(iso, g.language, zone)
        day, _, clock = shown.partition(":")
        day, _, hour = day.rpartition(" ")
        return day, f"{hour}:{clock}".split(" ")[0]

    return {
        "t": lambda key, **values: say(key, g.get("language", "th"), **values),
        "word_of": lambda vocabulary, code: word_of(vocabulary, code, g.language),
        "show_time": lambda iso: times.show_time(iso, g.language, zone),
        "other_era": lambda iso: times.other_era(iso, g.language, zone),
        "split_time": split_time,
        "static_url": static_url,
        "language_url": language_url,
        "number": lambda value: f"{int(value or 0):,}",
        "size": _size,
        "machine_text": lambda value: str(value).lower() if isinstance(value, bool) else value,
        "is_moment": lambda value: isinstance(value, str) and bool(times.MACHINE_MOMENT.match(value)),
        "shorten": lambda text: text if len(text) <= MAX_SUMMARY_CHARACTERS else text[:MAX_SUMMARY_CHARACTERS] + "…",
        "known_certainties": frozenset(VOCABULARIES["certainty"]),
        "site_name": settings.site_name,
        "zone": zone,
    }


def _size(value: Any) -> str:
    number = float(value or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
