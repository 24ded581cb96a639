"""Captures of real exporters: number of records and checked values, template first and data first."""

import pickle

import pytest
from wire_chunks import corpus_file, corpus_names, make_chunk

from archive.schema import SCHEMAS
from collector.wire.addresses import format_address
from collector.wire.flows import FlowDecoder

ASA_1 = "netflow9_test_cisco_asa_1"
ASR9K = "netflow9_test_cisco_asr9k"
FORTI = "netflow9_test_fortigate_fortios_521"
H3C = "netflow9_test_h3c_netstream_varstring"
MIKROTIK = "ipfix_test_mikrotik"
PAN81 = "netflow9_test_paloalto_81"
UBNT = "netflow9_test_ubnt_edgerouter"
VMWARE = "ipfix_test_vmware_vds"

# Files (templates first), flow records, options records.
CASES = [
    (["netflow5"], 2, 0),
    (["netflow5_test_invalid01"], 0, 0),
    (["netflow9_test_invalid01"], 2, 1),
    (["netflow5_test_juniper_mx80"], 29, 0),
    (["netflow9_test_valid01"], 7, 0),
    (["netflow9_test_softflowd_tpl_data"], 7, 0),
    (["netflow9_test_nprobe_tpl", "netflow9_test_nprobe_data"], 1, 1),
    (["netflow9_test_macaddr_tpl", "netflow9_test_macaddr_data"], 29, 1),
    (["netflow9_test_cisco_aci_tpl256-258", "netflow9_test_cisco_aci_data256"], 3, 0),
    ([f"{ASA_1}_tpl", f"{ASA_1}_data"], 14, 0),
    ([f"{ASR9K}_opttpl256", f"{ASR9K}_data256"], 0, 19),
    ([f"{ASR9K}_tpl260", f"{ASR9K}_data260"], 21, 0),
    (["netflow9_test_cisco_wlc_tpl", "netflow9_test_cisco_wlc_data261"], 19, 0),
    ([f"{FORTI}_tpl", f"{FORTI}_data256", f"{FORTI}_data257"], 1, 1),
    ([f"{H3C}_tpl3281", f"{H3C}_data3281"], 1, 0),
    (["netflow9_test_field_layer2segmentid_tpl", "netflow9_test_field_layer2segmentid_data"], 1, 0),
    ([f"{PAN81}_tpl256-263", f"{PAN81}_data257_1flowset_in_large_zerofilled_packet"], 1, 0),
    (["netflow9_test_paloalto_panos_tpl", "netflow9_test_paloalto_panos_data"], 8, 0),
    ([f"{UBNT}_tpl", f"{UBNT}_data1024", f"{UBNT}_data1025"], 16, 0),
    (["ipfix"], 6, 1),
    ([f"{MIKROTIK}_tpl", f"{MIKROTIK}_data258", f"{MIKROTIK}_data259"], 46, 0),
    (["ipfix_test_netscaler_tpl", "ipfix_test_netscaler_data"], 3, 0),
    (["ipfix_test_openbsd_pflow_tpl", "ipfix_test_openbsd_pflow_data"], 26, 0),
    ([f"{VMWARE}_tpl", f"{VMWARE}_data264", f"{VMWARE}_data266", f"{VMWARE}_data266_267"], 5, 0),
]


def decode(*names: str):
    decoder = FlowDecoder()
    return decoder.decode(decoder.initial_state(), 1, make_chunk([corpus_file(name) for name in names]))


def flows(*names: str) -> list[dict]:
    return rows(decode(*names), "flows")


def rows(decoded, table: str) -> list[dict]:
    drop = [name for name in ("start", "end", "received", "time") if name in SCHEMAS[table].names]
    found = []
    for row in decoded.tables[table].drop_columns(drop).to_pylist():
        found.append({key: format_address(value) if isinstance(value, bytes) else value for key, value in row.items()})
    return found


def ends(row: dict) -> tuple:
    return row["source_address"], row["source_port"], row["destination_address"], row["destination_port"]


@pytest.mark.parametrize(("files", "flow_count", "options_count"), CASES, ids=[case[0][0] for case in CASES])
@pytest.mark.parametrize("templates_first", [True, False])
def test_number_of_records(files, flow_count, options_count, templates_first):
    decoder = FlowDecoder()
    state = decoder.initial_state()
    counts = {"flows": 0, "options": 0}
    origins = set()
    order = files if templates_first else files[::-1]
    for leaf_index, name in enumerate(order):  # a chunk each: the state carries what is between them
        stored = pickle.loads(pickle.dumps(state))  # noqa: S301
        decoded = decoder.decode(stored, leaf_index, make_chunk([corpus_file(name)]))
        state = decoded.state
        for table in counts:
            if table in decoded.tables:
                assert decoded.tables[table].schema.equals(SCHEMAS[table])
                decoded.tables[table].validate(full=True)
                counts[table] += decoded.tables[table].num_rows
                origins.update(decoded.tables[table].column("leaf_index").to_pylist())
    assert counts == {"flows": flow_count, "options": options_count}
    # the template captures of nprobe and macaddr carry their options record themselves
    carriers = {index for index, name in enumerate(order) if "tpl" not in name or options_count or len(files) == 1}
    assert origins <= carriers, "a late record names the chunk of its own datagram"


@pytest.mark.parametrize("files", [case[0] for case in CASES if len(case[0]) > 1], ids=lambda files: files[0])
def test_rows_are_the_same_whichever_comes_first(files):
    def by_file(order: list[str]) -> list[str]:
        decoded = decode(*order)
        found = []
        for table in ("flows", "options", "nat"):
            for row in rows(decoded, table) if table in decoded.tables else []:
                found.append(repr((order[row["row"]], table, {**row, "row": 0})))
        return sorted(found)

    assert by_file(files) == by_file(files[::-1])


def test_every_capture_is_in_a_case():
    named = {name for files, _, _ in CASES for name in files}
    assert set(corpus_names()) <= named


@pytest.mark.parametrize("name", corpus_names())
def test_every_capture_decodes_alone_and_cut_anywhere(name):
    payload = corpus_file(name)
    lengths = sorted({*range(0, min(len(payload), 260)), *range(0, len(payload), 13), len(payload)})
    whole = decode(name)
    decoder = FlowDecoder()
    for length in lengths:
        cut = decoder.decode(decoder.initial_state(), 1, make_chunk([payload[:length]]))
        for table in cut.tables:
            full = whole.tables[table]
            assert cut.tables[table].num_rows <= full.num_rows
        if "flows" in cut.tables:
            some, full = rows(cut, "flows"), rows(whole, "flows")
            assert [ends(row) for row in some] == [ends(row) for row in full[: len(some)]]
    for trailer in (b"\x00", b"\x00" * 900, b"\x01\x02\x03"):
        longer = decoder.decode(decoder.initial_state(), 1, make_chunk([payload + trailer]))
        assert {table: found.num_rows for table, found in longer.tables.items()} == {
            table: found.num_rows for table, found in whole.tables.items()
        }


def test_softflowd_v5():
    row = flows("netflow5")[0]
    assert ends(row) == ("10.0.2.2", 54435, "10.0.2.15", 22)
    assert (row["packets"], row["bytes"], row["tcp_flags"], row["version"]) == (5, 230, 16, "netflow5")
    table = decode("netflow5").tables["flows"]
    start, end = table.column("start")[0].value, table.column("end")[0].value
    # the first uptime is 0xffffffff, one millisecond before the exporter started
    export_unix_ns = 1430591888280328000
    assert (start, end) == (export_unix_ns - 3382 * 10**6, export_unix_ns - (3381 - 0x0A11 + 0) * 10**6 + 0 * 10**6)
    assert decode("netflow5").counters["trailing_bytes"] == 1608


def test_juniper_v5():
    found = flows("netflow5_test_juniper_mx80")
    row = next(row for row in found if row["source_address"] == "66.249.92.75")
    assert (row["destination_address"], row["destination_port"]) == ("192.168.0.1", 80)
    assert '"bgpSourceAsNumber":15169,"bgpDestinationAsNumber":64496' in row["extra"]
    assert '"samplingInterval":1000' in row["extra"]


def test_netflow9_values():
    row = flows("netflow9_test_valid01")[0]
    assert (row["source_address"], row["destination_address"]) == ("172.16.32.100", "172.16.32.248")
    assert (row["destination_port"], row["bytes"], row["protocol"]) == (123, 76, 17)

    nprobe = decode("netflow9_test_nprobe_tpl", "netflow9_test_nprobe_data")
    assert rows(nprobe, "flows")[0]["source_port"] == 22
    assert '"exportedFlowRecordTotalCount":1' in rows(nprobe, "options")[0]["elements"]

    macs = flows("netflow9_test_macaddr_tpl", "netflow9_test_macaddr_data")
    assert '"sourceMacAddress":"00:50:56:c0:00:01"' in macs[0]["extra"]

    aci = flows("netflow9_test_cisco_aci_tpl256-258", "netflow9_test_cisco_aci_data256")
    assert (aci[0]["source_address"], aci[0]["source_port"]) == ("10.154.231.145", 179)

    asr = flows(f"{ASR9K}_tpl260", f"{ASR9K}_data260")
    assert any('"bgpSourceAsNumber":15169,"bgpDestinationAsNumber":64498' in row["extra"] for row in asr)
    assert '"ingressVRFID":1610612736' in asr[0]["extra"]
    options = rows(decode(f"{ASR9K}_opttpl256", f"{ASR9K}_data256"), "options")
    assert any('"interfaceDescription":"TenGigE0_6_0_2"' in row["elements"] for row in options)

    wlc = flows("netflow9_test_cisco_wlc_tpl", "netflow9_test_cisco_wlc_data261")
    assert '"wlanSSID":"Test-env"' in wlc[0]["extra"]
    assert '"staMacAddress":"34:02:86:75:c0:51"' in wlc[0]["extra"]

    h3c = flows(f"{H3C}_tpl3281", f"{H3C}_data3281")
    assert '"dstTrafficIndex":4294967295' in h3c[0]["extra"]
    assert '"VRFname":' in h3c[0]["extra"]

    forti = decode(f"{FORTI}_tpl", f"{FORTI}_data256", f"{FORTI}_data257")
    assert '"exportedOctetTotalCount":6871319015' in rows(forti, "options")[0]["elements"]
    assert rows(forti, "flows")[0]["source_address"] == "192.168.99.7"

    ubnt = flows(f"{UBNT}_tpl", f"{UBNT}_data1024", f"{UBNT}_data1025")
    assert (ubnt[0]["source_address"], ubnt[-1]["source_address"]) == ("10.1.0.135", "192.168.1.102")

    layer2 = flows("netflow9_test_field_layer2segmentid_tpl", "netflow9_test_field_layer2segmentid_data")
    assert '"layer2SegmentId":0' in layer2[0]["extra"]


def test_asa_without_translation_makes_no_mapping():
    decoded = decode(f"{ASA_1}_tpl", f"{ASA_1}_data")
    row = next(row for row in rows(decoded, "flows") if '"flowId":8501' in row["extra"])
    assert row["protocol"] == 1
    assert '"asaFirewallEvent":2,"extendedFirewallEvent":2025' in row["extra"]
    assert '"ingressAclId":"0f8e7ff3fc1a030f00000000"' in row["extra"]
    assert row["postnat_source_address"] == row["source_address"]
    assert "nat" not in decoded.tables


def test_palo_alto():
    filled = flows(f"{PAN81}_tpl256-263", f"{PAN81}_data257_1flowset_in_large_zerofilled_packet")
    assert '"panosApplication":"kerberos"' in filled[0]["extra"]
    found = flows("netflow9_test_paloalto_panos_tpl", "netflow9_test_paloalto_panos_data")
    assert '"panosApplication":"ssl"' in found[1]["extra"]
    assert '"panosApplication":"incomplete"' in found[-1]["extra"]


def test_ipfix_values():
    decoded = decode("ipfix")
    assert ends(rows(decoded, "flows")[0]) == ("192.168.253.1", 60560, "192.168.253.128", 22)
    # flowStartSysUpTime 0 counts from systemInitTimeMilliseconds of the options record before it
    assert decoded.tables["flows"].column("start")[0].value == 1431516013506 * 10**6
    assert "estimated_times" not in decoded.counters
    assert decoded.counters["trailing_bytes"] == 304

    pflow = flows("ipfix_test_openbsd_pflow_tpl", "ipfix_test_openbsd_pflow_data")
    assert (pflow[-1]["destination_address"], pflow[-1]["destination_port"]) == ("192.168.0.17", 64026)
    assert (pflow[-1]["bytes"], pflow[-1]["packets"]) == (6425, 8)

    vmware = flows(f"{VMWARE}_tpl", f"{VMWARE}_data264", f"{VMWARE}_data266", f"{VMWARE}_data266_267")
    row = next(row for row in vmware if row["destination_address"] == "ff02::1:3")
    assert row["source_address"].startswith("fe80::")
    assert row["destination_port"] == 5355


def test_netscaler_long_strings_and_a_set_that_waits():
    decoded = decode("ipfix_test_netscaler_tpl", "ipfix_test_netscaler_data")
    found = rows(decoded, "flows")
    assert any('"e5951.133":14460661' in row["extra"] for row in found)
    assert max(len(row["extra"]) for row in found) > 500
    assert decoded.waiting == 1
    alone = decode("ipfix_test_netscaler_data")
    assert "flows" not in alone.tables
    assert alone.waiting == 4


def test_mikrotik_translates_addresses_without_ports():
    decoded = decode(f"{MIKROTIK}_tpl", f"{MIKROTIK}_data258", f"{MIKROTIK}_data259")
    found = rows(decoded, "flows")
    assert any(row["postnat_source_address"] == "192.168.230.216" for row in found)
    assert any(row["next_hop"] == "ff02::1" for row in found)
    mappings = rows(decoded, "nat")
    assert {row["outside_address"] for row in mappings} == {"192.168.230.216"}
    from_inside = [row for row in mappings if row["inside_port"] is not None]
    assert {(row["outside_port_low"], row["outside_port_high"]) for row in from_inside if row["protocol"] == 17} == {
        (0, 65535)
    }
    assert {row["quality"] for row in mappings} == {"derived"}
    assert [row["event"] for row in mappings] == ["open", "close"] * (len(mappings) // 2)


def test_mikrotik_answers_from_outside_name_the_outside_port():
    """Their destination is the outside address and port, the translated one the inside host."""
    mappings = rows(decode(f"{MIKROTIK}_tpl", f"{MIKROTIK}_data258"), "nat")
    ends = {
        (row["outside_port_low"], row["outside_port_high"], row["inside_address"], row["destination_address"])
        for row in mappings
        if row["inside_port"] is None
    }
    assert (82, 82, "10.10.6.11", "192.168.35.143") in ends, "a published server"
    assert (48378, 48378, "10.10.7.11", "192.168.183.199") in ends, "an answer"
    assert (123, 123, "10.10.8.197", "192.168.128.17") in ends
