"""The notice about people's data, from a data file: version, sources with how they were read, text in two languages."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authgw.errors import AuthgwError
from authgw.portal.words import LANGUAGES, Language

SHIPPED = Path(__file__).with_name("terms.toml")
READ_IN_THE_TEXT = "text"
"""Only such a source is shown; anything else was told by somebody and is not ours to print."""


@dataclass(frozen=True)
class TermsSection:
    """A heading and a paragraph, each by language."""

    titles: dict[str, str]
    texts: dict[str, str]


@dataclass(frozen=True)
class Terms:
    """One version of the notice. `checked` is an ISO date."""

    version: str
    checked: str
    sections: tuple[TermsSection, ...]
    sources: tuple[dict[str, str], ...]

    def source_lines(self, language: Language) -> list[str]:
        """The sources that were read in the text itself."""
        return [s[language] for s in self.sources if s["reading"] == READ_IN_THE_TEXT]


def load_terms(path: Path = SHIPPED) -> Terms:
    """Raises AuthgwError `bad_terms` with the place that is wrong."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        terms = Terms(
            version=_text(values, "version"),
            checked=_text(values, "checked"),
            sections=tuple(
                TermsSection(
                    {language: _text(s, f"{language}_title") for language in LANGUAGES},
                    {language: _text(s, language) for language in LANGUAGES},
                )
                for s in values["section"]
            ),
            sources=tuple({name: _text(s, name) for name in ("reading", *LANGUAGES)} for s in values["source"]),
        )
        for section in terms.sections:
            for text in section.texts.values():
                text.format(site="", days=0)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise AuthgwError(f"the notice {path} cannot be used: {error}", code="bad_terms") from error
    return terms


def _text(values: dict[str, Any], name: str) -> str:
    text = values[name]
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} must be text")
    return text
