"""Quirks of real exporters, each by name. Those whose capture is not beside the checkout are made by hand here; the
captures themselves are read by test_wire_flow_corpus.
"""

import json
from struct import pack

import pytest
from flow_builder import message, netflow5, netflow7, one_set, options_template_set, template_set
from wire_chunks import corpus_file, make_chunk

from archive.schema import SCHEMAS
from collector.wire.addresses import format_address
from collector.wire.datagram_split import split_datagrams
from collector.wire.flows import FlowDecoder

V4 = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1)]
RECORD = bytes([10, 0, 0, 5, 9, 9, 9, 9]) + pack(">HHB", 4000, 53, 17)
SECOND = 1_700_000_000
SECOND_NS = SECOND * 10**9


def decode(*payloads: bytes):
    decoder = FlowDecoder()
    return decoder.decode(decoder.initial_state(), 1, make_chunk(list(payloads)))


def rows(decoded, table="flows") -> list[dict]:
    if table not in decoded.tables:
        return []
    found = decoded.tables[table]
    assert found.schema.equals(SCHEMAS[table])
    found.validate(full=True)
    times = [field.name for field in SCHEMAS[table] if str(field.type).startswith("timestamp")]
    for name in times:
        found = found.set_column(found.column_names.index(name), name, found.column(name).cast("int64"))
    shown = []
    for row in found.to_pylist():
        row = {key: format_address(value) if isinstance(value, bytes) else value for key, value in row.items()}
        shown.append({key: json.loads(value) if key in ("extra", "elements") else value for key, value in row.items()})
    return shown


def both_orders(template: bytes, data: bytes, table="flows") -> list[dict]:
    """Rows of a template and its data, equal whichever comes first but for the number of the datagram."""
    first, second = rows(decode(template, data), table), rows(decode(data, template), table)
    assert [{**row, "row": 0} for row in first] == [{**row, "row": 0} for row in second]
    assert {row["row"] for row in first} <= {1}
    assert {row["row"] for row in second} <= {0}
    return first


def nine(*sets: bytes, **arguments) -> bytes:
    return message(9, *sets, **arguments)


def ten(*sets: bytes, **arguments) -> bytes:
    return message(10, *sets, **arguments)


@pytest.mark.parametrize("make", [netflow5, netflow7])
@pytest.mark.parametrize("count", [0, 163, 55_582, 65_535])
def test_header_of_a_version_without_templates_claims_more_than_it_can_hold(make, count):
    decoded = decode(make(4, count=count), make(2))
    assert len(rows(decoded)) == 2
    assert decoded.counters["malformed_datagrams"] == 1


def test_v5_first_switched_after_last_because_the_uptime_wrapped():
    payload = bytearray(netflow5(1, uptime=3_000))
    payload[24 + 24 : 24 + 32] = pack(">II", 2**32 - 1_000, 2_000)
    (row,) = rows(decode(bytes(payload)))
    assert (row["start"], row["end"]) == (SECOND_NS - 4_000 * 10**6, SECOND_NS - 1_000 * 10**6)


def test_v5_sampling_word_has_two_bits_of_mode():
    payload = bytearray(netflow5(1))
    payload[22:24] = pack(">H", 2 << 14 | 1000)
    assert rows(decode(bytes(payload)))[0]["extra"]["samplingInterval"] == 1000
    assert rows(decode(bytes(payload)))[0]["extra"]["samplingAlgorithm"] == 2


def test_datagrams_joined_in_one_file_are_split():
    joined = netflow5(2) + netflow7(3) + nine(template_set(9, 300, V4), one_set(300, RECORD)) + netflow7(1)
    assert [len(one) for one in split_datagrams(joined)] == [24 + 96, 24 + 156, 20 + 28 + 17, 24 + 52]
    assert decode(joined).counters["trailing_bytes"] == len(joined) - 24 - 96


def test_netflow7_catalyst_record():
    (row,) = rows(decode(netflow7(1, reserved=0x01020304)))
    assert (row["version"], row["source_address"], row["destination_address"], row["next_hop"]) == (
        "netflow7", "10.0.0.0", "198.51.100.1", "10.0.0.254",
    )  # fmt: skip
    assert (row["source_port"], row["destination_port"], row["protocol"], row["tcp_flags"], row["tos"]) == (
        4000, 443, 6, 24, 8,
    )  # fmt: skip
    assert (row["input_interface"], row["output_interface"], row["packets"], row["bytes"]) == (3, 4, 5, 1000)
    assert row["start"] == SECOND_NS + 250_000_000 - 10_000 * 10**6
    assert (row["observation_domain"], row["template_id"], row["sequence"]) == (0, 0, 77), "the word is reserved"
    assert row["extra"] == {
        "bgpSourceAsNumber": 65001, "bgpDestinationAsNumber": 65002, "sourceIPv4PrefixLength": 24,
        "destinationIPv4PrefixLength": 16, "ipv4RouterSc": "192.0.2.77",
    }  # fmt: skip


def test_netflow7_cut_at_every_length():
    whole = netflow7(3)
    for length in range(len(whole)):
        decoded = decode(whole[:length], netflow5(1))
        assert len(rows(decoded)) == max(length - 24, 0) // 52 + 1
        assert {"malformed_datagrams", "cut_datagrams"} & decoded.counters.keys()


def test_netflow7_sequence_counts_flows():
    sent = [netflow7(27, sequence=0), netflow7(5, sequence=27), netflow7(1, sequence=92)]
    (loss,) = rows(decode(*sent), "losses")
    assert (loss["row"], loss["count"]) == (2, 60)
    details = json.loads(loss["details"])
    assert (details["version"], details["unit"]) == ("netflow7", "flows")


@pytest.mark.parametrize("filler", [4, 900, 1_200])
def test_zero_filler_after_the_last_set_means_stop(filler):
    """PAN-OS, Cisco ACI: a set of id 0 and length 0."""
    decoded = decode(nine(template_set(9, 300, V4), one_set(300, RECORD), bytes(filler)))
    assert len(rows(decoded)) == 1
    assert not {"malformed_sets", "templates_refused", "trailing_bytes"} & decoded.counters.keys()


@pytest.mark.parametrize("count", [0, 1, 3, 65_535])
def test_record_count_of_the_v9_header_is_not_believed(count):
    """Cisco WLC says 1 of 19, FortiOS 5.4 says 3 of 14."""
    payload = bytearray(nine(template_set(9, 300, V4), one_set(300, RECORD * 14)))
    payload[2:4] = pack(">H", count)
    assert len(rows(decode(bytes(payload)))) == 14


def test_options_template_set_of_26_bytes_without_padding():
    template = options_template_set(9, 301, [(1, 4)], [(34, 4), (35, 1), (48, 1)])
    assert len(template) == 26
    (row,) = rows(decode(nine(template, one_set(301, pack(">IIBB", 9, 100, 2, 1)))), "options")
    assert row["elements"] == {"scopeSystem": 9, "samplingInterval": 100, "samplingAlgorithm": 2, "samplerId": 1}


def test_repeated_element_ids_keep_both_values():
    """Nokia names 210 twice; others repeat 8 or 1."""
    layout = [*V4, (210, 3), (1, 4), (210, 2), (1, 4), (8, 4)]
    data = RECORD + b"\1\2\3" + pack(">I", 7) + b"\4\5" + pack(">I", 8) + bytes([10, 0, 0, 6])
    (row,) = both_orders(ten(template_set(10, 300, layout)), ten(one_set(300, data)))
    assert (row["source_address"], row["bytes"]) == ("10.0.0.5", 7)
    assert row["extra"] == {"octetDeltaCount": 8, "sourceIPv4Address": "10.0.0.6"}


def test_three_fields_of_type_and_length_zero():
    layout = [*V4, (0, 0), (0, 0), (0, 0)]
    found = both_orders(nine(template_set(9, 300, layout)), nine(one_set(300, RECORD * 10)))
    assert len(found) == 10
    assert found[9]["extra"] == {}


def test_scope_field_of_length_zero():
    """Juniper SRX: scope System of no bytes."""
    template = options_template_set(9, 256, [(1, 0)], [(36, 2), (37, 2), (34, 4), (35, 1)])
    data = pack(">HHIB", 60, 60, 1, 2)
    (row,) = both_orders(nine(template), nine(one_set(256, data)), "options")
    assert row["elements"] == {
        "flowActiveTimeout": 60, "flowIdleTimeout": 60, "samplingInterval": 1, "samplingAlgorithm": 2,
    }  # fmt: skip


def test_options_scopes_of_each_kind():
    template = options_template_set(9, 301, [(1, 4), (2, 4), (3, 2), (4, 2), (5, 2), (9, 1)], [(48, 1)])
    (row,) = rows(decode(nine(template, one_set(301, pack(">IIHHHBB", 1, 2, 3, 4, 5, 6, 7)))), "options")
    assert row["elements"] == {
        "scopeSystem": 1, "scopeInterface": 2, "scopeLineCard": 3, "scopeCache": 4, "scopeTemplate": 5, "scope9": 6,
        "samplerId": 7,
    }  # fmt: skip


def test_ipfix_options_scope_of_an_exporter_address():
    """Junos 15.1 template 512; scope fields of IPFIX are ordinary elements."""
    template = options_template_set(10, 512, [(144, 4)], [(130, 4), (160, 8), (214, 1), (215, 1)])
    data = pack(">I4sQBB", 5, bytes([10, 0, 0, 1]), SECOND * 1000, 10, 17)
    (row,) = both_orders(ten(template), ten(one_set(512, data)), "options")
    assert row["elements"]["exporterIPv4Address"] == "10.0.0.1"
    assert row["elements"]["exportingProcessId"] == 5


@pytest.mark.parametrize("version", [9, 10])
@pytest.mark.parametrize("padding", range(8))
def test_set_padding_of_up_to_seven_bytes(version, padding):
    """RFC 3954 and 7011 allow up to three; Cisco sends up to seven."""
    sets = template_set(version, 300, V4), one_set(300, RECORD * 2 + bytes(padding))
    decoded = decode(message(version, *sets))
    assert len(rows(decoded)) == 2
    assert "malformed_records" not in decoded.counters


@pytest.mark.parametrize("padding", range(4))
def test_padding_behind_records_of_variable_length(padding):
    sets = template_set(10, 300, [*V4, (96, 65535)]), one_set(300, RECORD + b"\x03abc" + bytes(padding))
    decoded = decode(ten(*sets))
    assert len(rows(decoded)) == 1
    assert "malformed_records" not in decoded.counters


def test_template_set_with_padding_between_and_behind_templates():
    one, two = template_set(9, 300, V4)[4:], template_set(9, 301, V4)[4:]
    for padding in (0, 3, 4, 7):
        decoded = decode(nine(one_set(0, one + two + bytes(padding)), one_set(301, RECORD)))
        assert (len(rows(decoded)), decoded.counters["templates_learned"]) == (1, 2)
        assert "templates_refused" not in decoded.counters


def test_many_sets_of_one_record_each():
    """H3C sends a flowset for every record."""
    found = both_orders(nine(template_set(9, 3281, V4)), nine(*[one_set(3281, RECORD)] * 16))
    assert len(found) == 16


def test_traffic_index_of_all_ones():
    layout = [*V4, (92, 4), (93, 4)]
    (row,) = both_orders(nine(template_set(9, 3281, layout)), nine(one_set(3281, RECORD + pack(">II", 0, 2**32 - 1))))
    assert row["extra"] == {"srcTrafficIndex": 0, "dstTrafficIndex": 2**32 - 1}


def test_variable_length_string_in_v9():
    """H3C: a VRF name of length 65535, which RFC 3954 does not know."""
    layout = [*V4, (236, 65535), (10, 4)]
    data = RECORD + b"\x03vpn" + pack(">I", 7) + RECORD + b"\x00" + pack(">I", 8)
    found = both_orders(nine(template_set(9, 3281, layout)), nine(one_set(3281, data)))
    assert [(row["extra"]["VRFname"], row["input_interface"]) for row in found] == [("vpn", 7), ("", 8)]


def test_variable_length_over_254_bytes():
    """NetScaler: strings with the length in three bytes, also where one byte would do."""
    layout = [*V4, (130, 65535, 5951), (142, 65535, 5951)]
    data = RECORD + b"\xff" + pack(">H", 300) + b"u" * 300 + b"\xff\x00\x02hh"
    (row,) = both_orders(ten(template_set(10, 300, layout)), ten(one_set(300, data)))
    assert row["extra"] == {"e5951.130": "u" * 300, "e5951.142": "hh"}


def test_nx_os_switched_times_of_eight_bytes():
    layout = [*V4, (22, 8), (21, 8)]
    data = RECORD + pack(">QQ", SECOND * 1000 - 5_000, SECOND * 1000)
    (row,) = both_orders(nine(template_set(9, 300, layout)), nine(one_set(300, data)))
    assert (row["start"], row["end"]) == (SECOND_NS - 5 * 10**9, SECOND_NS)
    short = RECORD + pack(">QQ", 590_000, 600_000)
    (row,) = rows(decode(nine(template_set(9, 300, layout), one_set(300, short))))
    assert (row["start"], row["end"]) == (SECOND_NS - 10 * 10**9, SECOND_NS)


def test_uptimes_of_v9_roll_over():
    layout = [*V4, (22, 4), (21, 4)]
    data = one_set(300, RECORD + pack(">II", 2**32 - 2_000, 1_000))
    (row,) = both_orders(nine(template_set(9, 300, layout)), nine(data, uptime=1_500))
    assert (row["start"], row["end"]) == (SECOND_NS - 3_500 * 10**6, SECOND_NS - 500 * 10**6)


@pytest.mark.parametrize("ahead_ms", [3_600_000, 86_400_000, 601_358_522])
def test_uptimes_of_another_clock_than_the_header_are_estimated(ahead_ms):
    """FortiOS 5.2.1: flows a week ahead of the header's uptime. Taken for wrapped they would lie 43 days back."""
    layout = [*V4, (22, 4), (21, 4)]
    data = one_set(300, RECORD + pack(">II", 600_000 + ahead_ms - 9_000, 600_000 + ahead_ms))
    decoded = decode(nine(template_set(9, 300, layout), data, uptime=600_000))
    (row,) = rows(decoded)
    assert (row["start"], row["end"]) == (SECOND_NS - 9 * 10**9, SECOND_NS)
    assert decoded.counters["estimated_times"] == 1
    assert row["extra"] == {"flowStartSysUpTime": 591_000 + ahead_ms, "flowEndSysUpTime": 600_000 + ahead_ms}


def test_an_exporter_without_a_base_leaves_the_times_of_others_exact():
    """Both send the same template, so that their records are decoded together."""
    layout = [*V4, (225, 4), (227, 2), (22, 4), (21, 4)]
    data = RECORD + bytes([203, 0, 113, 7]) + pack(">H", 61000)
    template = template_set(9, 300, layout)
    sent = [
        nine(template, one_set(300, data + pack(">II", 700_000_000, 700_005_000)), domain=1),
        nine(template, one_set(300, data + pack(">II", 590_000, 595_000)), domain=2),
    ]
    decoded = decode(*sent)
    assert [one["end"] - SECOND_NS for one in rows(decoded)] == [0, -5 * 10**9]
    assert [one["quality"] for one in rows(decoded, "nat")] == ["derived"] * 2 + ["exact"] * 2
    assert decoded.counters["estimated_times"] == 1


def test_fortios_521_times_are_near_its_export():
    names = ("tpl", "data257")
    (row,) = rows(decode(*[corpus_file(f"netflow9_test_fortigate_fortios_521_{name}") for name in names]))
    assert 0 <= 1_500_356_519 * 10**9 - row["end"] < 3_600 * 10**9
    assert row["end"] - row["start"] == 9 * 10**9


def test_a_flow_that_lasted_for_weeks_keeps_its_times():
    layout = [*V4, (22, 4), (21, 4)]
    uptime = 30 * 86_400_000
    data = one_set(300, RECORD + pack(">II", 86_400_000, uptime - 5_000))
    decoded = decode(nine(template_set(9, 300, layout), data, uptime=uptime))
    assert rows(decoded)[0]["start"] == SECOND_NS - 29 * 86_400 * 10**9
    assert "estimated_times" not in decoded.counters


@pytest.mark.parametrize("version", [9, 10])
@pytest.mark.parametrize("size", range(1, 9))
def test_counters_and_interfaces_of_every_size(version, size):
    """Reduced-size and oversized fields: ports 2 or 4, counters 1 to 8, interfaces 2, 4 or 8 bytes."""
    layout = [(8, 4), (12, 4), (1, size), (2, size), (10, size), (14, size), (7, max(size, 2)), (16, size)]
    numbers = [9, 8, 7, 6]
    data = bytes([10, 0, 0, 5, 9, 9, 9, 9]) + b"".join(one.to_bytes(size, "big") for one in numbers)
    data += (443).to_bytes(max(size, 2), "big") + (200).to_bytes(size, "big")
    (row,) = both_orders(
        message(version, template_set(version, 300, layout)), message(version, one_set(300, data))
    )  # fmt: skip
    assert (row["bytes"], row["packets"], row["input_interface"], row["output_interface"]) == (9, 8, 7, 6)
    assert (row["source_port"], row["extra"]["bgpSourceAsNumber"]) == (443, 200)


def test_ipt_netflow_reduced_sizes_and_mac():
    layout = [(8, 4), (12, 4), (10, 2), (14, 2), (2, 4), (1, 4), (56, 6), (80, 6), (256, 2), (4, 1), (136, 1)]
    data = bytes([10, 0, 0, 5, 9, 9, 9, 9]) + pack(">HHII", 2, 3, 4, 5) + bytes.fromhex("001b21bc24dd001b21bc24de0800")
    (row,) = both_orders(nine(template_set(9, 260, layout)), nine(one_set(260, data + b"\x11\x03")))
    assert row["extra"]["sourceMacAddress"] == "00:1b:21:bc:24:dd"
    assert row["extra"]["destinationMacAddress"] == "00:1b:21:bc:24:de"
    assert (row["extra"]["ethernetType"], row["extra"]["flowEndReason"]) == (0x0800, 3)


def test_layer2_segment_id_of_eight_bytes():
    (row,) = both_orders(
        nine(template_set(9, 300, [*V4, (351, 8)])), nine(one_set(300, RECORD + pack(">Q", 1 << 56 | 5)))
    )
    assert row["extra"] == {"layer2SegmentId": 1 << 56 | 5}


def test_nbar_application_table_and_id():
    """Cisco NBAR: four bytes, engine and selector; the names come as options."""
    options = options_template_set(9, 260, [(1, 4)], [(95, 4), (96, 24), (94, 55)])
    record = pack(">I", 1) + bytes([1, 0, 0, 13]) + b"argus".ljust(24, b"\0") + b"ARGUS".ljust(55, b"\0")
    (row,) = both_orders(nine(options), nine(one_set(260, record)), "options")
    assert row["elements"] == {
        "scopeSystem": 1, "applicationId": "0100000d", "applicationName": "argus", "applicationDescription": "ARGUS",
    }  # fmt: skip
    (flow,) = both_orders(nine(template_set(9, 262, [*V4, (95, 4)])), nine(one_set(262, RECORD + bytes([5, 0, 0, 38]))))
    assert flow["extra"] == {"applicationId": "05000026"}


def test_asr9k_vrf_and_autonomous_systems():
    layout = [*V4, (234, 4), (235, 4), (16, 4), (17, 4), (18, 4), (89, 1), (48, 2)]
    data = RECORD + pack(">IIII", 1610612736, 1610612736, 15169, 64498) + bytes([10, 0, 14, 33, 64]) + pack(">H", 1)
    (row,) = both_orders(nine(template_set(9, 260, layout)), nine(one_set(260, data)))
    assert row["extra"] == {
        "ingressVRFID": 1610612736, "egressVRFID": 1610612736, "bgpSourceAsNumber": 15169,
        "bgpDestinationAsNumber": 64498, "bgpNextHopIPv4Address": "10.0.14.33", "forwardingStatus": 64, "samplerId": 1,
    }  # fmt: skip


def test_asa_nsel_counts_both_ways():
    """New ASA images: connection id, extended event 2030, translations in 225 to 228."""
    layout = [(148, 4), *V4, (225, 4), (226, 4), (227, 2), (228, 2), (233, 1), (33002, 2), (323, 8), (152, 8),
              (231, 4), (232, 4), (33000, 12), (40000, 20)]  # fmt: skip
    data = (
        pack(">I", 742820223) + RECORD + bytes([203, 0, 113, 7, 9, 9, 9, 9]) + pack(">HHBH", 61000, 53, 2, 2030)
        + pack(">QQ", SECOND * 1000, SECOND * 1000 - 7_000) + pack(">II", 69, 14178) + bytes(12) + b"u".ljust(20, b"\0")
    )  # fmt: skip
    decoded = decode(nine(template_set(9, 265, layout)), nine(one_set(265, data)))
    (row,) = rows(decoded)
    assert (row["bytes"], row["start"], row["end"]) == (69, SECOND_NS - 7 * 10**9, SECOND_NS)
    assert (row["extra"]["initiatorOctets"], row["extra"]["responderOctets"]) == (69, 14178)
    assert (row["extra"]["extendedFirewallEvent"], row["extra"]["aaaUserName"]) == (2030, "u")
    (event,) = rows(decoded, "nat")
    assert (event["event"], event["mapping_id"], event["time"]) == ("close", "742820223", SECOND_NS)
    assert (event["outside_address"], event["outside_port_low"]) == ("203.0.113.7", 61000)


def test_asa_old_nsel_translation_elements():
    layout = [(148, 4), *V4, (40001, 4), (40002, 4), (40003, 2), (40004, 2), (40005, 1), (323, 8)]
    data = pack(">I", 8501) + RECORD + bytes([203, 0, 113, 7, 9, 9, 9, 9]) + pack(">HHBQ", 61000, 53, 2, SECOND * 1000)
    decoded = decode(nine(template_set(9, 263, layout)), nine(one_set(263, data)))
    (event,) = rows(decoded, "nat")
    assert (event["event"], event["mapping_id"], event["outside_port_low"]) == ("close", "8501", 61000)
    assert rows(decoded)[0]["extra"]["asaFirewallEvent"] == 2


def test_nel_session_records_of_ios():
    """Cisco NAT event logging: natEvent 1 and 2 with observation times."""
    layout = [*V4, (225, 4), (226, 4), (227, 2), (228, 2), (230, 1), (234, 4), (323, 8)]

    def record(event: int) -> bytes:
        return RECORD + bytes([203, 0, 113, 7, 9, 9, 9, 9]) + pack(">HHBIQ", 61000, 53, event, 0, SECOND * 1000 + event)

    decoded = decode(nine(template_set(9, 259, layout), one_set(259, record(1) + record(2))))
    events = rows(decoded, "nat")
    assert [(one["event"], one["time"] - SECOND_NS, one["quality"]) for one in events] == [
        ("open", 1_000_000, "exact"), ("close", 2_000_000, "exact"),
    ]  # fmt: skip
    assert events[0]["mapping_id"] == events[1]["mapping_id"]


def test_nat_template_of_a_port_block():
    """Template 267 of Cisco: a block of ports by its start, step and size."""
    layout = [(8, 4), (225, 4), (234, 4), (4, 1), (230, 1), (323, 8), (361, 2), (363, 2), (364, 2)]
    data = bytes([10, 0, 0, 5, 203, 0, 113, 7]) + pack(">IBBQHHH", 0, 0, 14, SECOND * 1000, 1024, 1, 512)
    decoded = decode(nine(template_set(9, 267, layout), one_set(267, data)))
    (row,) = rows(decoded)
    assert (row["source_address"], row["postnat_source_address"]) == ("10.0.0.5", "203.0.113.7")
    assert (row["extra"]["portRangeStart"], row["extra"]["portRangeNumPorts"], row["extra"]["natEvent"]) == (
        1024,
        512,
        14,
    )
    (block,) = rows(decoded, "nat")
    assert (block["kind"], block["event"], block["outside_port_low"], block["outside_port_high"]) == (
        "block", "open", 1024, 1535,
    )  # fmt: skip


def test_nat_pool_exhausted_record_without_addresses():
    """Template 266 of Cisco: a pool id and an event are a row without addresses."""
    sets = template_set(9, 266, [(283, 4), (230, 1)]), one_set(266, pack(">IB", 7, 3))
    (row,) = rows(decode(nine(*sets)))
    assert (row["source_address"], row["extra"]) == ("::", {"natPoolId": 7, "natEvent": 3})


def test_fortios_54_source_translation():
    layout = [*V4, (1, 8), (2, 4), (10, 2), (14, 2), (95, 9), (65, 2), (89, 1), (225, 4), (226, 4), (227, 2), (228, 2)]
    data = (
        RECORD + pack(">QIHH", 100, 1, 2, 3) + bytes([20, 0, 0, 48, 68, 0, 0, 60, 77]) + pack(">HB", 0, 64)
        + bytes([10, 0, 0, 250]) + bytes(4) + pack(">HH", 45380, 0)
    )  # fmt: skip
    found = decode(nine(template_set(9, 262, layout), one_set(262, data * 14)))
    assert len(rows(found)) == 14
    assert rows(found)[0]["postnat_source_address"] == "10.0.0.250"
    event = rows(found, "nat")[0]
    assert (event["outside_address"], event["outside_port_low"]) == ("10.0.0.250", 45380)
    assert (event["destination_address"], event["destination_port"]) == ("9.9.9.9", 53), "a zero is no translation"


def test_panos_application_and_user():
    layout = [*V4, (346, 4), (56701, 32), (56702, 64)]
    data = RECORD + pack(">I", 25461) + b"kerberos".ljust(32, b"\0") + "ครู".encode().ljust(64, b"\0")
    (row,) = both_orders(nine(template_set(9, 257, layout)), nine(one_set(257, data), bytes(1200)))
    assert row["extra"] == {"privateEnterpriseNumber": 25461, "panosApplication": "kerberos", "panosUser": "ครู"}


@pytest.mark.parametrize("number", [57590, 42000, 65280])
def test_v9_types_of_vendors_are_shown_by_number(number):
    """nProbe (57590 and on), StreamCore (42000 and on) and others above 32767 are not enterprise elements in v9."""
    (row,) = both_orders(nine(template_set(9, 300, [*V4, (number, 4)])), nine(one_set(300, RECORD + b"live")))
    assert row["extra"] == {f"e0.{number}": b"live".hex()}


def test_wlc_records_of_a_client_without_flow_addresses():
    layout = [(365, 6), (366, 4), (95, 4), (147, 33), (61, 1), (1, 8), (2, 8), (98, 1), (195, 1), (367, 6)]
    data = (
        bytes(6) + bytes([192, 168, 20, 121, 13, 0, 1, 223]) + b"Test-env".ljust(33, b"\0") + bytes(1 + 8 + 8 + 2 + 6)
    )
    (row,) = both_orders(nine(template_set(9, 261, layout)), nine(one_set(261, data)))
    assert (row["source_address"], row["extra"]["staIPv4Address"], row["extra"]["wlanSSID"]) == (
        "::", "192.168.20.121", "Test-env",
    )  # fmt: skip


def test_barracuda_bind_address_and_firewall_rule():
    layout = [*V4, (233, 1), (4, 65535, 10704), (8, 4, 10704), (9, 2, 10704), (1, 4, 10704)]
    data = RECORD + b"\x02\x0dMTH:MTH-MC-to" + bytes([213, 208, 150, 99]) + pack(">HI", 64238, SECOND)
    (row,) = both_orders(ten(template_set(10, 256, layout)), ten(one_set(256, data)))
    assert row["extra"] == {
        "firewallEvent": 2, "e10704.4": "MTH:MTH-MC-to", "e10704.8": "213.208.150.99", "e10704.9": 64238,
        "e10704.1": SECOND,
    }  # fmt: skip


def test_nokia_subscriber_string_and_repeated_padding():
    layout = [(229, 2, 637), (210, 1), (152, 8), *V4, (225, 4), (227, 2), (210, 3), (93, 65535, 637)]
    name = b"USER1@10.10.0.123"
    data = (
        pack(">HBQ", 100, 0, SECOND * 1000) + RECORD + bytes([203, 0, 113, 7]) + pack(">H", 61000) + bytes(3)
        + bytes([len(name)]) + name
    )  # fmt: skip
    (row,) = both_orders(ten(template_set(10, 256, layout)), ten(one_set(256, data)))
    assert row["extra"] == {"e637.229": "0064", "e637.93": name.decode()}
    assert row["start"] == SECOND_NS


def test_ixia_dual_family_template_with_strings():
    layout = [(27, 16), (28, 16), (8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (120, 65535, 3054)]
    data = bytes(32) + RECORD + b"\x04Thai"
    (row,) = both_orders(ten(template_set(10, 256, layout)), ten(one_set(256, data)))
    assert (row["source_address"], row["extra"]) == ("10.0.0.5", {"e3054.120": b"Thai".hex()})


def test_procera_and_viptela_elements():
    layout = [*V4, (1, 65535, 15397), (3, 8, 15397), (4321, 4, 41916)]
    data = RECORD + b"\x05BGP-4" + pack(">QI", 90, 100)
    (row,) = both_orders(ten(template_set(10, 257, layout)), ten(one_set(257, data)))
    assert row["extra"] == {"e15397.1": "BGP-4", "e15397.3": 90, "e41916.4321": 100}


def test_yaf_reverse_elements_and_lists():
    """RFC 5103 reverse counters, and a subTemplateMultiList (RFC 6313), which is kept as octets."""
    layout = [*V4, (1, 8), (1, 8, 29305), (33, 2, 6871), (293, 65535)]
    data = RECORD + pack(">QQH", 5, 6, 53) + b"\x06\xff\x00\x00\x00\x00\x05" + b""
    (row,) = both_orders(ten(template_set(10, 45841, layout)), ten(one_set(45841, data)))
    assert row["bytes"] == 5
    assert row["extra"]["reverseOctetDeltaCount"] == 6
    assert row["extra"]["e6871.33"] == 53
    assert row["extra"]["e0.293"] == "ff0000000005"


def test_mikrotik_addresses_without_ports():
    layout = [*V4, (225, 4), (226, 4)]
    data = RECORD + bytes([203, 0, 113, 7, 9, 9, 9, 9])
    found = decode(ten(template_set(10, 258, layout), one_set(258, data)))
    assert {(one["outside_port_low"], one["outside_port_high"]) for one in rows(found, "nat")} == {(0, 65535)}


def test_ipfix_data_link_frame_section_of_ipfixprobe_and_juniper():
    """RFC 7133 and PSAMP: the sampled frame is an octet array."""
    layout = [(315, 65535), (312, 2), (410, 2), (10, 4)]
    data = b"\x04\xde\xad\xbe\xef" + pack(">HHI", 64, 4, 7)
    (row,) = both_orders(ten(template_set(10, 300, layout)), ten(one_set(300, data)))
    assert row["extra"] == {"dataLinkFrameSection": "deadbeef", "dataLinkFrameSize": 64, "sectionExportedOctets": 4}
    assert (row["input_interface"], row["source_address"]) == (7, "::")


def test_mpls_labels_srv6_and_physical_interfaces_are_kept():
    layout = [*V4, (70, 3), (252, 4), (253, 4), (495, 16), (201, 4)]
    data = (
        RECORD + bytes.fromhex("0186a1") + pack(">II", 1, 2) + bytes.fromhex("fc00" + "00" * 13 + "01") + pack(">I", 3)
    )
    (row,) = both_orders(ten(template_set(10, 300, layout)), ten(one_set(300, data)))
    assert row["extra"] == {
        "mplsTopLabelStackSection": "0186a1", "ingressPhysicalInterface": 1, "egressPhysicalInterface": 2,
        "srhActiveSegmentIPv6": "fc00::1", "mplsLabelStackLength": 3,
    }  # fmt: skip


def test_sampling_rates_of_several_samplers():
    """Cisco: an options record for each sampler, by its id."""
    options = options_template_set(9, 256, [(1, 4)], [(48, 4), (49, 1), (50, 4), (84, 40)])
    record = b"".join(pack(">IIBI", 1, n, 2, 10**n) + f"s{n}".encode().ljust(40, b"\0") for n in (1, 2))
    found = both_orders(nine(options), nine(one_set(256, record)), "options")
    assert [(row["elements"]["samplerId"], row["elements"]["samplerRandomInterval"]) for row in found] == [
        (1, 10),
        (2, 100),
    ]


def test_one_template_id_in_two_domains_and_from_two_ports():
    """A chassis exports from several line cards, each its own domain."""
    other = [(12, 4), (8, 4), (11, 2), (7, 2), (4, 1)]
    sent = [
        nine(template_set(9, 256, V4), domain=1), nine(template_set(9, 256, other), domain=2),
        nine(one_set(256, RECORD), domain=1), nine(one_set(256, RECORD), domain=2),
    ]  # fmt: skip
    assert [row["source_address"] for row in rows(decode(*sent))] == ["10.0.0.5", "9.9.9.9"]


def test_template_refreshed_in_every_datagram():
    both = nine(template_set(9, 256, V4), one_set(256, RECORD))
    decoded = decode(*[both] * 20)
    assert (len(rows(decoded)), len(decoded.state.templates), decoded.state.field_count) == (20, 1, 5)


def test_data_and_its_template_in_one_datagram_in_the_wrong_order():
    decoded = decode(nine(one_set(256, RECORD), template_set(9, 256, V4), one_set(256, RECORD)))
    assert len(rows(decoded)) == 2
    assert decoded.counters["late_sets"] == 1
