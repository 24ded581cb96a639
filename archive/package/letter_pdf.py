"""data/letter.pdf, printed from HTML by WeasyPrint in a process of its own: it needs the machine's libpango, and memory
that the asking process shall not keep.

`python -m archive.package.letter_pdf` reads the page from standard input and writes the PDF to standard output; it ends
with 3 where the library is missing.
"""

import io
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from archive.package.letter_html import FONT_SCHEME

FONT_FOLDER = Path(__file__).parent / "fonts"
RENDER_SECONDS = 180
"""A letter of a hundred candidates takes seconds; longer means that printing hangs."""
NO_LIBRARY = 3
_JOINED = re.compile(r"uni([0-9A-F]{4})([0-9A-F]{4})\Z")
"""Name of a glyph that draws two characters, e.g. NIKHAHIT with a tone mark."""
_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "HOME", "TMPDIR")


def make_pdf(html: str) -> bytes | None:
    """The PDF; None where this machine cannot make one (a package has data/letter.txt in any case)."""
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    # No font of the machine may take the place of the letter's own.
    environment["FONTCONFIG_FILE"] = str(FONT_FOLDER / "fonts.conf")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "archive.package.letter_pdf"],
            input=html.encode(),
            capture_output=True,
            env=environment,
            cwd=Path(__file__).parents[2],
            timeout=RENDER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 and done.stdout.startswith(b"%PDF-") else None


@cache
def _covered() -> frozenset[int]:
    """Characters that the letter's fonts have."""
    from fontTools.ttLib import TTFont

    found: set[int] = set()
    for path in FONT_FOLDER.glob("*-400.woff2"):
        found |= (TTFont(path).getBestCmap() or {}).keys()
    return frozenset(found) | {0x0A}


def printable(page: str) -> str:
    """A page in which a character that no font has is named by its number; data/letter.txt has it as it is."""
    covered = _covered()
    return "".join(one if ord(one) in covered else f"[U+{ord(one):04X}]" for one in page)


def name_glyphs(file_content: bytes, to_unicode: dict[int, str]) -> None:
    """Let each glyph used of a font stand for its own character. The shaper draws SARA AM as two glyphs, NIKHAHIT and
    SARA AA; WeasyPrint gives the second one the text of both, and every later SARA AA would be copied as SARA AM."""
    from fontTools.ttLib import TTFont

    font = TTFont(io.BytesIO(file_content))
    own = {glyph: chr(code) for code, glyph in sorted((font.getBestCmap() or {}).items(), reverse=True)}
    for number in to_unicode:
        glyph = font.getGlyphName(number)
        # Forms for a place above or below have the name of the character and a suffix.
        base = glyph.partition(".")[0]
        joined = _JOINED.match(base)
        letters = "".join(chr(int(code, 16)) for code in joined.groups()) if joined else own.get(glyph) or own.get(base)
        if letters:
            to_unicode[number] = letters


def render(html: str) -> bytes:
    """Raises OSError where libpango is missing."""
    from weasyprint import HTML, pdf
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import URLFetcher, URLFetcherResponse

    class FontsAlone(URLFetcher):
        def fetch(self, url: str, headers: dict[str, str] | None = None) -> URLFetcherResponse:
            path = FONT_FOLDER / url.removeprefix(FONT_SCHEME)
            if not url.startswith(FONT_SCHEME) or path.parent != FONT_FOLDER:
                raise ValueError("a letter loads nothing but its fonts")
            return URLFetcherResponse(url, path.read_bytes())

    build = pdf.build_fonts_dictionary

    def build_named(document: Any, fonts: dict[Any, Any], *arguments: Any) -> Any:
        for font in fonts.values():
            name_glyphs(font.file_content, font.to_unicode)
        return build(document, fonts, *arguments)

    # The process prints one letter and ends; WeasyPrint has no hook for this table.
    pdf.build_fonts_dictionary = build_named
    page = HTML(string=printable(html), url_fetcher=FontsAlone())
    return page.write_pdf(font_config=FontConfiguration()) or b""


def _main() -> int:
    try:
        printed = render(sys.stdin.buffer.read().decode())
    except (OSError, ImportError) as error:
        print(error, file=sys.stderr)
        return NO_LIBRARY
    sys.stdout.buffer.write(printed)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
