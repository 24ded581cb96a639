"""Netfilter, conntrack and ulogd lines: typed columns of `logs`, and `nat` rows only where the source changed."""

import time

import pytest
from wire_chunks import ARRIVAL_UNIX_NS, make_chunk

from archive.schema import SCHEMAS
from collector.wire.addresses import format_address
from collector.wire.syslog import SyslogDecoder

DESTROY = (
    b"[1656942980.634473]\t    [DESTROY] tcp      6 src=172.18.0.10 dst=198.51.100.10 sport=53168 dport=443 packets=10 "
    b"bytes=1234 src=198.51.100.10 dst=192.0.0.2 sport=443 dport=40001 packets=8 bytes=4321 [ASSURED] id=2988144384"
)
NEW = (
    b"    [NEW] udp      17 30 src=10.0.0.5 dst=9.9.9.9 sport=5353 dport=53 [UNREPLIED] "
    b"src=9.9.9.9 dst=203.0.113.7 sport=53 dport=5353"
)


def decode(*lines: bytes):
    return SyslogDecoder().decode(None, 3, make_chunk(list(lines), "syslog"))


def text(row: dict) -> dict:
    return {
        name: format_address(value) if isinstance(value, bytes) else value.value if name == "time" else value
        for name, value in row.items()
    }


def nat(*lines: bytes) -> list[dict]:
    table = decode(*lines).tables.get("nat")
    if table is None:
        return []
    assert table.schema.equals(SCHEMAS["nat"])
    table.validate(full=True)
    return [text(row) for row in table.to_pylist()]


def log(line: bytes) -> dict:
    return text(decode(line).tables["logs"].drop_columns(["received", "device_time"]).to_pylist()[0])


def test_netfilter_tcp():
    row = log(
        b"<4>Nov 20 06:14:15 gw kernel: [12345.678] FW-ACCEPT: IN=eth0 OUT=eth1 MAC=00:11:22:33:44:55:66:77:"
        b"88:99:aa:bb:08:00 SRC=192.168.1.20 DST=198.51.100.7 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=1 DF PROTO=TCP "
        b"SPT=50123 DPT=443 WINDOW=64240 RES=0x00 SYN URGP=0"
    )
    assert (row["format"], row["source_address"], row["source_port"]) == ("netfilter", "192.168.1.20", 50123)
    assert (row["destination_address"], row["destination_port"], row["protocol"]) == ("198.51.100.7", 443, 6)
    assert (row["action"], row["app_name"], row["hostname"]) == ("accept", "kernel", "gw")


@pytest.mark.parametrize(
    ("prefix", "action"),
    [(b"fw_drop: ", "drop"), (b"[UFW BLOCK] ", "block"), (b"Denied ", "deny"), (b"REJECT-", "reject"), (b"x ", "")],
)
def test_netfilter_action_comes_from_the_prefix(prefix, action):
    assert log(prefix + b"IN=a OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=1 PROTO=UDP SPT=1 DPT=2")["action"] == action


def test_netfilter_ipv6_and_icmp_error_quoting_another_packet():
    row = log(b"DROP IN=a OUT= SRC=2001:db8::1 DST=2001:db8::2 LEN=1 PROTO=ICMPv6 TYPE=128 CODE=0")
    assert (row["source_address"], row["protocol"], row["source_port"]) == ("2001:db8::1", 58, None)
    row = log(
        b"IN=a OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=56 PROTO=ICMP TYPE=3 CODE=1 "
        b"[SRC=10.0.0.2 DST=8.8.8.8 LEN=28 PROTO=UDP SPT=5 DPT=6 ]"
    )
    assert (row["source_address"], row["protocol"], row["source_port"]) == ("10.0.0.1", 1, None)


def test_netfilter_values_that_cannot_be_are_unknown():
    row = log(b"IN=a OUT= SRC=10.0.0.999 DST=10.0.0.2 LEN=56 PROTO=999 SPT=70000 DPT=6")
    assert (row["format"], row["source_address"], row["source_port"]) == ("netfilter", None, None)
    assert (row["protocol"], row["destination_address"]) == (None, "10.0.0.2")


def test_conntrack_destroy_with_its_own_time_and_id():
    assert nat(DESTROY) == [
        {
            "leaf_index": 3,
            "row": 0,
            "realm": "main",
            "received": nat(DESTROY)[0]["received"],
            "sender_address": "192.0.2.1",
            "outside_address": "192.0.0.2",
            "outside_port_low": 40001,
            "outside_port_high": 40001,
            "protocol": 6,
            "destination_address": "198.51.100.10",
            "destination_port": 443,
            "inside_address": "172.18.0.10",
            "inside_port": 53168,
            "event": "close",
            "time": 1656942980634473000,
            "kind": "session",
            "quality": "exact",
            "mapping_id": "2988144384",
            "opened": None,
            "last_seen": None,
            "opened_leaf": None,
            "opened_row": None,
            "opened_log": None,
        }
    ]
    row = log(DESTROY)
    assert (row["format"], row["source_address"], row["source_port"]) == ("conntrack", "172.18.0.10", 53168)
    assert (row["destination_address"], row["destination_port"], row["protocol"]) == ("198.51.100.10", 443, 6)


def test_conntrack_inside_syslog_headers_gives_the_same_mapping():
    bare = nat(DESTROY)[0]
    for header in (
        b"<30>Nov 20 06:14:15 gw conntrack: ",
        b"<30>Nov 20 06:14:15 gw conntrack[99]: ",
        b"<30>1 2026-11-20T06:14:15+07:00 gw conntrack 99 - - ",
        b"<30>Nov 20 06:14:15 gw ",
        b"<30>",
    ):
        assert nat(header + DESTROY) == [bare], header


def test_conntrack_without_time_takes_the_arrival_and_a_key_of_its_tuples():
    update = NEW.replace(b"[NEW]", b"[UPDATE]").replace(b" [UNREPLIED]", b"")
    close = b"[DESTROY] udp 17 " + update[update.index(b"src=") :]
    rows = nat(NEW, update, close)
    assert [row["event"] for row in rows] == ["open", "update", "close"]
    assert [row["row"] for row in rows] == [0, 1, 2]
    assert {(row["quality"], row["time"]) for row in rows} == {("arrival", ARRIVAL_UNIX_NS)}
    assert len({row["mapping_id"] for row in rows}) == 1
    assert rows[0]["mapping_id"]
    assert (rows[0]["outside_address"], rows[0]["outside_port_low"]) == ("203.0.113.7", 5353)


def test_conntrack_icmp_and_ipv6():
    rows = nat(
        b"[NEW] icmp     1 30 src=10.0.0.5 dst=8.8.8.8 type=8 code=0 id=77 [UNREPLIED] "
        b"src=8.8.8.8 dst=203.0.113.7 type=0 code=0 id=77 id=991",
        b"[NEW] ipv6     10 tcp      6 120 SYN_SENT src=fd00::5 dst=2001:db8::9 sport=1000 dport=80 [UNREPLIED] "
        b"src=2001:db8::9 dst=2001:db8:f::1 sport=80 dport=1001",
    )
    assert (rows[0]["protocol"], rows[0]["inside_port"], rows[0]["outside_port_low"]) == (1, None, 0)
    assert (rows[0]["destination_port"], rows[0]["mapping_id"]) == (None, "991")
    assert (rows[1]["inside_address"], rows[1]["outside_address"]) == ("fd00::5", "2001:db8:f::1")
    assert rows[1]["outside_port_high"] == 1001


def test_a_nat_row_needs_a_translated_source():
    plain = NEW.replace(b"203.0.113.7", b"10.0.0.5")
    assert nat(plain) == []
    assert log(plain)["format"] == "conntrack"
    other_port = plain.replace(b"sport=53 dport=5353", b"sport=53 dport=6000")
    assert [(row["outside_address"], row["outside_port_low"]) for row in nat(other_port)] == [("10.0.0.5", 6000)]
    forwarded = b"[NEW] tcp 6 src=9.9.9.9 dst=203.0.113.7 sport=5 dport=80 src=10.0.0.5 dst=9.9.9.9 sport=80 dport=5"
    assert nat(forwarded) == []


def test_listing_line_is_a_proof_of_life():
    (row,) = nat(b"tcp      6 431999 ESTABLISHED " + DESTROY[DESTROY.index(b"src=") :])
    assert (row["event"], row["quality"]) == ("update", "arrival")


def test_ulogd_line():
    line = (
        b"<6>Oct 16 14:15:54 host [DESTROY] ORIG: SRC=192.168.0.170 DST=9.9.9.9 PROTO=UDP SPT=17500 DPT=53 PKTS=9 "
        b"BYTES=1188 , REPLY: SRC=9.9.9.9 DST=203.0.113.7 PROTO=UDP SPT=53 DPT=1025 PKTS=0 BYTES=0"
    )
    (row,) = nat(line)
    assert (row["event"], row["outside_address"], row["outside_port_low"]) == ("close", "203.0.113.7", 1025)
    assert (row["inside_address"], row["inside_port"], log(line)["format"]) == ("192.168.0.170", 17500, "ulogd")


@pytest.mark.parametrize(
    "line",
    [
        DESTROY.replace(b"192.0.0.2", b"192.0.0.256"),
        DESTROY.replace(b" tcp ", b" "),
        b"[NEW] tcp 6 src=1.1.1.1 dst=2.2.2.2",
    ],
)
def test_broken_conntrack_lines_give_no_mapping(line):
    assert nat(line) == []


def test_hostile_repetition_costs_one_pass():
    lines = [
        b"[NEW] tcp 6 " + b"src=1 dst=2 " * 5000,
        b"[NEW] tcp 6 src=1.1.1.1 dst=2.2.2.2 " + b"src=" * 16000,
        b"IN= OUT= " * 6000 + b"SRC= PROTO=",
        b"IN= OUT= " * 16 + b"SRC=1 DST=2 " * 5000 + b"[PROTO=",
        b"IN= OUT= " + b"SRC=" * 16000 + b"PROTO=",
        b"[NEW] ORIG: SRC=1 DST=1 PROTO=1 " + b", REPLY: SRC=" * 5000,
        b"<1>1 " + b"[a " * 20000,
        b'<1>1 - - - - - [a b="' + b'\\"' * 30000,
        b"<1>" + b"a," * 32000,
    ]
    started = time.process_time()
    assert decode(*lines).tables["logs"].num_rows == len(lines)
    assert time.process_time() - started < 1.0
