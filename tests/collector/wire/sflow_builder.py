"""sFlow v5 datagrams made by hand for tests, with every count and length open to lies."""

from struct import pack

MACS = bytes.fromhex("020000000002020000000001")
"""Destination, then source."""
SOURCE6 = bytes.fromhex("20010db8000000000000000000000001")
DESTINATION6 = bytes.fromhex("20010db8000000000000000000000099")


def opaque(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def record(tag: int, body: bytes, *, size: int | None = None) -> bytes:
    return pack(">II", tag, len(body) if size is None else size) + opaque(body)


def raw_packet(frame: bytes, *, protocol=1, frame_length=None, header_length=None, stripped=4, size=None) -> bytes:
    length = len(frame) + stripped if frame_length is None else frame_length
    head = pack(">IIII", protocol, length, stripped, len(frame) if header_length is None else header_length)
    return record(1, head + opaque(frame), size=size)


def flow_sample(
    *records: bytes, sequence=1, source=3, rate=1000, pool=5000, drops=0, ports=(3, 4), count=None
) -> bytes:
    head = pack(">IIIIIIII", sequence, source, rate, pool, drops, *ports, len(records) if count is None else count)
    return record(1, head + b"".join(records))


def expanded_flow_sample(
    *records: bytes, sequence=1, source=(0, 3), rate=1000, pool=5000, drops=0, ports=(0, 3, 0, 4)
) -> bytes:
    head = pack(">IIIIIIIIIII", sequence, *source, rate, pool, drops, *ports, len(records))
    return record(3, head + b"".join(records))


def counter_sample(*records: bytes, sequence=1, source=3) -> bytes:
    return record(2, pack(">III", sequence, source, len(records)) + b"".join(records))


def expanded_counter_sample(*records: bytes, sequence=1, source=(0, 3)) -> bytes:
    return record(4, pack(">IIII", sequence, *source, len(records)) + b"".join(records))


def interface_counters(index=3, octets=2**40 + 5) -> bytes:
    return record(
        1, pack(">IIQIIQIIIIIIQIIIIII", index, 6, 10**9, 1, 3, octets, *range(11, 17), octets + 1, *range(21, 27))
    )


def address(octets: bytes) -> bytes:
    return pack(">I", {0: 0, 4: 1, 16: 2}[len(octets)]) + octets


def datagram(*samples: bytes, agent=b"\xc0\0\2\1", sub_agent=0, sequence=1, uptime=600_000, count=None) -> bytes:
    number = len(samples) if count is None else count
    return pack(">I", 5) + address(agent) + pack(">IIII", sub_agent, sequence, uptime, number) + b"".join(samples)


def ethernet(packet: bytes, ether_type=0x0800, *, vlans=(), tag=0x8100) -> bytes:
    tags = b"".join(pack(">HH", tag, vlan) for vlan in vlans)
    return MACS + tags + pack(">H", ether_type) + packet


def ipv4(segment: bytes, *, protocol=6, tos=0, fragment=0, options=b"", ttl=61, last=1) -> bytes:
    words = 5 + len(options) // 4
    head = pack(">BBHHHBBH", 0x40 | words, tos, words * 4 + len(segment), 7, fragment, ttl, protocol, 0)
    return head + bytes([10, 0, 0, last, 198, 51, 100, 7]) + options + segment


def ipv6(segment: bytes, *, next_header=17, traffic_class=0) -> bytes:
    return (
        pack(">IHBB", 6 << 28 | traffic_class << 20, len(segment), next_header, 63) + SOURCE6 + DESTINATION6 + segment
    )


def tcp(flags=0x12, source=40000, destination=443) -> bytes:
    return pack(">HHIIBBHHH", source, destination, 1, 2, 0x50, flags, 1000, 0, 0) + b"data"


def udp(source=5353, destination=53) -> bytes:
    return pack(">HHHH", source, destination, 12, 0) + b"data"


def sampled_ipv4(protocol=6, source=40000, destination=443) -> bytes:
    ends = bytes([10, 0, 0, 1, 198, 51, 100, 7])
    return record(3, pack(">II", 100, protocol) + ends + pack(">IIII", source, destination, 0x12, 0xB8))


def sampled_ipv6(protocol=17, source=5353, destination=53) -> bytes:
    head = pack(">II", 120, protocol) + SOURCE6 + DESTINATION6
    return record(4, head + pack(">IIII", source, destination, 0, 0x20))
