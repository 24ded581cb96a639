"""What must not happen: pages without sign-in, forged forms, open redirects, script, tracebacks."""

import html
import re
import tomllib
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from addresses import GET_ADDRESSES, MOMENT, OPEN_ADDRESSES, OPEN_POST_ADDRESSES, POST_ADDRESSES
from conftest import Pages
from fake_services import PASSWORD, SECRET, FakeAccounts, FakeAsk

import admin_ui
from admin_ui.signing_in import local_path
from archive.errors import AskError

ROOM = Path(admin_ui.__file__).parent
ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MakePages = Callable[..., Pages]
ALL_GET = [a for table in (GET_ADDRESSES, OPEN_ADDRESSES) for addresses in table.values() for a in addresses]


def test_no_route_is_missing_from_these_tests(pages: Pages) -> None:
    known = GET_ADDRESSES | OPEN_ADDRESSES | POST_ADDRESSES | OPEN_POST_ADDRESSES
    routes = {rule.endpoint for rule in pages.client.application.url_map.iter_rules()}
    assert routes == known.keys() | {"static"}


@pytest.mark.parametrize("address", [*ALL_GET, "/nothing", "/static/phayan.css", "/static/nothing"])
@pytest.mark.parametrize("signed_in", [True, False])
def test_every_answer_has_the_headers(make_pages: MakePages, address: str, signed_in: bool) -> None:
    pages = make_pages()
    if signed_in:
        pages.sign_in()
    headers = pages.get(address).headers
    assert headers["Content-Security-Policy"] == CSP
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    if address != "/static/phayan.css":
        assert headers["Cache-Control"] == "no-store"


def test_static_files_are_cached_by_their_digest(pages: Pages) -> None:
    address = re.search(r'href="(/static/phayan\.css\?v=[0-9a-f]+)"', pages.get("/").text)
    assert address
    assert pages.get(address[1]).headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("address", [a for addresses in GET_ADDRESSES.values() for a in addresses])
def test_signed_out_pages_lead_to_the_log_in(make_pages: MakePages, address: str) -> None:
    pages = make_pages()
    answer = pages.get(address)
    assert answer.status_code == 303
    assert answer.location.startswith("/login")
    assert {op for op, _ in pages.ask.requests} == {"setup_state"}
    pages.client.set_cookie("phayan_token", "stolen-or-ended")
    assert pages.get(address).status_code == 303


@pytest.mark.parametrize("address", POST_ADDRESSES.values())
def test_signed_out_forms_are_refused(make_pages: MakePages, address: str) -> None:
    pages = make_pages()
    answer = pages.post(address, {"reason": "x", "name": "x"})
    assert answer.status_code == 401
    assert {op for op, _ in pages.ask.requests} == {"setup_state"}
    assert pages.accounts.requests == []


@pytest.mark.parametrize("method", ["put", "delete", "patch", "options"])
def test_other_methods_are_refused(pages: Pages, method: str) -> None:
    assert getattr(pages.client, method)("/people").status_code in (200 if method == "options" else 405,)


FORGED = [
    {},
    {"csrf": "0" * 64},
    {"csrf": ""},
]


@pytest.mark.parametrize("form", FORGED)
@pytest.mark.parametrize("address", [*POST_ADDRESSES.values(), *OPEN_POST_ADDRESSES.values()])
def test_a_form_without_our_token_is_refused(pages: Pages, address: str, form: dict[str, str]) -> None:
    answer = pages.client.post(address, data={"reason": "x", "name": "x", "password": PASSWORD, **form})
    assert answer.status_code == 403
    assert {op for op, _ in pages.ask.requests} <= {"who_am_i", "status"}
    assert pages.accounts.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:81"},
    ],
)
def test_a_form_sent_from_elsewhere_is_refused_even_with_the_token(pages: Pages, headers: dict[str, str]) -> None:
    assert pages.post("/verify", headers=headers).status_code == 403
    assert pages.post("/verify", headers={"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}).location


def test_a_form_token_of_another_session_is_refused(make_pages: MakePages) -> None:
    pages = make_pages()
    pages.sign_in(auditor=True)
    foreign = pages.csrf()
    pages.sign_in()
    assert pages.client.post("/verify", data={"csrf": foreign}).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example", "https://evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/\n/evil.example", "http:evil", "evil", "", "///evil.example", "/login?next=/login", "//[",
    ],
)  # fmt: skip
def test_no_open_redirect(make_pages: MakePages, path: str) -> None:
    assert local_path(path) == "/"
    pages = make_pages()
    answer = pages.post("/login", {"name": "nok", "password": PASSWORD, "next": path})
    assert answer.location == "/"


def test_local_paths_are_kept() -> None:
    assert local_path("/who?address=1.2.3.4&at=x") == "/who?address=1.2.3.4&at=x"


class _Elements(HTMLParser):
    """Every element as a browser would make it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def _assert_harmless(text: str) -> None:
    elements = _Elements(text).found
    assert all(_SCRIPT.fullmatch(attributes.get("src") or "") for tag, attributes in elements if tag == "script")
    assert {tag for tag, _ in elements} & {"img", "iframe", "object", "style"} == set()
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on") or name == "style"]
    assert not [a for _, attributes in elements for a in attributes.values() if a and a.startswith("javascript:")]
    assert "{{7*7}}" in text or "49" not in re.findall(r">(49)<", text)


_SCRIPT = re.compile(r"/static/phayan\.js\?v=[0-9a-f]+")


@pytest.mark.parametrize("language", ["th", "en"])
def test_values_are_escaped_everywhere(make_pages: MakePages, language: str) -> None:
    last = {
        "exit_code": 1,
        "time": ATTACK,
        "defects": 1,
        "freshness": ATTACK,
        "root": ATTACK,
        "first_defects": [
            {"code": ATTACK, "file": ATTACK, "stream": ATTACK, "message": ATTACK, "message_th": ATTACK, "leaf": 1}
        ],
    }
    alarm = dict.fromkeys(("code", "source", "since", "details", "message", "message_th"), ATTACK)
    ask = FakeAsk(
        text=ATTACK, alarms=[{**alarm, "what_to_do": ATTACK, "what_to_do_th": ATTACK}], last_verification=last
    )
    ask.payload = ATTACK.encode()
    pages = make_pages(ask, FakeAccounts(text=ATTACK))
    pages.sign_in()
    pages.get(f"/status?lang={language}")
    seen = 0
    addresses = [a for table in (GET_ADDRESSES, OPEN_ADDRESSES) for given in table.values() for a in given]
    addresses += [
        "/?q=" + ATTACK.replace("&", "%26"),
        "/people?q=" + ATTACK,
        f"/who?address={ATTACK}&at={MOMENT}",
        f"/who?address={ATTACK}&at={ATTACK}",
        "/packages?created=" + ATTACK,
        "/packages/" + ATTACK + "/download",
        "/login?next=/" + ATTACK,
        "/nothing/" + ATTACK,
        f"/?q=x&since={ATTACK}",
    ]
    for address in addresses:
        answer = pages.get(address, query_string=None)
        if answer.mimetype == "text/html":
            _assert_harmless(answer.text)
            seen += ATTACK in html.unescape(answer.text)
    _assert_harmless(pages.post("/record/0/0", {"reason": ATTACK}).text)
    _assert_harmless(pages.post("/people/add", {"name": "taken", "person": ATTACK}).text)
    assert seen > 10  # the attack did reach the pages
    ask.failure = AskError(ATTACK, code="bad_query")
    _assert_harmless(pages.get("/?q=x").text)


def test_set_up_and_log_in_escape_what_was_typed(make_pages: MakePages) -> None:
    pages = make_pages(FakeAsk(needed=True))
    _assert_harmless(pages.post("/login", {"name": ATTACK, "password": "x", "next": "/" + ATTACK}).text)
    answer = pages.post("/setup", {"secret": SECRET + ATTACK, "name": ATTACK, "password": "x", "again": "x"})
    _assert_harmless(answer.text)


@pytest.mark.parametrize("template", sorted((ROOM / "templates").glob("*.html")), ids=lambda p: p.name)
def test_templates_hold_no_inline_code(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    for tag in re.findall(r"<script\b[^>]*>(.*?)</script>", text, re.S):
        assert tag.strip() == ""
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert "<style" not in text
    assert not re.search(r"\sstyle\s*=", text)
    assert not re.search(r"\son[a-z]+\s*=", text)
    assert "javascript:" not in text
    assert "|safe" not in text.replace(" ", "")
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_shipped_files_of_others_are_the_ones_named() -> None:
    static = ROOM / "static"
    listed = {f["name"]: f for f in tomllib.loads((static / "VENDOR.toml").read_text(encoding="utf-8"))["file"]}
    ours = {"phayan.css", "phayan.js", "icon.svg", "VENDOR.toml"}
    assert {p.name for p in static.iterdir()} == ours | listed.keys()
    for name, values in listed.items():
        assert sha256((static / name).read_bytes()).hexdigest() == values["sha256"]
        assert values["version"] in name
        assert (static / values["licence_file"]).exists()


def test_an_auditor_changes_no_account(make_pages: MakePages) -> None:
    pages = make_pages()
    pages.sign_in(auditor=True)
    assert "/people/add" not in pages.get("/people").text
    assert pages.post("/people/add", {"name": "x", "person": "x"}).status_code == 403
    assert pages.post("/people/disable", {"name": "somchai"}).status_code == 403
    assert pages.post("/people/password", {"name": "somchai", "password": "x"}).status_code == 403
    assert {op for op, _ in pages.accounts.requests} == {"user_list"}


@pytest.mark.parametrize("code", ["internal", "timeout", "audit_failed", "archive_integrity", "anything"])
def test_a_failing_service_is_one_sentence(make_pages: MakePages, code: str) -> None:
    pages = make_pages(FakeAsk(failure=AskError("Traceback /secret/path", code=code)))
    pages.sign_in()
    for addresses in GET_ADDRESSES.values():
        for address in addresses:
            answer = pages.get(address)
            assert answer.status_code < 600
            if answer.status_code >= 400:
                assert 'role="alert"' in answer.text


def test_a_service_that_is_down_is_one_sentence(make_pages: MakePages) -> None:
    pages = make_pages()
    pages.client.application.extensions["ask"]._socket_path = Path("/nonexistent/ask.sock")
    for signed_in in (False, True):
        if signed_in:
            pages.sign_in()
        for address in ("/", "/login", "/status"):
            answer = pages.get(address)
            assert answer.status_code == 503
            assert "ระบบถามตอบยังไม่ทำงาน" in answer.text
            assert "/nonexistent" not in answer.text


def test_a_mistake_of_ours_is_one_sentence(pages: Pages, caplog: pytest.LogCaptureFixture) -> None:
    pages.ask.do_record = lambda arguments: {"proof": {}}  # type: ignore[method-assign]
    answer = pages.get("/record/0/0")
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "KeyError" not in answer.text
    assert "KeyError" in caplog.text


def test_a_large_form_is_refused(pages: Pages) -> None:
    assert pages.post("/record/0/0", {"reason": "x" * 100_000}).status_code == 413
