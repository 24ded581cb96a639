"""Both languages are complete, and what the pages say of a query is what the service reads."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import admin_ui
import archive.attribution.answer as attribution
from admin_ui.language import why_in
from admin_ui.read_as import FIELD_WORDS, cut_query, fault_position
from admin_ui.whys import LOSS_TOUCHES, LOSS_TOUCHES_THAI, WHYS
from admin_ui.words import FAULTS, VOCABULARIES, WORDS
from archive.alarms import ALARMS
from archive.attribution.certainty import NO_RECORD, Certainty
from archive.query.parse import FIELDS, QueryError, parse_query
from archive.schema import SCHEMAS

ROOM = Path(admin_ui.__file__).parent
THAI = re.compile("[ก-๙]")
SAME_IN_BOTH = {"who.any"}
PAIRS = {**WORDS, **{f"{v}:{code}": pair for v, words in VOCABULARIES.items() for code, pair in words.items()}}


@pytest.mark.parametrize("key", PAIRS)
def test_every_key_has_thai_and_english(key: str) -> None:
    thai, english = PAIRS[key]
    assert THAI.search(thai)
    assert english.strip()
    assert not THAI.search(english)
    assert re.findall(r"{\w+}", thai) == re.findall(r"{\w+}", english)


def _used_keys() -> set[str]:
    used: set[str] = set()
    for path in ROOM.glob("templates/*.html"):
        used |= set(re.findall(r"\bt\('([a-z_0-9.]+)'(?! ~)", path.read_text(encoding="utf-8")))
    for path in ROOM.glob("**/*.py"):
        used |= {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and path.name != "words.py"
        }
    return used


def test_every_key_a_template_uses_exists() -> None:
    for path in ROOM.glob("templates/*.html"):
        keys = set(re.findall(r"\bt\('([a-z_0-9.]+)'\s*[,)]", path.read_text(encoding="utf-8")))
        assert keys <= WORDS.keys(), path.name


def test_no_key_is_left_over() -> None:
    composed = ("health.", "range.", "exit.", "freshness.", "people.done.")
    used = _used_keys()
    assert {key for key in WORDS if key not in used and not key.startswith(composed)} == set()


def test_every_reason_of_an_answer_has_its_thai() -> None:
    tree = ast.parse(Path(attribution.__file__).read_text(encoding="utf-8"))
    docstrings = {
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    reasons = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and " " in node.value
        and node.value not in docstrings
        and id(node) not in parts
    }
    assert reasons == WHYS.keys()
    assert LOSS_TOUCHES in Path(attribution.__file__).read_text(encoding="utf-8")
    assert why_in(f"restart at syslog{LOSS_TOUCHES}", "th") == (LOSS_TOUCHES_THAI, "th")
    assert why_in("something new", "th") == ("something new", "en")
    assert all(THAI.search(thai) for thai in WHYS.values())


def test_the_services_codes_have_words() -> None:
    assert VOCABULARIES["certainty"].keys() == {*Certainty, NO_RECORD}
    assert SCHEMAS.keys() <= VOCABULARIES["table"].keys()
    assert all(THAI.search(text) for text in FAULTS.values())
    assert ALARMS  # their sentences come from the service in both languages


def test_query_fields_are_the_services() -> None:
    assert FIELD_WORDS.keys() == FIELDS.keys() | {""}


@given(st.text(alphabet='ab:-" \\src10./ก', max_size=40))
def test_a_query_is_cut_as_the_service_cuts_it(text: str) -> None:
    try:
        terms = parse_query(text)
    except QueryError as error:
        terms, refused_at, refused_message = None, error.position, str(error)
    if terms is None:
        # A refusal over the size of the query points nowhere.
        assert fault_position(refused_message) in (None, refused_at)
        return
    assert cut_query(text) == [(term.field, term.value, term.negated) for term in terms]
