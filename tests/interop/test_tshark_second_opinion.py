"""Wireshark's decoder reads the same captures: records and fields must agree, and so must `decode_files` on a pcap."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from struct import pack

import pytest

from collector.decode_file import decode_files

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "netflow"
TSHARK_SECONDS = 60

# Templates before data: tshark does not look back.
CAPTURES = [
    ["netflow5"],
    ["netflow5_test_juniper_mx80"],
    ["netflow9_test_valid01"],
    ["netflow9_test_softflowd_tpl_data"],
    ["netflow9_test_nprobe_tpl", "netflow9_test_nprobe_data"],
    ["netflow9_test_macaddr_tpl", "netflow9_test_macaddr_data"],
    ["netflow9_test_cisco_aci_tpl256-258", "netflow9_test_cisco_aci_data256"],
    ["netflow9_test_cisco_asa_1_tpl", "netflow9_test_cisco_asa_1_data"],
    ["netflow9_test_cisco_asr9k_opttpl256", "netflow9_test_cisco_asr9k_data256"],
    ["netflow9_test_cisco_asr9k_tpl260", "netflow9_test_cisco_asr9k_data260"],
    ["netflow9_test_cisco_wlc_tpl", "netflow9_test_cisco_wlc_data261"],
    ["netflow9_test_fortigate_fortios_521_tpl", "netflow9_test_fortigate_fortios_521_data256"],
    ["netflow9_test_fortigate_fortios_521_tpl", "netflow9_test_fortigate_fortios_521_data257"],
    ["netflow9_test_h3c_netstream_varstring_tpl3281", "netflow9_test_h3c_netstream_varstring_data3281"],
    ["netflow9_test_field_layer2segmentid_tpl", "netflow9_test_field_layer2segmentid_data"],
    [
        "netflow9_test_paloalto_81_tpl256-263",
        "netflow9_test_paloalto_81_data257_1flowset_in_large_zerofilled_packet",
    ],
    ["netflow9_test_paloalto_panos_tpl", "netflow9_test_paloalto_panos_data"],
    ["netflow9_test_ubnt_edgerouter_tpl", "netflow9_test_ubnt_edgerouter_data1024"],
    ["netflow9_test_ubnt_edgerouter_tpl", "netflow9_test_ubnt_edgerouter_data1025"],
    ["ipfix"],
    ["ipfix_test_mikrotik_tpl", "ipfix_test_mikrotik_data258", "ipfix_test_mikrotik_data259"],
    ["ipfix_test_netscaler_tpl", "ipfix_test_netscaler_data"],
    ["ipfix_test_openbsd_pflow_tpl", "ipfix_test_openbsd_pflow_data"],
    ["ipfix_test_vmware_vds_tpl", "ipfix_test_vmware_vds_data264", "ipfix_test_vmware_vds_data266"],
    ["ipfix_test_vmware_vds_tpl", "ipfix_test_vmware_vds_data266_267"],
]
TEXT_FIELDS = {
    "source_address": ("cflow.srcaddr", "cflow.srcaddrv6"),
    "destination_address": ("cflow.dstaddr", "cflow.dstaddrv6"),
    "next_hop": ("cflow.nexthop", "cflow.nexthopv6"),
    "postnat_source_address": ("cflow.post_natsource_ipv4_address",),
    "postnat_destination_address": ("cflow.post_natdestination_ipv4_address",),
}
NUMBER_FIELDS = {
    "source_port": ("cflow.srcport",),
    "destination_port": ("cflow.dstport",),
    "bytes": ("cflow.octets", "cflow.octets64"),
    "packets": ("cflow.packets", "cflow.packets64"),
    "protocol": ("cflow.protocol",),
    "input_interface": ("cflow.inputint",),
    "output_interface": ("cflow.outputint",),
    "tcp_flags": ("cflow.tcpflags", "cflow.tcpflags16"),
    "tos": ("cflow.tos",),
}


def unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def write_capture(path: Path, payloads: list[bytes]) -> None:
    """A pcap of raw IPv4 packets, UDP to port 2055."""
    content = pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    for number, payload in enumerate(payloads):
        udp = pack(">HHHH", 40000, 2055, 8 + len(payload), 0) + payload
        addresses = bytes([192, 0, 2, 1, 192, 0, 2, 9])
        packet = pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0) + addresses + udp
        content += pack("<IIII", 1_700_000_000 + number, 0, len(packet), len(packet)) + packet
    path.write_bytes(content)


def tshark_records(path: Path) -> list[dict]:
    """Every flow and options record tshark finds, in order."""
    command = ["tshark", "-r", str(path), "-d", "udp.port==2055,cflow", "-T", "json", "--no-duplicate-keys"]
    result = subprocess.run(command, capture_output=True, timeout=TSHARK_SECONDS, check=True)
    found: list[dict] = []

    def collect(node: object) -> None:
        if isinstance(node, list):
            for one in node:
                collect(one)
        elif isinstance(node, dict):
            for name, child in node.items():
                if name.startswith(("Flow ", "pdu ")) and isinstance(child, dict):
                    found.append(child)
                else:
                    collect(child)

    for packet in json.loads(result.stdout):
        collect(packet["_source"]["layers"].get("cflow", {}))
    return found


def value_of(record: dict, names: tuple[str, ...]) -> str | None:
    for name in names:
        if name in record:
            value = record[name]
            return value[0] if isinstance(value, list) else value
    return None


@pytest.mark.parametrize("names", CAPTURES, ids=["+".join(names) for names in CAPTURES])
def test_records_and_fields_agree_with_tshark(names, tmp_path):
    if shutil.which("tshark") is None:
        unavailable("tshark is not installed")
    if not CORPUS.is_dir():
        unavailable("the captures (../shared/corpus) are not beside this checkout")
    path = tmp_path / "capture.pcap"
    write_capture(path, [(CORPUS / f"{name}.dat").read_bytes() for name in names])
    theirs = tshark_records(path)
    ours = [record for record in decode_files([path]) if record["table"] in ("flows", "options")]
    assert len(ours) == len(theirs)
    flows = [record for record in ours if record["table"] == "flows"]
    other = [record for record in theirs if value_of(record, ("cflow.options",)) is None]
    if len(flows) != len(other):  # options records carry no addresses; compare the records that do
        other = [record for record in theirs if value_of(record, TEXT_FIELDS["source_address"]) is not None]
        flows = [record for record in flows if record["source_address"] != "::"]
    assert len(flows) == len(other)
    compared = 0
    for mine, tsharks in zip(flows, other, strict=True):
        for field, candidates in TEXT_FIELDS.items():
            expected = value_of(tsharks, candidates)
            if expected is not None:
                assert mine[field] == expected, field
                compared += 1
        for field, candidates in NUMBER_FIELDS.items():
            expected = value_of(tsharks, candidates)
            if expected is not None:
                assert mine[field] == int(expected, 0), field
                compared += 1
    least = 2 if "cisco_wlc" in names[0] else 5 if "macaddr" in names[0] else 6
    assert compared >= least * len(flows)


def test_raw_files_and_their_capture_decode_alike(tmp_path):
    if not CORPUS.is_dir():
        unavailable("the captures (../shared/corpus) are not beside this checkout")
    names = ["ipfix_test_mikrotik_data258", "ipfix_test_mikrotik_tpl"]
    files = [CORPUS / f"{name}.dat" for name in names]
    path = tmp_path / "capture.pcap"
    write_capture(path, [file.read_bytes() for file in files])
    differing = {"received", "exporter_address", "exporter_port", "sender_address"}

    def kept(record: dict) -> dict:
        return {name: value for name, value in record.items() if name not in differing}

    raw, captured = list(decode_files(files)), list(decode_files([path]))
    assert [kept(record) for record in raw] == [kept(record) for record in captured]
    assert captured[0]["exporter_address"] == "192.0.2.1"
    assert captured[0]["received"] == "2023-11-14T22:13:20.000000000Z"
