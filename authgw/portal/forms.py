"""State carried in the forms, because the sheet a phone opens keeps no cookie: signed, short-lived tokens."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadSignature, SignatureExpired, URLSafeSerializer, URLSafeTimedSerializer

from archive.durable import replace_file

FORM_SECONDS = 30 * 60
"""Long enough to look for a card with the password; a page left open over lunch asks once more."""
KEY_BYTES = 32


@dataclass(frozen=True)
class LoginForm:
    """What the person was shown with the form."""

    terms_version: str
    language: str


class FormSigner:
    """Makes and checks the hidden fields. A log-in token is bound to the client's address, a log-out token to the
    session."""

    def __init__(self, key: bytes) -> None:
        self._login = URLSafeTimedSerializer(key, salt="portal log-in form")
        self._logout = URLSafeSerializer(key, salt="portal log-out form")

    def login_token(self, address: str, form: LoginForm) -> str:
        """The hidden field of the log-in form."""
        return str(self._login.dumps([address, form.terms_version, form.language]))

    def read_login_token(self, token: str, address: str) -> LoginForm | None:
        """What the form showed; None if the token is forged, too old, or another device's."""
        try:
            signed_address, terms_version, language = self._login.loads(token, max_age=FORM_SECONDS)
        except (BadSignature, SignatureExpired, ValueError, TypeError):
            return None
        if signed_address != address:
            return None
        return LoginForm(str(terms_version), str(language))

    def logout_token(self, session_id: str) -> str:
        """The hidden field of the log-out form."""
        return str(self._logout.dumps(session_id))

    def is_logout_token(self, token: str, session_id: str) -> bool:
        """Whether the form belongs to this session."""
        try:
            return bool(self._logout.loads(token) == session_id)
        except BadSignature:
            return False


def load_form_key(path: Path) -> bytes:
    """The key of `path`, made when it is missing, so that open pages survive a restart."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) != KEY_BYTES:
        key = secrets.token_bytes(KEY_BYTES)
        replace_file(path, key, mode=0o600)
    return key
