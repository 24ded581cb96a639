"""nfcapd (nfdump 1.7) reads the captures over loopback: addresses, ports, protocol, counters and times agree.

Where it differs by design: it multiplies bytes and packets by the sampling interval of a v5 header, writes 0 for
counters a record does not have, shows no ports of ICMP, rounds times to milliseconds, keeps no options records, and
takes the reserved word of a v7 header for a sampling interval.
"""

from collections import Counter
from pathlib import Path

import pytest

from collector.decode_file import decode_files
from tests.collector.wire.flow_builder import netflow7
from tests.interop.other_readers import nfdump_records, unavailable

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "netflow"
ASR9K = "netflow9_test_cisco_asr9k"
FORTI = "netflow9_test_fortigate_fortios_521"
H3C = "netflow9_test_h3c_netstream_varstring"
PAN81 = "netflow9_test_paloalto_81"
VMWARE = "ipfix_test_vmware_vds"
LAYER2 = "netflow9_test_field_layer2segmentid"
# Templates first. Not here: captures of options alone (nothing to show) and those of clients without addresses (WLC).
CAPTURES = [
    ["netflow5"],
    ["netflow5_test_juniper_mx80"],
    ["netflow9_test_valid01"],
    ["netflow9_test_softflowd_tpl_data"],
    ["netflow9_test_nprobe_tpl", "netflow9_test_nprobe_data"],
    ["netflow9_test_macaddr_tpl", "netflow9_test_macaddr_data"],
    ["netflow9_test_cisco_aci_tpl256-258", "netflow9_test_cisco_aci_data256"],
    ["netflow9_test_cisco_asa_1_tpl", "netflow9_test_cisco_asa_1_data"],
    [f"{ASR9K}_tpl260", f"{ASR9K}_data260"],
    [f"{FORTI}_tpl", f"{FORTI}_data257"],
    [f"{H3C}_tpl3281", f"{H3C}_data3281"],
    [f"{LAYER2}_tpl", f"{LAYER2}_data"],
    [f"{PAN81}_tpl256-263", f"{PAN81}_data257_1flowset_in_large_zerofilled_packet"],
    ["netflow9_test_paloalto_panos_tpl", "netflow9_test_paloalto_panos_data"],
    ["netflow9_test_ubnt_edgerouter_tpl", "netflow9_test_ubnt_edgerouter_data1024"],
    ["netflow9_test_ubnt_edgerouter_tpl", "netflow9_test_ubnt_edgerouter_data1025"],
    ["ipfix_test_mikrotik_tpl", "ipfix_test_mikrotik_data258", "ipfix_test_mikrotik_data259"],
    ["ipfix_test_netscaler_tpl", "ipfix_test_netscaler_data"],
    ["ipfix_test_openbsd_pflow_tpl", "ipfix_test_openbsd_pflow_data"],
    [f"{VMWARE}_tpl", f"{VMWARE}_data264", f"{VMWARE}_data266"],
    [f"{VMWARE}_tpl", f"{VMWARE}_data266_267"],
]
PORTS_OF = (6, 17)
# nfdump 1.7.1 adds uptimes to the start of the system without regard to a wrapped or missing base, and knows neither
# the event time of NSEL nor the fraction times of NetScaler.
TIMES_DIFFER = {
    "ipfix_test_mikrotik_tpl",
    "ipfix_test_netscaler_tpl",
    "netflow5",
    "netflow9_test_cisco_asa_1_tpl",
    "netflow9_test_fortigate_fortios_521_tpl",
    "netflow9_test_nprobe_tpl",
}


def ours(record: dict) -> tuple:
    sampling = record["extra"].get("samplingInterval", 0) or 1 if record["version"] == "netflow5" else 1
    ports = (record["source_port"], record["destination_port"]) if record["protocol"] in PORTS_OF else None
    return (
        record["source_address"], record["destination_address"], record["protocol"], ports,
        (record["bytes"] or 0) * sampling, (record["packets"] or 0) * sampling,
    )  # fmt: skip


def theirs(record: dict) -> tuple:
    ports = (record["src_port"], record["dst_port"]) if record["proto"] in PORTS_OF else None
    return (
        record.get("src4_addr") or record.get("src6_addr"), record.get("dst4_addr") or record.get("dst6_addr"),
        record["proto"], ports, record.get("in_bytes", 0), record.get("in_packets", 0),
    )  # fmt: skip


def times_of_ours(record: dict) -> tuple:
    return tuple((record[side] or "1970-01-01T00:00:00.000")[:23] for side in ("start", "end"))


def check_against_nfcapd(datagrams: list[bytes], files: list[Path], folder: Path, *, times: bool) -> int:
    shown = nfdump_records("nfcapd", datagrams, folder / "flows")
    found = [record for record in decode_files(files) if record["table"] == "flows"]
    assert Counter(map(ours, found)) == Counter(map(theirs, shown))
    if times:
        mine = Counter((*ours(one), *times_of_ours(one)) for one in found)
        assert mine == Counter((*theirs(one), one["first"], one["last"]) for one in shown)
    return len(found)


@pytest.mark.interop
@pytest.mark.parametrize("names", CAPTURES, ids=["+".join(names) for names in CAPTURES])
def test_flows_agree_with_nfcapd(names, tmp_path):
    files = [CORPUS / f"{name}.dat" for name in names]
    if not CORPUS.is_dir():
        unavailable("the captures (../shared/corpus) are not beside this checkout")
    datagrams = [file.read_bytes() for file in files]
    assert check_against_nfcapd(datagrams, files, tmp_path, times=names[0] not in TIMES_DIFFER) > 0


@pytest.mark.interop
def test_netflow7_agrees_with_nfcapd(tmp_path):
    file = tmp_path / "netflow7"
    file.write_bytes(netflow7(27) + netflow7(3))
    assert check_against_nfcapd([netflow7(27), netflow7(3)], [file], tmp_path, times=True) == 30
