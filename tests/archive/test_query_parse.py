"""The filter language: text to terms, and errors that point at the place."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive.query.parse import FIELDS, MAX_QUERY_CHARACTERS, MAX_TERMS, QueryError, Term, parse_query

THAI = "สมชาย ใจดี"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        (" \t\n ", []),
        ("denied", [("", "denied", False, 0)]),
        ("  src:10.0.1.7  -action:deny", [("src", "10.0.1.7", False, 2), ("action", "deny", True, 17)]),
        ("SRC:10.0.1.7", [("src", "10.0.1.7", False, 0)]),
        ('"free text"', [("", "free text", False, 0)]),
        ('-"free text"', [("", "free text", True, 1)]),
        ('user:"somchai j"', [("user", "somchai j", False, 0)]),
        (r'"a \"b\" \\ c"', [("", r'a "b" \ c', False, 0)]),
        (f'user:"{THAI}" สวัสดี', [("user", THAI, False, 0), ("", "สวัสดี", False, 18)]),
        ("mac:aa:bb:cc:dd:ee:ff", [("mac", "aa:bb:cc:dd:ee:ff", False, 0)]),
        ("src:2001:db8::/32", [("src", "2001:db8::/32", False, 0)]),
        ('"src:10.0.1.7"', [("", "src:10.0.1.7", False, 0)]),
        ("10:30:00", [("", "10:30:00", False, 0)]),
        ("-", [("", "-", False, 0)]),
        ("--x", [("", "-x", True, 1)]),
        ("user:-", [("user", "-", False, 0)]),
        ("'; DROP TABLE logs; --", [("", "';", False, 0), ("", "DROP", False, 3), ("", "TABLE", False, 8),
                                     ("", "logs;", False, 14), ("", "-", True, 21)]),
    ],
)  # fmt: skip
def test_terms(text: str, terms: list[tuple]) -> None:
    assert parse_query(text) == [Term(*term) for term in terms]


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ('user:somchai "open', 12, "closing"),
        ('"', 0, "closing"),
        (r'"ends in \"', 0, "closing"),
        ("a sorce:1.2.3.4", 2, "sorce"),
        ('a colour:"red"', 2, "known fields"),
        ("http://example.com", 0, '"http://example.com"'),
        ('x user:""', 2, "empty"),
        ("src:", 0, "empty"),
        ("x src: 10.0.0.1", 2, "empty"),
        ("-SRC:", 1, "empty"),
        (" ".join("x" * (MAX_TERMS + 1)), MAX_TERMS * 2, f"{MAX_TERMS}"),
        ("x" * (MAX_QUERY_CHARACTERS + 1), MAX_QUERY_CHARACTERS, f"{MAX_QUERY_CHARACTERS}"),
    ],
)
def test_errors_point_at_the_place(text: str, position: int, says: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(text)
    assert caught.value.position == position
    assert caught.value.code == "bad_query"
    assert says in str(caught.value)


def test_the_limits_themselves_are_allowed() -> None:
    assert len(parse_query(" ".join("x" * MAX_TERMS))) == MAX_TERMS
    assert len(parse_query("x" * MAX_QUERY_CHARACTERS)) == 1


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text('ab:"\\- \t\u0e01src', max_size=40)))
@example("\x1c\x1d a \x85")
@example("src:\u2028")
@example("\ud800")
@example('"\\')
def test_any_text_gives_terms_or_a_query_error(text: str) -> None:
    terms: list[Term] = []
    position = 0
    try:
        terms = parse_query(text)
    except QueryError as error:
        position = error.position
    assert 0 <= position <= len(text)
    assert all(t.value and t.field in {*FIELDS, ""} and text[t.position :] for t in terms)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", *FIELDS]), st.text(min_size=1, max_size=10), st.booleans()), max_size=5))
def test_quoted_values_come_back_as_written(wanted: list[tuple[str, str, bool]]) -> None:
    def quote(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    wanted = [term for term in wanted if "\n" not in term[1]]
    text = " ".join(("-" if negated else "") + (f"{name}:" if name else "") + quote(v) for name, v, negated in wanted)
    assert [(t.field, t.value, t.negated) for t in parse_query(text)] == wanted
