"""The printed letter: Thai can be read and copied, fonts are its own, nothing is clipped or outside of the margins."""

import hashlib
import io
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import made_content
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from made_content import LONG_NAMES, OFFICE, TITLE
from pypdf import PdfReader
from pypdf.generic import ContentStream

from archive.package import letter_pdf
from archive.package.letter import make_letter
from archive.package.letter_html import letter_html
from archive.package.letter_pdf import FONT_FOLDER, make_pdf, printable
from archive.package.letter_text import letter_text

DPI = 110
MM = DPI / 25.4
MARGINS_MM = {"left": 22, "right": 18, "top": 20, "bottom": 20}
"""Of letter.css; the running lines stand inside the top and bottom margins."""
EDGE_MM = 5.0
MADE = {"exact": made_content.exact, "several": made_content.several, "not_received": made_content.not_received}
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="poppler-utils (pdftoppm) is not installed"),
]


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder, made = tmp_path_factory.mktemp("letters"), {}
    for kind, make in MADE.items():
        printed = make_pdf(letter_html(make_letter(make())))
        assert printed, "this machine prints no PDF: is libpango-1.0-0 installed?"
        made[kind] = folder / f"{kind}.pdf"
        made[kind].write_bytes(printed)
    return made


def extracted(path: Path) -> str:
    """In the order of the page's own content: guessing it from places moves a mark of one letter to the next."""
    return subprocess.run(["pdftotext", "-raw", path, "-"], capture_output=True, check=True).stdout.decode()


def squeezed(text: str) -> str:
    """Without white space: where a line breaks is the printer's matter. SARA AM is drawn, and so extracted, as NIKHAHIT
    below a tone mark and SARA AA after it."""
    return re.sub("\u0e4d([\u0e48-\u0e4b]?)\u0e32", "\\1\u0e33", "".join(text.split()))


@pytest.mark.parametrize("kind", MADE)
def test_thai_sentences_come_out_of_the_pdf_as_they_went_in(letters: dict[str, Path], kind: str) -> None:
    text = squeezed(extracted(letters[kind]))
    for said in (TITLE, OFFICE, "สิ่งที่ระเบียนแสดงไม่ได้", "พ.ต.ท. ญี่ปุ่น กำลังฐานุ", "20 พ.ย. 2569"):
        assert squeezed(said) in text, said
    pages = len(PdfReader(letters[kind]).pages)
    assert squeezed(f"หน้า 1 จาก {pages}") in text
    assert text.count(squeezed("ชุดพยานหลักฐานเลขที่Package2026-11-20-abcdef")) >= pages
    if kind == "several":
        assert all(squeezed(name) in text for name in LONG_NAMES)


@pytest.mark.parametrize(("kind", "least", "most"), [("exact", 5, 9), ("several", 9, 15), ("not_received", 5, 9)])
def test_pages(letters: dict[str, Path], kind: str, least: int, most: int) -> None:
    reader = PdfReader(letters[kind])
    assert least <= len(reader.pages) <= most
    for page in reader.pages:
        assert [round(float(side)) for side in page.mediabox[2:]] == [595, 842]


@pytest.mark.parametrize("kind", MADE)
def test_every_font_is_embedded_and_is_the_letters_own(letters: dict[str, Path], kind: str) -> None:
    told = subprocess.run(["pdffonts", letters[kind]], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in told.splitlines()[2:]]
    assert rows
    for row in rows:
        assert row[0].partition("+")[2].startswith(("Letter-Thai", "Letter-Latin")), row
        assert row[-5:-2] == ["yes", "yes", "yes"], row


def missing_glyphs(reader: PdfReader) -> tuple[int, int]:
    """Glyphs drawn, and how many of them are the box of a missing character: glyph 0, or one of a font whose encoding
    is not the identity (WeasyPrint then leads glyphs that the font lacks to glyph 0)."""
    shown = missing = 0
    for page in reader.pages:
        fonts = page["/Resources"]["/Font"]
        encodings, font = {name: fonts[name]["/Encoding"] for name in fonts}, ""
        for operands, operator in ContentStream(page.get_contents(), reader).operations:
            if operator == b"Tf":
                font = operands[0]
            if operator not in (b"Tj", b"TJ"):
                continue
            for part in operands[0] if isinstance(operands[0], list) else [operands[0]]:
                if not isinstance(part, str | bytes):
                    continue
                glyphs = np.frombuffer(part if isinstance(part, bytes) else part.original_bytes, ">u2")
                shown += len(glyphs)
                missing += int((glyphs == 0).sum()) if encodings[font] == "/Identity-H" else len(glyphs)
    return shown, missing


@pytest.mark.parametrize("kind", MADE)
def test_no_glyph_is_the_box_of_a_missing_character(letters: dict[str, Path], kind: str) -> None:
    shown, missing = missing_glyphs(PdfReader(letters[kind]))
    assert shown > 1000
    assert not missing


def test_a_character_that_no_font_has_is_named_by_its_number() -> None:
    assert printable("ปู่ 中 \u202e A") == "ปู่ [U+4E2D] [U+202E] A"
    content = made_content.exact()
    content.answer["candidates"][0]["person"] = "陳小明"
    page = letter_html(make_letter(content))
    printed = make_pdf(page)
    assert printed
    assert "[U+9673]" in squeezed("".join(one.extract_text() for one in PdfReader(io.BytesIO(printed)).pages))
    assert "陳小明" in letter_text(make_letter(content)).decode()


def pixels(path: Path, folder: Path) -> list[np.ndarray]:
    """Pages as grey bytes."""
    subprocess.run(["pdftoppm", "-r", str(DPI), "-gray", path, folder / path.stem], check=True)
    found = []
    for image in sorted(folder.glob(f"{path.stem}-*.pgm")):
        head, size, _, data = image.read_bytes().split(b"\n", 3)
        assert head == b"P5"
        width, height = map(int, size.split())
        found.append(np.frombuffer(data, np.uint8).reshape(height, width))
    return found


@pytest.mark.parametrize("kind", MADE)
def test_nothing_is_drawn_outside_of_the_margins(letters: dict[str, Path], kind: str, tmp_path: Path) -> None:
    pages = pixels(letters[kind], tmp_path)
    assert pages
    for page in pages:
        inked = page < 250
        assert inked.any()
        left, right = int(MARGINS_MM["left"] * MM) - 2, page.shape[1] - int(MARGINS_MM["right"] * MM) + 2
        assert not inked[:, :left].any()
        assert not inked[:, right:].any()
        edge = int(EDGE_MM * MM)
        assert not inked[:edge].any()
        assert not inked[-edge:].any()


def test_tone_marks_stand_above_the_vowels_they_belong_to() -> None:
    """The font raises a tone mark over an upper vowel: another glyph or another place than over a bare consonant."""
    font = TTFont(FONT_FOLDER / "sarabun-5.3.0-thai-400.woff2")
    assert "GPOS" in font or "ccmp" in {one.FeatureTag for one in font["GSUB"].table.FeatureList.FeatureRecord}
    assert {ord(one) for one in "ที่ปรึกษา น้ำ ปู่ กำลัง ญี่ปุ่น ฐานุ".replace(" ", "")} <= font.getBestCmap().keys()


def test_the_fonts_are_the_listed_files() -> None:
    listed = {one["name"]: one for one in tomllib.loads((FONT_FOLDER / "VENDOR.toml").read_text("utf-8"))["file"]}
    assert {path.name for path in FONT_FOLDER.iterdir()} == listed.keys() | {"VENDOR.toml", "fonts.conf"}
    for name, one in listed.items():
        assert hashlib.sha256((FONT_FOLDER / name).read_bytes()).hexdigest() == one["sha256"]


def test_a_process_that_cannot_print_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_pdf.sys, "executable", "/bin/false")
    assert make_pdf("<p>x</p>") is None
    monkeypatch.setattr(letter_pdf.sys, "executable", "/no/such/program")
    assert make_pdf("<p>x</p>") is None


def test_a_letter_loads_nothing_but_its_fonts(tmp_path: Path) -> None:
    secret = tmp_path / "secret.css"
    secret.write_text("body { color: red }")
    other = tmp_path / "x.png"
    page = (
        f'<link rel=stylesheet href="file://{secret}"><img src="file://{other}"><img src="letter-font:../content.py">'
    )
    printed = make_pdf(letter_html(make_letter(made_content.exact())).replace("<h1>", f"{page}<h1>"))
    assert printed
    assert b"/Image" not in printed


def test_a_missing_library_gives_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without libpango: importing WeasyPrint raises OSError."""
    (tmp_path / "weasyprint.py").write_text("raise OSError('cannot load library libpango-1.0-0')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert make_pdf("<p>x</p>") is None
