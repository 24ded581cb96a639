"""Flow samples of sFlow v5: what of them has a column of `flows`, and the members of `extra`.

bytes is the length of the sampled frame on the wire (frame_length, else what the sampled Ethernet or IP record states);
packets is 1. Neither is multiplied by the sampling rate, which `extra` holds as samplingInterval. A sample has no time
of its own and start and end stay null: `received` is later by about a second at most, the agent may not hold it longer.
Records without a column of their own are shown as `e<enterprise>.<format>` in hex.
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from collector.wire.field_values import Values
from collector.wire.flow_columns import FlowColumns
from collector.wire.sflow_json import address_member, mac_member, number_member, objects, record_members
from collector.wire.sflow_packets import Packets
from collector.wire.sflow_records import (
    EXTENDED_NAT,
    EXTENDED_NAT_PORT,
    EXTENDED_ROUTER,
    EXTENDED_SWITCH,
    Chosen,
    Records,
    sampled_packets,
)
from collector.wire.sflow_samples import Parts, Samples
from collector.wire.sflow_words import WordBuffer

_UNKNOWN = 0xFFFFFFFF
_INTERNAL_INTERFACE = 0x3FFFFFFF
"""The agent itself sent or received the packet."""


def map_flow_samples(
    buffer: WordBuffer, samples: Samples, records: Parts, agents: tuple[np.ndarray, np.ndarray], counters: Counter[str]
) -> tuple[FlowColumns, pa.Array]:
    """Columns of `flows` and `extra` of each sample. `agents`: uint8 [samples, 16] and whether each differs from the
    sender's.

    A source in extended_nat that is not zero and differs from the packet's is a translation.
    """
    count = len(samples.sequence)
    found = Records(buffer, records, counters)
    packets, octets = sampled_packets(found, count)
    mapped = FlowColumns(count)
    mapped.addresses = {"source_address": Values(packets.source), "destination_address": Values(packets.destination)}
    mapped.numbers = {
        "protocol": Values(packets.protocol, packets.ip),
        "tos": Values(packets.tos, packets.ip),
        "source_port": packets.source_port,
        "destination_port": packets.destination_port,
        "tcp_flags": packets.tcp_flags,
        "bytes": octets,
        "packets": Values(np.ones(count, "uint64")),
        "input_interface": _interface(samples.input),
        "output_interface": _interface(samples.output),
    }
    members = _sample_members(samples, agents) + _packet_members(packets)
    members += _switch_members(found, count) + _router_members(found, mapped)
    _translations(found, mapped, packets.ip)
    members.append(record_members(buffer, found.rest(), count))
    return mapped, objects("samplingInterval", samples.rate, members)


def _interface(interface: tuple[np.ndarray, np.ndarray]) -> Values:
    form, value = interface
    return Values(value, (form == 0) & (value != 0) & (value != _INTERNAL_INTERFACE))


def _sample_members(samples: Samples, agents: tuple[np.ndarray, np.ndarray]) -> list[pa.Array]:
    members = [
        number_member("samplePool", Values(samples.pool)),
        number_member("drops", Values(samples.drops, samples.drops > 0)),
        number_member("sourceIdType", Values(samples.source_type, samples.source_type > 0)),
        number_member("sourceIdIndex", Values(samples.source_index)),
        address_member("agentAddress", *agents),
    ]
    for name, (form, value) in (("input", samples.input), ("output", samples.output)):
        special = (form != 0) | (value == _INTERNAL_INTERFACE)
        members.append(number_member(f"{name}InterfaceFormat", Values(form, special)))
        members.append(number_member(f"{name}InterfaceValue", Values(value, special)))
    return members


def _packet_members(packets: Packets) -> list[pa.Array]:
    is_icmp6 = packets.protocol == 58
    outer, inner = packets.vlans
    return [
        mac_member("sourceMacAddress", packets.source_mac, packets.ethernet),
        mac_member("destinationMacAddress", packets.destination_mac, packets.ethernet),
        number_member("ethernetType", packets.ether_type),
        number_member("dot1qVlanId", outer),
        number_member("dot1qCustomerVlanId", inner),
        number_member("ipTTL", packets.hop_limit),
        number_member("icmpTypeCodeIPv4", Values(packets.icmp.values, packets.icmp.mask() & ~is_icmp6)),
        number_member("icmpTypeCodeIPv6", Values(packets.icmp.values, packets.icmp.mask() & is_icmp6)),
    ]


def _switch_members(found: Records, count: int) -> list[pa.Array]:
    chosen = found.first(EXTENDED_SWITCH)
    names = ("vlanId", "dot1qPriority", "postVlanId", "postDot1qPriority")
    return [_filled_member(name, chosen, found.buffer.word(chosen.start + place), count)
            for place, name in enumerate(names)]  # fmt: skip


def _filled_member(name: str, chosen: Chosen, numbers: np.ndarray, count: int) -> pa.Array:
    values, valid = np.zeros(count, "int64"), np.zeros(count, bool)
    values[chosen.sample], valid[chosen.sample] = numbers, numbers != _UNKNOWN
    return number_member(name, Values(values, valid))


def _router_members(found: Records, mapped: FlowColumns) -> list[pa.Array]:
    chosen = found.first(EXTENDED_ROUTER)
    address, after, whole = found.buffer.address(chosen.start, chosen.end)
    good = whole & (after + 2 <= chosen.end)
    chosen, address, after = found.broken(chosen, EXTENDED_ROUTER, good), address[good], after[good]
    hops, valid = np.zeros((mapped.records, 16), "uint8"), np.zeros(mapped.records, bool)
    hops[chosen.sample], valid[chosen.sample] = address, address.any(axis=1)
    mapped.addresses["next_hop"] = Values(hops, valid)
    is_ipv4 = np.zeros(mapped.records, bool)
    source = mapped.addresses["source_address"].values
    is_ipv4[:] = (source[:, 10] == 0xFF) & (source[:, 11] == 0xFF) & ~source[:, :10].any(axis=1)
    members = []
    for side, place in (("source", 0), ("destination", 1)):
        values, has = np.zeros(mapped.records, "int64"), np.zeros(mapped.records, bool)
        values[chosen.sample], has[chosen.sample] = found.buffer.word(after + place), True
        members.append(number_member(f"{side}IPv4PrefixLength", Values(values, has & is_ipv4)))
        members.append(number_member(f"{side}IPv6PrefixLength", Values(values, has & ~is_ipv4)))
    return members


def _translations(found: Records, mapped: FlowColumns, is_ip: np.ndarray) -> None:
    chosen = found.first(EXTENDED_NAT)
    source, after, whole = found.buffer.address(chosen.start, chosen.end)
    destination, _, also = found.buffer.address(after, chosen.end)
    good = whole & also
    chosen = found.broken(chosen, EXTENDED_NAT, good)
    for side, address in (("source", source[good]), ("destination", destination[good])):
        values, valid = np.zeros((mapped.records, 16), "uint8"), np.zeros(mapped.records, bool)
        has = is_ip[chosen.sample] & address.any(axis=1)
        values[chosen.sample[has]], valid[chosen.sample[has]] = address[has], True
        mapped.addresses[f"postnat_{side}_address"] = Values(values, valid)
    chosen = found.first(EXTENDED_NAT_PORT)
    for side, place in (("source", 0), ("destination", 1)):
        values, valid = np.zeros(mapped.records, "int64"), np.zeros(mapped.records, bool)
        number = found.buffer.word(chosen.start + place)
        values[chosen.sample] = number & 0xFFFF
        valid[chosen.sample] = (number <= 0xFFFF) & mapped.numbers["source_port"].mask()[chosen.sample]
        mapped.numbers[f"postnat_{side}_port"] = Values(values, valid)
