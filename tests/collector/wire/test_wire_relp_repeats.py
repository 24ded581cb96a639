"""RELP messages sent again after a connection ended: exactly the copies are marked, however the chunks are cut."""

import pickle
import random
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from archive.schema import SCHEMAS
from collector.wire import relp_repeats
from collector.wire.relp_repeats import MAX_CONNECTIONS, MAX_SENDERS, WINDOW_MESSAGES, mark_repeats
from collector.wire.syslog import SyslogDecoder, SyslogState
from tests.collector.wire.wire_chunks import make_chunk

LISTENER = "syslog/relp-2514"


class Message(NamedTuple):
    port: int
    payload: bytes
    sender: int = 1
    transport: str = "relp"


def chunk_of(messages: list[Message]) -> pa.Table:
    chunk = make_chunk([message.payload for message in messages], LISTENER)
    columns = {
        "source_address": pa.array(
            [bytes(10) + b"\xff\xff\x0a\0" + message.sender.to_bytes(2, "big") for message in messages], pa.binary(16)
        ),
        "source_port": pa.array([message.port for message in messages], pa.uint16()),
        "transport": pa.array([message.transport for message in messages], pa.string()),
    }
    for name, column in columns.items():
        chunk = chunk.set_column(chunk.schema.get_field_index(name), name, column)
    return chunk


def decode(messages: list[Message], cuts: list[int]) -> list[bool]:
    """The column `repeated` over chunks cut at these places, with a pickled state between."""
    decoder = SyslogDecoder()
    state = decoder.initial_state()
    found: list[bool] = []
    for start, end in zip([0, *cuts], [*cuts, len(messages)], strict=True):
        decoded = decoder.decode(state, 1, chunk_of(messages[start:end]))
        state = pickle.loads(pickle.dumps(decoded.state))  # noqa: S301 - our own state
        if "logs" in decoded.tables:
            assert decoded.tables["logs"].schema == SCHEMAS["logs"]
            found += decoded.tables["logs"].column("repeated").to_pylist()
    return found


def marks(messages: list[Message]) -> list[int]:
    """Places of the marked ones, the same for whole chunks, single records and random cuts."""
    whole = decode(messages, [])
    assert decode(messages, list(range(1, len(messages)))) == whole
    chooser = random.Random(len(messages))
    for _ in range(5):
        assert decode(messages, sorted(chooser.choices(range(len(messages) + 1), k=3))) == whole
    return [place for place, mark in enumerate(whole) if mark]


def lines(port: int, *numbers: int, sender: int = 1) -> list[Message]:
    return [Message(port, b"<13>line %d" % number, sender) for number in numbers]


def test_the_tail_sent_again_on_the_next_connection_is_marked() -> None:
    assert marks(lines(40_001, *range(10)) + lines(40_002, *range(6, 15))) == [10, 11, 12, 13]


def test_a_connection_that_continues_marks_nothing() -> None:
    assert marks(lines(40_001, *range(10)) + lines(40_002, *range(10, 20)) + lines(40_002, *range(20, 25))) == []


def test_the_mark_ends_with_the_tail_or_with_the_order() -> None:
    assert marks(lines(40_001, 1, 2, 3, 4) + lines(40_002, 3, 4, 3, 4)) == [4, 5]
    assert marks(lines(40_001, 1, 2, 3, 4) + lines(40_002, 2, 9, 3, 4)) == [4]
    assert marks(lines(40_001, 1, 2, 3, 4) + lines(40_002, 9, 3, 4)) == []


def test_a_repetition_within_one_connection_is_no_repeat() -> None:
    assert marks(lines(40_001, 1, 2, 1, 2, 1, 1)) == []


def test_a_repeat_that_was_itself_cut_off_is_found_in_both_earlier_connections() -> None:
    again = lines(40_001, *range(10)) + lines(40_002, 4, 5, 6) + lines(40_003, *range(4, 13))
    assert marks(again) == [10, 11, 12, *range(13, 19)]


def test_other_addresses_listeners_and_transports_are_apart() -> None:
    assert marks(lines(40_001, 1, 2, 3) + lines(40_002, 2, 3, sender=2)) == []
    plain = [message._replace(transport="tls") for message in lines(40_002, 2, 3)]
    assert marks(lines(40_001, 1, 2, 3) + plain) == []
    assert marks(plain + lines(40_003, 2, 3)) == []


def test_connections_open_side_by_side_are_told_apart() -> None:
    side_by_side = [one for n in range(20) for one in lines(40_001, n) + lines(40_002, 100 + n)]
    again = lines(40_003, 115, 116) + lines(40_004, 18, 19, 20) + lines(40_003, 117, 118, 119, 120)
    assert marks(side_by_side + again) == [40, 41, 42, 43, 45, 46, 47]


def test_equal_lines_may_be_repeats() -> None:
    same = [Message(port, b"<13>same") for port in (40_001, 40_001, 40_001, 40_002, 40_002)]
    assert marks(same) == [3, 4]


def test_only_the_last_of_a_connection_are_remembered() -> None:
    many = lines(40_001, *range(WINDOW_MESSAGES + 10))
    first, last = 10, WINDOW_MESSAGES + 9
    assert decode(many + lines(40_002, first), [700]) == [False] * len(many) + [True]
    assert decode(many + lines(40_002, first - 1), [700]) == [False] * (len(many) + 1)
    assert decode(many + lines(40_002, last, last + 1), [700])[-2:] == [True, False]


def test_what_is_kept_is_bounded_whatever_is_sent() -> None:
    many = [one for n in range(MAX_SENDERS + 20) for one in lines(40_000 + n, 1, 2, sender=n)]
    many += [one for n in range(MAX_CONNECTIONS * 3) for one in lines(50_000 + n, *range(n, n + 5), sender=7)]
    state = SyslogDecoder().decode(None, 1, chunk_of(many)).state
    assert isinstance(state, SyslogState)
    assert len(state.relp) == MAX_SENDERS
    assert max(len(connections) for connections in state.relp.values()) == MAX_CONNECTIONS
    long = SyslogDecoder().decode(None, 1, chunk_of(lines(1, *range(3 * WINDOW_MESSAGES)))).state
    [(_, connections)] = long.relp.items()
    assert connections[1].hashes.nbytes == 8 * WINDOW_MESSAGES


def test_a_state_given_twice_gives_the_same_twice() -> None:
    decoder = SyslogDecoder()
    first = decoder.decode(None, 1, chunk_of(lines(40_001, 1, 2, 3)))
    chunk = chunk_of(lines(40_002, 2, 3, 4))
    again = [decoder.decode(first.state, 2, chunk).tables["logs"].column("repeated").to_pylist() for _ in range(2)]
    assert again == [[True, True, False]] * 2


def test_other_transports_are_never_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relp_repeats, "_hash", None)
    plain = [message._replace(transport="tcp") for message in lines(40_001, 1, 2, 3)]
    senders, repeated = mark_repeats({}, chunk_of(plain), [message.payload for message in plain])
    assert senders == {}
    assert not repeated.any()


def test_a_long_connection_is_hashed_only_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def count(payload: bytes) -> np.uint64:
        hashed.append(payload)
        return np.uint64(len(hashed))

    monkeypatch.setattr(relp_repeats, "_hash", count)
    many = lines(40_001, *range(20_000))
    mark_repeats({}, chunk_of(many), [message.payload for message in many])
    assert len(hashed) == WINDOW_MESSAGES


@pytest.mark.parametrize("seed", range(20))
def test_a_client_that_is_interrupted_again_and_again(seed: int) -> None:
    """Each connection begins with what was not answered; the journal holds what was sent until it ended."""
    chooser = random.Random(seed)
    answered, journal, seen = 0, [], set()
    expected: list[bool] = []
    for connection in range(12):
        sent = chooser.randint(0, 60)
        for number in range(answered, answered + sent):
            journal += lines(40_000 + connection, number)
            expected.append(number in seen)
            seen.add(number)
        answered += chooser.randint(0, sent)
    if journal:
        assert decode(journal, []) == expected
        assert decode(journal, list(range(1, len(journal)))) == expected
