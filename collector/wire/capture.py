"""Structure of capture files, pcap and pcapng: bytes in, link-layer frames out. No file is opened here."""

from collections import Counter
from collections.abc import Iterator
from struct import unpack_from
from typing import NamedTuple

MAX_FRAME_BYTES = 262_144
"""Largest capture length accepted, the snapshot length of tcpdump; a larger one is a broken file."""
_PCAP_MAGICS = {
    b"\xa1\xb2\xc3\xd4": (">", 1_000),
    b"\xd4\xc3\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
}
_SECTION_HEADER = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_TIME_RESOLUTION_OPTION = 9
_NS_PER_SECOND = 1_000_000_000


class Frame(NamedTuple):
    """`link_type` is the LINKTYPE number; `cut` says that the capture holds less than the wire had."""

    unix_ns: int
    link_type: int
    data: bytes
    cut: bool


def is_capture(start: bytes) -> bool:
    """The first four bytes are those of a pcap or pcapng file."""
    return start[:4] in _PCAP_MAGICS or start[:4] == _SECTION_HEADER


def read_frames(data: bytes, counters: Counter[str]) -> Iterator[Frame]:
    """Frames in file order. A broken structure ends the iteration and is counted as `broken_captures`."""
    magic = bytes(data[:4])
    return _read_pcapng(data, counters) if magic == _SECTION_HEADER else _read_pcap(data, counters, magic)


def _read_pcap(data: bytes, counters: Counter[str], magic: bytes) -> Iterator[Frame]:
    order, fraction_ns = _PCAP_MAGICS[magic]
    if len(data) < 24:
        counters["broken_captures"] += 1
        return
    link_type = unpack_from(order + "I", data, 20)[0] & 0xFFFF
    position = 24
    while len(data) - position >= 16:
        seconds, fraction, captured, original = unpack_from(order + "IIII", data, position)
        position += 16
        if captured > MAX_FRAME_BYTES or captured > len(data) - position:
            counters["broken_captures"] += 1
            return
        frame = bytes(data[position : position + captured])
        yield Frame(seconds * _NS_PER_SECOND + fraction * fraction_ns, link_type, frame, captured < original)
        position += captured
    if position != len(data):
        counters["broken_captures"] += 1


def _read_pcapng(data: bytes, counters: Counter[str]) -> Iterator[Frame]:
    order = "<"
    interfaces: list[tuple[int, int, int]] = []  # link type, time units per second, snapshot length
    position = 0
    while len(data) - position >= 12:
        kind = bytes(data[position : position + 4])
        if kind == _SECTION_HEADER:
            order = ">" if bytes(data[position + 8 : position + 12]) == b"\x1a\x2b\x3c\x4d" else "<"
            interfaces = []
        block_type, length = unpack_from(order + "II", data, position)
        if length < 12 or length % 4 or length > len(data) - position:
            counters["broken_captures"] += 1
            return
        body = bytes(data[position + 8 : position + length - 4])
        position += length
        if kind == _SECTION_HEADER:
            continue
        if block_type == _INTERFACE and len(body) >= 8:
            link_type, _, snapshot = unpack_from(order + "HHI", body)
            interfaces.append((link_type, _time_units(order, body), snapshot))
            continue
        frame = _packet_block(order, block_type, body, interfaces)
        if frame is not None:
            yield frame
        elif block_type in (_OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET):
            counters["broken_packet_blocks"] += 1
    if position != len(data):
        counters["broken_captures"] += 1


def _packet_block(order: str, block_type: int, body: bytes, interfaces: list[tuple[int, int, int]]) -> Frame | None:
    if block_type == _SIMPLE_PACKET and len(body) >= 4 and interfaces:
        (original,) = unpack_from(order + "I", body)
        link_type, _, snapshot = interfaces[0]
        captured = min(original, snapshot or original, len(body) - 4)
        return Frame(0, link_type, body[4 : 4 + captured], captured < original)
    if block_type not in (_OLD_PACKET, _ENHANCED_PACKET) or len(body) < 20:
        return None
    number = unpack_from(order + ("I" if block_type == _ENHANCED_PACKET else "H"), body)[0]
    high, low, captured, original = unpack_from(order + "IIII", body, 4)
    if number >= len(interfaces) or captured > len(body) - 20:
        return None
    link_type, units, _ = interfaces[number]
    unix_ns = ((high << 32) | low) * _NS_PER_SECOND // units
    return Frame(unix_ns, link_type, body[20 : 20 + captured], captured < original)


def _time_units(order: str, body: bytes) -> int:
    """Time units per second from option if_tsresol: a power of ten, or of two with the high bit; else
    microseconds.
    """
    position = 8
    while len(body) - position >= 4:
        code, length = unpack_from(order + "HH", body, position)
        if code == 0:
            break
        if code == _TIME_RESOLUTION_OPTION and length >= 1 and position + 4 < len(body):
            value = body[position + 4]
            return 2 ** (value & 0x7F) if value & 0x80 else 10 ** min(value, 18)
        position += 4 + (length + 3) // 4 * 4
    return 1_000_000
