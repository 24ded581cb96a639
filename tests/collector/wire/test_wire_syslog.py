"""Syslog lines to `logs` rows: headers, times, encodings; and what is kept of lines nobody understands."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_chunks import ARRIVAL_UNIX_NS, SENDER, make_chunk

from archive.schema import SCHEMAS
from collector.wire.syslog import SyslogDecoder
from collector.wire.text_encoding import decode_text, encode_text


def decode(*payloads: bytes, zone="Asia/Bangkok", arrival=ARRIVAL_UNIX_NS):
    decoder = SyslogDecoder(zone)
    return decoder.decode(decoder.initial_state(), 7, make_chunk(list(payloads), "syslog/udp-5514", arrival=arrival))


def one(payload: bytes, **arguments) -> dict:
    rows = decode(payload, **arguments).tables["logs"].to_pylist()
    assert len(rows) == 1
    return rows[0]


def unix_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def device_ns(row: dict) -> int | None:
    return None if row["device_time"] is None else row["device_time"].value


def test_rfc5424_example_with_structured_data_and_bom():
    row = one(
        b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog 12 ID47 "
        b'[exampleSDID@32473 iut="3" note="a \\] b"][x@1] \xef\xbb\xbfAn application event'
    )
    assert row["format"] == "rfc5424"
    assert (row["facility"], row["severity"]) == (20, 5)
    assert device_ns(row) == unix_ns("2003-10-11T22:14:15+00:00") + 3_000_000
    assert (row["hostname"], row["app_name"], row["process_id"], row["message_id"]) == (
        "mymachine.example.com",
        "evntslog",
        "12",
        "ID47",
    )
    assert row["structured_data"] == '[exampleSDID@32473 iut="3" note="a \\] b"][x@1]'
    assert row["message"] == "An application event"


def test_rfc5424_offset_and_nil_values():
    row = one(b"<34>1 2026-11-20T07:00:00.000001+07:00 - - - - - hello")
    assert device_ns(row) == unix_ns("2026-11-20T00:00:00+00:00") + 1_000
    assert [row[name] for name in ("hostname", "app_name", "process_id", "message_id", "structured_data")] == [""] * 5
    assert row["message"] == "hello"


def test_rfc5424_without_message_or_time():
    row = one(b"<34>1 - host app - - -")
    assert (row["format"], row["device_time"], row["app_name"], row["message"]) == ("rfc5424", None, "app", "")


@pytest.mark.parametrize("moment", ["2026-02-30T00:00:00Z", "2026-11-20T00:00:60Z", "9999-12-31T00:00:00Z"])
def test_rfc5424_impossible_times_are_unknown(moment):
    row = one(f"<34>1 {moment} host app - - - text".encode())
    assert (row["format"], row["device_time"], row["hostname"]) == ("rfc5424", None, "host")


@pytest.mark.parametrize(
    ("line", "hostname", "app_name", "process_id", "message"),
    [
        (b"<34>Nov 20 06:14:15 mymachine su: 'su root' failed", "mymachine", "su", "", "'su root' failed"),
        (b"<34>Nov 20 06:14:15 gw sshd[411]: Accepted", "gw", "sshd", "411", "Accepted"),
        (b"<34>Nov 20 06:14:15 sshd[411]: no host here", "", "sshd", "411", "no host here"),
        (b"<34>Nov 20 06:14:15 su: no host here", "", "su", "", "no host here"),
        (b"<34>Nov 20 06:14:15 last message repeated 2 times", "", "", "", "last message repeated 2 times"),
        (b"Nov 20 06:14:15 host cron[9]: without PRI", "host", "cron", "9", "without PRI"),
        (b"<30>firewall,info forward: in:ether1", "", "firewall,info", "", "forward: in:ether1"),
        (b"<30>Nov 20 06:14:15 MikroTik firewall,info forward", "MikroTik", "firewall,info", "", "forward"),
        (b"<13>2026-11-20T06:14:15+07:00 host app: iso time", "host", "app", "", "iso time"),
        (b"<13>just text", "", "", "", "just text"),
    ],
)
def test_rfc3164_forms(line, hostname, app_name, process_id, message):
    row = one(line)
    assert row["format"] == "rfc3164"
    assert (row["hostname"], row["app_name"], row["process_id"], row["message"]) == (
        hostname,
        app_name,
        process_id,
        message,
    )
    if b"06:14:15" in line:
        assert device_ns(row) == unix_ns("2026-11-20T06:14:15+07:00")
    else:
        assert row["device_time"] is None


def test_rfc3164_time_is_read_in_the_zone_of_the_decoder():
    assert device_ns(one(b"<13>Nov 19 19:00:00 h a: x", zone="America/New_York")) == ARRIVAL_UNIX_NS


@pytest.mark.parametrize(
    ("arrival", "text", "expected"),
    [
        ("2027-01-01T00:00:03+07:00", b"Dec 31 23:59:59", "2026-12-31T23:59:59+07:00"),
        ("2026-12-31T23:59:59+07:00", b"Jan  1 00:00:03", "2027-01-01T00:00:03+07:00"),
        ("2028-03-01T00:00:00+07:00", b"Feb 29 12:00:00", "2028-02-29T12:00:00+07:00"),
        ("2026-06-01T00:00:00+07:00", b"May 31 2024 12:00:00", "2024-05-31T12:00:00+07:00"),
    ],
)
def test_rfc3164_year_is_the_nearest_to_arrival(arrival, text, expected):
    row = one(b"<13>" + text + b" h a: x", arrival=int(datetime.fromisoformat(arrival).timestamp()) * 10**9)
    assert device_ns(row) == int(datetime.fromisoformat(expected).astimezone(UTC).timestamp()) * 10**9


def test_rfc3164_29_february_far_from_a_leap_year_is_unknown():
    assert one(b"<13>Feb 29 12:00:00 h a: x")["device_time"] is None


@pytest.mark.parametrize("line", [b"hello world", b"<192>Nov 20 06:14:15 h a: x", b"<1234>x", b"", b"<>", b"<1 x"])
def test_lines_without_a_header_are_kept_whole(line):
    row = one(line)
    assert (row["format"], row["facility"], row["message"]) == ("unknown", None, line.decode())
    assert decode(line).counters == {"syslog_lines": 1, "syslog_unknown_lines": 1}


@pytest.mark.parametrize("trailer", [b"\n", b"\r\n", b"\x00", b"\n\x00\x00"])
def test_trailing_newline_and_nul_are_not_part_of_the_message(trailer):
    assert one(b"<34>Nov 20 06:14:15 h su: text" + trailer)["message"] == "text"


def test_thai_in_three_encodings():
    thai = "ผู้ใช้เข้าสู่ระบบ"
    for payload, encoding, text in (
        (thai.encode(), "utf-8", thai),
        (thai.encode("cp874"), "cp874", thai),
        (thai.encode()[:-1], "utf-8-cut", thai[:-1] + "\\xe0\\xb8"),
        (b"\xff\xfe\x81\\", "escaped", "\\xff\\xfe\\x81\\x5c"),
    ):
        row = one(b"<13>" + payload)
        assert (row["encoding"], row["message"]) == (encoding, text)
    assert decode(b"\xff\xfe\x81").counters["syslog_escaped_lines"] == 1


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_every_text_gives_its_bytes_back(payload):
    assert encode_text(*decode_text(payload)) == payload


@given(st.text("กขค๐฿abc\\x", min_size=1, max_size=20), st.integers(1, 2))
def test_cut_utf8_gives_its_bytes_back(text, cut):
    payload = (text + "ก").encode()[:-cut]
    decoded = decode_text(payload)
    assert decoded[1] == "utf-8-cut"
    assert encode_text(*decoded) == payload


def test_rows_carry_chunk_columns_and_other_kinds_are_left_alone():
    decoder = SyslogDecoder()
    chunk = make_chunk([b"\x00\x05", b"<13>Nov 20 06:14:15 h a: x", b"{}"], ["netflow", "syslog/tcp-5514", "audit"])
    decoded = decoder.decode(None, 12, chunk)
    logs = decoded.tables["logs"]
    assert logs.schema.equals(SCHEMAS["logs"])
    (row,) = logs.to_pylist()
    assert (row["leaf_index"], row["row"], row["realm"], row["listener"], row["transport"]) == (
        12,
        1,
        "main",
        "syslog/tcp-5514",
        "udp",
    )
    assert (row["sender_address"], row["sender_port"], row["received"].value) == (SENDER, 2055, ARRIVAL_UNIX_NS)
    assert decoder.decode(None, 12, make_chunk([b"{}"], "audit")).tables == {}


SAMPLES = [
    b'<165>1 2003-10-11T22:14:15.003Z host app 12 ID47 [a@1 b="c"] \xef\xbb\xbftext',
    b"<34>Nov 20 06:14:15 gw kernel: [1.2] DROP IN=a OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=1 PROTO=UDP SPT=1 DPT=2",
    b"[1656942980.634473]\t[DESTROY] tcp 6 src=10.0.0.1 dst=10.9.9.9 sport=1 dport=2 src=10.9.9.9 dst=1.1.1.1 "
    b"sport=2 dport=3 id=5",
]


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_cut_and_every_trailer_is_decoded_without_raising(sample):
    lines = [sample[:length] for length in range(len(sample) + 1)]
    lines += [sample + bytes([byte]) * 3 for byte in range(256)]
    decoded = decode(*lines)
    assert decoded.tables["logs"].num_rows == len(lines)
    assert decoded.counters["syslog_lines"] == len(lines)
    assert decoded.tables["logs"].column("row").to_pylist() == list(range(len(lines)))


@st.composite
def changed_sample(draw):
    sample = draw(st.sampled_from(SAMPLES))
    place = draw(st.integers(0, len(sample)))
    return sample[:place] + draw(st.binary(max_size=4)) + sample[place + 1 :]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=300) | changed_sample(), min_size=1, max_size=8))
def test_arbitrary_lines_never_raise_and_give_one_row_each(lines):
    tables = decode(*lines).tables
    assert tables["logs"].num_rows == len(lines)
    for name, table in tables.items():
        table.validate(full=True)
        assert table.schema.equals(SCHEMAS[name])


def test_dictionary_encoded_chunks_are_read():
    chunk = make_chunk([b"<13>x", b"<13>y"], "syslog")
    for name in ("listener", "transport", "realm"):
        index = chunk.column_names.index(name)
        chunk = chunk.set_column(index, name, chunk.column(name).dictionary_encode())
    logs = SyslogDecoder().decode(None, 1, pa.concat_tables([chunk, chunk])).tables["logs"]
    assert logs.column("message").to_pylist() == ["x", "y", "x", "y"]
