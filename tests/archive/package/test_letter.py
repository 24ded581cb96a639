"""The letter says everything a letter has to, in both languages, and nothing that it may not."""

import re
import tomllib
from pathlib import Path

import made_content
import pytest
from made_content import LONG_NAMES, TITLE

from admin_ui.whys import LOSS_TOUCHES, LOSS_TOUCHES_THAI, WHYS
from admin_ui.words import VOCABULARIES
from archive.cases.legal import legal_texts
from archive.package.content import PackageContent
from archive.package.letter import make_letter
from archive.package.letter_html import letter_html
from archive.package.letter_text import letter_text
from archive.package.texts import text_files
from archive.package.verify_package import LETTER_PDF, LETTER_TEXT

FOLDER = Path(__file__).parents[3] / "archive/package"
MADE = {"exact": made_content.exact, "several": made_content.several, "not_received": made_content.not_received}


def text_of(content: PackageContent) -> str:
    return letter_text(make_letter(content)).decode()


@pytest.mark.parametrize("kind", MADE)
def test_what_every_letter_says(kind: str) -> None:
    content = MADE[kind]()
    text = text_of(content)
    for said in (
        TITLE, "ตช 0039.52/ป 1234", "case-2026-0001", "malee", "ผอ.น้ำทิพย์ ปู่ทอง", "203.0.113.5", "20 พ.ย. 2569",
        "2026-11-20",
        "Absence of a record is not proof of absence", "ไม่แสดงว่าใครถืออุปกรณ์", content.certificate_sha256, "phayan 1",
        "4117", "Received by", "ผู้รับมอบ", "$ cat data/records/1-100-0.bin", "Interval that the leaf proves",
    ):  # fmt: skip
        assert said in text, said
    for candidate in content.answer["candidates"]:
        for step in candidate["steps"]:
            assert step["value"] in text
        assert (candidate["person"] or "no identity is recorded for this account at that time") in text


def test_how_when_and_by_whom_the_holder_was_identified() -> None:
    text = text_of(made_content.exact())
    for said in ("บัตรประจำตัวประชาชนต่อหน้าที่ปรึกษา", "ครูญี่ปุ่น ฐานุกูล", "2026-05-18", "account_created", "directory"):
        assert said in text
    assert "Device own, shared, lent or reported lost: ไม่ได้บันทึกไว้ / not recorded" in text


def test_every_other_candidate_is_in_the_letter() -> None:
    text = text_of(made_content.several())
    assert all(name in text for name in LONG_NAMES)
    assert "Candidate 3 of 3" in text


def test_losses_outages_and_silence_are_told() -> None:
    text = text_of(made_content.not_received())
    for said in (
        "dropped by the kernel before receipt",
        "เลขลำดับขาด",
        "count 12",
        "10.0.0.9",
        "Outages of the appliance",
    ):
        assert said in text


def test_outside_times_or_that_there_are_none() -> None:
    none = "An administrator with the key could have rewritten this"
    anchored = text_of(made_content.exact())
    assert none not in anchored
    assert "witness.example" in anchored
    assert none in text_of(made_content.not_received())
    one_sided = made_content.exact()
    one_sided.outside_before = []
    assert "on the later side alone" in text_of(one_sided)
    one_sided.outside_after = []
    one_sided.outside_before = made_content.exact().outside_before
    assert none in text_of(one_sided)


def test_law_that_was_not_read_is_never_shown_without_saying_so() -> None:
    text = text_of(made_content.exact())
    texts = legal_texts()
    (line,) = [one for one in text.splitlines() if "item 7" in one]
    assert all(note in line for note in texts.not_read)
    (line,) = [one for one in text.splitlines() if "item 2" in one]
    assert "section 18 (2); A4 (read)" in line


def test_no_text_says_that_somebody_did_something_or_that_anything_is_certified() -> None:
    words = (FOLDER / "letter.toml").read_text(encoding="utf-8").split("\n\n", 1)[1]
    for forbidden in (
        "certified",
        "compliant",
        "ผู้กระทำผิด",
        "กระทำการ",
        "ได้รับการรับรองมาตรฐาน",
        "guilty",
        "offender",
        "culprit",
    ):
        assert forbidden not in words, forbidden
    assert not re.search(r"ประกาศ.{0,20}ข้อ \d", words), "no clause number of the notification is printed"


def test_every_word_is_in_both_languages() -> None:
    data = tomllib.loads((FOLDER / "letter.toml").read_text(encoding="utf-8"))
    for group, words in data.items():
        for code, (thai, english) in words.items():
            assert thai.strip(), (group, code)
            assert english.strip(), (group, code)
            assert set(re.findall(r"{\w+}", thai)) == set(re.findall(r"{\w+}", english)), (group, code)


def test_the_words_are_those_of_the_admin_pages() -> None:
    data = tomllib.loads((FOLDER / "letter.toml").read_text(encoding="utf-8"))
    for group in ("certainty", "step", "loss"):
        assert {code: tuple(pair) for code, pair in data[group].items()} == VOCABULARIES[group]
    whys = tomllib.loads((FOLDER / "letter_whys.toml").read_text(encoding="utf-8"))
    assert WHYS.items() <= whys["why"].items()
    assert (whys["loss_ending"], whys["loss_thai"]) == (LOSS_TOUCHES, LOSS_TOUCHES_THAI)


def test_values_of_records_are_escaped_and_begin_no_line() -> None:
    content = made_content.exact()
    content.answer["candidates"][0]["person"] = '<script>x</script>\n14. forged {0} & "'
    page = letter_html(make_letter(content))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert not [line for line in text_of(content).splitlines() if line.startswith("14.")]


def test_a_package_without_a_case_says_so() -> None:
    content = made_content.exact()
    object.__setattr__(content.facts, "case", {})
    text = text_of(content)
    assert "This package states no facts of a case" in text
    assert "on: one person may ask, approve and make" in text


def test_without_the_library_the_letter_is_text_and_says_so() -> None:
    files = text_files(made_content.exact(), print_pdf=lambda page: None)
    assert LETTER_PDF not in files
    assert "data/letter.pdf could not be made on this machine" in files[LETTER_TEXT].decode()
    files = text_files(made_content.exact(), print_pdf=lambda page: b"%PDF-")
    assert files[LETTER_PDF] == b"%PDF-"
    assert "could not be made" not in files[LETTER_TEXT].decode()
