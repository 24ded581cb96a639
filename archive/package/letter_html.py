"""The letter as a page of HTML, which the PDF is printed from. Values come from records: every one is escaped."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from archive.package.letter_blocks import Letter
from archive.package.letter_text import SLIP_LINES, SLIP_SIDES
from archive.package.letter_words import name

FONT_SCHEME = "letter-font:"
"""Fonts are named so in letter.css; letter_pdf resolves them and nothing else."""


def letter_html(letter: Letter) -> str:
    """A whole page; letter.css is inside."""
    sides, lines = ([name(code) for code in codes] for codes in (SLIP_SIDES, SLIP_LINES))
    return _template().render(letter=letter, name=name, sides=sides, slip=lines, css=_file("letter.css"))


@cache
def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(_file), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("letter.html")


def _file(name: str) -> str:
    return files("archive.package").joinpath(name).read_text(encoding="utf-8")
