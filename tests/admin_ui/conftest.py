"""The pages over fake services, with a Flask test client."""

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_services import AUDITOR_TOKEN, TOKEN, FakeAccounts, FakeAsk, serve
from flask.testing import FlaskClient
from jinja2 import StrictUndefined
from werkzeug.test import TestResponse

from admin_ui.app import create_app
from admin_ui.settings import AdminSettings
from admin_ui.signing_in import FORM_COOKIE, TOKEN_COOKIE

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass
class Pages:
    """A browser in front of the pages."""

    client: FlaskClient
    ask: FakeAsk
    accounts: FakeAccounts

    def get(self, address: str, **options: object) -> TestResponse:
        return self.client.get(address, **options)  # type: ignore[arg-type]

    def sign_in(self, *, auditor: bool = False) -> None:
        self.client.set_cookie(TOKEN_COOKIE, AUDITOR_TOKEN if auditor else TOKEN)

    def csrf(self, address: str = "/verify") -> str:
        found = _CSRF.search(self.get(address).text)
        assert found
        return found[1]

    def post(self, address: str, values: dict[str, str] | None = None, **options: object) -> TestResponse:
        """A form sent by our own page."""
        form_page = "/verify" if self.client.get_cookie(TOKEN_COOKIE) else "/login"
        return self.client.post(address, data={"csrf": self.csrf(form_page), **(values or {})}, **options)  # type: ignore[arg-type]

    def form_cookie(self) -> str | None:
        cookie = self.client.get_cookie(FORM_COOKIE)
        return cookie.value if cookie else None


@pytest.fixture
def make_pages() -> Iterator[Callable[..., Pages]]:
    servers = []
    # A socket's path may have 107 bytes; pytest's own directories can be longer.
    with tempfile.TemporaryDirectory(prefix="phayan-") as directory:
        run = Path(directory)

        def make(ask: FakeAsk | None = None, accounts: FakeAccounts | None = None, *, tls: bool = False) -> Pages:
            ask, accounts = ask or FakeAsk(), accounts or FakeAccounts()
            servers.append(serve(run / "ask.sock", ask))
            servers.append(serve(run / "accounts.sock", accounts))
            app = create_app(
                AdminSettings(
                    ask_socket=run / "ask.sock",
                    accounts_socket=run / "accounts.sock",
                    address="127.0.0.1",
                    port=8090,
                    run_directory=run,
                    zone="Asia/Bangkok",
                    site_name="โรงเรียนทดสอบ",
                    tls_certificate=run / "x" if tls else None,
                    tls_key=run / "y" if tls else None,
                )
            )
            # A value that a page forgets is a failure here, an empty place in production.
            app.jinja_env.undefined = StrictUndefined
            return Pages(app.test_client(), ask, accounts)

        yield make
        for server in servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def pages(make_pages: Callable[..., Pages]) -> Pages:
    """Signed in as an administrator."""
    made = make_pages()
    made.sign_in()
    return made
