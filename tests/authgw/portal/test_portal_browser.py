"""A phone's browser, 360 px wide, with and without JavaScript. Pictures go to the test's own directory."""

import os
import shutil
from pathlib import Path

import pytest

from tests.authgw.portal.portal_pages import PASSWORD
from tests.authgw.portal.portal_process import PortalProcess

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip
SMALLEST_TARGET_PX = 40
MAX_PAGE_BYTES = 60_000


@pytest.fixture
def browser():
    if shutil.which(CHROMIUM) is None:
        assert os.environ.get("CI") != "true", "chromium is missing"
        pytest.skip("needs chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def portal(tmp_path: Path):
    process = PortalProcess(tmp_path)
    process.start()
    yield process
    process.stop_all()


@pytest.mark.interop
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("script", [True, False])
def test_a_phone_logs_in_and_out(portal: PortalProcess, browser, tmp_path: Path, script: bool, dark: bool) -> None:
    pictures = Path(os.environ.get("PHAYAN_PICTURES", tmp_path / "pictures"))
    context = browser.new_context(
        viewport={"width": 360, "height": 640},
        java_script_enabled=script,
        ignore_https_errors=True,
        color_scheme="dark" if dark else "light",
    )
    page = context.new_page()
    faults: list[str] = []
    sizes: dict[str, int] = {}
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("response", lambda answer: sizes.update({answer.url: int(answer.headers.get("content-length", 0))}))
    base = f"https://127.0.0.1:{portal.https_port}"

    def picture(name: str) -> None:
        pictures.mkdir(parents=True, exist_ok=True)
        page.screenshot(
            path=pictures / f"portal-{name}-{'js' if script else 'nojs'}{'-dark' if dark else ''}.png", full_page=True
        )

    page.goto(base + "/", wait_until="networkidle")
    picture("login")
    assert any(url.endswith(".woff2") for url in sizes), "the Thai font is used"
    assert sum(sizes.values()) < MAX_PAGE_BYTES
    assert all(url.startswith(base) for url in sizes), sizes
    if script:
        # Where no script runs, none can measure; the layout is the same.
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        targets = "a:not(.soft a), button:not([hidden]), input:not([type=hidden])"
        for height in page.eval_on_selector_all(targets, "all => all.map(e => e.getBoundingClientRect().height)"):
            assert height >= SMALLEST_TARGET_PX
        page.fill("#password", "abc")
        page.click("button[data-show]")
        assert page.get_attribute("#password", "type") == "text"
        page.click("button[data-show]")
        assert page.get_attribute("#password", "type") == "password"
    page.fill("#username", "somchai")
    page.fill("#password", "wrong")
    page.click("button[type=submit]")
    page.wait_for_selector(".note.bad")
    assert "ลองใหม่ได้อีก 4 ครั้ง" in page.inner_text(".note.bad")
    assert page.input_value("#username") == "somchai"
    assert page.input_value("#password") == ""
    picture("wrong")
    page.click("a[hreflang=en]")
    assert page.inner_text("h1") == "Log in to the internet"
    page.click("a[hreflang=th]")
    page.fill("#username", "somchai")
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_selector(".online")
    assert "ใช้อินเทอร์เน็ตได้แล้ว" in page.inner_text("h1")
    picture("online")
    page.reload()
    assert "ใช้อินเทอร์เน็ตได้แล้ว" in page.inner_text("h1")
    for name in ("terms", "help"):
        page.goto(f"{base}/{name}")
        picture(name)
        if script:
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.goto(base + "/status")
    page.click("button[type=submit]")
    page.wait_for_selector(".note.ok")
    assert "ออกจากระบบแล้ว" in page.inner_text(".note.ok")
    picture("left")
    assert context.cookies() == []
    # The browser itself reports the refused log-in's status as an error line; nothing else may appear.
    assert [f for f in faults if "403" not in f] == []
    context.close()
    assert [(e["event"], e["ended_why"]) for e in portal.events()] == [
        ("reject", "wrong_password"),
        ("open", ""),
        ("close", "log_out"),
    ]
