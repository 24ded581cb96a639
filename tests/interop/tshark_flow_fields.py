"""tshark's names of flow fields beside ours, how its text is read, and what of it cannot be compared.

Every name tshark 4.0 shows for a capture must be in one of these tables, and every member we show must be compared or
listed in OURS_ONLY: a field one of the two does not know makes the comparison fail.
"""

import re
from calendar import timegm
from time import strptime

COLUMNS = {
    "cflow.srcaddr": "source_address", "cflow.srcaddrv6": "source_address",
    "cflow.dstaddr": "destination_address", "cflow.dstaddrv6": "destination_address",
    "cflow.nexthop": "next_hop", "cflow.nexthopv6": "next_hop",
    "cflow.post_natsource_ipv4_address": "postnat_source_address",
    "cflow.post_natdestination_ipv4_address": "postnat_destination_address",
    "cflow.post_naptsource_transport_port": "postnat_source_port",
    "cflow.post_naptdestination_transport_port": "postnat_destination_port",
    "cflow.srcport": "source_port", "cflow.dstport": "destination_port",
    "cflow.octets": "bytes", "cflow.octets64": "bytes", "cflow.permanent_octets": "bytes",
    "cflow.packets": "packets", "cflow.packets64": "packets", "cflow.permanent_packets": "packets",
    "cflow.protocol": "protocol", "cflow.tos": "tos",
    "cflow.tcpflags": "tcp_flags", "cflow.tcpflags16": "tcp_flags",
    "cflow.inputint": "input_interface", "cflow.outputint": "output_interface",
}  # fmt: skip
"""Columns of `flows`; in an options record, and where we keep two of one element, the member of COLUMN_MEMBERS."""

COLUMN_MEMBERS = {
    "input_interface": "ingressInterface", "output_interface": "egressInterface", "bytes": "octetTotalCount",
    "packets": "packetDeltaCount", "source_address": "sourceIPv4Address",
}  # fmt: skip

MEMBERS = {
    "cflow.srcas": "bgpSourceAsNumber", "cflow.dstas": "bgpDestinationAsNumber",
    "cflow.srcmask": "sourceIPv4PrefixLength", "cflow.dstmask": "destinationIPv4PrefixLength",
    "cflow.bgpnexthop": "bgpNextHopIPv4Address", "cflow.routersc": "ipv4RouterSc",
    "cflow.srcmac": "sourceMacAddress", "cflow.dstmac": "destinationMacAddress",
    "cflow.post_srcmac": "postSourceMacAddress", "cflow.post_dstmac": "postDestinationMacAddress",
    "cflow.sta_mac_address": "staMacAddress", "cflow.wtp_mac_address": "wtpMacAddress",
    "cflow.sta_ipv4_address": "staIPv4Address", "cflow.wlan_ssid": "wlanSSID",
    "cflow.vlanid": "vlanId", "cflow.post_vlanid": "postVlanId", "cflow.direction": "flowDirection",
    "cflow.ip_version": "ipVersion", "cflow.ip_dscp": "ipDiffServCodePoint",
    "cflow.post_ip_diff_serv_code_point": "postIpDiffServCodePoint", "cflow.ttl_max": "maximumTTL",
    "cflow.icmp_ipv4_type": "icmpTypeIPv4", "cflow.icmp_ipv4_code": "icmpCodeIPv4",
    "cflow.icmp_type_code_ipv4": "icmpTypeCodeIPv4", "cflow.mpls_label_length": "mplsLabelStackLength",
    "cflow.aaa_username": "aaaUserName", "cflow.flow_id": "flowId", "cflow.firewall_event": "firewallEvent",
    "cflow.fw_ext_event": "extendedFirewallEvent", "cflow.ingress_acl_id": "ingressAclId",
    "cflow.egress_acl_id": "egressAclId", "cflow.ingress_vrfid": "ingressVRFID", "cflow.egress_vrfid": "egressVRFID",
    "cflow.flow_end_reason": "flowEndReason", "cflow.flows": "deltaFlowCount",
    "cflow.layer2_segment_id": "layer2SegmentId", "cflow.observation_point_id": "observationPointId",
    "cflow.observation_time_milliseconds": "observationTimeMilliseconds", "cflow.flow_exporter": "exportingProcessId",
    "cflow.private_enterprise_number": "privateEnterpriseNumber", "cflow.post_octets": "postOctetDeltaCount",
    "cflow.post_packets": "postPacketDeltaCount", "cflow.if_descr": "interfaceDescription",
    "cflow.mp_id": "meteringProcessId", "cflow.sys_init_time": "systemInitTimeMilliseconds",
    "cflow.flowsexp": "exportedFlowRecordTotalCount", "cflow.packetsexp": "exportedMessageTotalCount",
    "cflow.octetsexp": "exportedOctetTotalCount", "cflow.flow_active_timeout": "flowActiveTimeout",
    "cflow.flow_inactive_timeout": "flowIdleTimeout", "cflow.sampler_id": "samplerId",
    "cflow.sampling_algorithm": "samplingAlgorithm", "cflow.sampling_interval": "samplingInterval",
    "cflow.sampling_packet_interval": "samplingPacketInterval", "cflow.sampling_packet_space": "samplingPacketSpace",
    "cflow.selector_algorithm": "selectorAlgorithm", "cflow.scope_system": "scopeSystem",
    "cflow.forwarding_status": "forwardingStatus", "cflow.application_id": "applicationId",
}  # fmt: skip

_NETSCALER = {
    "transaction-id": 129, "http-req-url": 130, "http-req-cookie": 131, "flow-flags": 132, "connection-id": 133,
    "http-req-referer": 140, "http-req-method": 141, "http-req-host": 142, "http-req-useragent": 143,
    "appname-app-id": 151, "http-res-forw-fb": 158, "http-res-forw-lb": 170, "app-unit-name-appid": 171,
    "http-contenttype": 183, "http-req-authorization": 185, "http-req-via": 186, "http-reqx-forwardedfor": 190,
    "connection-chain-id": 192, "connection-chain-hop-count": 193, "aaa-username": 205, "http-domain-name": 267,
    "round-trip-time": 128,
}  # fmt: skip
MEMBERS |= {f"cflow.pie.netscaler.{name}": f"e5951.{number}" for name, number in _NETSCALER.items()}

UNNAMED = ("cflow.unknown_field_type", "cflow.enterprise_private_entry")
"""Values tshark has no name for: each must be, in order, the next of our members that it did not name."""

SILENT = {
    "cflow.padding": "padding says nothing and is not shown by us",
    "cflow.tcpflags_tree": "bits of a field that is compared as a number",
    "cflow.flags": "flags of v7: which fields the switch could not know, treated as padding",
    "cflow.timedelta": "the difference of two times that are compared",
    "cflow.pie.netscaler": "a heading",
}

OURS_ONLY = {
    "flowStartSysUpTime": "shown as timedelta_tree, which is compared with `start`",
    "flowEndSysUpTime": "shown as timedelta_tree, which is compared with `end`",
    "samplingAlgorithm": "of a v5 header: compared with the header",
    "samplingInterval": "of a v5 header: compared with the header",
    # tshark gives a record up at the IPv4 router address of 2 bytes that H3C sends before its VRF name (a v9 string of
    # variable length, RFC 3954 knows none).
    "ipv4RouterSc": "behind the field at which tshark stops (H3C)",
    "srcTrafficIndex": "behind the field at which tshark stops (H3C)",
    "dstTrafficIndex": "behind the field at which tshark stops (H3C)",
    "VRFname": "behind the field at which tshark stops (H3C)",
}

_MONTH_FIRST = re.compile(r"^([A-Z][a-z]{2} +\d+, \d{4} \d\d:\d\d:\d\d)\.(\d{9}) UTC$")


def time_unix_ns(text: str) -> int:
    """`Oct  9, 2015 09:47:49.249000000 UTC`."""
    found = _MONTH_FIRST.match(text)
    assert found, text
    return timegm(strptime(found[1], "%b %d, %Y %H:%M:%S")) * 10**9 + int(found[2])


def agrees(theirs: str, mine: object) -> bool:
    """tshark's text stands for our value: a number in any base, octets with colons, a time, or the same text."""
    if isinstance(mine, int):
        if _MONTH_FIRST.match(theirs):
            return time_unix_ns(theirs) == mine * 10**6
        if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2})+", theirs):
            return int(theirs.replace(":", ""), 16) == mine
        return re.fullmatch(r"0x[0-9a-f]+|\d+", theirs) is not None and int(theirs, 0) == mine
    if isinstance(mine, str):
        return theirs == mine or theirs.replace(":", "") == mine
    return False


def octets_agree(theirs: str, mine: object) -> bool:
    """Octets without a name, as colon hex, are our number, text (filled with NUL) or hex."""
    octets = bytes.fromhex(theirs.replace(":", ""))
    if isinstance(mine, int):
        return int.from_bytes(octets, "big") == mine
    return mine in (octets.hex(), octets.rstrip(b"\x00").decode(errors="replace"))
