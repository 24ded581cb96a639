"""The pages of the portal. No cookie, no parameter says who somebody is: a session is found by the client's address."""

import hashlib
import ipaddress
import math
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from flask import Flask, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from archive.clock import Clock
from archive.errors import SpoolError
from archive.time_text import format_iso, format_thai
from authgw.errors import AuthgwError
from authgw.portal.desk import LoginDesk, LoginRequest, LoginResult
from authgw.portal.forms import FormSigner, LoginForm
from authgw.portal.headers import install_headers
from authgw.portal.redirect import connected_host, portal_url
from authgw.portal.session_store import PortalSession
from authgw.portal.terms import Terms
from authgw.portal.words import REJECT_WORDS, Language, read_language, say

MAX_FORM_BYTES = 8192
"""Name, password and a token; 128 bytes of Thai password are 384 percent-encoded ones."""
MAX_FORM_FIELDS = 20
MAX_SHOWN_NAME_CHARACTERS = 253
REFRESH_SECONDS = 300
"""The open page asks again by itself: the sign of life of a phone that shows it."""
RETRY_AFTER_SECONDS = 60
CAPPORT_TYPE = "application/captive+json"
NS = 1_000_000_000


@dataclass(frozen=True)
class PortalPages:
    """What the pages need. `host_name` empty: links name the address the client connected to."""

    desk: LoginDesk
    signer: FormSigner
    terms: Terms
    clock: Clock
    site: str
    zone: str
    retention_days: int
    host_name: str
    https_port: int


def make_app(pages: PortalPages) -> Flask:
    """The WSGI application."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_FORM_BYTES
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    install_headers(app)
    digests = _digest_files(Path(app.static_folder or ""))

    @app.context_processor
    def page_words() -> dict[str, Any]:
        language = _language()
        return {
            "language": language,
            "other_language": "th" if language == "en" else "en",
            "say": lambda key, **values: say(language, key, **values),
            "site": pages.site,
            "file": lambda name: url_for("static", filename=name, v=digests[name]),
            "in_language": _in_language,
            "here": lambda: _here(pages.desk.book.find(_client_address())),
        }

    @app.get("/")
    def login_page() -> Any:
        if pages.desk.book.find(_client_address()) and "other" not in request.args:
            return redirect(url_for("status_page", lang=request.args.get("lang")), 303)
        return _login_page(pages, note=say(_language(), "left") if "left" in request.args else "")

    @app.get("/login")
    @app.get("/logout")
    def form_target() -> Any:
        """Somebody reloaded the answer to a form."""
        return redirect(url_for("login_page", lang=request.args.get("lang")), 303)

    @app.post("/login")
    def login() -> Any:
        fields = _read_form()
        address = _client_address()
        name = _text(fields, b"username").strip()
        form = pages.signer.read_login_token(_text(fields, b"form"), address)
        language = read_language(form.language if form else _text(fields, b"lang"))
        if form is None or request.headers.get("Sec-Fetch-Site") == "cross-site":
            pages.desk.count("forms_refused")
            return _login_page(pages, say(language, "error.form"), name, language, status=400)
        if not name or not fields.get(b"password"):
            return _login_page(pages, say(language, "error.missing"), name, language, status=400)
        asked = LoginRequest(
            address, name, fields[b"password"], language, form.terms_version, request.headers.get("User-Agent", "")
        )
        result = pages.desk.log_in(asked)
        if result.outcome == "online":
            return redirect(url_for("status_page", lang=language), 303)
        error, status = _login_error(result, language)
        answer = _login_page(pages, error, name, language, status=status)
        if status != 403:
            answer.headers["Retry-After"] = str(result.wait_seconds or RETRY_AFTER_SECONDS)
        return answer

    @app.get("/status")
    def status_page() -> Any:
        session = pages.desk.book.find(_client_address())
        if session is None:
            return redirect(url_for("login_page", lang=request.args.get("lang")), 303)
        try:
            pages.desk.book.prove_alive(session)
        except (SpoolError, AuthgwError):
            # The session is durable; only this sign of life is late and will be written by the timer.
            pages.desk.count("signs_of_life_late")
        return _status_page(pages, session)

    @app.post("/logout")
    def logout() -> Any:
        session = pages.desk.book.find(_client_address())
        fields = _read_form()
        language = read_language(_text(fields, b"lang"))
        if session is None:
            return redirect(url_for("login_page", lang=language), 303)
        if not pages.signer.is_logout_token(_text(fields, b"form"), session.session_id):
            pages.desk.count("forms_refused")
            return _status_page(pages, session, say(language, "error.logout_form"), language, status=400)
        try:
            pages.desk.book.close(session, "log_out")
        except SpoolError:
            # The end is in the working copy and goes to the journal at the next turn of the timer.
            pages.desk.count("logouts_late")
        pages.desk.count("logouts")
        return redirect(url_for("login_page", lang=language, left=1), 303)

    @app.get("/terms")
    def terms_page() -> Any:
        language = _language()
        values = {"site": pages.site, "days": pages.retention_days}
        sections = [(s.titles[language], s.texts[language].format(**values)) for s in pages.terms.sections]
        return _page(
            "terms.html",
            title=say(language, "title.terms"),
            sections=sections,
            terms=pages.terms,
            checked=_date(pages.terms.checked, language),
            sources=pages.terms.source_lines(language),
        )

    @app.get("/help")
    def help_page() -> Any:
        return _page("help.html", title=say(_language(), "title.help"), address=_client_address())

    @app.get("/capport")
    def capport() -> Response:
        """The captive portal API (RFC 8908 section 5)."""
        session = pages.desk.book.find(_client_address())
        base = portal_url(pages.host_name or connected_host(request.environ), pages.https_port)
        state: dict[str, Any] = {
            "captive": session is None,
            "user-portal-url": base,
            "venue-info-url": f"{base}help",
            "can-extend-session": False,
        }
        if session is not None:
            state["seconds-remaining"] = max(0, (session.expires_unix_ns - pages.clock.unix_ns()) // NS)
        answer = jsonify(state)
        answer.content_type = CAPPORT_TYPE
        return answer

    @app.errorhandler(Exception)
    def fault(error: Exception) -> Any:
        status = (error.code or 500) if isinstance(error, HTTPException) else 500
        if status == 500:
            app.logger.error("request failed: %s", type(error).__name__)
            pages.desk.count("faults")
        words = "not_found" if status == 404 else "internal" if status >= 500 else "bad_request"
        return _page("fault.html", title=say(_language(), "title.fault"), sentence=f"fault.{words}", status=status)

    def _status_page(
        pages: PortalPages,
        session: PortalSession,
        error: str = "",
        language: Language | None = None,
        *,
        status: int = 200,
    ) -> Response:
        language = language or read_language(request.args.get("lang"), read_language(session.language))
        return _page(
            "status.html",
            language,
            status=status,
            title=say(language, "title.status"),
            error=error,
            session=session,
            started=_moment(session.started_unix_ns, pages.zone, language),
            until=_moment(session.expires_unix_ns, pages.zone, language),
            token=pages.signer.logout_token(session.session_id),
            refresh_seconds=REFRESH_SECONDS,
        )

    return app


def _login_page(
    pages: PortalPages,
    error: str = "",
    name: str = "",
    language: Language | None = None,
    *,
    note: str = "",
    status: int = 200,
) -> Response:
    language = language or _language()
    token = pages.signer.login_token(_client_address(), LoginForm(pages.terms.version, language))
    return _page(
        "login.html",
        language,
        status=status,
        title=say(language, "title.login"),
        error=error,
        note=note,
        name=name[:MAX_SHOWN_NAME_CHARACTERS],
        token=token,
    )


def _page(template: str, language: Language | None = None, *, status: int = 200, **values: Any) -> Response:
    if language is not None:
        # A form says its language in a field, a link in its address; the page follows whichever was used.
        values |= {
            "language": language,
            "other_language": "th" if language == "en" else "en",
            "say": lambda key, **words: say(language, key, **words),
        }
    return Response(render_template(template, **values), status=status, content_type="text/html; charset=utf-8")


def _login_error(result: LoginResult, language: Language) -> tuple[str, int]:
    """Sentence and HTTP status."""
    minutes = max(1, math.ceil(result.wait_seconds / 60))
    if result.outcome == "throttled":
        return say(language, "error.throttled", minutes=minutes), 429
    if result.outcome == "unavailable":
        return say(language, "error.unavailable"), 503
    if result.outcome == "not_recorded":
        return say(language, "error.not_recorded"), 503
    if result.reason in REJECT_WORDS:
        return say(language, REJECT_WORDS[result.reason]), 403
    if result.remaining == 0:
        return say(language, "error.wrong.last", minutes=minutes), 403
    key = "error.wrong.one" if result.remaining == 1 else "error.wrong"
    return say(language, key, count=result.remaining), 403


def _client_address() -> str:
    """The client's source address as it stands in records: IPv4 when mapped, without a zone index."""
    text = (request.remote_addr or "").partition("%")[0]
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError as error:
        raise AuthgwError("a client without an address", code="no_client_address") from error
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _language() -> Language:
    return read_language(request.args.get("lang"))


def _in_language(language: str) -> str:
    """This page in a language; the page that shows the form again when this one answers a sent form."""
    endpoint = {"login": "login_page", "logout": "status_page", "form_target": "login_page"}.get(
        request.endpoint or "", request.endpoint
    )
    if endpoint in (None, "static"):
        endpoint = "login_page"
    return url_for(endpoint, lang=language, other=1 if "other" in request.args else None)


def _here(session: PortalSession | None) -> str:
    """Where "back" leads."""
    return "status_page" if session else "login_page"


def _read_form() -> dict[bytes, bytes]:
    """Fields of a form as bytes: a password is what was typed, not what a codec made of it. Unreadable: empty."""
    if request.mimetype != "application/x-www-form-urlencoded":
        return {}
    pairs = request.get_data(cache=False).split(b"&")
    if len(pairs) > MAX_FORM_FIELDS:
        return {}
    # urllib's parse_qsl wants text; a browser's form is `name=value`, blanks as plus signs.
    split = (pair.replace(b"+", b" ").partition(b"=") for pair in pairs)
    return {unquote_to_bytes(name): unquote_to_bytes(value) for name, _, value in split}


def _text(fields: dict[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("utf-8", "replace")


def _moment(unix_ns: int, zone: str, language: Language) -> str:
    """A moment to the second, with its offset and, in Thai, its era's year."""
    whole = unix_ns // NS * NS
    if language == "th":
        return format_thai(whole, zone).replace(".000", "")
    iso = format_iso(whole, zone)
    return f"{iso[:10]} {iso[11:19]} {iso[-6:]}"


def _date(iso: str, language: Language) -> str:
    """A date alone, in Thai with the year of the Buddhist era."""
    if language == "en":
        return iso
    midnight = datetime.combine(datetime.fromisoformat(iso), time(), UTC)
    return format_thai(int(midnight.timestamp()) * NS, "UTC").partition(" 00:")[0]


def _digest_files(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest()[:12] for p in folder.iterdir() if p.is_file()}
