"""The law's texts as data: items of section 18, grounds, and which of them were not read. No socket, no clock.

The file is part of the program (R85): a statement marked G was not read in the law's text and is never shown without
saying so.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

READ_MARKS = ("T", "S")
NOTES = ("court_order", "time_limit", "keep_longer")


@dataclass(frozen=True)
class Statement:
    """A paraphrase in both languages, its source, and its mark: T read, S read in a secondary source, G not read."""

    en: str
    th: str
    source: str
    mark: str

    @property
    def is_read(self) -> bool:
        return self.mark in READ_MARKS


@dataclass(frozen=True)
class LegalItem(Statement):
    """An item of section 18."""

    number: int
    needs_court_order: bool


@dataclass(frozen=True)
class Ground(Statement):
    """Why somebody asks."""

    code: str
    needs_items: bool
    allows_package: bool
    needs_scope: bool
    needs_letter: bool


@dataclass(frozen=True)
class LegalTexts:
    """The whole file. `not_read` is said beside each statement that was not read."""

    checked: str
    not_read: tuple[str, str]
    items: dict[int, LegalItem]
    grounds: dict[str, Ground]
    notes: dict[str, Statement]

    def shown(self, statement: Statement) -> tuple[str, str]:
        """English and Thai of a statement, with the note where it was not read."""
        if statement.is_read:
            return statement.en, statement.th
        return f"{statement.en} ({self.not_read[0]})", f"{statement.th} ({self.not_read[1]})"

    def needs_court_order(self, items: tuple[int, ...]) -> list[int]:
        return [number for number in items if self.items[number].needs_court_order]

    def to_json(self) -> dict[str, Any]:
        """As `phayan cases legal-items` prints it."""
        return {
            "format": 1,
            "checked": self.checked,
            "items": [
                {
                    "number": one.number,
                    **self._statement(one),
                    "needs_court_order": one.needs_court_order,
                }
                for one in self.items.values()
            ],
            "grounds": [
                {
                    "code": one.code,
                    **self._statement(one),
                    "needs_items": one.needs_items,
                    "allows_package": one.allows_package,
                    "needs_scope": one.needs_scope,
                    "needs_letter": one.needs_letter,
                }
                for one in self.grounds.values()
            ],
            "notes": {name: self._statement(note) for name, note in self.notes.items()},
        }

    def _statement(self, one: Statement) -> dict[str, Any]:
        english, thai = self.shown(one)
        return {"en": english, "th": thai, "source": one.source, "mark": one.mark, "is_read": one.is_read}


def parse_legal_texts(text: str) -> LegalTexts:
    """Of the text of `legal_items.toml`. Raises ValueError, KeyError or TypeError: the file is ours."""
    given = tomllib.loads(text)
    items = [LegalItem(**item) for item in given["item"]]
    grounds = [Ground(**ground) for ground in given["ground"]]
    return LegalTexts(
        str(given["checked"]),
        (given["not_read"]["en"], given["not_read"]["th"]),
        {one.number: one for one in items},
        {one.code: one for one in grounds},
        {name: Statement(**given[name]) for name in NOTES},
    )


@cache
def legal_texts() -> LegalTexts:
    """Of the file beside this module."""
    return parse_legal_texts(files("archive.cases").joinpath("legal_items.toml").read_text(encoding="utf-8"))
