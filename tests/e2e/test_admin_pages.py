"""The admin pages of the real appliance in a real browser: set-up, log-in, search, who, record, verify; with and
without JavaScript, in both languages, wide and narrow, light and dark."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.appliance import PHAYAN, SECRET, RunningAppliance
from tests.authgw.radius_packets import accounting, attribute, number
from tests.e2e.lab import wait_until

CHROMIUM = "/usr/bin/chromium"
BROWSER_OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
NAME, PASSWORD = "nok", "correct horse battery"
OUTSIDE, INSIDE, SERVER = "203.0.113.1", "10.20.0.2", "198.51.100.10"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
WATCH_POLICY = """
window.policyViolations = [];
document.addEventListener("securitypolicyviolation", e => {
  window.policyViolations.push(e.violatedDirective + " " + e.blockedURI);
});
"""


class Browser:
    """One browser context; notes requests to elsewhere, failures and policy violations."""

    def __init__(self, chromium: Any, base: str, **options: Any) -> None:
        self.base = base
        self.context = chromium.new_context(base_url=base, locale="th-TH", **options)
        if options.get("java_script_enabled", True):
            self.context.add_init_script(WATCH_POLICY)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", self._note_request)
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note_request(self, request: Any) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.base).netloc:
            self.elsewhere.append(request.url)

    def check(self) -> None:
        assert self.elsewhere == []
        assert [c for c in self.complaints if "status of 4" not in c] == []

    def violations(self) -> list[str]:
        return self.page.evaluate("window.policyViolations")

    def is_too_wide(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if shutil.which(CHROMIUM) is None:
        assert os.environ.get("CI") != "true", "chromium is not installed"
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_OPTIONS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningAppliance, str]]:
    """The appliance and its set-up link."""
    # A unix socket's path may have 107 bytes.
    appliance = RunningAppliance(tmp_path_factory.mktemp("o") / "d")
    appliance.configure("[cases]\none_person = true")
    try:
        yield appliance, appliance.setup_link(appliance.start())
    finally:
        appliance.stop()


def _send(port: int, payload: bytes, *, answered: bool = False) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(5)
        sender.sendto(payload, ("127.0.0.1", port))
        return sender.recv(4096) if answered else b""


def _status(appliance: RunningAppliance, status: int) -> None:
    packet = accounting(
        attribute(40, number(status)),
        attribute(1, b"somchai"),
        attribute(44, b"5001"),
        attribute(8, socket.inet_aton(INSIDE)),
        attribute(31, b"00-1B-21-AA-BB-01"),
        attribute(4, socket.inet_aton("127.0.0.1")),
        identifier=status,
        secret=SECRET.encode(),
    )
    assert _send(appliance.ports["radius_acct"], packet, answered=True)[0] == 5


def _conntrack(appliance: RunningAppliance, event: str) -> None:
    line = (
        f"<30>{datetime.now(UTC):%b %e %H:%M:%S} gw conntrack: [{event}] tcp 6 120 src={INSIDE} dst={SERVER} "
        f"sport=43210 dport=443 src={SERVER} dst={OUTSIDE} sport=443 dport=50000"
    )
    _send(appliance.ports["syslog_udp"], line.encode())


@pytest.fixture(scope="module")
def moment(office: tuple[RunningAppliance, str]) -> str:
    """A connection of a person who was logged in; the moment it was open, in UTC."""
    appliance, _ = office
    appliance.add_user("somchai", "สมชาย ใจดี", "correct horse 1")
    _status(appliance, 1)
    time.sleep(0.2)
    _conntrack(appliance, "NEW")
    _send(appliance.ports["syslog_udp"], "<134>Nov 20 08:01:12 gw1 app: <script>alert(1)</script> สวัสดี".encode())
    for n in range(30):
        line = f"<134>Nov 20 08:01:12 gw1 app[12]: link {n} down on port ge-0/0/{n}"
        _send(appliance.ports["syslog_udp"], line.encode())
    time.sleep(1)
    at = datetime.now(UTC).isoformat()
    time.sleep(1)
    _conntrack(appliance, "DESTROY")
    time.sleep(0.2)
    _status(appliance, 2)
    found = wait_until(
        lambda: appliance.ask("who", OUTSIDE, "--port", "50000", "--at", at, "--tolerance", "1")["candidates"],
        40,
        "the connection is indexed",
    )
    assert found[0]["account"] == "somchai"
    return at


@pytest.fixture(scope="module")
def administrator(office: tuple[RunningAppliance, str], chromium: Any) -> str:
    """The set-up link used once, without JavaScript; afterwards it is dead."""
    appliance, link = office
    browser = Browser(chromium, f"http://127.0.0.1:{appliance.ports['admin']}", java_script_enabled=False)
    page = browser.page
    page.goto(link)
    page.fill("input[name=name]", NAME)
    page.fill("input[name=password]", PASSWORD)
    page.fill("input[name=again]", PASSWORD)
    page.click("main button[type=submit]")
    assert urlsplit(page.url).path == "/"
    assert page.inner_text("h2#who-title") == "ใครใช้ที่อยู่นี้?"
    page.goto(link)
    assert "ลิงก์ตั้งค่านี้ถูกใช้ไปแล้ว" in page.inner_text("main")
    browser.check()
    browser.context.close()
    return browser.base


def _sign_in(browser: Browser) -> None:
    page = browser.page
    page.goto("/who")
    assert urlsplit(page.url).path == "/login"
    page.fill("input[name=name]", NAME)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    assert urlsplit(page.url).path == "/who"


@pytest.mark.slow
@pytest.mark.parametrize("script", [True, False], ids=["javascript", "without-javascript"])
def test_the_work_of_a_morning(
    chromium: Any,
    administrator: str,
    moment: str,
    office: tuple[RunningAppliance, str],
    tmp_path: Path,
    script: bool,
) -> None:
    browser = Browser(chromium, administrator, viewport=WIDE, java_script_enabled=script)
    page = browser.page
    _sign_in(browser)

    # Who had this address?
    page.fill("input[name=address]", OUTSIDE)
    page.fill("input[name=port]", "50000")
    page.select_option("select[name=protocol]", "tcp")
    page.fill("input[name=at]", moment)
    page.fill("input[name=tolerance_seconds]", "1")
    page.click(".who-form button")
    chain = page.inner_text(".chain")
    for shown in (f"{OUTSIDE}:50000", f"{INSIDE}:43210", "5001", "00:1b:21:aa:bb:01", "somchai", "สมชาย ใจดี"):
        assert shown in chain
    assert "at=20" in page.url
    assert "%2B07:00" in page.url or "%2B07%3A00" in page.url

    answer = page.url
    # Without a case there is nothing to hand over; with an approved one a package of this answer is made and fetched.
    at = datetime.fromisoformat(moment)
    around = [(at + timedelta(hours=hours)).isoformat() for hours in (-1, 1)]
    case = office[0].approved_case(OUTSIDE, *around)
    page.goto(answer)
    page.select_option("select[name=case]", case)
    page.fill("input[name=title]", "ที่ ตช 0026/1234")
    page.fill("input[name=reason]", "ตามหนังสือพนักงานเจ้าหน้าที่")
    page.click(".package-form button")
    assert urlsplit(page.url).path == "/packages"
    # The page renews itself, with and without script.
    page.locator("tbody tr").first.get_by_role("link", name="ดาวน์โหลด").wait_for(timeout=90_000)
    with page.expect_download() as download:
        page.locator("tbody tr").first.get_by_role("link", name="ดาวน์โหลด").click()
    package = tmp_path / download.value.suggested_filename
    download.value.save_as(package)
    assert sha256(package.read_bytes()).hexdigest() in (page.text_content("tbody tr >> nth=0") or "")
    subprocess.run([str(PHAYAN), "package", "verify", str(package)], check=True, timeout=60, capture_output=True)

    # The record behind the first card, its proof, its raw bytes for a reason.
    page.goto(answer)
    page.locator(".link .seal").first.click()
    assert OUTSIDE in page.inner_text("main")
    page.get_by_role("link", name="ตรวจสอบเดี๋ยวนี้").click()
    assert "หลักฐานถูกต้อง" in page.inner_text(".proof")
    assert "conntrack: [NEW]" not in page.inner_text("#raw")
    page.fill("#raw input[name=reason]", "หนังสือที่ 12/2569")
    page.click("#raw button")
    assert "conntrack: [NEW]" in page.inner_text("#raw")

    # Search; a line that carries markup stays text.
    page.goto("/")
    page.fill("input[name=q]", '"สวัสดี"')
    page.click(".search-form button")
    assert "<script>alert(1)</script>" in page.inner_text("table.data")
    page.goto("/?q=src:10.0.0.999&range=24h")
    assert page.inner_text("mark") == "src:10.0.0.999"

    # Integrity.
    page.goto("/verify")
    page.click("main form button")
    page.get_by_text("ข้อมูลครบถ้วน ไม่พบข้อบกพร่อง").wait_for(timeout=60_000)
    assert "ยังพิสูจน์ไม่ได้ว่าเป็นชุดล่าสุด" in page.inner_text("main")

    page.goto("/status")
    assert "collector" in page.inner_text("main")
    page.goto("/people?q=สมชาย")
    assert "staff card" in page.inner_text("main")

    if script:
        assert browser.violations() == []
    page.get_by_role("button", name="ออกจากระบบ").click()
    page.goto("/status")
    assert urlsplit(page.url).path == "/login"
    browser.check()
    browser.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("language", ["th", "en"])
def test_how_it_looks(
    chromium: Any, administrator: str, moment: str, tmp_path: Path, language: str, size: dict[str, int], scheme: str
) -> None:
    """Every page fits its width, complains of nothing, and leaves a picture."""
    browser = Browser(chromium, administrator, viewport=size, color_scheme=scheme)
    page = browser.page
    page.goto(f"/login?lang={language}")
    page.screenshot(path=tmp_path / "login.png", full_page=True)
    _sign_in(browser)
    page.goto(f"/who?address={OUTSIDE}&port=50000&tolerance_seconds=1&at={moment.replace('+', '%2B')}")
    answer = page.url
    page.locator(".link .seal").first.click()
    record = page.url
    addresses = {
        "front": "/",
        "search": "/?q=gw1&range=24h",
        "nothing": "/?q=nothing-like-this&range=1h",
        "fault": "/?q=src:10.0.0.999+x&range=24h",
        "who": answer,
        "nobody": answer.replace("port=50000", "port=1"),
        "record": f"{record}?check=1",
        "verify": "/verify",
        "packages": "/packages",
        "status": "/status",
        "people": "/people",
        "missing": "/missing",
    }
    for name, address in addresses.items():
        page.goto(address)
        assert page.get_attribute("html", "lang") == language
        page.evaluate("document.fonts.ready")
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        assert not browser.is_too_wide(), name
        assert browser.violations() == [], name
    browser.check()
    browser.context.close()
