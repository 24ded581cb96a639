"""Terms to SQL: what is typed reaches the engine as bound parameters only."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.query.parse import FIELDS, QueryError, Term, parse_query
from archive.query.sql import COLUMNS, SEARCHED_TABLES, where_clause
from archive.schema import SCHEMAS

VALID = {
    "src": "10.0.1.7", "dst": "10.0.0.0/8", "ip": "2001:db8::/32", "from": "::1", "sport": "0", "dport": "443",
    "port": "65535", "proto": "TCP", "table": "logs",
}  # fmt: skip
ATTACKS = [
    "' OR 1=1 --",
    "`; DROP TABLE logs; --",
    "{db}.logs",
    "{p0:String}",
    "\\",
    "%",
    "\x00",
    "1) OR (1",
    "*/ UNION",
]


def clause(text: str, table: str):
    return where_clause(parse_query(text), table)


@pytest.mark.parametrize("table", SEARCHED_TABLES)
def test_every_column_named_is_in_the_schema(table: str) -> None:
    assert {column for columns in COLUMNS[table].values() for column in columns} <= set(SCHEMAS[table].names)
    assert COLUMNS[table].keys() <= {*FIELDS, "text"}


@pytest.mark.parametrize("table", SEARCHED_TABLES)
@pytest.mark.parametrize("field", [name for name in FIELDS if name != "table"])
def test_every_field_selects_its_columns_or_excludes_the_table(field: str, table: str) -> None:
    value = VALID.get(field, "x")
    columns = COLUMNS[table].get(field)
    plain, negated = clause(f"{field}:{value}", table), clause(f"-{field}:{value}", table)
    if columns is None:
        assert plain is None
        assert negated == ("1", {})
        return
    assert plain is not None
    assert negated is not None
    assert all(f"`{column}`" in plain[0] for column in columns)
    assert negated[0] == f"NOT coalesce({plain[0]}, 0)"
    assert set(re.findall(r"\{(\w+):", plain[0])) == plain[1].keys() == negated[1].keys()


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("field", ["", *FIELDS])
def test_what_is_typed_is_never_part_of_the_sql(field: str, attack: str) -> None:
    for table in SEARCHED_TABLES:
        for negated in (False, True):
            try:
                found = where_clause([Term(field, attack, negated, 0)], table)
            except QueryError:
                assert field in VALID
                continue
            assert field not in VALID
            if found and found[1]:
                assert list(found[1].values()) == [attack]
                assert re.fullmatch(r"[A-Za-z0-9_`(){}:=>,. ]+", found[0])
                harmless = where_clause([Term(field, "x", negated, 0)], table)
                assert harmless is not None
                assert harmless[0] == found[0]


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("10.0.1.7", "::ffff:10.0.1.7", None),
        ("10.0.1.7/32", "::ffff:10.0.1.7", None),
        ("10.0.1.7/24", "::ffff:10.0.1.0", "::ffff:10.0.1.255"),
        ("0.0.0.0/0", "::ffff:0.0.0.0", "::ffff:255.255.255.255"),
        ("2001:db8::/126", "2001:db8::", "2001:db8::3"),
        ("::1", "::1", None),
    ],
)
def test_addresses_and_networks(value: str, low: str, high: str | None) -> None:
    found = clause(f"src:{value}", "logs")
    assert found is not None
    assert list(found[1].values()) == ([low] if high is None else [low, high])


@pytest.mark.parametrize(
    "text",
    [
        "src:10.0.1",
        "dst:300.1.1.1",
        "ip:10.0.0.0/33",
        "from:example.com",
        "port:65536",
        "sport:-1",
        "dport:๔๔๓",
        "dport:443.0",
        "proto:256",
        "proto:tcpp",
        "proto:-1",
        "proto:๖",
        "table:log",
        "-table:nosuch",
    ],
)
@pytest.mark.parametrize("table", SEARCHED_TABLES)
def test_a_value_that_cannot_be_is_refused_with_its_place(text: str, table: str) -> None:
    with pytest.raises(QueryError) as caught:
        clause(f"x {text}", table)
    assert caught.value.position == (3 if text.startswith("-") else 2)
    assert str(caught.value.position + 1) in str(caught.value)


@pytest.mark.parametrize(("text", "number"), [("tcp", 6), ("ICMPv6", 58), ("0", 0), ("255", 255)])
def test_protocols(text: str, number: int) -> None:
    found = clause(f"proto:{text}", "flows")
    assert found == ("(`protocol` = {p0:UInt8})", {"p0": number})


def test_tables_are_chosen_by_name() -> None:
    def chosen(text: str) -> set[str]:
        return {table for table in SEARCHED_TABLES if clause(text, table) is not None}

    assert chosen("table:nat") == chosen("table:NAT") == {"nat"}
    assert chosen("-table:nat") == set(SEARCHED_TABLES) - {"nat"}
    assert chosen("table:nat table:logs") == set()
    assert chosen("user:x") == {"logs", "sessions", "identity"}


def test_all_terms_must_hold() -> None:
    found = clause("src:10.0.0.1 -dport:443 สวัสดี", "logs")
    assert found is not None
    assert found[0].count(" AND ") == 2
    assert found[1] == {"p0a": "::ffff:10.0.0.1", "p1": 443, "p2": "สวัสดี"}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["", *FIELDS]), st.text(min_size=1, max_size=30), st.booleans(), st.sampled_from(SEARCHED_TABLES)
)
def test_any_term_gives_sql_or_a_query_error(field: str, value: str, negated: bool, table: str) -> None:
    try:
        found = where_clause([Term(field, value, negated, 0)], table)
    except QueryError:
        return
    if found is not None:
        assert set(re.findall(r"\{(\w+):", found[0])) == found[1].keys()


def test_a_bad_value_is_refused_whatever_else_excludes_the_table() -> None:
    with pytest.raises(QueryError):
        clause("table:logs user:x src:10.0.1", "flows")


@pytest.mark.parametrize("value", ["fe80::1%eth0", "fe80::%eth0/64", "fe80::1%'; DROP"])
def test_a_zone_is_no_part_of_an_address(value: str) -> None:
    with pytest.raises(QueryError):
        clause(f'src:"{value}"', "logs")
