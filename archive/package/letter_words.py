"""The words of the letter, Thai and English, from the data files beside this module."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from archive.time_text import format_english, format_thai, parse_time

Pair = tuple[str, str]
"""Thai, English."""


@cache
def _data(name: str) -> dict[str, Any]:
    return tomllib.loads(files("archive.package").joinpath(name).read_text(encoding="utf-8"))


def word(group: str, code: str, **values: Any) -> Pair:
    """Thai and English of a word of letter.toml with its values filled in; a code without words is shown as it is."""
    found = _data("letter.toml")[group].get(code)
    if found is None:
        return code, code
    thai, english = found
    return (thai.format(**values), english.format(**values)) if values else (thai, english)


def name(code: str, **values: Any) -> Pair:
    return word("names", code, **values)


def text(code: str, **values: Any) -> Pair:
    return word("texts", code, **values)


def joined(*pairs: Pair, by: str = ", ") -> Pair:
    """Pairs one after another in both languages; empty ones left out."""
    return by.join(p[0] for p in pairs if p[0]), by.join(p[1] for p in pairs if p[1])


def same(value: Any) -> Pair:
    """What is the same in both languages."""
    return str(value), str(value)


def given(value: Any, otherwise: str = "not_recorded") -> Pair:
    """A value from a record, or that there is none."""
    return same(value) if value not in (None, "", []) else name(otherwise)


def why(english: str) -> Pair:
    """A step's reason."""
    words = _data("letter_whys.toml")
    if english.endswith(words["loss_ending"]):
        return words["loss_thai"], english
    return words["why"].get(english, english), english


def moment(iso: str | None, zone: str) -> Pair:
    """An ISO moment for people, in the Buddhist era with ISO beside it."""
    if not iso:
        return name("not_recorded")
    return moment_ns(parse_time(iso, now_unix_ns=0, zone=zone), zone)


def moment_ns(unix_ns: int, zone: str) -> Pair:
    return format_thai(unix_ns, zone), format_english(unix_ns, zone)
