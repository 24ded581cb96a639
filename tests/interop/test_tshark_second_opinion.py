"""Wireshark's decoder reads the same captures: records and fields must agree, and so must `decode_files` on a pcap."""

from calendar import timegm
from collections.abc import Iterator
from pathlib import Path
from time import strptime

import pytest

from collector.decode_file import decode_files
from tests.collector.wire.flow_builder import netflow7
from tests.interop.other_readers import tshark_packets, unavailable, write_capture
from tests.interop.tshark_flow_fields import (
    COLUMN_MEMBERS,
    COLUMNS,
    MEMBERS,
    OURS_ONLY,
    SILENT,
    UNNAMED,
    agrees,
    octets_agree,
    time_unix_ns,
)

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "netflow"
NETFLOW_PORT = 2055

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
NOT_COMPARED = {
    "netflow5_test_invalid01",  # tshark reads the 55,582 records its header claims; we take it for no NetFlow
    "netflow9_test_invalid01",  # its header claims 2 of what there are 6; tshark stops there, we read the sets
}
UPTIME_ZERO = "Jan  1, 1970 00:00:00.000000000 UTC"
"""tshark shows an uptime of 0 milliseconds as an absolute time."""
FORWARDING = ("cflow.forwarding_status", "Forwarding Status")
APPLICATION = ("cflow.appl_id.classification_engine_id", "cflow.appl_id.selector_id")


class Record:
    """One record of tshark: the datagram it came in (from 0), that one's header, the set id and the fields."""

    def __init__(self, row: int, header: dict, template_id: int, fields: dict) -> None:
        self.row, self.header, self.template_id, self.fields = row, header, template_id, fields


def tshark_records(path: Path) -> list[Record]:
    """Every flow and options record tshark finds, in order."""
    found: list[Record] = []

    def collect(row: int, header: dict, template_id: int, node: object) -> None:
        if isinstance(node, list):
            for one in node:
                collect(row, header, template_id, one)
        elif isinstance(node, dict):
            template_id = int(node.get("cflow.flowset_id", template_id))
            for name, child in node.items():
                for one in child if isinstance(child, list) else [child]:
                    if name.startswith(("Flow ", "pdu ")) and isinstance(one, dict):
                        found.append(Record(row, header, template_id, one))
                    elif isinstance(one, dict):
                        collect(row, header, template_id, one)

    for row, layers in enumerate(tshark_packets(path, NETFLOW_PORT, "cflow")):
        header = layers.get("cflow", {})
        collect(row, header, 0, header)
    return found


def texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def compare(theirs: Record, mine: dict) -> set[str]:
    """Check every field tshark shows of a record against ours; returns the columns and members that were compared."""
    is_flow = mine["table"] == "flows"
    members: dict = mine["extra"] if is_flow else mine["elements"]
    done: set[str] = set()
    unnamed: list[str] = []
    malformed = "_ws.malformed" in theirs.fields
    for name, value in theirs.fields.items():
        if name in SILENT or name.startswith("_ws.") or (name.endswith("_tree") and name != "cflow.timedelta_tree"):
            continue
        if name in UNNAMED:
            unnamed += texts(value)
        elif name in FORWARDING:
            status = value["cflow.forwarding_status"]
            code = next((one for key, one in value.items() if key != "cflow.forwarding_status"), "0")
            check(int(status, 0) << 6 | int(code, 0) & 0x3F == members["forwardingStatus"], name, theirs, mine)
            done.add("forwardingStatus")
        elif name == APPLICATION[0]:
            octets = int(texts(value)[0]).to_bytes(1, "big").hex() + texts(theirs.fields[APPLICATION[1]])[0].replace(
                ":", ""
            )
            check(octets == members["applicationId"], name, theirs, mine)
            done.add("applicationId")
        elif name == APPLICATION[1]:
            continue
        elif name == "cflow.timedelta_tree":
            done |= compare_times(value, theirs, mine)
        elif name.startswith("cflow.abstime"):
            done |= compare_times({name: value}, theirs, mine)
        else:
            done |= compare_named(name, texts(value), members, theirs, mine, is_flow)
    rest = [key for key in members if key not in done and key.partition("#")[0] not in done and key not in OURS_ONLY]
    for octets in unnamed:
        found = next((key for key in rest if octets_agree(octets, members[key])), None)
        check(found is not None, f"value {octets} without a name", theirs, mine)
        rest.remove(str(found))
        done.add(str(found))
    check(not rest or malformed, f"tshark does not show {rest}", theirs, mine)
    if is_flow and not malformed:
        shown = [key for key in COLUMNS.values() if mine[key] not in (None, "::")]
        check(set(shown) <= done, f"tshark does not show the columns {set(shown) - done}", theirs, mine)
    return done


def compare_named(name: str, values: list[str], members: dict, theirs: Record, mine: dict, is_flow: bool) -> set[str]:
    """A field that comes again is our column or member first, then `<member>#2`."""
    check(name in COLUMNS or name in MEMBERS, f"an unknown field {name}", theirs, mine)
    column = COLUMNS.get(name)
    member = MEMBERS.get(name) or COLUMN_MEMBERS.get(str(column), "")
    candidates: list[tuple[str, object]] = []
    if is_flow and column:
        candidates.append((column, mine[column]))
    if name == "cflow.firewall_event" and member not in members:
        member = "asaFirewallEvent"  # tshark has one name for 233 and for 40005 of old ASA images
    again = [key for key in members if key == member or key.startswith(f"{member}#")]
    candidates += [(key, members[key]) for key in again]
    done = set()
    for value in values:
        key = next((key for key, own in candidates if key not in done and agrees(value, own)), None)
        check(key is not None, f"{name} is {value}, ours {candidates}", theirs, mine)
        done.add(str(key))
    return done


def compare_times(value: dict, theirs: Record, mine: dict) -> set[str]:
    """Times of a flow: absolute, or uptimes that stand before the header's (modulo 2**32 milliseconds).

    Where the header is no base (IPFIX, FortiOS 5.2) we estimate the time and keep the uptime, which is compared.
    """
    done = set()
    for name, text in value.items():
        side = "start" if name.endswith("start") else "end"
        text = texts(text)[0]
        if text.startswith(UPTIME_ZERO):
            text, name = "0", name.replace("abstime", "time")
        if name.startswith("cflow.abstime"):
            expected = time_unix_ns(text)
        elif "cflow.sysuptime" in theirs.header and f"flow{side.capitalize()}SysUpTime" not in mine["extra"]:
            uptime_ms = round(float(text) * 1000)
            behind = (round(float(theirs.header["cflow.sysuptime"]) * 1000) - uptime_ms) % 2**32
            behind -= 2**32 if behind > 2**32 - 3_600_000 else 0
            expected = time_unix_ns(theirs.header["cflow.timestamp"]) - behind * 10**6
        else:
            member = f"flow{side.capitalize()}SysUpTime"
            check(round(float(text) * 1000) == mine["extra"][member], name, theirs, mine)
            done.add(member)
            continue
        check(nanoseconds(mine[side]) == expected, f"{name} {text}", theirs, mine)
        done.add(side)
    return done


def nanoseconds(text: str) -> int:
    """Of ISO 8601 as `decode_files` writes it."""
    return timegm(strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(text[20:29])


def check(good: bool, what: str, theirs: Record, mine: dict) -> None:
    assert good, f"{what}\ntshark: {theirs.fields}\nours: {mine}"


def compared_records(path: Path) -> Iterator[tuple[Record, dict, set[str]]]:
    """Both sides' records in pairs: those of one datagram and template, in order."""
    theirs = tshark_records(path)
    ours = [record for record in decode_files([path]) if record["table"] in ("flows", "options")]
    assert sorted((one["row"], one["template_id"]) for one in ours) == sorted(
        (one.row, one.template_id) for one in theirs
    )
    waiting: dict[tuple[int, int], list[dict]] = {}
    for one in ours:
        waiting.setdefault((one["row"], one["template_id"]), []).append(one)
    for one in theirs:
        mine = waiting[one.row, one.template_id].pop(0)
        header = one.header
        assert mine["sequence"] == int(header["cflow.sequence"])
        if "cflow.engine_type" in header:
            assert mine["observation_domain"] == int(header["cflow.engine_type"]) << 8 | int(header["cflow.engine_id"])
            assert mine["extra"]["samplingAlgorithm"] == int(header["cflow.samplingmode"])
            assert mine["extra"]["samplingInterval"] == int(header["cflow.samplerate"])
        elif mine["version"] != "netflow7":
            assert mine["observation_domain"] == int(header.get("cflow.source_id") or header["cflow.od_id"])
        yield one, mine, compare(one, mine)


def test_every_capture_is_compared():
    if not CORPUS.is_dir():
        unavailable("the captures (../shared/corpus) are not beside this checkout")
    named = {name for names in CAPTURES for name in names} | NOT_COMPARED
    assert named == {path.stem for path in CORPUS.glob("*.dat")}


@pytest.mark.interop
@pytest.mark.parametrize("names", CAPTURES, ids=["+".join(names) for names in CAPTURES])
def test_records_and_fields_agree_with_tshark(names, tmp_path):
    if not CORPUS.is_dir():
        unavailable("the captures (../shared/corpus) are not beside this checkout")
    path = tmp_path / "capture.pcap"
    write_capture(path, [(CORPUS / f"{name}.dat").read_bytes() for name in names], NETFLOW_PORT)
    for _, mine, done in compared_records(path):
        least = 2 if mine["table"] == "options" or "cisco_wlc" in names[0] else 5 if "macaddr" in names[0] else 6
        assert len(done) >= least


@pytest.mark.interop
def test_netflow7_agrees_with_tshark(tmp_path):
    path = tmp_path / "capture.pcap"
    write_capture(path, [netflow7(27), netflow7(1)], NETFLOW_PORT)
    found = [done for _, _, done in compared_records(path)]
    assert len(found) == 28
    assert all(len(done) >= 18 for done in found)


def test_raw_files_and_their_capture_decode_alike(tmp_path):
    if not CORPUS.is_dir():
        unavailable("the captures (../shared/corpus) are not beside this checkout")
    names = ["ipfix_test_mikrotik_data258", "ipfix_test_mikrotik_tpl"]
    files = [CORPUS / f"{name}.dat" for name in names]
    path = tmp_path / "capture.pcap"
    write_capture(path, [file.read_bytes() for file in files], NETFLOW_PORT)
    differing = {"received", "exporter_address", "exporter_port", "sender_address"}

    def kept(record: dict) -> dict:
        return {name: value for name, value in record.items() if name not in differing}

    raw, captured = list(decode_files(files)), list(decode_files([path]))
    assert [kept(record) for record in raw] == [kept(record) for record in captured]
    assert captured[0]["exporter_address"] == "192.0.2.1"
    assert captured[0]["received"] == "2023-11-14T22:13:20.000000000Z"
