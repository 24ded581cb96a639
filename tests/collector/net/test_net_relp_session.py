"""RELP without a network: frames whole, byte by byte and in random cuts; what breaks the protocol ends it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.relp import MAX_DATA_BYTES, OFFERS, RelpSession, close_answer

_OFFERED = b"relp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog"
OPEN = b"1 open %d %s\n" % (len(_OFFERED), _OFFERED)
OPENED = b"1 rsp %d 200 OK\n%s\n" % (7 + len(OFFERS), OFFERS)


def frame(number: int, message: bytes) -> bytes:
    return b"%d syslog %d %s\n" % (number, len(message), message) if message else b"%d syslog 0\n" % number


def run(data: bytes, cuts: list[int]) -> tuple[list[bytes], bytes, bytes, int | None, bool]:
    session = RelpSession()
    messages: list[bytes] = []
    answers = at_once = b""
    closed = None
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found = session.feed(data[start:end])
        messages += found.messages
        answers += found.answers
        at_once += found.at_once
        closed = found.close_number if found.close_number is not None else closed
        if session.malformed:
            break
    return messages, answers, at_once, closed, session.malformed


MESSAGES = [b"<13>one", b"", b"two\nlines\n", b"\xff\x00", "<15>สี่".encode(), b"9 syslog 3 abc\n"]


def test_every_cut_gives_the_same_session() -> None:
    data = OPEN + b"".join(frame(n, message) for n, message in enumerate(MESSAGES, 2)) + b"8 close 0\n"
    whole = run(data, [])
    assert whole == (
        MESSAGES, b"".join(b"%d rsp 6 200 OK\n" % n for n in range(2, 8)), OPENED, 8, False,
    )  # fmt: skip
    assert run(data, list(range(1, len(data)))) == whole
    chooser = random.Random(5)
    for _ in range(200):
        assert run(data, sorted(chooser.choices(range(len(data) + 1), k=4))) == whole
    assert close_answer(8) == b"8 rsp 0\n0 serverclose 0\n"


def test_unknown_command_is_refused_and_the_session_goes_on() -> None:
    messages, answers, at_once, _, malformed = run(OPEN + b"2 starttls 0\n" + frame(3, b"x"), [])
    assert (messages, answers, malformed) == ([b"x"], b"3 rsp 6 200 OK\n", False)
    assert at_once == OPENED + b"2 rsp 25 500 command not supported\n"


@pytest.mark.parametrize(
    "bad",
    [
        b"2 syslog 3 abcd\n",
        b"2 syslog 5 abc\n3 syslog 3 abc\n",
        b"2 syslog 3\n",
        b"2 syslog %d x" % (MAX_DATA_BYTES + 1),
        b"2 syslog 9999999999 x",
        b"0000000002 syslog 1 x\n",
        b"-2 syslog 1 x\n",
        b"2 sys-log 1 x\n",
        b"2  syslog 1 x\n",
        b"2 " + b"a" * 33 + b" 1 x\n",
        b"\n",
        b"<13>plain line\n",
        "٢ syslog 1 x\n".encode(),
        OPEN,
    ],
)
def test_a_lie_ends_the_session_and_keeps_what_came_before(bad: bytes) -> None:
    data = OPEN + frame(2, b"kept") + bad + frame(4, b"never")
    for cuts in ([], list(range(1, len(data)))):
        messages, answers, _, _, malformed = run(data, cuts)
        assert malformed
        assert messages == [b"kept"]
        assert answers == b"2 rsp 6 200 OK\n"


@pytest.mark.parametrize("first", [frame(1, b"x"), b"<13>x\n", b"\x16\x03\x01\x02\x00"])
def test_nothing_is_taken_before_open(first: bytes) -> None:
    assert run(first, []) == ([], b"", b"", None, True)


def test_largest_frame_is_taken() -> None:
    message = bytes(MAX_DATA_BYTES)
    messages, _, _, _, malformed = run(OPEN + frame(2, message), [100_000])
    assert not malformed
    assert messages == [message]


def test_nothing_is_understood_after_close() -> None:
    messages, answers, _, closed, _ = run(OPEN + b"2 close 0\n" + frame(3, b"late"), [])
    assert (messages, answers, closed) == ([], b"", 2)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.sampled_from([OPEN, frame(2, b"x"), b"3 close 0\n", b"4 syslog 5 ab"])),
        max_size=8,
    )
)
def test_any_bytes_never_raise_and_cuts_do_not_matter(parts: list[bytes]) -> None:
    data = b"".join(parts)
    whole = run(data, [])
    bytewise = run(data, list(range(1, len(data))))
    assert bytewise[:2] == whole[:2]
    assert bytewise[4] == whole[4]
