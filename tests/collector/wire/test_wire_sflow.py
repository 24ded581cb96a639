"""sFlow v5 by hand: samples, sampled packets, counters, gaps, lies. Nothing raises, all that is dropped is counted."""

import json
import pickle
import random
import time
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sflow_builder import (
    address,
    counter_sample,
    datagram,
    ethernet,
    expanded_counter_sample,
    expanded_flow_sample,
    flow_sample,
    interface_counters,
    ipv4,
    ipv6,
    opaque,
    raw_packet,
    record,
    sampled_ipv4,
    sampled_ipv6,
    tcp,
    udp,
)
from wire_chunks import ARRIVAL_UNIX_NS, SENDER, make_chunk

from archive.schema import SCHEMAS
from collector.decode_file import decode_files
from collector.wire.addresses import format_address
from collector.wire.sequence_gaps import SEQUENCE_GAP, Arrival, GapFinder
from collector.wire.sflow import SFlowDecoder
from collector.wire.sflow_split import split_sflow_datagrams

LISTENER = "sflow/udp-6343"


def decode(*payloads: bytes, state=None, leaf_index=1, **arguments):
    decoder = SFlowDecoder()
    state = decoder.initial_state() if state is None else state
    return decoder.decode(state, leaf_index, make_chunk(list(payloads), LISTENER, **arguments))


def rows(decoded, table="flows") -> list[dict]:
    if table not in decoded.tables:
        return []
    found = decoded.tables[table]
    assert found.schema.equals(SCHEMAS[table])
    found.validate(full=True)
    for field in SCHEMAS[table]:
        assert field.nullable or found.column(field.name).null_count == 0
    shown = []
    for row in found.to_pylist():
        row = {key: format_address(value) if isinstance(value, bytes) else value for key, value in row.items()}
        for name in ("extra", "elements", "details"):
            if name in row:
                row[name] = json.loads(row[name], object_pairs_hook=unique)
        shown.append(row)
    return shown


def unique(pairs) -> dict:
    assert len(dict(pairs)) == len(pairs), "a member comes once"
    return dict(pairs)


def one_flow(*records: bytes) -> dict:
    (row,) = rows(decode(datagram(flow_sample(*records))))
    return row


def packet(frame: bytes, **arguments) -> dict:
    return one_flow(raw_packet(frame, **arguments))


def ends(row: dict) -> tuple:
    return (
        row["source_address"],
        row["source_port"],
        row["destination_address"],
        row["destination_port"],
        row["protocol"],
    )


V4_ENDS = ("10.0.0.1", 40000, "198.51.100.7", 443, 6)
V6_ENDS = ("2001:db8::1", 5353, "2001:db8::99", 53, 17)


@pytest.mark.parametrize("make", [flow_sample, expanded_flow_sample])
def test_flow_sample_compact_and_expanded(make):
    sample = make(raw_packet(ethernet(ipv4(tcp(), tos=0xB8)), frame_length=1518), rate=512, pool=9999, drops=2)
    (row,) = rows(decode(datagram(sample, sub_agent=7, sequence=99), source=bytes(10) + b"\xff\xff\xc0\0\2\1"))
    assert ends(row) == V4_ENDS
    assert (row["packets"], row["bytes"], row["tcp_flags"], row["tos"]) == (1, 1518, 0x12, 0xB8)
    assert (row["input_interface"], row["output_interface"]) == (3, 4)
    assert (row["version"], row["observation_domain"], row["sequence"]) == ("sflow5", 7, 99)
    assert row["template_id"] == (1 if make is flow_sample else 3)
    assert (row["start"], row["end"], row["received"].value) == (None, None, ARRIVAL_UNIX_NS)
    assert row["extra"] == {
        "samplingInterval": 512, "samplePool": 9999, "drops": 2, "sourceIdIndex": 3,
        "sourceMacAddress": "02:00:00:00:00:01", "destinationMacAddress": "02:00:00:00:00:02",
        "ethernetType": 0x0800, "ipTTL": 61,
    }  # fmt: skip


def test_compact_source_id_holds_a_type_and_an_index():
    (row,) = rows(decode(datagram(flow_sample(sampled_ipv4(), source=2 << 24 | 0x010203))))
    assert (row["extra"]["sourceIdType"], row["extra"]["sourceIdIndex"]) == (2, 0x010203)
    (row,) = rows(decode(datagram(expanded_flow_sample(sampled_ipv4(), source=(2, 2**31)))))
    assert (row["extra"]["sourceIdType"], row["extra"]["sourceIdIndex"]) == (2, 2**31)


@pytest.mark.parametrize("agent", [b"\xc0\0\2\7", bytes.fromhex("20010db8000000000000000000000007")])
def test_agent_address_that_is_not_the_sender_is_kept(agent):
    (row,) = rows(decode(datagram(flow_sample(raw_packet(ethernet(ipv4(tcp())))), agent=agent)))
    assert row["exporter_address"] == "192.0.2.1"
    assert row["extra"]["agentAddress"] == format_address(
        agent if len(agent) == 16 else bytes(10) + b"\xff\xff" + agent
    )
    (row,) = rows(decode(datagram(flow_sample(raw_packet(ethernet(ipv4(tcp())))), agent=b"")))
    assert "agentAddress" not in row["extra"]


@pytest.mark.parametrize("tag", [0x8100, 0x88A8, 0x9100])
def test_vlan_tags(tag):
    row = packet(ethernet(ipv4(tcp()), vlans=(0xE000 | 100,), tag=tag))  # with priority 7
    assert (ends(row), row["extra"]["dot1qVlanId"]) == (V4_ENDS, 100)
    assert "dot1qCustomerVlanId" not in row["extra"]
    row = packet(ethernet(ipv6(udp()), 0x86DD, vlans=(100, 4095), tag=tag))
    assert (ends(row), row["extra"]["dot1qVlanId"], row["extra"]["dot1qCustomerVlanId"]) == (V6_ENDS, 100, 4095)
    assert row["extra"]["ethernetType"] == 0x86DD
    assert packet(ethernet(ipv4(tcp()), vlans=(1, 2, 3, 4), tag=tag))["source_address"] == "10.0.0.1"
    assert packet(ethernet(ipv4(tcp()), vlans=(1, 2, 3, 4, 5), tag=tag))["source_address"] == "::"


def test_packets_inside_mpls_and_pppoe():
    labels = pack(">II", 16 << 12 | 64, 17 << 12 | 1 << 8 | 64)
    assert ends(packet(ethernet(labels + ipv4(tcp()), 0x8847))) == V4_ENDS
    assert ends(packet(ethernet(labels + ipv6(udp()), 0x8848))) == V6_ENDS
    assert packet(ethernet(labels[:4] * 20 + ipv4(tcp()), 0x8847))["source_address"] == "::"
    session = pack(">BBHH", 0x11, 0, 7, 60)
    assert ends(packet(ethernet(session + b"\x00\x21" + ipv4(tcp()), 0x8864, vlans=(35,)))) == V4_ENDS
    assert ends(packet(ethernet(session + b"\x00\x57" + ipv6(udp()), 0x8864))) == V6_ENDS
    assert packet(ethernet(session + b"\xc0\x21" + ipv4(tcp()), 0x8864))["source_address"] == "::"


def test_raw_headers_that_begin_with_ip():
    assert ends(packet(ipv4(tcp()), protocol=11)) == V4_ENDS
    row = packet(ipv6(udp(), traffic_class=0x2E), protocol=12)
    assert (ends(row), row["tos"], row["extra"]["ipTTL"]) == (V6_ENDS, 0x2E, 63)
    assert "ethernetType" not in row["extra"]
    assert packet(ipv4(tcp()), protocol=12)["source_address"] == "::"


def test_header_protocol_not_read_is_kept_in_hex():
    row = packet(b"\xff\x03\x00\x21" + ipv4(tcp()), protocol=7, frame_length=90)
    assert (row["source_address"], row["protocol"], row["bytes"]) == ("::", None, 90)
    assert row["extra"]["e0.1"].startswith("000000070000005a")


@pytest.mark.parametrize("ether_type", [0x0806, 0x88CC, 0x0026])
def test_frames_that_carry_no_ip_are_rows_without_addresses(ether_type):
    row = packet(ethernet(bytes(46), ether_type))
    assert (row["source_address"], row["source_port"], row["tos"]) == ("::", None, None)
    assert row["extra"].get("ethernetType") == (ether_type if ether_type >= 0x600 else None)
    assert row["extra"]["sourceMacAddress"] == "02:00:00:00:00:01"


def test_ipv4_options_and_fragments():
    assert ends(packet(ethernet(ipv4(tcp(), options=bytes(12))))) == V4_ENDS
    assert ends(packet(ethernet(ipv4(tcp(), fragment=0x2000)))) == V4_ENDS
    later = packet(ethernet(ipv4(tcp(), fragment=0x2001)))
    assert (later["protocol"], later["source_port"], later["tcp_flags"]) == (6, None, None)


def test_ipv6_extension_headers():
    options = bytes([0, 1]) + bytes(14)
    chain = bytes([43]) + options[1:] + bytes([60, 0]) + bytes(6) + bytes([17, 0]) + bytes(6)
    assert ends(packet(ethernet(ipv6(chain + udp(), next_header=0), 0x86DD))) == V6_ENDS
    first = bytes([17, 0]) + pack(">HI", 1, 5)
    assert ends(packet(ethernet(ipv6(first + udp(), next_header=44), 0x86DD))) == V6_ENDS
    later = packet(ethernet(ipv6(bytes([17, 0]) + pack(">HI", 8, 5) + udp(), next_header=44), 0x86DD))
    assert (later["protocol"], later["source_port"]) == (17, None)
    authenticated = bytes([17, 4]) + bytes(22)
    assert ends(packet(ethernet(ipv6(authenticated + udp(), next_header=51), 0x86DD))) == V6_ENDS


def test_icmp_type_and_code_stand_in_extra():
    row = packet(ethernet(ipv4(b"\x03\x01" + bytes(6), protocol=1)))
    assert (row["source_port"], row["extra"]["icmpTypeCodeIPv4"]) == (None, 0x0301)
    row = packet(ethernet(ipv6(b"\x87\x00" + bytes(6), next_header=58), 0x86DD))
    assert (row["source_port"], row["extra"]["icmpTypeCodeIPv6"]) == (None, 0x8700)


def test_header_cut_by_the_snap_length_tells_no_more_than_it_holds():
    whole = ethernet(ipv4(tcp()), vlans=(5,))
    for length in range(len(whole) + 1):
        row = packet(whole[:length], frame_length=64)
        assert row["bytes"] == 64
        assert (row["source_address"] == "10.0.0.1") == (length >= 38)
        assert row["source_port"] == (40000 if length >= 42 else None)
        assert row["tcp_flags"] == (0x12 if length >= 52 else None)
        assert ("sourceMacAddress" in row["extra"]) == (length >= 14)


def test_sampled_ip_records_stand_in_for_a_header():
    row = one_flow(sampled_ipv4())
    assert (ends(row), row["bytes"], row["tcp_flags"], row["tos"]) == (V4_ENDS, 100, 0x12, 0xB8)
    row = one_flow(sampled_ipv6())
    assert (ends(row), row["bytes"], row["tcp_flags"], row["tos"]) == (V6_ENDS, 120, None, 0x20)
    row = one_flow(sampled_ipv4(protocol=1, source=8, destination=0))
    assert (row["protocol"], row["source_port"]) == (1, None)
    row = one_flow(raw_packet(ethernet(ipv4(tcp())), frame_length=70), sampled_ipv6())
    assert (ends(row), row["bytes"]) == (V4_ENDS, 70)


def test_sampled_ethernet_record():
    macs = opaque(bytes.fromhex("020000000009")) + opaque(bytes.fromhex("02000000000a"))
    row = one_flow(record(2, pack(">I", 99) + macs + pack(">I", 0x0806)))
    assert (row["bytes"], row["extra"]["ethernetType"]) == (99, 0x0806)
    assert row["extra"]["sourceMacAddress"] == "02:00:00:00:00:09"
    assert row["extra"]["destinationMacAddress"] == "02:00:00:00:00:0a"


def test_extended_switch_and_router():
    unknown = 0xFFFFFFFF
    row = one_flow(
        raw_packet(ethernet(ipv4(tcp()))),
        record(1001, pack(">IIII", 5, 3, 6, unknown)),
        record(1002, address(b"\xcb\0\x71\xfe") + pack(">II", 24, 8)),
    )
    assert row["next_hop"] == "203.0.113.254"
    kept = {name: row["extra"].get(name) for name in ("vlanId", "dot1qPriority", "postVlanId", "postDot1qPriority")}
    assert kept == {"vlanId": 5, "dot1qPriority": 3, "postVlanId": 6, "postDot1qPriority": None}
    assert (row["extra"]["sourceIPv4PrefixLength"], row["extra"]["destinationIPv4PrefixLength"]) == (24, 8)
    hop6 = bytes.fromhex("fe800000000000000000000000000001")
    row = one_flow(sampled_ipv6(), record(1002, address(hop6) + pack(">II", 64, 48)))
    assert (row["next_hop"], row["extra"]["sourceIPv6PrefixLength"]) == ("fe80::1", 64)


def test_extended_nat_is_a_translation_in_use_at_arrival():
    nat = record(1007, address(b"\xcb\0\x71\7") + address(b"\xc6\x33\x64\7"))
    ports = record(1020, pack(">II", 61000, 443))
    decoded = decode(datagram(flow_sample(raw_packet(ethernet(ipv4(tcp()))), nat, ports)))
    (row,) = rows(decoded)
    assert (row["postnat_source_address"], row["postnat_source_port"]) == ("203.0.113.7", 61000)
    assert (row["postnat_destination_address"], row["postnat_destination_port"]) == ("198.51.100.7", 443)
    events = rows(decoded, "nat")
    assert [(one["event"], one["kind"], one["quality"]) for one in events] == [
        ("open", "flow", "arrival"),
        ("close", "flow", "arrival"),
    ]
    assert {(one["outside_address"], one["outside_port_low"], one["outside_port_high"]) for one in events} == {
        ("203.0.113.7", 61000, 61000)
    }
    assert {(one["inside_address"], one["inside_port"], one["time"].value) for one in events} == {
        ("10.0.0.1", 40000, ARRIVAL_UNIX_NS)
    }
    impossible = record(1020, pack(">II", 65_536, 0xFFFFFFFF))
    row = one_flow(raw_packet(ethernet(ipv4(tcp()))), nat, impossible)
    assert (row["postnat_source_port"], row["postnat_destination_port"]) == (None, None)
    untranslated = record(1007, address(b"\x0a\0\0\1") + address(b"\xc6\x33\x64\7"))
    assert "nat" not in decode(datagram(flow_sample(raw_packet(ethernet(ipv4(tcp()))), untranslated))).tables
    assert "nat" not in decode(datagram(flow_sample(nat, ports))).tables, "whose packet is unknown"


@pytest.mark.parametrize(
    ("make", "ports", "columns", "extra"),
    [
        (flow_sample, (0, 9), (None, 9), {}),
        (flow_sample, (0x3FFFFFFF, 9), (None, 9), {"inputInterfaceFormat": 0, "inputInterfaceValue": 0x3FFFFFFF}),
        (flow_sample, (7, 0x40000102), (7, None), {"outputInterfaceFormat": 1, "outputInterfaceValue": 0x102}),
        (flow_sample, (7, 0x80000006), (7, None), {"outputInterfaceFormat": 2, "outputInterfaceValue": 6}),
        (expanded_flow_sample, (0, 7, 1, 258), (7, None), {"outputInterfaceFormat": 1, "outputInterfaceValue": 258}),
        (expanded_flow_sample, (0, 2**31, 2, 2), (2**31, None), {"outputInterfaceFormat": 2}),
    ],
)
def test_interfaces_that_are_no_index(make, ports, columns, extra):
    (row,) = rows(decode(datagram(make(raw_packet(ethernet(ipv4(tcp()))), ports=ports))))
    assert (row["input_interface"], row["output_interface"]) == columns
    assert extra.items() <= row["extra"].items()


def test_records_of_other_formats_are_kept_in_hex():
    user = record(1004, pack(">II", 106, 5) + opaque(b"alice"))
    vendor = record(4300 << 12 | 7, b"\x01\x02\x03", size=3)
    row = one_flow(raw_packet(ethernet(ipv4(tcp()))), user, vendor, vendor, raw_packet(ethernet(ipv6(udp()), 0x86DD)))
    assert ends(row) == V4_ENDS
    assert row["extra"]["e0.1004"] == (pack(">II", 106, 5) + b"alice\0\0\0").hex()
    assert (row["extra"]["e4300.7"], row["extra"]["e4300.7#2"]) == ("010203", "010203")
    assert row["extra"]["e0.1"].startswith("00000001"), "a second header of one sample"


@pytest.mark.parametrize("make", [counter_sample, expanded_counter_sample])
def test_counter_samples(make):
    found = rows(
        decode(datagram(make(interface_counters(), record(2, bytes(52))), make(record(1001, b"abcd")))), "options"
    )
    assert found[0]["elements"] == {
        "sourceIdIndex": 3, "ifIndex": 3, "ifType": 6, "ifSpeed": 10**9, "ifDirection": 1, "ifStatus": 3,
        "ifInOctets": 2**40 + 5, "ifInUcastPkts": 11, "ifInMulticastPkts": 12, "ifInBroadcastPkts": 13,
        "ifInDiscards": 14, "ifInErrors": 15, "ifInUnknownProtos": 16, "ifOutOctets": 2**40 + 6, "ifOutUcastPkts": 21,
        "ifOutMulticastPkts": 22, "ifOutBroadcastPkts": 23, "ifOutDiscards": 24, "ifOutErrors": 25,
        "ifPromiscuousMode": 26, "e0.2": "00" * 52,
    }  # fmt: skip
    assert found[1]["elements"] == {"sourceIdIndex": 3, "e0.1001": "61626364"}
    assert found[0]["template_id"] == (2 if make is counter_sample else 4)


SAMPLE = flow_sample(raw_packet(ethernet(ipv4(tcp()))))
GOOD = datagram(SAMPLE, sequence=2)


@pytest.mark.parametrize(
    ("payload", "flows", "counter"),
    [
        (b"", 0, {"sflow_malformed_datagrams": 1}),
        (b"\0\0\0\5", 0, {"sflow_malformed_datagrams": 1}),
        (b"\0\0\0\4" + GOOD[4:], 0, {"sflow_malformed_datagrams": 1}),
        (b"\0\0\0\5\0\0\0\3" + GOOD[8:], 0, {"sflow_malformed_datagrams": 1}),
        (GOOD[:27], 0, {"sflow_malformed_datagrams": 1, "sflow_trailing_bytes": 3}),
        (datagram(SAMPLE, count=0), 0, {"sflow_trailing_bytes": len(SAMPLE)}),
        (datagram(SAMPLE, count=2**32 - 1), 1, {"sflow_missing_samples": 1}),
        (GOOD + b"xyz", 1, {"sflow_trailing_bytes": 3}),
        (datagram(record(9, b"abcd"), SAMPLE), 1, {"sflow_skipped_samples": 1}),
        (datagram(record(4300 << 12 | 1, b"abcd"), SAMPLE), 1, {"sflow_skipped_samples": 1}),
        (datagram(record(1, b"abcd"), SAMPLE), 1, {"sflow_malformed_samples": 1}),
        (datagram(pack(">II", 1, 2**32 - 1) + SAMPLE[8:], SAMPLE), 1,
         {"sflow_cut_samples": 1, "sflow_trailing_bytes": len(SAMPLE)}),
        (datagram(flow_sample(sampled_ipv4(), count=9)), 1, {"sflow_missing_records": 1}),
        (datagram(flow_sample(sampled_ipv4(), count=0)), 1, {"sflow_trailing_bytes": 40}),
        (datagram(flow_sample(record(3, bytes(28)))), 1, {"sflow_malformed_records": 1}),
        (datagram(flow_sample(record(1007, pack(">III", 7, 1, 2)))), 1, {"sflow_malformed_records": 1}),
        (datagram(flow_sample(record(1002, address(bytes(16)) + bytes(4)))), 1, {"sflow_malformed_records": 1}),
        (datagram(flow_sample(record(3, bytes(32), size=2**31))), 1, {"sflow_cut_records": 1}),
        (datagram(flow_sample(raw_packet(ethernet(ipv4(tcp())), header_length=2**32 - 1))), 1, {}),
    ],
)  # fmt: skip
def test_each_damage_is_counted_and_costs_only_its_own(payload, flows, counter):
    decoded = decode(payload, datagram(SAMPLE, sequence=2))
    assert len(rows(decoded)) == flows + 1
    assert ends(rows(decoded)[-1]) == V4_ENDS
    assert decoded.counters == {"sflow_datagrams": 2, "flow_records": flows + 1, **counter}


def test_cut_at_every_length():
    more = flow_sample(sampled_ipv6(), sequence=2), counter_sample(interface_counters())
    sample = datagram(SAMPLE, *more)
    whole = rows(decode(sample))
    for length in range(len(sample)):
        decoded = decode(sample[:length], GOOD)
        found = rows(decoded)
        assert ends(found[-1]) == V4_ENDS
        for mine, full in zip(found[:-1], whole, strict=False):
            assert all(mine[name] in (full[name], None, "::") for name in mine if name != "extra")
        damage = sum(
            count for name, count in decoded.counters.items() if name not in ("sflow_datagrams",) and "sflow" in name
        )
        assert damage


def flow_datagram(sequence: int, sample: int, **arguments) -> bytes:
    return datagram(flow_sample(sampled_ipv4(), sequence=sample), sequence=sequence, **arguments)


def losses(*chunks: list[bytes]) -> list[tuple]:
    """(chunk, row, unit, count) of every loss, with a pickled state between chunks."""
    decoder = SFlowDecoder()
    state = decoder.initial_state()
    found = []
    for index, payloads in enumerate(chunks):
        decoded = decoder.decode(state, index, make_chunk(payloads, LISTENER))
        state = pickle.loads(pickle.dumps(decoded.state))  # noqa: S301 - our own state
        assert {one["how"] for one in rows(decoded, "losses")} <= {SEQUENCE_GAP}
        found += [(index, one["row"], one["details"]["unit"], one["count"]) for one in rows(decoded, "losses")]
    return found


def test_numbers_in_order_are_no_loss():
    assert losses([flow_datagram(n, n) for n in range(5)], [flow_datagram(n, n) for n in range(5, 9)]) == []
    wrapping = [(2**32 - 2 + n) % 2**32 for n in range(5)]
    assert losses([flow_datagram(n, n) for n in wrapping]) == []


def test_gaps_of_datagrams_and_of_samples():
    chunk = [flow_datagram(1, 1), flow_datagram(2, 2), flow_datagram(6, 9)]
    assert losses(chunk) == [(0, 2, "datagrams", 3), (0, 2, "flow samples", 6)]
    assert losses(chunk[:2], chunk[2:]) == [(1, 0, "datagrams", 3), (1, 0, "flow samples", 6)]
    assert losses([flow_datagram(1, 1), flow_datagram(2, 5)]) == [(0, 1, "flow samples", 3)]


def test_each_source_id_sub_agent_and_kind_of_sample_has_numbers_of_its_own():
    def both(sequence: int, number: int, *, sub_agent=0) -> bytes:
        samples = [flow_sample(sampled_ipv4(), sequence=number + source, source=source) for source in (1, 2)]
        samples.append(expanded_flow_sample(sampled_ipv4(), sequence=50 + number, source=(0, 9)))
        samples.append(counter_sample(interface_counters(), sequence=1000 + number, source=1))
        return datagram(*samples, sequence=sequence, sub_agent=sub_agent)

    chunk = [both(1, 1), both(70, 7, sub_agent=1), both(2, 2), both(71, 8, sub_agent=1), both(3, 4)]
    assert losses(chunk) == [(0, 4, "flow samples", 1)] * 3 + [(0, 4, "counter samples", 1)]


def test_reordering_and_restart_are_no_loss():
    assert losses([flow_datagram(n, n) for n in (1, 3, 2, 4)]) == []
    assert losses([flow_datagram(700, 700), flow_datagram(1, 1, uptime=5)]) == []
    assert losses([flow_datagram(700, 700), flow_datagram(9, 9, uptime=5)]) == []


STEPS = st.tuples(st.integers(0, 2), st.sampled_from([1, 1, 1, 1, 1, 2, -1, -4, 9]), st.booleans())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(STEPS, min_size=1, max_size=20), max_size=4))
def test_streams_are_followed_as_if_one_by_one(chunks):
    """The short cut for runs without a gap leaves the losses and the state that following every number leaves."""
    numbers, streams, state = [100, 200, 300], {}, SFlowDecoder().initial_state()
    for chunk in chunks:
        payloads, plain = [], GapFinder(streams)
        for row, (source, step, restart) in enumerate(chunk):
            numbers[source] = (numbers[source] + step) % 2**32
            uptime = 1_000 if restart and step == 9 else 600_000 + row
            payloads.append(flow_datagram(row, numbers[source], sub_agent=source, uptime=uptime))
            arrival = Arrival(row, "main", ARRIVAL_UNIX_NS, SENDER, LISTENER)
            plain.follow(source, numbers[source], (1, 1), arrival, {}, uptime)
        decoded = decode(*payloads, state=state)
        state = decoded.state
        expected = plain.table(1)
        theirs = [] if expected is None else [(one["row"], one["count"], one["how"]) for one in expected.to_pylist()]
        losses = [one for one in rows(decoded, "losses") if one["details"]["unit"] != "datagrams"]
        assert sorted(theirs, key=str) == sorted(((one["row"], one["count"], one["how"]) for one in losses), key=str)
        assert {key[1]: stream for key, stream in state.streams.items() if len(key) > 2} == streams


def test_decode_is_pure_and_reads_its_own_kind_only():
    decoder = SFlowDecoder()
    state = decoder.initial_state()
    chunk = make_chunk([b"<13>x", GOOD], ["syslog", LISTENER])
    first, again = decoder.decode(state, 0, chunk), decoder.decode(state, 0, chunk)
    assert first.tables["flows"].equals(again.tables["flows"])
    assert first.tables["flows"].column("row").to_pylist() == [1]
    assert state.streams == {}
    assert decoder.decode(state, 0, make_chunk([GOOD], "netflow")).tables == {}


def test_work_is_bounded_whatever_counts_claim():
    """One step of numpy for each sample of the longest datagram: 65,507 bytes hold 8,184 empty ones."""
    empty = datagram(*[record(1, b"")] * 8_184, count=2**32 - 1)
    crowded = datagram(flow_sample(*[record(77, b"")] * 8_000, count=2**32 - 1))
    begin = time.perf_counter()
    decoded = decode(*[empty] * 8, *[crowded] * 8)
    assert time.perf_counter() - begin < 10
    assert decoded.counters["sflow_malformed_samples"] == 8 * 8_184
    assert len(rows(decoded)) == 8
    assert "e0.77#8000" in rows(decoded)[0]["extra"]


def test_thousands_of_samples_are_decoded_in_columns():
    samples = [flow_sample(raw_packet(ethernet(ipv4(tcp(source=n), last=n % 256))), sequence=n) for n in range(7_000)]
    found = decode(*[datagram(*samples[n : n + 7], sequence=n // 7) for n in range(0, 7_000, 7)])
    table = found.tables["flows"]
    assert table.column("source_port").to_pylist() == list(range(7_000))
    assert table.column("row").to_pylist() == [n // 7 for n in range(7_000)]
    assert "losses" not in found.tables


def templates() -> list[bytes]:
    return [
        datagram(SAMPLE, counter_sample(interface_counters())),
        datagram(
            expanded_flow_sample(
                raw_packet(ethernet(ipv6(udp()), 0x86DD, vlans=(1, 2))), record(1007, address(bytes(4)) * 2)
            )
        ),
        datagram(flow_sample(sampled_ipv4(), record(1020, bytes(8)), record(1001, bytes(16)))),
        datagram(flow_sample(sampled_ipv6(), record(1002, address(bytes(16)) + bytes(8)))),
    ]


@st.composite
def mutated(draw):
    frame = bytearray(draw(st.sampled_from(templates())))
    for _ in range(draw(st.integers(1, 8))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.sampled_from([0, 1, 2, 3, 4, 127, 255]))
    return bytes(frame[: draw(st.integers(0, len(frame)))])


@settings(max_examples=250, deadline=None)
@given(st.lists(mutated() | st.binary(max_size=120), min_size=1, max_size=4))
def test_arbitrary_datagrams_never_raise_and_stay_bounded(payloads):
    decoded = decode(*payloads, GOOD)
    for name in decoded.tables:
        assert len(rows(decoded, name)) <= 4 * (sum(map(len, payloads)) // 8 + 2)
    assert ends(rows(decoded)[-1]) == V4_ENDS
    pickle.dumps(decoded.state)


def test_seeded_noise_in_bulk(full_counts):
    """50 rounds in the normal run, 2,000 with --full."""
    generator = random.Random(5)
    for _ in range(2_000 if full_counts else 50):
        payloads = []
        for _ in range(20):
            frame = bytearray(generator.choice(templates()))
            for _ in range(generator.randrange(6)):
                frame[generator.randrange(len(frame))] = generator.randrange(256)
            payloads.append(bytes(frame))
        decoded = decode(*payloads, GOOD)
        assert ends(rows(decoded)[-1]) == V4_ENDS


def test_files_of_sflow_datagrams(tmp_path):
    joined = GOOD + datagram(SAMPLE, agent=bytes(16)) + GOOD
    assert [len(one) for one in split_sflow_datagrams(joined)] == [len(GOOD), len(GOOD) + 12, len(GOOD)]
    odd = datagram(record(4300 << 12 | 1, b"abcde", size=5))
    assert split_sflow_datagrams(odd + GOOD) == [odd, GOOD]
    assert split_sflow_datagrams(GOOD + b"rest") == [GOOD + b"rest"]
    assert split_sflow_datagrams(b"") == [b""]
    path = tmp_path / "raw"
    path.write_bytes(joined)
    assert [record["version"] for record in decode_files([path])] == ["sflow5"] * 3
    assert [record["version"] for record in decode_files([path], kind="sflow")] == ["sflow5"] * 3
    assert list(decode_files([path], kind="netflow")) == []
