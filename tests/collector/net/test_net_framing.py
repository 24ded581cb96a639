"""Stream framing: whole, byte by byte, in random cuts and with trailing bytes, the messages are the same."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.framing import NewlineFramer, StreamFramer
from collector.framing_frames import MAX_FRAME_BYTES, Framer, Frames
from collector.framing_octets import GUESS_AT_BYTES

LINES = [b"<13>one", b"", b"<14>\xff\x00 two\r", b"three <4>", "<15>สี่".encode(), b"5 <6>seven"]


def split(frames: Frames | None) -> list[tuple[bytes, bool]]:
    if frames is None:
        return []
    assert int(frames.lengths.sum()) + int(frames.gaps.sum()) == len(frames.payload)
    assert len(frames.truncated) == len(frames.lengths) == len(frames.gaps)
    out, at = [], 0
    for gap, length, cut in zip(frames.gaps.tolist(), frames.lengths.tolist(), frames.truncated.tolist(), strict=True):
        at += gap
        out.append((bytes(frames.payload[at : at + length]), bool(cut)))
        at += length
    return out


def feed(framer: Framer, data: bytes) -> list[tuple[bytes, bool]]:
    return split(framer.cut(memoryview(framer.rest + data)))


def run(data: bytes, cuts: list[int]) -> tuple[list[tuple[bytes, bool]], bool]:
    framer = StreamFramer()
    out: list[tuple[bytes, bool]] = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        out += feed(framer, data[start:end])
        if framer.malformed:
            return out, True
    return out + split(framer.finish()), False


def every_way(data: bytes) -> list[tuple[bytes, bool]]:
    """Whole, byte by byte and in 20 random cuts; all must agree."""
    whole = run(data, [])
    assert run(data, list(range(1, len(data)))) == whole
    chooser = random.Random(len(data))
    for _ in range(20):
        cuts = sorted(chooser.choices(range(len(data) + 1), k=chooser.randint(1, 6)))
        assert run(data, cuts) == whole
    return whole[0]


def octet_counted(messages: list[bytes]) -> bytes:
    return b"".join(b"%d %s" % (len(message), message) for message in messages)


def test_newline_lines_are_kept_byte_for_byte() -> None:
    assert every_way(b"".join(line + b"\n" for line in LINES)) == [(line, False) for line in LINES]


def test_newline_last_line_without_newline_is_kept() -> None:
    assert every_way(b"<13>a\n<13>b")[-1] == (b"<13>b", False)


def test_octet_counted_messages_may_hold_newlines() -> None:
    messages = [b"<13>one\ntwo", b"<14>\xff\x00", b"x", "<15>สี่".encode()]
    assert every_way(octet_counted(messages)) == [(message, False) for message in messages]


def test_octet_counted_unfinished_message_is_kept_and_flagged() -> None:
    assert every_way(b"3 abc10 <13>x")[-1] == (b"<13>x", True)


def test_octet_counted_unfinished_length_is_kept_and_flagged() -> None:
    assert every_way(b"3 abc12") == [(b"abc", False), (b"12", True)]


@pytest.mark.parametrize(
    "start",
    [b"<13>x\n", b"0 x\n", b"2026-11-20 x\n", b"999999 x\n", b" 5 hello\n", b"+5 hello\n", b"Nov 20 x\n"],
)
def test_what_is_no_message_length_is_newline_framing(start: bytes) -> None:
    assert every_way(start) == [(start[:-1], False)]


@pytest.mark.parametrize("digits", [b"1", b"12345"])
def test_stream_that_ends_before_its_framing_shows_is_kept(digits: bytes) -> None:
    assert every_way(digits) == [(digits, False)]


def test_empty_stream_has_no_messages() -> None:
    assert run(b"", []) == ([], False)


@pytest.mark.parametrize(
    "bad",
    [
        b"x 3 abc",
        b"03 abc",
        b"-3 abc",
        b"\xd9\xa3 abc",
        b"123456 abc",
        b"%d a" % (MAX_FRAME_BYTES + 1),
        b" 3 abc",
    ],
)
def test_malformed_octet_counting_keeps_the_rest_raw(bad: bytes) -> None:
    framer = StreamFramer()
    frames = feed(framer, b"5 hello" + bad + b"\n3 end")
    assert framer.malformed
    assert frames == [(b"hello", False), (bad + b"\n3 end", True)]
    assert framer.finish() is None


def test_malformed_octet_counting_byte_by_byte_loses_no_byte() -> None:
    data = b"5 hello03 abc"
    framer = StreamFramer()
    kept = b""
    for position in range(len(data)):
        kept += b"".join(payload for payload, _ in feed(framer, data[position : position + 1]))
        if framer.malformed:
            break
    assert framer.malformed
    assert kept == b"hello" + data[7 : position + 1]


@pytest.mark.parametrize("extra", [-1, 0, 1, MAX_FRAME_BYTES, 2 * MAX_FRAME_BYTES + 5])
@pytest.mark.parametrize("ended", [True, False])
def test_long_line_comes_in_flagged_pieces(extra: int, ended: bool) -> None:
    line = random.Random(1).randbytes(MAX_FRAME_BYTES + extra).replace(b"\n", b"_").replace(b"1", b"_")
    data = b"<13>before\n" + line + (b"\n<13>after\n" if ended else b"")
    whole, _ = run(data, [])
    for step in (1000, 65_535, 65_537):
        assert run(data, list(range(step, len(data), step)))[0] == whole
    pieces = whole[1:-1] if ended else whole[1:]
    assert b"".join(piece for piece, _ in pieces) == line
    assert len(pieces) == -(-len(line) // MAX_FRAME_BYTES)
    assert all(cut == (extra > 0) for _, cut in pieces)
    assert not ended or whole[-1] == (b"<13>after", False)


def test_largest_octet_counted_message_is_whole() -> None:
    message = bytes(MAX_FRAME_BYTES)
    assert run(octet_counted([message, b"x"]), [40_000])[0] == [(message, False), (b"x", False)]


def test_waiting_for_a_line_end_holds_at_most_one_frame() -> None:
    framer = NewlineFramer()
    kept = 0
    for _ in range(40):
        kept += sum(len(piece) for piece, _ in feed(framer, bytes(10_000)))
    assert 400_000 - kept <= MAX_FRAME_BYTES


MESSAGE = st.one_of(
    st.binary(max_size=60),
    st.integers(0, 300).map(lambda size: b"<13>" + b"7" * size),
    st.sampled_from([b"<13>a 12 <4>b", b"<13>ends in digits 123", b"4 <a>", b"<", b" <"]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(MESSAGE.filter(len), min_size=1, max_size=60), st.lists(st.integers(0, 6000), max_size=4))
def test_octet_counting_agrees_with_its_definition(messages: list[bytes], cuts: list[int]) -> None:
    messages = messages * (1 + GUESS_AT_BYTES // len(octet_counted(messages)))
    data = octet_counted(messages)
    cuts = sorted(min(cut, len(data)) for cut in cuts)
    assert run(data, cuts) == ([(message, False) for message in messages], False)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([b"12 <", b"3 <ab", b"5 <abc>", b"x", b"9", b"0", b" <", b" "]), max_size=900))
def test_hostile_octet_counting_loses_no_byte(parts: list[bytes]) -> None:
    """The guess must cut exactly as the loop does: the same bytes in one large and in many small feeds."""
    data = b"2 <x" + b"".join(parts)
    small = run(data, list(range(100, len(data), 100)))
    large = run(data, [])
    if not large[1]:
        assert small == large
    else:
        assert small[1]
        assert large[0][: len(small[0]) - 1] == small[0][:-1]
