"""Each page shows what the services answered, in both languages."""

import hashlib
import time
from collections.abc import Callable

import pytest
from addresses import GET_ADDRESSES, MOMENT
from conftest import Pages
from fake_services import PASSWORD, SECRET, TOKEN, FakeAsk, row, who_answer

from admin_ui.signing_in import TOKEN_COOKIE
from archive.errors import AskError

MakePages = Callable[..., Pages]


@pytest.mark.parametrize("language", ["th", "en"])
@pytest.mark.parametrize("address", [a for addresses in GET_ADDRESSES.values() for a in addresses])
def test_every_page_renders_in_both_languages(pages: Pages, address: str, language: str) -> None:
    answer = pages.get(f"{address}{'&' if '?' in address else '?'}lang={language}")
    assert answer.status_code == 200
    if answer.mimetype == "text/html":
        assert f'<html lang="{language}">' in answer.text


def test_the_language_is_remembered(pages: Pages) -> None:
    pages.get("/status?lang=en")
    assert "State of the appliance" in pages.get("/status").text
    pages.get("/status?lang=th")
    assert "สถานะของระบบ" in pages.get("/status").text
    assert "สถานะของระบบ" in pages.get("/status?lang=xx").text


def test_a_right_password_sets_a_guarded_cookie_and_returns_to_the_page(make_pages: MakePages) -> None:
    pages = make_pages()
    away = pages.get("/status")
    assert (away.status_code, away.location) == (303, "/login?next=/status")
    answer = pages.post("/login", {"name": "nok", "password": PASSWORD, "next": "/status"})
    assert (answer.status_code, answer.location) == (303, "/status")
    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith(TOKEN_COOKIE))
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert pages.get("/status").status_code == 200


def test_cookies_are_secure_under_tls(make_pages: MakePages) -> None:
    pages = make_pages(tls=True)
    answer = pages.get("/login", base_url="https://localhost")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_wrong_password_is_one_sentence(make_pages: MakePages) -> None:
    pages = make_pages()
    answer = pages.post("/login", {"name": "nok", "password": "wrong"})
    assert answer.status_code == 401
    assert "ชื่อผู้ใช้หรือรหัสผ่านไม่ถูกต้อง" in answer.text
    assert pages.client.get_cookie(TOKEN_COOKIE) is None


def test_log_out_ends_the_token_at_the_service(pages: Pages) -> None:
    assert pages.post("/logout").location == "/login"
    assert [a["token"] for a in pages.ask.asked("log_out")] == [TOKEN]
    assert pages.get("/").status_code == 303


def test_the_set_up_link_works_once(make_pages: MakePages) -> None:
    pages = make_pages(FakeAsk(needed=True))
    assert pages.get(f"/setup?secret={SECRET}").status_code == 200
    assert pages.get("/setup").status_code == 404
    values = {"secret": SECRET, "name": "nok", "password": PASSWORD, "again": PASSWORD}
    unequal = pages.post("/setup", {**values, "again": "other"})
    assert (unequal.status_code, "รหัสผ่านสองช่องไม่ตรงกัน" in unequal.text) == (400, True)
    wrong = pages.post("/setup", {**values, "secret": "guess"})
    assert (wrong.status_code, "ลิงก์ตั้งค่านี้ใช้ไม่ได้" in wrong.text) == (400, True)
    done = pages.post("/setup", values)
    assert (done.status_code, done.location) == (303, "/")
    assert pages.get("/").status_code == 200
    again = pages.get(f"/setup?secret={SECRET}")
    assert (again.status_code, "ลิงก์ตั้งค่านี้ถูกใช้ไปแล้ว" in again.text) == (410, True)


def test_search_asks_with_the_token_and_shows_rows_with_seals(pages: Pages) -> None:
    answer = pages.get("/?q=src:10.0.1.0/24+-action:deny+%22สมชาย%22&range=24h")
    (asked,) = pages.ask.asked("search")
    assert asked["query"] == 'src:10.0.1.0/24 -action:deny "สมชาย"'
    assert asked["since"] == "-24h"
    assert asked["token"] == TOKEN
    assert 'href="/record/1/0"' in answer.text
    assert "ยกเว้น" in answer.text
    assert "20 พ.ย. 2569" in answer.text
    assert 'title="2026-11-20 08:01:12.000 +07:00"' in answer.text
    # Every shared address is absolute.
    assert "since=2026-11-19T08:01:12.000000000%2B07:00&amp;until=2026-11-20T08:01:12.000000000%2B07:00" in answer.text


def test_without_a_query_nothing_is_searched(pages: Pages) -> None:
    assert pages.get("/").status_code == 200
    assert pages.ask.asked("search") == []


def test_a_typed_interval_becomes_an_iso_address(pages: Pages) -> None:
    answer = pages.get("/?q=x&was=preset&range=24h&since=20/11/2569+08:00&until=20+พ.ย.+2569+09:00+น.")
    assert answer.status_code == 303
    assert answer.location == (
        "/?q=x&since=2026-11-20T08:00:00.000000000%2B07:00&until=2026-11-20T09:00:00.000000000%2B07:00"
    )
    assert pages.get("/?q=x&was=custom&range=1h&since=2026-11-20").location == "/?q=x&range=1h"


def test_a_query_fault_points_at_the_place(make_pages: MakePages) -> None:
    fault = AskError("'10.0.0' is not an address or network at character 5; valid are 10.0.1.7", code="bad_query")
    pages = make_pages(FakeAsk(failure=fault))
    pages.sign_in()
    answer = pages.get("/?q=src:10.0.0+x&range=24h")
    assert answer.status_code == 400
    assert "src:<mark>10.0.0</mark> x" in answer.text
    assert "อ่านคำค้นไม่ได้" in answer.text
    assert 'lang="en">&#39;10.0.0&#39; is not an address' in answer.text


def test_older_pages_go_by_time_of_receipt(make_pages: MakePages) -> None:
    pages = make_pages(FakeAsk(more=True))
    pages.sign_in()
    text = pages.get("/?q=&range=24h").text
    assert "until=2026-11-20T08:01:11.999999998%2B07:00" in text
    # A page full of one instant is followed by a longer page, or it would be shown for ever.
    pages.ask.rows = [{**row(n), "received_unix_ns": 5} for n in range(3)]
    assert "limit=200" in pages.get("/?q=&range=24h").text


def test_who_is_a_chain_with_certainty_seal_and_both_eras(pages: Pages) -> None:
    answer = pages.get(f"/who?address=203.0.113.1&port=50000&protocol=tcp&at={MOMENT}")
    (asked,) = pages.ask.asked("who")
    assert (asked["address"], asked["port"], asked["protocol"]) == ("203.0.113.1", "50000", "tcp")
    steps = ["ที่อยู่สาธารณะและพอร์ต", "ที่อยู่ภายใน", "เซสชัน", "อุปกรณ์", "บัญชี", "บุคคล"]
    places = [answer.text.index(f'link-name">{step}') for step in steps]
    assert places == sorted(places)
    assert answer.text.count('class="link weakest"') == 1
    assert "จุดอ่อนที่สุด" in answer.text
    assert "ยังไม่มีบันทึกเวลาสิ้นสุดการแปลง" in answer.text
    assert "20 พ.ย. 2569 08:00:12.000 น. (+07:00)" in answer.text
    assert "2026-11-20 08:00:12.000 +07:00" in answer.text
    assert "ตกหล่นในเคอร์เนลก่อนรับ" in answer.text
    assert answer.text.count('href="/record/0/0"') == 6


def test_nobody_is_said_only_when_there_is_no_record(make_pages: MakePages) -> None:
    ask = FakeAsk()
    pages = make_pages(ask)
    pages.sign_in()
    for certainty, sentence in (
        ("no_record", "ไม่มีผู้ที่เข้าข่าย"),
        ("not_received", "ยังระบุผู้ที่เข้าข่ายไม่ได้"),
        ("pending", "ยังระบุผู้ที่เข้าข่ายไม่ได้"),
    ):
        ask.do_who = lambda arguments, c=certainty: {**who_answer(), "certainty": c, "candidates": []}  # type: ignore[method-assign]
        text = pages.get(f"/who?address=203.0.113.1&at={MOMENT}").text
        assert f'class="empty"><p>{sentence}' in text or f"<p>จากข้อมูลที่มี {sentence}" in text
        assert 'action="/packages"' not in text


def test_several_candidates_are_stacked(make_pages: MakePages) -> None:
    pages = make_pages(FakeAsk(candidates=3))
    pages.sign_in()
    assert pages.get(f"/who?to=198.51.100.7:443&at={MOMENT}").text.count('class="chain"') == 3


@pytest.mark.parametrize(
    "typed", ["2569-11-20 08:01:12", "20 พ.ย. 2569 08:01:12", "20/11/2569 08:01:12", "2026-11-20T01:01:12Z"]
)
def test_who_redirects_to_an_absolute_moment(pages: Pages, typed: str) -> None:
    answer = pages.get("/who", query_string={"address": "203.0.113.1", "at": typed})
    assert answer.location == "/who?address=203.0.113.1&at=2026-11-20T08:01:12.000000000%2B07:00"
    assert pages.ask.asked("who") == []


@pytest.mark.parametrize("question", ["port=5", "address=1.2.3.4&at=10:3", "address=1.2.3.4&at=20/11/69"])
def test_a_question_that_cannot_be_asked_is_one_sentence(pages: Pages, question: str) -> None:
    answer = pages.get(f"/who?{question}")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert pages.ask.asked("who") == []


def test_raw_bytes_need_a_reason(pages: Pages) -> None:
    assert "3c 31 33 34" not in pages.get("/record/0/0").text
    refused = pages.post("/record/0/0", {"reason": "  "})
    assert (refused.status_code, "3c 31 33 34" in refused.text) == (400, False)
    shown = pages.post("/record/0/0", {"reason": "letter 12"})
    assert pages.ask.asked("record")[-1]["reason"] == "letter 12"
    assert "3c 31 33 34 3e 68 65 6c 6c 6f" in shown.text
    assert "&lt;134&gt;hello" in shown.text


def test_verify_now_says_what_was_checked(pages: Pages) -> None:
    text = pages.get("/record/0/0?check=1").text
    assert "หลักฐานถูกต้อง" in text
    assert "ไล่ตามเส้นทาง 1 ขั้น" in text


def test_the_proof_is_a_file(pages: Pages) -> None:
    answer = pages.get("/record/0/0/proof")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="leaf-0.tlog-proof"'
    assert answer.text.startswith("c2sp.org/tlog-proof@v1\n")


def test_verification_runs_beside_the_page(pages: Pages) -> None:
    assert "ยังไม่เคยตรวจสอบ" in pages.get("/verify").text
    assert pages.post("/verify").location == "/verify"
    deadline = time.monotonic() + 10
    while "ข้อมูลครบถ้วน" not in (text := pages.get("/verify").text) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "ข้อมูลครบถ้วน" in text
    assert "ยังพิสูจน์ไม่ได้ว่าเป็นชุดล่าสุด" in text
    assert len(pages.ask.asked("verify_now")) == 1


def test_defects_are_listed_by_place(make_pages: MakePages) -> None:
    defect = {
        "code": "chunk_changed",
        "file": "log/segments/collector/20261120/000000.seg",
        "stream": "collector",
        "offset": 77,
        "leaf": 5,
        "message": "changed",
        "message_th": "ถูกเปลี่ยนแปลง",
    }
    last = {
        "exit_code": 1,
        "time": "2026-11-20T02:30:00.000000000+07:00",
        "defects": 12,
        "first_defects": [defect],
        "freshness": "unproven",
        "leaf_index": 9,
        "row": 0,
    }
    pages = make_pages(FakeAsk(last_verification=last))
    pages.sign_in()
    text = pages.get("/verify").text
    assert "พบข้อบกพร่อง 12 แห่ง" in text
    assert "log/segments/collector/20261120/000000.seg" in text
    assert "ถูกเปลี่ยนแปลง" in text
    assert "offset 77" in text
    assert "ข้อมูลสอดคล้องกัน" not in text


def test_a_package_is_made_from_the_question(pages: Pages) -> None:
    answer = pages.post(
        "/packages",
        {"address": "203.0.113.1", "port": "50000", "at": "2026-11-20T08:01:12+07:00", "tolerance_seconds": "30"}
        | {"reason": "letter 12", "title": "12/2569", "case": "case-2026-0002"},
    )
    assert answer.location == "/packages?created=p9"
    (asked,) = pages.ask.asked("package_create")
    assert asked["reason"] == "letter 12"
    assert asked["tolerance_seconds"] == 30
    assert asked["title"] == "12/2569"
    assert asked["case"] == "case-2026-0002"


def test_a_package_needs_one_of_the_approved_cases(make_pages: MakePages) -> None:
    address = "/who?address=203.0.113.1&port=50000&at=2026-11-20T08%3A01%3A12.000000000%2B07%3A00"
    pages = make_pages()
    pages.sign_in()
    text = pages.get(address).text
    assert '<select name="case" required>' in text
    assert '<option value="case-2026-0002">case-2026-0002 · 12/2569 · plain</option>' in text
    assert "case-2026-0001" not in text, "its ground allows no package"
    assert pages.ask.asked("case_list")[0]["state"] == "approved"
    assert "โหมดผู้ปฏิบัติงานคนเดียว" not in text
    pages.ask.one_person = True
    assert "โหมดผู้ปฏิบัติงานคนเดียว" in pages.get(address).text
    pages.ask.has_cases = False
    text = pages.get(address).text
    assert 'name="case"' not in text
    assert "ยังไม่มีเรื่องที่อนุมัติแล้ว" in text


def test_packages_in_progress_renew_the_page(make_pages: MakePages) -> None:
    pages = make_pages(FakeAsk(package_states=["building", "ready", "failed"]))
    pages.sign_in()
    text = pages.get("/packages").text
    assert '<meta http-equiv="refresh" content="3">' in text
    assert '<progress max="100" value="40"' in text
    assert text.count("/download") == 1
    pages.ask.package_states = ["ready"]
    assert "http-equiv" not in pages.get("/packages").text


def test_a_package_is_fetched_whole(pages: Pages) -> None:
    answer = pages.get("/packages/p1/download")
    content = bytes(range(256)) * 4
    assert answer.data == content
    assert answer.headers["X-Package-SHA256"] == hashlib.sha256(content).hexdigest()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="_.._evil_.tar_X_y"'
    assert [a["offset"] for a in pages.ask.asked("package_fetch")] == [0, 300, 600, 900]


def test_a_service_without_packages_is_told_politely(make_pages: MakePages) -> None:
    pages = make_pages(FakeAsk(without_packages=True))
    pages.sign_in()
    answer = pages.get("/packages")
    assert answer.status_code == 200
    assert "ระบบรุ่นนี้ยังไม่มีความสามารถนี้" in answer.text
    assert pages.post("/packages", {"address": "1.2.3.4"}).status_code == 400


def test_status_uses_the_three_words_and_says_what_to_do(make_pages: MakePages) -> None:
    alarm = {
        "code": "verify_defect",
        "source": "verify",
        "since": "2026-11-20T02:30:00.000000000+07:00",
        "details": "leaf 5",
        "message": "Verification found a defect.",
        "message_th": "การตรวจสอบพบความผิดปกติ",
        "what_to_do": "Keep the disk.",
        "what_to_do_th": "เก็บดิสก์ไว้ตามสภาพ",
    }
    pages = make_pages(FakeAsk(alarms=[alarm]))
    pages.sign_in()
    text = pages.get("/status").text
    for shown in ("1,234,567", "ได้รับ", "ผนึก", "ทำดัชนี", "เก็บดิสก์ไว้ตามสภาพ", "เงียบ", "500.0 GB"):
        assert shown in text
    assert 'class="dot dot-bad"' in pages.get("/people").text


def test_the_status_page_says_which_source_can_answer_a_port_question(pages: Pages) -> None:
    text = pages.get("/status").text
    for shown in ("แหล่งข้อมูลกับคำถามเรื่องพอร์ต", "7,654,321", "ไทย only_at_end", "เมื่อการเชื่อมต่อสิ้นสุดแล้วเท่านั้น", "ไม่ได้"):
        assert shown in text


def test_the_state_dot_is_not_asked_for_every_page(pages: Pages) -> None:
    for _ in range(5):
        assert 'class="dot dot-ok"' in pages.get("/people").text
    assert len(pages.ask.asked("status")) == 1


def test_an_account_is_added_in_the_operators_name(pages: Pages) -> None:
    values = {"name": "anan", "person": "อนันต์ ดีงาม", "identified_how": "บัตรประชาชน", "identified_by": "nok"}
    assert pages.post("/people/add", {**values, "password": ""}).location == "/people?done=added"
    sent = dict(pages.accounts.requests)["user_add"]
    assert sent == {**values, "identified_when": "", "actor": "operator:nok"}
    refused = pages.post("/people/add", {**values, "name": "taken"})
    assert refused.status_code == 400
    assert "มีบัญชีชื่อ taken อยู่แล้ว" in refused.text
    assert 'value="อนันต์ ดีงาม"' in refused.text


def test_an_account_is_disabled_and_enabled(pages: Pages) -> None:
    assert pages.post("/people/disable", {"name": "somchai", "reason": "left"}).location == "/people?done=disabled"
    assert pages.post("/people/disable", {"name": "malee", "disabled": "no"}).location == "/people?done=enabled"
    sent = [arguments for name, arguments in pages.accounts.requests if name == "user_disable"]
    assert [(a["name"], a["disabled"], a["reason"]) for a in sent] == [("somchai", True, "left"), ("malee", False, "")]


def test_a_password_is_set_and_never_shown(pages: Pages) -> None:
    answer = pages.post("/people/password", {"name": "somchai", "password": "a new long one"})
    assert answer.location == "/people?done=password"
    assert ("user_set_password", {"name": "somchai", "password": "a new long one", "actor": "operator:nok"}) in (
        pages.accounts.requests
    )
    assert "a new long one" not in pages.get(answer.location).text


def test_people_are_found_by_part_of_a_thai_name(pages: Pages) -> None:
    text = pages.get("/people?q=รักเรียน").text
    assert "malee" in text
    assert "somchai" not in text.split('<form class="panel" method="post"')[0]


def test_demo_data_is_labelled_on_every_page(make_pages: MakePages) -> None:
    pages = make_pages(FakeAsk(demo=True, needed=True))
    for address in ("/login", f"/setup?secret={SECRET}"):
        assert "ข้อมูลสาธิต" in pages.get(address).text
    pages.sign_in()
    for addresses in GET_ADDRESSES.values():
        answer = pages.get(addresses[0])
        if answer.mimetype == "text/html":
            assert "ข้อมูลสาธิต" in answer.text
    assert "ข้อมูลสาธิต" in pages.get("/nothing").text


def test_integrity_shows_who_outside_has_seen_the_log(make_pages: MakePages) -> None:
    last = {
        "exit_code": 0, "kind": "quick", "time": MOMENT, "defects": 0, "freshness": "unchanged up to leaf 6",
        "freshness_text": {"th": ["6 รายการแรกตรงกับที่พยานเห็น"], "en": ["The first 6 leaves are those that w saw"]},
        "index": {"state": "checked", "rows": 12_345, "defects": 0}, "leaf_index": 9, "row": 0,
    }  # fmt: skip
    pages = make_pages(FakeAsk(last_verification=last, text="witness.example/office"))
    pages.sign_in()
    text = pages.get("/verify").text
    assert "6 รายการแรกตรงกับที่พยานเห็น" in text
    assert "ตรวจด่วนรายชั่วโมง" in text
    assert "ตรงกัน (12,345 แถว)" in text
    assert text.count("witness.example/office") >= 3
    assert "ยังไม่เคย" in text
    assert "-1.5" in text
    assert "<svg" in text
    english = pages.get("/verify?lang=en").text
    assert "The first 6 leaves are those that w saw" in english
    assert "Witness (another office)" in english


def test_the_checkpoint_is_a_file_to_keep(pages: Pages) -> None:
    answer = pages.get("/verify/checkpoint")
    assert answer.text == pages.ask.do_integrity({})["checkpoint"]
    assert answer.headers["Content-Disposition"] == 'attachment; filename="7.checkpoint"'
