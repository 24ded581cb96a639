"""sFlow datagrams made by hand, read by tshark and by sfcapd (nfdump): every field both show must agree.

Where the others are known to be wrong or silent (tshark 4.0.17, sfcapd 1.7.1):
- tshark reads tcp_flags and tos of a sampled IPv4 record from the wrong byte: those come from sfcapd;
- sfcapd shows no addresses of sampled IPv4 and IPv6 records and no priority of the latter: those come from tshark;
- sfcapd multiplies packets and bytes by the sampling rate; it looks into neither MPLS nor PPPoE nor more than one tag;
- tshark has no record 1020 (NAT ports): test_wire_sflow compares it with the bytes alone.
"""

import random
from collections import Counter
from struct import pack

import pytest

from collector.decode_file import decode_files
from tests.collector.wire.sflow_builder import (
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
    raw_packet,
    record,
    sampled_ipv4,
    sampled_ipv6,
    tcp,
    udp,
)
from tests.interop.other_readers import nfdump_records, tshark_packets, write_capture

SFLOW_PORT = 6343
DATAGRAMS = 60
SAMPLES = 5


def transport(generator: random.Random, version: int) -> tuple[int, bytes]:
    """Protocol and segment; ports that no dissector of tshark claims."""
    source, destination = generator.randrange(20_000, 30_000), generator.randrange(30_000, 40_000)
    kind = generator.choice(["tcp", "tcp", "udp", "icmp", "other"])
    if kind == "tcp":
        return 6, tcp(generator.choice([0x02, 0x10, 0x12, 0x18, 0xC2]), source, destination)
    if kind == "udp":
        return 17, udp(source, destination)
    if kind == "icmp":
        return (1, bytes([8, 0]) + bytes(10)) if version == 4 else (58, bytes([128, 0]) + bytes(10))
    return 250, bytes(12)


def frame(generator: random.Random) -> bytes:
    """An Ethernet frame of IPv4 or IPv6, with tags, labels, options, extension headers and fragments."""
    version = generator.choice([4, 6])
    protocol, segment = transport(generator, version)
    if version == 4:
        options = generator.choice([b"", b"\x01" * 4])
        fragment = generator.choice([0, 0, 0, 0x00B9])
        packet = ipv4(
            segment, protocol=protocol, tos=generator.choice([0, 0xB8]), fragment=fragment, options=options,
            ttl=generator.randrange(1, 255), last=generator.randrange(1, 255),
        )  # fmt: skip
    else:
        following, extensions = protocol, b""
        if generator.random() < 0.3:
            following, extensions = 60, bytes([protocol, 0, 1, 4, 0, 0, 0, 0])
        packet = ipv6(extensions + segment, next_header=following, traffic_class=generator.choice([0, 0x2E]))
    kind = 0x0800 if version == 4 else 0x86DD
    if generator.random() < 0.1:
        packet, kind = pack(">I", 16 << 12 | 1 << 8 | 64) + packet, 0x8847
    vlans = generator.choice([(), (), (100,), (100, 200)])
    return ethernet(packet, kind, vlans=vlans)


def sample(generator: random.Random, sequence: int) -> bytes:
    kind = generator.random()
    if kind < 0.15:
        make = generator.choice([counter_sample, expanded_counter_sample])
        return make(interface_counters(sequence, 2**33 + sequence), sequence=sequence)
    if kind < 0.25:
        records = [generator.choice([sampled_ipv4(), sampled_ipv6()])]
    else:
        records = [raw_packet(frame(generator), frame_length=generator.randrange(64, 1519))]
    if generator.random() < 0.5:
        records.append(record(1001, pack(">IIII", generator.randrange(4096), 1, generator.randrange(4096), 2)))
    if generator.random() < 0.5:
        hop = generator.choice([bytes([203, 0, 113, 254]), bytes.fromhex("fe80" + "00" * 13 + "01")])
        records.append(record(1002, address(hop) + pack(">II", generator.randrange(33), generator.randrange(33))))
    if generator.random() < 0.3:
        records.append(record(1007, address(bytes([203, 0, 113, 7])) + address(bytes([198, 51, 100, 8]))))
    generator.shuffle(records)
    make = generator.choice([flow_sample, expanded_flow_sample])
    ports = (3, 4) if make is flow_sample else (0, 3, 0, 4)
    return make(*records, sequence=sequence, rate=generator.choice([1, 512]), pool=sequence * 7, drops=1, ports=ports)


@pytest.fixture(scope="module")
def datagrams() -> list[bytes]:
    generator = random.Random(7)
    return [
        datagram(
            *[sample(generator, number * SAMPLES + place + 1) for place in range(SAMPLES)],
            sequence=number + 1, sub_agent=number % 3,
            agent=generator.choice([bytes([192, 0, 2, 8]), bytes(15) + b"\1"]),
        )
        for number in range(DATAGRAMS)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def ours(datagrams, tmp_path_factory) -> list[dict]:
    path = tmp_path_factory.mktemp("sflow") / "sflow.pcap"
    write_capture(path, datagrams, SFLOW_PORT)
    found = list(decode_files([path]))
    assert sum(one["table"] in ("flows", "options") for one in found) == DATAGRAMS * SAMPLES
    return found


def tshark_samples(layers: dict, kinds: tuple[str, ...]) -> list[dict]:
    """Samples of a datagram by their sequence number, which the tests make ascend."""
    found = [
        (int(name.rpartition(" ")[2]), content)
        for name, content in layers["sflow"].items()
        if name.startswith(kinds) and isinstance(content, dict)
    ]
    return [content for _, content in sorted(found, key=lambda one: one[0])]


def compared(mine: dict, expected: dict) -> Counter[str]:
    """Fields that agree; a None is a field the other side does not show."""
    for name, value in expected.items():
        if value is not None:
            assert mine.get(name) == value, (name, mine, expected)
    return Counter(name for name, value in expected.items() if value is not None)


def number(layer: dict, name: str) -> int | None:
    value = layer.get(name)
    return None if value is None else int(value[0] if isinstance(value, list) else value, 0)


def from_header(tree: dict) -> dict:
    """Columns of `flows` and members of `extra` from tshark's layers of a sampled header."""
    four, six = tree.get("ip", {}), tree.get("ipv6", {})
    vlans = tree.get("vlan", [])
    vlans = vlans if isinstance(vlans, list) else [vlans]
    segment = tree.get("tcp") or tree.get("udp") or {}
    prefix = "tcp" if "tcp" in tree else "udp"
    options = six.get("ipv6.dstopts", six.get("Destination Options for IPv6"))
    following = number(six, "ipv6.nxt")
    if isinstance(options, dict):
        following = number(options, "ipv6.dstopts.nxt")
    icmp = tree.get("icmp") or tree.get("icmpv6") or {}
    name = "icmp" if "icmp" in tree else "icmpv6"
    kind = number(icmp, f"{name}.type")
    return {
        "source_address": four.get("ip.src") or six.get("ipv6.src"),
        "destination_address": four.get("ip.dst") or six.get("ipv6.dst"),
        "protocol": number(four, "ip.proto") if four else following,
        "tos": number(four, "ip.dsfield") if four else number(six, "ipv6.tclass"),
        "source_port": number(segment, f"{prefix}.srcport"),
        "destination_port": number(segment, f"{prefix}.dstport"),
        "tcp_flags": number(segment, "tcp.flags"),
        "ipTTL": number(four, "ip.ttl") if four else number(six, "ipv6.hlim"),
        "dot1qVlanId": number(vlans[0], "vlan.id") if vlans else None,
        "dot1qCustomerVlanId": number(vlans[1], "vlan.id") if len(vlans) > 1 else None,
        "sourceMacAddress": tree["eth"]["eth.src"],
        "destinationMacAddress": tree["eth"]["eth.dst"],
        "icmpTypeCodeIPv4" if four else "icmpTypeCodeIPv6": kind << 8 | (number(icmp, f"{name}.code") or 0)
        if kind
        else None,
    }


def from_sample(theirs: dict) -> dict:
    expected = {
        "samplingInterval": number(theirs, "sflow.flow_sample.sampling_rate"),
        "samplePool": number(theirs, "sflow.flow_sample.sample_pool"),
        "drops": number(theirs, "sflow.flow_sample.dropped_packets"),
        "sourceIdIndex": number(theirs, "sflow.flow_sample.index")
        or number(theirs, "sflow.flow_sample.source_id_index"),
    }
    interfaces = (
        ("input_interface", "input_interface", "input_interface_value"),
        ("output_interface", "output_interface", "output_interface_value"),
    )
    for column, compact, expanded in interfaces:
        prefix = "sflow.flow_sample."
        expected[column] = number(theirs, prefix + compact) or number(theirs, prefix + expanded)
    raw = theirs.get("Raw packet header")
    if raw:
        expected["bytes"] = number(raw, "sflow_245.header.frame_length")
        expected |= from_header(raw["sflow_245.header_tree"])
    for name, version in (("IPv4 data", 4), ("IPv6 data", 6)):
        data = theirs.get(name)
        if data:
            expected["bytes"] = number(data, "sflow_245.ip.length")
            expected["protocol"] = number(data, "sflow.ip_protocol")
            expected["source_address"] = data[f"sflow_245.ipv{version}_src"]
            expected["destination_address"] = data[f"sflow_245.ipv{version}_dst"]
            expected["source_port"] = number(data, "sflow_245.ip.source_port")
            expected["destination_port"] = number(data, "sflow.ip.destination_port")
            expected["tos"] = number(data, "sflow_245.ipv6_priority") if version == 6 else None
    switch = theirs.get("Extended switch data", {})
    expected["vlanId"], expected["postVlanId"] = (
        number(switch, "sflow_245.vlan.in"),
        number(switch, "sflow_245.vlan.out"),
    )
    expected["dot1qPriority"] = number(switch, "sflow_245.pri.in")
    expected["postDot1qPriority"] = number(switch, "sflow_245.pri.out")
    router = theirs.get("Extended router data", {})
    expected["next_hop"] = router.get("sflow_245.nexthop")
    version = "IPv6" if ":" in str(expected.get("source_address")) else "IPv4"
    expected[f"source{version}PrefixLength"] = number(router, "sflow_245.nexthop.src_mask")
    expected[f"destination{version}PrefixLength"] = number(router, "sflow_245.nexthop.dst_mask")
    nat = theirs.get("Extended NAT data", {})
    expected["postnat_source_address"] = nat.get("sflow_245.ipv4_src")
    expected["postnat_destination_address"] = nat.get("sflow_245.ipv4_dst")
    return expected


@pytest.mark.interop
def test_flow_samples_agree_with_tshark(datagrams, ours, tmp_path):
    path = tmp_path / "sflow.pcap"
    write_capture(path, datagrams, SFLOW_PORT)
    flows = iter([one for one in ours if one["table"] == "flows"])
    fields: Counter[str] = Counter()
    for layers in tshark_packets(path, SFLOW_PORT, "sflow"):
        head = layers["sflow"]
        for theirs in tshark_samples(layers, ("Flow sample", "Expanded flow sample")):
            mine = next(flows)
            agent = head.get("sflow_245.agent") or head.get("sflow_245.agent_v6") or head.get("sflow_245.agentaddr")
            expected = from_sample(theirs) | {
                "observation_domain": number(head, "sflow_245.sub_agent_id"),
                "sequence": number(head, "sflow_245.sequence_number"),
                "agentAddress": agent,
            }
            fields += compared({**mine["extra"], **{key: value for key, value in mine.items()}}, expected)
    assert next(flows, None) is None
    seldom = {name: count for name, count in fields.items() if count < 8}
    assert (len(fields), seldom) == (35, {}), "every field is compared in several samples"


@pytest.mark.interop
def test_counter_samples_agree_with_tshark(datagrams, ours, tmp_path):
    names = {
        "ifindex": "ifIndex", "iftype": "ifType", "ifspeed": "ifSpeed", "ifdirection": "ifDirection",
        "ifinoct": "ifInOctets", "ifinpkt": "ifInUcastPkts", "ifinmcast": "ifInMulticastPkts",
        "ifinbcast": "ifInBroadcastPkts", "ifindisc": "ifInDiscards", "ifinerr": "ifInErrors",
        "ifinunk": "ifInUnknownProtos", "ifoutoct": "ifOutOctets", "ifoutpkt": "ifOutUcastPkts",
        "ifoutmcast": "ifOutMulticastPkts", "ifoutbcast": "ifOutBroadcastPkts", "ifoutdisc": "ifOutDiscards",
        "ifouterr": "ifOutErrors", "ifpromisc": "ifPromiscuousMode",
    }  # fmt: skip
    path = tmp_path / "sflow.pcap"
    write_capture(path, datagrams, SFLOW_PORT)
    found = iter([one["elements"] for one in ours if one["table"] == "options"])
    fields: Counter[str] = Counter()
    for layers in tshark_packets(path, SFLOW_PORT, "sflow"):
        for theirs in tshark_samples(layers, ("Counters sample", "Expanded counters sample")):
            block = theirs["Generic interface counters"]
            expected = {name: number(block, f"sflow_245.{short}") for short, name in names.items()}
            status = (number(block, "sflow_245.ifadmin_status"), number(block, "sflow_245.ifoper_status"))
            expected["ifStatus"] = (status[0] or 0) | (status[1] or 0) << 1
            fields += compared(next(found), expected)
    assert next(found, None) is None
    assert set(fields) == {*names.values(), "ifStatus"}
    assert min(fields.values()) > 20


@pytest.mark.interop
def test_flow_samples_agree_with_sfcapd(datagrams, ours, tmp_path):
    theirs = nfdump_records("sfcapd", datagrams, tmp_path / "flows")
    flows = [one for one in ours if one["table"] == "flows"]
    assert len(theirs) == len(flows)
    fields: Counter[str] = Counter()
    for mine, other in zip(flows, theirs, strict=True):
        rate = mine["extra"]["samplingInterval"]
        expected = {
            "packets": other["in_packets"] // rate,
            "input_interface": other["input_snmp"],
            "output_interface": other["output_snmp"],
        }
        if mine["extra"].get("ethernetType") not in (0x8847, 0x8864) and "dot1qCustomerVlanId" not in mine["extra"]:
            ports = mine["source_port"] is not None
            sampled_ipv6_record = "ethernetType" not in mine["extra"] and ":" in mine["source_address"]
            expected |= {
                "protocol": other["proto"],
                "tos": None if sampled_ipv6_record else other["src_tos"],
                "source_port": other["src_port"] if ports else None,
                "destination_port": other["dst_port"] if ports else None,
                "bytes": other["in_bytes"] // rate,
            }
            if "ethernetType" in mine["extra"]:
                expected["source_address"] = other.get("src4_addr") or other.get("src6_addr")
                expected["destination_address"] = other.get("dst4_addr") or other.get("dst6_addr")
            if mine["tcp_flags"] is not None:
                letters = f"{mine['tcp_flags']:08b}".translate({48: "."})
                assert [one == "." for one in letters] == [one == "." for one in other["tcp_flags"]]
        fields += compared(mine, expected)
    assert (len(fields), min(fields.values()) >= 100) == (10, True), fields
