"""Every code has words in two languages and, if it is a defect, a test that makes it."""

import re
from pathlib import Path

import pytest

from archive.verify.wording import DEFECTS, STATEMENTS

FOLDER = Path(__file__).parent
VERIFIER = FOLDER.parents[2] / "archive" / "verify"
THAI = re.compile(r"[\u0e01-\u0e5b]")


@pytest.mark.parametrize("code", [*DEFECTS, *STATEMENTS])
def test_words_are_in_both_languages_with_the_same_places(code: str) -> None:
    english, thai = (DEFECTS | STATEMENTS)[code]
    assert THAI.search(thai)
    assert not THAI.search(english)
    assert set(re.findall(r"\{.+?\}", english)) == set(re.findall(r"\{.+?\}", thai))


@pytest.mark.parametrize("code", DEFECTS)
def test_every_defect_is_found_by_a_test(code: str) -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("test_*.py") if path != Path(__file__))
    assert f'"{code}"' in tests


def test_every_code_of_the_verifier_has_words() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in VERIFIER.glob("*.py"))
    used = set(re.findall(r"add_(?:defect|statement)\(\s*\"([a-z_]+)\"", source))
    assert used <= DEFECTS.keys() | STATEMENTS.keys()
    assert len(used) > 40
