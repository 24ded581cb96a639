"""Lines of NAT devices as their vendors send them: those that are understood, and those that are kept as text alone."""

import pytest
from wire_chunks import make_chunk

from archive.schema import UNKNOWN_ADDRESS
from collector.wire.addresses import format_address
from collector.wire.syslog import SyslogDecoder

CONNTRACK = (
    b"[1656942980.634473]  [DESTROY] tcp 6 src=172.18.0.10 dst=198.51.100.10 sport=53168 dport=443 packets=10 "
    b"bytes=1234 src=198.51.100.10 dst=192.0.0.2 sport=443 dport=53168 packets=8 bytes=4321"
)
ULOGD = (
    b"Oct 16 14:15:54 host [DESTROY] ORIG: SRC=192.168.0.170 DST=255.255.255.255 PROTO=UDP SPT=17500 DPT=17500 PKTS=9 "
    b"BYTES=1188 , REPLY: SRC=255.255.255.255 DST=192.168.0.170 PROTO=UDP SPT=17500 DPT=17500 PKTS=0 BYTES=0"
)
TEXT_ALONE = {
    "asa built translation": (
        b"%ASA-6-305011: Built dynamic TCP translation from inside:172.31.98.44/1772 to outside:100.66.98.44/8256"
    ),
    "asa built connection": (
        b"%ASA-6-302013: Built outbound TCP connection 11757 for outside:100.66.205.104/80 (100.66.205.104/80) to "
        b"inside:172.31.98.44/1772 (172.31.98.44/1772)"
    ),
    "asa teardown": (
        b"%ASA-6-305012: Teardown dynamic TCP translation from inside:172.31.98.44/1454 to outside:100.66.98.44/8267 "
        b"duration 0:00:30"
    ),
    "fortigate": (
        b'date=2019-05-10 time=11:37:47 logid="0000000013" type="traffic" subtype="forward" '
        b"eventtime=1557513467369913239 srcip=10.1.100.11 srcport=58012 dstip=81.2.69.142 dstport=80 sessionid=105048 "
        b'proto=6 action="close" policyid=1 trandisp="snat" transip=172.16.200.2 transport=58012 duration=116'
    ),
    "palo alto": (
        b"Nov 30 16:09:08 PA-220 1,2018/11/30 16:09:07,012801096514,TRAFFIC,end,2049,2018/11/30 16:09:07,"
        b"192.168.15.207,175.16.199.1,192.168.1.63,175.16.199.1,new_outbound_from_trust,,,apple-maps,vsys1,trust,untrust"
    ),
    "routeros firewall": (
        b"firewall,info 0-Napbiotec: forward: in:vlan20-office out:pppoe-tot, src-mac b4:0f:b3:1d:63:4b, proto TCP "
        b"(ACK,FIN,PSH), 192.168.20.171:43996->47.241.18.42:443, NAT (192.168.20.171:43996->125.25.69.110:43996)->"
        b"47.241.18.42:443, len 71"
    ),
    "pfsense filterlog": (
        b"<134>Jan 1 02:21:38 firewall.opnsense.net filterlog[97530]: 146,,,1535324496,igb1.12,match,block,in,4,0x0,,"
        b"63,12617,0,DF,6,tcp,60,10.170.12.50,175.16.199.1,49724,853,0,S,1891286705,,64240,,mss;sackOK;TS;nop;wscale"
    ),
    "a10 port batch": (
        b"Jul  6 14:05:37 host NAT:20260706140537 3e2d PortBatchV2Allocated: [100.104.128.32 62.45.100.176 11777 12288]"
    ),
}
"""No parser reads these yet; docs and status must not say that their senders can answer."""


def decode(line: bytes) -> tuple[dict, list[dict]]:
    decoder = SyslogDecoder("Asia/Bangkok")
    tables = decoder.decode(decoder.initial_state(), 1, make_chunk([line], "syslog/udp-5514")).tables
    (row,) = tables["logs"].to_pylist()
    return row, tables["nat"].to_pylist() if "nat" in tables else []


def test_conntrack():
    row, (mapping,) = decode(CONNTRACK)
    assert (row["format"], mapping["event"], mapping["quality"]) == ("conntrack", "close", "exact")
    addresses = [format_address(mapping[f"{name}_address"]) for name in ("outside", "inside", "destination")]
    assert addresses == ["192.0.0.2", "172.18.0.10", "198.51.100.10"]
    ports = [mapping[name] for name in ("outside_port_low", "outside_port_high", "inside_port", "destination_port")]
    assert ports == [53168, 53168, 53168, 443]


def test_ulogd_of_a_connection_without_translation():
    row, mappings = decode(ULOGD)
    assert (row["format"], row["source_port"], mappings) == ("ulogd", 17500, [])


@pytest.mark.parametrize("name", TEXT_ALONE)
def test_lines_without_a_parser_are_kept_whole_and_map_nothing(name):
    line = TEXT_ALONE[name]
    row, mappings = decode(line)
    assert mappings == []
    assert row["source_address"] in (None, UNKNOWN_ADDRESS)
    assert line.decode().endswith(row["message"])
    assert len(row["message"]) > 40
