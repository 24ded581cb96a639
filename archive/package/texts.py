"""The texts of a package that are made from its content."""

import json
from collections.abc import Callable
from typing import Any

from archive.package.clock_file import clock_file
from archive.package.completeness import completeness
from archive.package.content import PackageContent
from archive.package.letter import make_letter
from archive.package.letter_html import letter_html
from archive.package.letter_pdf import make_pdf
from archive.package.letter_text import letter_text
from archive.package.letter_words import text
from archive.package.tables import answer_csv, dictionary_csv
from archive.package.verify_package import (
    ANSWER_CSV,
    ANSWER_JSON,
    CLOCK,
    COMPLETENESS,
    DECODING,
    DICTIONARY,
    LETTER_PDF,
    LETTER_TEXT,
)


def text_files(content: PackageContent, print_pdf: Callable[[str], bytes | None] = make_pdf) -> dict[str, bytes]:
    """Name -> bytes. `print_pdf` prints a page of HTML; where it gives None the letter is text alone and says so."""
    printed = print_pdf(letter_html(make_letter(content)))
    letter = make_letter(content, notes=() if printed else (text("no_pdf"),))
    return {
        ANSWER_JSON: _json(content.answer),
        ANSWER_CSV: answer_csv(content),
        DICTIONARY: dictionary_csv(),
        LETTER_TEXT: letter_text(letter),
        **({LETTER_PDF: printed} if printed else {}),
        "data/case.json": _json(content.facts.case),
        CLOCK: _json(clock_file(content)),
        COMPLETENESS: _json(completeness(content)),
        DECODING: _json({"zones": content.zones, "versions": content.versions, "held": content.held()}),
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()
