"""Who is at the other end: the operator's token in a cookie, and proof that a form is ours.

A form carries an HMAC keyed with the secret of the reader's cookie (the token; before log-in a random form cookie),
so it is good for one session only, survives a restart, and tells nothing about the token.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Request, current_app, g, request
from werkzeug.wrappers import Response

from admin_ui.ask_client import LOOK_TIMEOUT_SECONDS, AskClient
from archive.errors import AskError

TOKEN_COOKIE = "phayan_token"  # noqa: S105 - a cookie's name
FORM_COOKIE = "phayan_form"
MAX_TOKEN_CHARACTERS = 256
_FORM_LABEL = b"phayan admin form v1"


@dataclass(frozen=True)
class SignedIn:
    """The operator as the ask service names them."""

    name: str
    role: str

    @property
    def may_change(self) -> bool:
        return self.role == "administrator"


def identify(ask: AskClient) -> None:
    """Set g.token, g.operator and g.demo for this request. Raises AskError other than `not_signed_in`."""
    g.token, g.operator, g.demo = request.cookies.get(TOKEN_COOKIE, "")[:MAX_TOKEN_CHARACTERS], None, False
    if g.token:
        try:
            found = ask.call("who_am_i", g.token, timeout_seconds=LOOK_TIMEOUT_SECONDS)
        except AskError as error:
            if error.code != "not_signed_in":
                raise
            g.token = ""
        else:
            g.operator = SignedIn(str(found.get("name", "")), str(found.get("role", "")))
            g.demo = bool(found.get("demo"))
            return
    g.setup = ask.call("setup_state", timeout_seconds=LOOK_TIMEOUT_SECONDS)
    g.demo = bool(g.setup.get("demo"))


def form_token() -> str:
    """The value every form of this page carries."""
    secret = g.token or request.cookies.get(FORM_COOKIE, "") or g.get("new_form_secret", "")
    if not secret:
        secret = g.new_form_secret = secrets.token_urlsafe(24)
    return _form_digest(secret)


def _form_digest(secret: str) -> str:
    return hmac.new(secret.encode(), _FORM_LABEL, hashlib.sha256).hexdigest()


def form_is_ours(incoming: Request) -> bool:
    """Whether a POST was made by one of our pages, in this session."""
    site = incoming.headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        return False
    origin = incoming.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != incoming.host:
        return False
    secret = g.token or incoming.cookies.get(FORM_COOKIE, "")
    given = incoming.form.get("csrf", "")
    return bool(secret) and hmac.compare_digest(_form_digest(secret).encode(), given.encode())


def keep_form_secret(response: Response) -> None:
    """Send the form cookie that `form_token` made for this answer, if it made one."""
    secret = g.get("new_form_secret")
    if secret:
        _set_cookie(response, FORM_COOKIE, secret)


def keep_token(response: Response, token: str) -> None:
    """Sign the browser in; the cookie ends with the browser, the token after a working day."""
    _set_cookie(response, TOKEN_COOKIE, token)
    response.delete_cookie(FORM_COOKIE, path="/")


def forget_token(response: Response) -> None:
    response.delete_cookie(TOKEN_COOKIE, path="/")


def _set_cookie(response: Response, name: str, value: str) -> None:
    secure = request.is_secure or bool(current_app.config["BEHIND_TLS"])
    response.set_cookie(name, value, httponly=True, samesite="Strict", secure=secure, path="/")


def local_path(text: str) -> str:
    """`text` if it is a path of these pages, else `/`: never another host or what browsers read as one."""
    if not text.startswith("/") or text.startswith("//") or "\\" in text or not text.isprintable():
        return "/"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or parts.path.startswith(("/login", "/logout", "//")):
        return "/"
    return text
