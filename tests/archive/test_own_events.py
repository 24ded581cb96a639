"""The appliance's own records as rows, and what is not one of them."""

import json

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive.errors import ArchiveFormatError
from archive.event_record import decode_event, encode_event
from archive.own_events import OwnEventsDecoder
from archive.schema import SCHEMAS

NS = 1_000_000_000
T = 1_795_000_000 * NS


def decode(*records: tuple[str, bytes]):
    chunk = pa.table(
        {
            "row": pa.array(range(len(records)), pa.uint32()),
            "received_unix_ns": pa.array([T + 7] * len(records), pa.int64()),
            "listener": [listener for listener, _ in records],
            "payload": pa.array([payload for _, payload in records], pa.binary()),
            "realm": ["main"] * len(records),
        }
    )
    decoder = OwnEventsDecoder()
    decoded = decoder.decode(decoder.initial_state(), 9, chunk)
    for name, table in decoded.tables.items():
        assert table.schema == SCHEMAS[name]
    return decoded


def rows(decoded, table: str) -> list[dict]:
    return decoded.tables[table].cast(pa.schema([
        f.with_type(pa.int64()) if pa.types.is_timestamp(f.type) else f for f in SCHEMAS[table]
    ])).to_pylist()  # fmt: skip


def test_an_audit_record_is_a_row() -> None:
    values = {"actor": "malee", "role": "auditor", "question": {"address": "203.0.113.5"}, "reason": "ขอตรวจ 1/2569"}
    (row,) = rows(decode(("audit", encode_event("who", T, values))), "audit")
    assert (row["leaf_index"], row["row"], row["received"], row["time"]) == (9, 0, T + 7, T)
    assert (row["actor"], row["role"], row["action"], row["reason"]) == ("malee", "auditor", "who", "ขอตรวจ 1/2569")
    assert json.loads(row["question"]) == {"address": "203.0.113.5"}


def test_a_loss_has_its_interval_and_count() -> None:
    values = {
        "from_unix_ns": str(T - NS),
        "to_unix_ns": str(T),
        "listener": "syslog/udp-5514",
        "count": 4898,
        "how": "k",
    }
    (row,) = rows(decode(("loss", encode_event("loss", T, values))), "losses")
    assert (row["start"], row["end"], row["listener"], row["count"], row["how"]) == (
        T - NS,
        T,
        "syslog/udp-5514",
        4898,
        "k",
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("192.0.2.7", bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7])),
        ("2001:db8::7", bytes.fromhex("20010db8") + bytes(11) + b"\x07"),
        ("unknown", None),
        ("", None),
        (7, None),
        (["192.0.2.7"], None),
        (None, None),
    ],
)
def test_a_loss_names_the_source_it_states(source: object, expected: bytes | None) -> None:
    (row,) = rows(decode(("loss", encode_event("source_silent", T, {"source": source}))), "losses")
    assert row["sender_address"] == expected


@pytest.mark.parametrize("count", [None, -1, "many", 1.5, True, False])
def test_a_count_that_is_none_is_unknown_and_not_zero(count: object) -> None:
    (row,) = rows(decode(("loss", encode_event("loss", T, {"count": count}))), "losses")
    assert row["count"] is None
    assert (row["start"], row["end"]) == (T, T)


def test_a_restart_is_an_event_and_the_time_before_it_a_loss() -> None:
    values = {"stream": "collector", "previous_alive_unix_ns": str(T - 30 * NS)}
    decoded = decode(("restart", encode_event("writer_started", T, values)))
    (event,), (loss,) = rows(decoded, "events"), rows(decoded, "losses")
    assert (event["process"], event["code"]) == ("collector", "writer_started")
    assert (loss["listener"], loss["how"], loss["start"], loss["end"]) == (
        "collector",
        "writer_restart",
        T - 30 * NS,
        T,
    )


def test_the_first_start_of_a_stream_lost_nothing() -> None:
    decoded = decode(
        ("restart", encode_event("writer_started", T, {"stream": "collector", "previous_alive_unix_ns": None}))
    )
    assert decoded.tables.keys() == {"events"}


BAD = [
    b"", b"{", b"[]", b"null", b'"x"', b"1", b"{}", b'{"event":"x"}', b'{"time_unix_ns":"1"}', b"\xff\xfe",
    b'{"event":1,"time_unix_ns":"1"}', b'{"event":"x","time_unix_ns":"soon"}', b'{"event":"x","time_unix_ns":null}',
    b'{"event":"x","time_unix_ns":[]}', b'{"event":"x","time_unix_ns":NaN}',
]  # fmt: skip
ESCAPING = [
    b'{"event":"x","time_unix_ns":1e999}',
    b'{"event":"x","time_unix_ns":"' + b"9" * 30 + b'"}',
    b'{"event":"\\ud800","time_unix_ns":"1"}',
    b"[" * 100_000,
]
"""Legal for a JSON reader, impossible for a row: each once stopped the index."""


@pytest.mark.parametrize("kind", ["audit", "system", "loss", "restart"])
@pytest.mark.parametrize("bad", [*BAD, *ESCAPING])
def test_what_is_no_record_is_counted_and_hides_no_other(kind: str, bad: bytes) -> None:
    good = encode_event("x", T, {})
    decoded = decode((kind, good), (kind, bad), (kind, good))
    assert sum(table.num_rows for table in decoded.tables.values()) == 2
    assert decoded.counters == {"own_events_malformed": 1}


def test_a_time_a_row_cannot_hold_hides_no_other_row() -> None:
    good = encode_event("x", T, {})
    bad = encode_event("writer_started", T, {"stream": "s", "previous_alive_unix_ns": "soon"})
    decoded = decode(
        ("restart", good), ("restart", bad), ("loss", encode_event("l", T, {"from_unix_ns": str(1 << 70)}))
    )
    assert decoded.tables["events"].num_rows >= 1
    assert decoded.counters["own_events_malformed"] >= 1


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["event", "time_unix_ns", "from_unix_ns", "to_unix_ns", "count", "how", "listener", "stream", "actor", "question",
     "previous_alive_unix_ns", "process"]
)  # fmt: skip


@example("restart", {"previous_alive_unix_ns": "soon"}, True)
@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(["audit", "system", "loss", "restart"]), st.dictionaries(NAMES, VALUES, max_size=8), st.booleans()
)
def test_the_decoder_never_raises_on_any_json(kind: str, values: dict, whole: bool) -> None:
    if whole:
        values = {"event": "writer_started", "time_unix_ns": str(T), **values}
    decoded = decode((kind, json.dumps(values).encode()))
    found = sum(table.num_rows for name, table in decoded.tables.items() if name != "losses" or kind == "loss")
    assert found + decoded.counters["own_events_malformed"] == 1


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    st.integers(0, 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_event_records_come_back(event: str, time_unix_ns: int, text: str) -> None:
    record = decode_event(encode_event(event, time_unix_ns, {"text": text}))
    assert record == {"v": 1, "event": event, "time_unix_ns": str(time_unix_ns), "text": text}


@pytest.mark.parametrize("bad", [*BAD, ESCAPING[0], ESCAPING[3]])
def test_what_is_no_event_record_is_refused_in_the_family(bad: bytes) -> None:
    with pytest.raises(ArchiveFormatError):
        decode_event(bad)
