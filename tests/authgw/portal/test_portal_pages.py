"""Every page over Flask's test client: words, headers, sizes, state without cookies, forged forms."""

import hashlib
import html
import re
import tomllib
from pathlib import Path

import pytest

from authgw.directory.base import DirectoryVerdict
from authgw.portal.headers import CONTENT_SECURITY_POLICY
from authgw.portal.words import WORDS
from tests.authgw.portal.portal_pages import HIDDEN, PASSWORD, Portal, ScriptedDirectory

PACKAGE = Path(__file__).parents[3] / "authgw" / "portal"
MAX_PAGE_BYTES = 60_000
PAGES = ("/", "/?other=1", "/?left=1", "/terms", "/help", "/no-such-page")


@pytest.fixture
def portal(tmp_path: Path):
    with Portal(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("language", ["th", "en"])
@pytest.mark.parametrize("path", [*PAGES, "/status"])
def test_each_page_is_small_and_strict(portal: Portal, path: str, language: str) -> None:
    browser = portal.browser()
    if path == "/status":
        browser.log_in()
    answer = browser.get(f"{path}{'&' if '?' in path else '?'}lang={language}")
    assert answer.status_code == (404 if path == "/no-such-page" else 200)
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "*" not in CONTENT_SECURITY_POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "Set-Cookie" not in answer.headers
    assert answer.content_type == "text/html; charset=utf-8"
    assert f'<html lang="{language}">' in answer.text
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", answer.text), "an outside resource"
    # The same file named twice is loaded once.
    linked = sorted(set(re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text)))
    files = [browser.get(address) for address in linked]
    for name in re.findall(r'url\("([^"]+)"\)', "".join(f.text for f in files if f.mimetype == "text/css")):
        files.append(browser.get(f"/static/{name}"))
    assert linked
    assert {file.status_code for file in files} == {200}
    assert all("immutable" in file.headers["Cache-Control"] for file in files)
    assert len(answer.data) + sum(len(file.data) for file in files) < MAX_PAGE_BYTES


def test_files_of_others_are_listed_with_hash_and_licence() -> None:
    static = PACKAGE / "static"
    listed = {f["name"]: f for f in tomllib.loads((static / "VENDOR.toml").read_text(encoding="utf-8"))["file"]}
    ours = {"portal.css", "portal.js", "mark.svg", "VENDOR.toml"}
    assert {p.name for p in static.iterdir()} - ours == set(listed)
    for name, values in listed.items():
        assert hashlib.sha256((static / name).read_bytes()).hexdigest() == values["sha256"], name
        assert (static / values["licence_file"]).exists()


def test_templates_have_no_inline_code() -> None:
    templates = list((PACKAGE / "templates").glob("*.html"))
    assert len(templates) >= 6
    for template in templates:
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"\son[a-z]+\s*=", text), f"{template.name}: an event attribute"
        assert not re.search(r"\sstyle\s*=|<style", text), f"{template.name}: inline style"
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), f"{template.name}: inline script"
        assert "|safe" not in text.replace(" ", "")
        assert "javascript:" not in text


def test_both_languages_say_everything() -> None:
    for key, (thai, english) in WORDS.items():
        assert re.search(r"[\u0e01-\u0e5b]", thai), f"{key}: no Thai"
        assert not re.search(r"[\u0e01-\u0e5b]", english), f"{key}: Thai in English"
        assert set(re.findall(r"{(\w+)}", thai)) == set(re.findall(r"{(\w+)}", english)), key


def test_nothing_claims_a_certification(portal: Portal) -> None:
    for path in ("/", "/terms", "/help"):
        for language in ("th", "en"):
            text = portal.browser().get(f"{path}?lang={language}").text
            assert not re.search(r"certified|ได้รับการรับรอง|4003|มาตรฐาน ?มศอ", text)


def test_thai_comes_first_and_english_is_one_link_away(portal: Portal) -> None:
    browser = portal.browser(**{"Accept-Language": "en-GB"})
    page = browser.get("/")
    assert "<h1>เข้าใช้อินเทอร์เน็ต</h1>" in page.text
    assert 'href="/?lang=en"' in page.text
    assert "<h1>Log in to the internet</h1>" in browser.get("/?lang=en").text


def test_log_in_and_out_without_cookie_or_script(portal: Portal) -> None:
    browser = portal.browser("10.20.0.7", **{"User-Agent": "Phone/1\x07 " + "x" * 500})
    answer = browser.log_in(path="/?lang=en")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/status?lang=en"
    (event,) = portal.events()
    assert event["event"] == "open"
    assert event["kind"] == "portal"
    assert event["account"] == "somchai"
    assert event["address"] == "10.20.0.7"
    assert event["nas_address"] is None
    assert len(event["login_id"]) == 32
    assert event["details"]["terms_version"] == portal.terms.version
    assert event["details"]["language"] == "en"
    assert len(event["details"]["user_agent"]) == 160
    assert "\x07" not in event["details"]["user_agent"]
    assert "person" not in event["details"], "a local account's person is in the identity stream"
    status = browser.get("/status?lang=th").text
    assert "ใช้อินเทอร์เน็ตได้แล้ว" in status
    assert "2569" in status
    assert "(+07:00)" in status
    assert 'http-equiv="refresh"' in status
    assert "You are online" in browser.get("/status").text, "the session's own language"
    assert browser.get("/").headers["Location"] == "/status"
    left = browser.post("/logout", dict(HIDDEN.findall(status)))
    assert left.headers["Location"] == "/?lang=th&left=1"
    assert "ออกจากระบบแล้ว" in browser.get("/?left=1").text
    assert browser.get("/status").status_code == 303
    assert [e["event"] for e in portal.events()] == ["open", "close"]
    assert portal.events()[1]["ended_why"] == "log_out"
    assert portal.events()[1]["session_id"] == event["session_id"]


def test_a_session_belongs_to_its_address_alone(portal: Portal) -> None:
    portal.browser("10.20.0.7").log_in()
    other = portal.browser("10.20.0.8", **{"X-Forwarded-For": "10.20.0.7", "Forwarded": "for=10.20.0.7"})
    for path in ("/status", "/status?address=10.20.0.7", "/status?session_id=" + portal.events()[0]["session_id"]):
        assert other.get(path).status_code == 303
    assert other.get("/capport").json["captive"] is True
    assert other.post("/logout", {}).status_code == 303
    assert len(portal.events()) == 1


def test_a_mapped_address_is_its_ipv4_address(portal: Portal) -> None:
    portal.browser("::ffff:10.20.0.9").log_in()
    assert portal.events()[0]["address"] == "10.20.0.9"
    assert portal.browser("10.20.0.9").get("/status").status_code == 200


def test_a_name_is_shown_as_text(portal: Portal) -> None:
    name = "\"><script>alert(1)</script>'&{{7*7}}"
    answer = portal.browser().log_in(name, "wrong")
    assert answer.status_code == 403
    assert "<script>alert" not in answer.text
    assert html.escape(name).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in answer.text
    assert "wrong" not in answer.text, "a password never comes back"


def test_thai_name_and_password(tmp_path: Path) -> None:
    with Portal(tmp_path, people={"สมชาย": "รหัสลับของฉัน๑"}) as portal:
        assert portal.browser().log_in(" สมชาย ", "รหัสลับของฉัน๑").status_code == 303
        assert portal.events()[0]["account"] == "สมชาย"


def test_a_form_is_refused_without_its_token(portal: Portal) -> None:
    browser = portal.browser("10.20.0.7")
    good = {"username": "somchai", "password": PASSWORD}
    other = portal.browser("10.20.0.8").form()["form"]
    forged = browser.form()["form"][:-2] + "xx"
    for fields in (good, good | {"form": ""}, good | {"form": other}, good | {"form": forged}):
        answer = browser.post("/login", fields)
        assert answer.status_code == 400
        assert "หน้านี้เปิดค้างไว้นานเกินไป" in answer.text
        assert 'value="somchai"' in answer.text, "the name need not be typed again"
        assert PASSWORD not in answer.text
    cross = browser.post("/login", good | browser.form(), headers={"Sec-Fetch-Site": "cross-site"})
    assert cross.status_code == 400
    assert portal.events() == []


def test_a_form_grows_old(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = portal.browser()
    fields = browser.form() | {"username": "somchai", "password": PASSWORD}
    import itsdangerous.timed as timed

    now = timed.time.time()
    monkeypatch.setattr(timed.time, "time", lambda: now + 31 * 60)
    assert browser.post("/login", fields).status_code == 400
    monkeypatch.setattr(timed.time, "time", lambda: now + 29 * 60)
    assert browser.post("/login", fields).status_code == 303


def test_a_log_out_form_belongs_to_one_session(portal: Portal) -> None:
    browser = portal.browser()
    browser.log_in()
    old = dict(HIDDEN.findall(browser.get("/status").text))
    browser.post("/logout", old)
    browser.log_in()
    answer = browser.post("/logout", old)
    assert answer.status_code == 400
    assert "ยังไม่ได้ออกจากระบบ" in answer.text
    assert browser.get("/status").status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"username=%ff&password=%ff", b"&".join(b"a%d=1" % i for i in range(100)), b"{}"],
)
def test_odd_bodies_are_answered(portal: Portal, body: bytes) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x"):
        assert portal.browser().post("/login", body, content_type=kind).status_code == 400


def test_a_large_form_is_refused(portal: Portal) -> None:
    answer = portal.browser().post("/login", b"username=" + b"a" * 20_000)
    assert answer.status_code in (400, 413)
    assert portal.events() == []


@pytest.mark.parametrize(
    ("verdict", "status", "words"),
    [
        ("disabled", 403, "ถูกระงับ"),
        ("expired", 403, "หมดอายุแล้ว"),
        ("password_expired", 403, "รหัสผ่านหมดอายุ"),
        ("must_change", 403, "ต้องเปลี่ยนรหัสผ่าน"),
        ("locked", 403, "ถูกล็อก"),
        ("not_allowed_now", 403, "ในเวลานี้"),
        ("wrong", 403, "ลองใหม่ได้อีก 4 ครั้ง"),
        ("unavailable", 503, "ไม่ใช่ความผิดของท่าน"),
    ],
)
def test_each_verdict_has_its_words(tmp_path: Path, verdict, status: int, words: str) -> None:
    directory = ScriptedDirectory(malee=DirectoryVerdict(verdict, "told"))
    with Portal(tmp_path, directory_service=directory) as portal:
        answer = portal.browser().log_in("malee", "secret password")
        assert answer.status_code == status
        assert words in answer.text
        assert "secret password" not in answer.text
        assert ("Retry-After" in answer.headers) == (status == 503)
        rejects = [e["event"] for e in portal.events()]
        assert rejects == ([] if verdict == "unavailable" else ["reject"])


def test_an_outage_never_counts_as_a_wrong_password(tmp_path: Path) -> None:
    directory = ScriptedDirectory(malee=DirectoryVerdict("unavailable", "told"))
    with Portal(tmp_path, directory_service=directory) as portal:
        for _ in range(30):
            assert portal.browser().log_in("malee", "x").status_code == 503
        directory.answers["malee"] = DirectoryVerdict("accepted", "bind", "มาลี มีสุข", "uid=malee")
        assert portal.browser().log_in("malee", "x").status_code == 303
        assert portal.events()[0]["details"]["person"] == "มาลี มีสุข"
        assert portal.events()[0]["details"]["source"] == "directory"


def test_guessing_is_slowed_and_said(portal: Portal) -> None:
    browser = portal.browser()
    answers = [browser.log_in(password="wrong") for _ in range(7)]
    assert [a.status_code for a in answers] == [403] * 5 + [429] * 2
    left = [re.search(r"ลองใหม่ได้อีก (\d+) ครั้ง", a.text) for a in answers[:4]]
    assert [m and m[1] for m in left] == ["4", "3", "2", "1"]
    assert "ลองใหม่ในอีก 5 นาที" in answers[4].text
    assert "ลองผิดหลายครั้งติดกัน" in answers[5].text
    assert int(answers[5].headers["Retry-After"]) == 300
    assert browser.log_in().status_code == 429, "the right password does not help either"
    assert portal.browser("10.20.0.99").log_in().status_code == 303, "somebody else's device is not affected"
    portal.clock.advance(301)
    assert browser.log_in().status_code == 303


def test_an_unknown_account_reads_like_a_wrong_password(portal: Portal) -> None:
    unknown = portal.browser("10.20.0.7").log_in("nobody", "wrong")
    wrong = portal.browser("10.20.0.8").log_in("somchai", "wrong")

    def visible(text: str) -> str:
        return re.sub(r'value="[^"]*"', "", text)

    assert visible(unknown.text) == visible(wrong.text)


def test_the_notice_comes_from_its_file(portal: Portal) -> None:
    text = portal.browser().get("/terms").text
    assert portal.terms.version in text
    assert "20 พ.ย. 2569" in text
    assert "92 วัน" in text
    assert "โรงเรียนทดสอบ" in text
    shown = portal.terms.source_lines("th")
    hidden = [s["th"] for s in portal.terms.sources if s["th"] not in shown]
    assert shown
    assert hidden, "the file has a source that was not read"
    assert all(line in html.unescape(text) for line in shown)
    assert not any(line in text for line in hidden)
    assert 'type="checkbox"' not in portal.browser().get("/").text, "keeping by law asks no consent"


def test_capport_says_where_and_whether(portal: Portal) -> None:
    browser = portal.browser()
    before = browser.get("/capport")
    assert before.content_type == "application/captive+json"
    assert before.headers["Cache-Control"] == "no-store"
    assert before.json["captive"] is True
    assert before.json["can-extend-session"] is False
    assert before.json["user-portal-url"].startswith("https://")
    assert "seconds-remaining" not in before.json
    browser.log_in()
    portal.clock.advance(60)
    after = browser.get("/capport").json
    assert after["captive"] is False
    assert after["seconds-remaining"] == 12 * 3600 - 60


def test_reloading_the_answer_to_a_form_leads_back(portal: Portal) -> None:
    for path in ("/login", "/logout"):
        answer = portal.browser().get(path + "?lang=en")
        assert answer.status_code == 303
        assert answer.headers["Location"] == "/?lang=en"
    failed = portal.browser().log_in(password="wrong")
    assert 'href="/?lang=en"' in failed.text, "the language link of an answered form is a page, not the form's target"


def test_a_failure_of_ours_has_words_and_no_details(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_address: str) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(portal.book, "find", fail)
    answer = portal.browser().get("/status")
    assert answer.status_code == 500
    assert "ระบบขัดข้อง" in answer.text
    assert "secret detail" not in answer.text
