"""Trust policies (C2SP tlog-policy): the example of the specification, its rules one by one, and any text."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.cosignature import WitnessKey
from archive.errors import ArchiveError, ArchiveFormatError
from archive.note import VerifierKey
from archive.policy import (
    MAX_OF_A_KIND,
    MAX_POLICY_BYTES,
    Policy,
    PolicyGroup,
    PolicyLog,
    PolicyWitness,
    format_policy,
    is_quorum_met,
    parse_policy,
)
from tests.archive.witnessed_logs import private_key


def log_key(name: str) -> VerifierKey:
    return VerifierKey(name, private_key(name).public_key().public_bytes_raw())


def witness_key(name: str) -> WitnessKey:
    return WitnessKey(name, private_key(name).public_key().public_bytes_raw())


LOG = log_key("school.example/log").text()
WITNESSES = ("X1", "X2", "X3", "Y1", "Y2", "Y3")
V = {name: witness_key(f"{name.lower()}.example").text() for name in WITNESSES}
EXAMPLE = f"""log {LOG}

witness X1 {V["X1"]}
witness X2 {V["X2"]}
witness X3 {V["X3"]}
group X-witnesses 2 X1 X2 X3

witness Y1 {V["Y1"]}
witness Y2 {V["Y2"]}
witness Y3 {V["Y3"]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""
TWO = f"witness a {V['X1']}\nwitness b {V['X2']}\n"


def refusal(text: str | bytes) -> str:
    with pytest.raises(ArchiveFormatError) as caught:
        parse_policy(text.encode() if isinstance(text, str) else text)
    return str(caught.value)


def test_the_example_of_the_specification_for_every_set_of_witnesses() -> None:
    policy = parse_policy(EXAMPLE.encode())
    assert policy.logs == (PolicyLog(log_key("school.example/log")),)
    assert policy.groups[0] == PolicyGroup("X-witnesses", 2, ("X1", "X2", "X3"))
    assert [group.threshold for group in policy.groups] == [2, 1, 2]
    for count in range(7):
        for chosen in itertools.combinations(WITNESSES, count):
            of_x, of_y = (sum(name.startswith(letter) for name in chosen) for letter in "XY")
            assert is_quorum_met(policy, set(chosen)) == (of_x >= 2 and of_y >= 1)


def test_names_that_are_no_witnesses_count_for_nothing() -> None:
    policy = parse_policy(EXAMPLE.encode())
    assert not is_quorum_met(policy, {"X-and-Y", "X-witnesses", "Y-witnesses", "none", "x1.example"})
    single = parse_policy((TWO + "quorum a\n").encode())
    assert is_quorum_met(single, {"a"})
    assert not is_quorum_met(single, {"b"})


def test_no_quorum_asks_for_nobody() -> None:
    policy = parse_policy(b"quorum none\n")
    assert policy == Policy((), (), (), "none")
    assert is_quorum_met(policy, set())


def test_what_is_formatted_comes_back() -> None:
    policy = parse_policy(EXAMPLE.encode())
    assert parse_policy(format_policy(policy)) == policy
    with_urls = Policy(
        (PolicyLog(log_key("โรงเรียน.example/log"), "https://log.example/"),),
        (PolicyWitness("พยาน", witness_key("w"), "http://w.example:8095"), PolicyWitness("b", witness_key("b"))),
        (PolicyGroup("both", 2, ("พยาน", "b")),),
        "both",
    )
    assert parse_policy(format_policy(with_urls)) == with_urls


@pytest.mark.parametrize("name", ["", "two words", "a\nquorum none", "none", "a\tb"])
def test_a_name_the_text_cannot_hold_is_not_formatted(name: str) -> None:
    policy = Policy((), (PolicyWitness(name, witness_key("w")),), (), name)
    with pytest.raises(ArchiveFormatError):
        format_policy(policy)


def test_white_space_comments_and_empty_lines() -> None:
    text = f"# a comment\n \t\n\t# another: {LOG}\n\twitness \t a {V['X1']} https://w.example \n  quorum\ta  \n"
    policy = parse_policy(text.encode())
    assert policy.witnesses[0].url == "https://w.example"
    assert policy.quorum == "a"


def test_only_space_and_tab_are_white_space() -> None:
    policy = parse_policy(f"witness a\u2003b {V['X1']}\nquorum a\u2003b\n".encode())
    assert policy.quorum == "a\u2003b"
    assert "line 1" in refusal(f"witness\u00a0a {V['X1']}\nquorum a\n")


def test_names_are_compared_byte_by_byte() -> None:
    """K and the Kelvin sign, composed and decomposed letters: different names."""
    assert "line 2" in refusal(f"witness K {V['X1']}\nquorum \u212a\n")
    assert "line 2" in refusal(f"witness \u00e9 {V['X1']}\nquorum e\u0301\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "newline"),
        ("quorum none", "newline"),
        ("\n", "no quorum"),
        (f"log {LOG}\n", "no quorum"),
        ("quorum none\nquorum none\n", "line 2: there is a quorum line already"),
        ("quorum a\n", "line 1: 'a' is no witness"),
        ("quorum\n", "line 1: valid is `quorum"),
        ("quorum none none\n", "line 1: valid is `quorum"),
        ("Quorum none\n", "line 1: 'Quorum' is none of"),
        ("trust all\nquorum none\n", "line 1: 'trust' is none of"),
        ("log\nquorum none\n", "line 1: valid is `log"),
        (f"log {LOG} url url\nquorum none\n", "line 1: valid is `log"),
        (f"log {V['X1']}\nquorum none\n", "line 1: verifier key"),
        (f"log {LOG}\nlog {LOG} url\nquorum none\n", "line 2: a log with this key"),
        (f"witness a {LOG}\nquorum none\n", "line 1: verifier key"),
        (f"witness a\nquorum none\n{LOG}", "newline"),
        ("witness a\nquorum none\n", "line 1: valid is `witness"),
        (f"witness a {V['X1']}\nwitness b {V['X1']}\nquorum none\n", "line 2: a witness with this key"),
        (f"witness a {V['X1']}\nwitness a {V['X2']}\nquorum none\n", "line 2: 'a' is defined"),
        (f"witness none {V['X1']}\nquorum none\n", "line 1: the name 'none'"),
        (TWO + "group none any a\nquorum none\n", "line 3: the name 'none'"),
        (TWO + "group a any b\nquorum none\n", "line 3: 'a' is defined"),
        (TWO + "group g any\nquorum none\n", "line 3: valid is `group"),
        (TWO + "group g any c\nquorum none\n", "line 3: 'c' is no witness"),
        (TWO + "group g any g\nquorum none\n", "line 3: 'g' is no witness"),
        (TWO + "group g any none\nquorum none\n", "line 3: 'none' is no witness"),
        (TWO + "group g all a a\nquorum none\n", "line 3: 'a' is a member"),
        (TWO + "group g any a\ngroup h any a b\nquorum h\n", "line 4: 'a' is a member"),
        ("group g any a\n" + TWO + "quorum g\n", "line 1: 'a' is no witness"),
        (TWO + "group g 0 a b\nquorum g\n", "line 3: '0' is not all, any or a number from 1 to 2"),
        (TWO + "group g 3 a b\nquorum g\n", "line 3: '3' is not"),
        (TWO + "group g 01 a b\nquorum g\n", "line 3: '01' is not"),
        (TWO + "group g +1 a b\nquorum g\n", "line 3: '+1' is not"),
        (TWO + "group g 1_0 a b\nquorum g\n", "line 3"),
        (TWO + "group g ١ a b\nquorum g\n", "line 3"),
        (TWO + "group g All a b\nquorum g\n", "line 3: 'All' is not"),
        ("quorum none\r\n", "line 1: it holds a control character"),
        ("quorum none\x0b\n", "line 1: it holds a control character"),
        ("# \x7f\nquorum none\n", "line 1: it holds a control character"),
        (b"\xff\nquorum none\n", "not UTF-8"),
        ("#" * MAX_POLICY_BYTES + "\n", "longer"),
    ],
)
def test_every_rule_has_a_sentence_that_names_the_line(text: str | bytes, sentence: str) -> None:
    assert sentence in refusal(text)


def test_as_many_as_the_specification_recommends_and_not_without_bound() -> None:
    def lines(count: int) -> str:
        witnesses = "".join(f"witness w{n} {witness_key(f'w{n}').text()}\n" for n in range(count))
        return witnesses + f"group all all {' '.join(f'w{n}' for n in range(count))}\nquorum all\n"

    for count in (32, MAX_OF_A_KIND):
        policy = parse_policy(lines(count).encode())
        assert is_quorum_met(policy, {f"w{n}" for n in range(count)})
        assert not is_quorum_met(policy, {f"w{n}" for n in range(count - 1)})
    assert f"line {MAX_OF_A_KIND + 1}: " in refusal(lines(MAX_OF_A_KIND + 1))


WORDS = st.sampled_from(
    ["log", "witness", "group", "quorum", "none", "all", "any", "1", "2", "a", "b", "g", LOG, V["X1"], V["X2"], V["Y1"],
     "#", "\t", "\u2003", "\x00", "https://w.example"]
)  # fmt: skip
LINES = st.lists(WORDS, max_size=6).map(" ".join)


@settings(max_examples=2000, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.lists(LINES, max_size=6).map(lambda lines: "\n".join(lines).encode())))
def test_any_text_is_read_or_refused_in_the_family(data: bytes) -> None:
    for text in (data, data + b"\n", EXAMPLE.encode() + data + b"\n", TWO.encode() + data + b"\nquorum a\n"):
        try:
            policy = parse_policy(text)
        except ArchiveError:
            continue
        assert parse_policy(format_policy(policy)) == policy
        assert is_quorum_met(policy, {witness.name for witness in policy.witnesses})
        assert not is_quorum_met(policy, set()) or policy.quorum == "none"
