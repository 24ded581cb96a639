"""Truth tables of the decoder: records in, rows and counters out."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from radius_packets import accounting, attribute, number, request

from archive.schema import SCHEMAS, UNKNOWN_ADDRESS
from authgw.decoder import SessionDecoder
from authgw.session_events import encode_session_event

NS = 1_000_000_000
ARRIVAL_SECONDS = 1_795_000_000
SOURCE = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1])
NAME = attribute(1, b"somchai")
SESSION = attribute(44, b"0001")
ADDRESS = attribute(8, bytes([10, 0, 0, 7]))


def status(value: int) -> bytes:
    return attribute(40, number(value))


def chunk(*records: tuple[str, bytes], arrival_seconds: int = ARRIVAL_SECONDS) -> pa.Table:
    count = len(records)
    return pa.table(
        {
            "row": pa.array(range(count), pa.uint32()),
            "received_unix_ns": pa.array([arrival_seconds * NS] * count, pa.int64()),
            "source_address": pa.array([SOURCE] * count, pa.binary(16)),
            "source_port": pa.array([1646] * count, pa.uint16()),
            "transport": ["udp"] * count,
            "listener": [listener for listener, _ in records],
            "truncated": [False] * count,
            "payload": pa.array([payload for _, payload in records], pa.binary()),
            "realm": ["main"] * count,
        }
    )


def decode(*records: tuple[str, bytes], **more):
    return SessionDecoder().decode(None, 42, chunk(*records, **more))


def sessions(*packets: bytes, **more) -> list[dict]:
    result = decode(*[("radius-acct", p) for p in packets], **more)
    table = result.tables["sessions"]
    assert table.schema == SCHEMAS["sessions"]
    times = table.column("time").cast(pa.int64()).to_pylist()
    return [row | {"time": t} for row, t in zip(table.drop(["time", "received"]).to_pylist(), times, strict=True)]


def one(*attributes: bytes, **more) -> dict:
    (row,) = sessions(accounting(*attributes), **more)
    return row | {"details": json.loads(row["details"])}


@pytest.mark.parametrize(("value", "event"), [(1, "open"), (2, "close"), (3, "update"), (7, "nas_on"), (8, "nas_off")])
def test_status_types(value, event):
    row = one(status(value), NAME, SESSION, ADDRESS)
    assert row["event"] == event
    assert row["leaf_index"] == 42
    assert row["realm"] == "main"
    assert row["account"] == "somchai"
    assert row["session_id"] == "0001"
    assert row["address"] == bytes(10) + b"\xff\xff\x0a\0\0\7"
    assert row["nas_address"] == SOURCE
    assert row["kind"] == "radius"


def test_a_full_stop():
    row = one(
        status(2),
        attribute(1, b"Somchai"),
        SESSION,
        ADDRESS,
        attribute(4, bytes([192, 168, 88, 1])),
        attribute(25, b"other"),
        attribute(25, b"phayan-login:00ff"),
        attribute(31, b"A2-BB-CC-DD-EE-FF"),
        attribute(30, b"AP1:office"),
        attribute(32, b"ap-1"),
        attribute(42, number(5)),
        attribute(52, number(1)),
        attribute(43, number(4_294_967_295)),
        attribute(46, number(600)),
        attribute(49, number(4)),
        attribute(55, number(ARRIVAL_SECONDS - 3)),
    )
    assert row["input_octets"] == (1 << 32) + 5
    assert row["output_octets"] == 4_294_967_295
    assert row["session_seconds"] == 600
    assert row["ended_why"] == "Idle-Timeout"
    assert row["login_id"] == "00ff"
    assert row["station"] == "a2:bb:cc:dd:ee:ff"
    assert row["nas_identifier"] == "ap-1"
    assert row["nas_address"] == bytes(10) + b"\xff\xff" + bytes([192, 168, 88, 1])
    assert row["time"] == (ARRIVAL_SECONDS - 3) * NS
    assert row["quality"] == "exact"
    assert row["details"] == {
        "called_station": "AP1:office",
        "source_address": SOURCE.hex(),
        "station_randomised": True,
        "user_name": "Somchai",
    }


@pytest.mark.parametrize(
    ("attributes", "time_seconds", "quality"),
    [
        ([], 0, "arrival"),
        ([attribute(41, number(30))], -30, "arrival"),
        ([attribute(41, number(0))], 0, "arrival"),
        ([attribute(55, number(ARRIVAL_SECONDS - 60)), attribute(41, number(60))], -60, "exact"),
        ([attribute(55, number(ARRIVAL_SECONDS + 300))], 300, "exact"),
        ([attribute(55, number(ARRIVAL_SECONDS + 301))], 0, "arrival"),
        ([attribute(55, number(0)), attribute(41, number(9))], -9, "arrival"),
        ([attribute(55, number(ARRIVAL_SECONDS - 7 * 86400))], -7 * 86400, "exact"),
        ([attribute(41, number(4_000_000_000))], 0, "arrival"),
        ([attribute(41, b"\1")], 0, "arrival"),
    ],
)
def test_event_time(attributes, time_seconds, quality):
    row = one(status(1), NAME, SESSION, *attributes)
    assert (row["time"] - ARRIVAL_SECONDS * NS, row["quality"]) == (time_seconds * NS, quality)


def test_an_implausible_clock_is_counted_and_kept():
    result = decode(("radius-acct", accounting(status(1), SESSION, attribute(55, number(5)))))
    assert result.counters == {"event_timestamp_implausible": 1, "radius-acct_records": 1}
    assert json.loads(result.tables["sessions"]["details"][0].as_py()) == {"implausible_event_timestamp": 5}


V6 = bytes.fromhex("20010db8000000000000000000000005")


@pytest.mark.parametrize(
    ("attributes", "addresses"),
    [
        ([], [UNKNOWN_ADDRESS]),
        ([attribute(8, bytes(4))], [UNKNOWN_ADDRESS]),
        ([attribute(8, b"\xff\xff\xff\xfe")], [UNKNOWN_ADDRESS]),
        ([attribute(8, b"\1\2\3")], [UNKNOWN_ADDRESS]),
        ([attribute(168, V6)], [V6]),
        ([attribute(97, b"\0\x40" + V6[:8])], [V6[:8] + bytes(8)]),
        ([attribute(97, b"\0\xff" + V6[:8])], [UNKNOWN_ADDRESS]),
        ([ADDRESS, attribute(168, V6)], [bytes(10) + b"\xff\xff\x0a\0\0\7", V6]),
    ],
)
def test_addresses(attributes, addresses):
    rows = sessions(accounting(status(1), NAME, SESSION, *attributes))
    assert [r["address"] for r in rows] == addresses
    assert {r["row"] for r in rows} == {0}
    assert len({r["dedup_key"] for r in rows}) == len(rows)


@pytest.mark.parametrize(("cause", "why"), [(1, "User-Request"), (22, "Port-Disabled"), (99, "cause-99"), (None, "")])
def test_terminate_causes(cause, why):
    extra = [] if cause is None else [attribute(49, number(cause))]
    assert one(status(2), SESSION, *extra)["ended_why"] == why


def test_counters_that_are_absent_are_unknown_not_zero():
    row = one(status(1), SESSION)
    assert (row["input_octets"], row["output_octets"], row["session_seconds"]) == (None, None, None)


RETRANSMISSIONS = {
    "with event time": [attribute(55, number(ARRIVAL_SECONDS - 100))],
    "with session time": [attribute(46, number(300)), attribute(42, number(9))],
    "start without a time": [],
}


@pytest.mark.parametrize("case", RETRANSMISSIONS)
@pytest.mark.parametrize("value", [1, 2, 3])
def test_retransmissions_have_one_key(case, value):
    base = [status(value), NAME, SESSION, ADDRESS, *RETRANSMISSIONS[case]]
    (first,) = sessions(accounting(*base, attribute(41, number(0)), identifier=1))
    (again,) = sessions(
        accounting(*base, attribute(41, number(40)), identifier=2), arrival_seconds=ARRIVAL_SECONDS + 40
    )
    assert first["dedup_key"] == again["dedup_key"]


@pytest.mark.parametrize(
    "change",
    [
        {"status": status(2)},
        {"session": attribute(44, b"0002")},
        {"nas": attribute(4, bytes([10, 9, 9, 9]))},
        {"time": attribute(55, number(ARRIVAL_SECONDS - 99))},
        {"octets": attribute(42, number(8))},
        {"address": attribute(8, bytes([10, 0, 0, 8]))},
        {"name": attribute(1, b"somsri")},
    ],
)
def test_different_events_have_different_keys(change):
    base = {
        "status": status(3),
        "session": SESSION,
        "nas": attribute(4, bytes([10, 9, 9, 8])),
        "time": attribute(55, number(ARRIVAL_SECONDS - 100)),
        "octets": attribute(42, number(9)),
        "address": ADDRESS,
        "name": NAME,
    }
    keys = {sessions(accounting(*values.values()))[0]["dedup_key"] for values in (base, base | change)}
    assert len(keys) == 2


def test_the_same_session_id_after_a_restart_of_the_nas_is_another_session():
    packet = accounting(status(1), NAME, SESSION, ADDRESS)
    keys = {sessions(packet, arrival_seconds=ARRIVAL_SECONDS + d)[0]["dedup_key"] for d in (0, 7200)}
    assert len(keys) == 2


def test_thai_names_of_old_devices():
    assert one(status(1), SESSION, attribute(1, "สมชาย".encode("tis-620")))["account"] == "สมชาย"


def test_bad_records_are_counted_by_reason():
    good = accounting(status(1), NAME, SESSION)
    result = decode(
        ("radius-acct", good),
        ("radius-acct", good[:30]),
        ("radius-acct", b""),
        ("radius-acct", request(1, NAME)),
        ("radius-acct", accounting(NAME)),
        ("radius-acct", accounting(status(15), NAME)),
        ("session", b"{"),
        ("session", b'{"v":1,"event":"dance","time_unix_ns":"1"}'),
        ("identity", b"[]"),
        ("syslog/udp-514", b"not ours"),
    )
    assert result.counters == {
        "radius-acct_records": 2,
        "accounting_other_status": 1,
        "malformed_radius-acct": 4,
        "malformed_reason_not_accounting": 3,
        "malformed_reason_no_status_type": 1,
        "malformed_session": 2,
        "malformed_reason_not_an_event": 2,
        "malformed_reason_unknown_session_event": 1,
        "malformed_identity": 1,
    }
    assert len(result.tables["sessions"]) == 1
    assert result.waiting == 0


def test_session_event_becomes_a_row_and_states_the_directory_person():
    payload = encode_session_event(
        "update",
        5 * NS,
        kind="radius",
        account="Somchai",
        address="10.0.0.7",
        station="aa:bb:cc:dd:ee:ff",
        nas_address="2001:db8::5",
        login_id="00ff",
        details={"verdict": "accept", "source": "directory", "person": "สมชาย ใจดี"},
    )
    result = decode(("session", payload))
    (row,) = result.tables["sessions"].drop(["time", "received"]).to_pylist()
    assert (row["event"], row["account"], row["login_id"]) == ("update", "somchai", "00ff")
    assert row["nas_address"] == V6
    assert row["address"] == bytes(10) + b"\xff\xff\x0a\0\0\7"
    (person,) = result.tables["identity"].drop(["time", "received"]).to_pylist()
    assert result.tables["identity"].schema == SCHEMAS["identity"]
    assert (person["event"], person["account"], person["person"]) == ("account_seen", "somchai", "สมชาย ใจดี")
    assert person["actor"] == "directory"


def test_a_reject_has_no_address():
    payload = encode_session_event("reject", 5, kind="portal", account="x", ended_why="wrong_password")
    (row,) = decode(("session", payload)).tables["sessions"].drop(["time", "received"]).to_pylist()
    assert (row["address"], row["nas_address"], row["ended_why"]) == (UNKNOWN_ADDRESS, None, "wrong_password")


def test_identity_event():
    payload = json.dumps(
        {
            "v": 1,
            "event": "account_created",
            "time_unix_ns": str(7 * NS),
            "account": "somchai",
            "person": "สมชาย ใจดี",
            "actor": "admin",
            "details": {"identified_how": "บัตร"},
        }
    ).encode()
    table = decode(("identity", payload)).tables["identity"]
    (row,) = table.drop(["time", "received"]).to_pylist()
    assert table.column("time").cast(pa.int64()).to_pylist() == [7 * NS]
    assert (row["event"], row["person"], row["actor"]) == ("account_created", "สมชาย ใจดี", "admin")
    assert json.loads(row["details"]) == {"identified_how": "บัตร"}


_KINDS = st.sampled_from(["radius-acct", "session", "identity"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_EVENT_KEYS = st.sampled_from(
    ["v", "event", "time_unix_ns", "account", "address", "nas_address", "details", "person", "input_octets"]
)
_EVENT = st.fixed_dictionaries(
    {"event": st.sampled_from(["open", "close", "x"]), "time_unix_ns": st.integers(-5, 2**70).map(str)}
)


@given(st.lists(st.tuples(_KINDS, st.binary(max_size=80)), max_size=5))
@settings(max_examples=300)
def test_random_payloads_never_raise(records):
    decode(*records)


@given(_KINDS, _EVENT, st.dictionaries(_EVENT_KEYS, _JSON, max_size=8))
@settings(max_examples=400)
def test_odd_events_never_raise(kind, event, more):
    result = decode((kind, json.dumps(event | more).encode()))
    assert sum(v for k, v in result.counters.items() if k.endswith("_records") or k == f"malformed_{kind}") == 1


@given(st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=24)), max_size=12), st.integers(0, 20))
@settings(max_examples=400)
def test_odd_packets_never_raise(attributes, cut):
    packet = accounting(status(1), *[attribute(k, v) for k, v in attributes])
    decode(("radius-acct", packet), ("radius-acct", packet[: len(packet) - cut]))


def test_json_that_is_legal_but_hostile():
    deep = b'{"event":"open","time_unix_ns":"1","details":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    surrogate = b'{"event":"open","time_unix_ns":"1","account":"\\ud800","details":{"\\ud800":"\\udfff"}}'
    huge = b'{"event":"open","time_unix_ns":"' + b"9" * 5000 + b'"}'
    result = decode(("session", deep), ("session", surrogate), ("session", huge), ("identity", huge))
    assert result.counters["session_records"] == 1
    assert result.counters["malformed_session"] == 2
