"""Deterministic mutations of export datagrams, sFlow datagrams and syslog lines for fuzzing.

A case is what one exporter sends: a few datagrams, usually a template and its data. One seed gives the same cases.
"""

import os
from collections.abc import Callable
from struct import pack, pack_into, unpack_from

import flow_builder as flow
import numpy as np
import sflow_builder as sflow
from wire_chunks import corpus_file, corpus_names

EDGES16 = (0, 1, 2, 3, 4, 5, 7, 8, 16, 127, 255, 256, 257, 512, 513, 4096, 0x7FFF, 0x8000, 0xFFFC, 0xFFFE, 0xFFFF)
EDGES8 = (0, 1, 2, 3, 4, 5, 8, 10, 0x7F, 0x80, 0xFE, 0xFF)
EDGES32 = (0, 1, 2, 3, 5, 255, 0xFFFF, 0x10000, 0x3FFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)
MAX_DATAGRAM_BYTES = 65_507
"""Of UDP over IPv4."""


class Dice:
    """Random numbers drawn in blocks: a call of numpy for each would be slower than decoding."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._numbers: list[int] = []

    def below(self, bound: int) -> int:
        """0 to bound - 1; 0 for a bound of 0."""
        if not self._numbers:
            self._numbers = self._generator.integers(0, 2**32, 65_536).tolist()
        return self._numbers.pop() % bound if bound > 0 else 0

    def pick(self, values):
        return values[self.below(len(values))]


def corpus_seeds() -> list[list[bytes]]:
    """Captures of one exporter together, templates first; none where the corpus is absent (that fails in CI)."""
    groups: dict[str, list[str]] = {}
    for name in corpus_names() or _demand_corpus():
        stem = name
        for mark in ("_opttpl", "_tpl", "_data"):
            stem = stem.partition(mark)[0]
        groups.setdefault(stem, []).append(name)
    return [
        [corpus_file(name) for name in sorted(names, key=lambda name: ("tpl" not in name, name))]
        for names in groups.values()
    ]


def _demand_corpus() -> list[str]:
    if os.environ.get("CI") == "true":
        corpus_file("netflow5")
    return []


_FLOW = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4), (22, 4), (21, 4)]
_FLOW6 = [(27, 16), (28, 16), (7, 2), (11, 2), (4, 1), (1, 8), (2, 8), (152, 8), (153, 8)]
_NAT = [(8, 4), (225, 4), (7, 2), (227, 2), (12, 4), (11, 2), (4, 1), (230, 1), (323, 8)]
_NSEL = [(148, 4), (8, 4), (7, 2), (12, 4), (11, 2), (4, 1), (225, 4), (227, 2), (233, 1), (323, 8)]
_ASA = [(8, 4), (12, 4), (4, 1), (7, 2), (11, 2), (40001, 4), (40003, 2), (40005, 1), (323, 8)]
_BLOCK = [(230, 1), (8, 4), (225, 4), (361, 2), (362, 2), (323, 8)]
_VARIABLE = [(8, 4), (12, 4), (82, 65535), (96, 65535), (1, 4)]
_TIMES = [(8, 4), (154, 8), (155, 8), (158, 4), (156, 8), (157, 8), (324, 8), (325, 8), (322, 4), (150, 4), (151, 4)]
_ODD = [(8, 4), (1, 3), (2, 5), (210, 2), (61, 1), (82, 8), (4, 1), (1, 8), (1, 9), (0, 2)]

_WIDE = [(8, 4), (12, 4), (4, 2), (7, 4), (11, 4), (6, 4), (10, 8), (4, 1)]
"""Fields wider than their columns, with values that fit until a bit is flipped."""


def built_seeds() -> list[list[bytes]]:
    """Templates and data of every kind the decoder treats differently."""
    seeds: list[list[bytes]] = [[flow.netflow5(3)], [flow.netflow5(30)], [flow.netflow7(2)], [flow.netflow7(27)]]
    numbers = np.random.default_rng(7)
    for version in (9, 10):
        for fields in (_FLOW, _FLOW6, _NAT, _NSEL, _ASA, _BLOCK, _TIMES, _ODD):
            size = sum(length for _, length in fields)
            data = flow.one_set(256, numbers.bytes(size * 5) + bytes(-size * 5 % 4))
            template = flow.template_set(version, 256, fields)
            seeds.append([flow.message(version, template), flow.message(version, data, data, sequence=2)])
            seeds.append([flow.message(version, template, data, template, data)])
        body = b"".join(numbers.bytes(8) + b"\x03abc" + b"\xff\x00\x04wxyz" + numbers.bytes(4) for _ in range(4))
        template = flow.template_set(version, 300, _VARIABLE)
        seeds.append([flow.message(version, template), flow.message(version, flow.one_set(300, body), sequence=2)])
        options = flow.options_template_set(version, 257, [(1, 4)], [(160, 8), (34, 4), (82, 4)])
        body = flow.one_set(257, pack(">IQI4s", 1, 1_700_000_000_000, 100, b"eth0") * 2)
        plain = flow.template_set(version, 256, _FLOW)
        data = flow.one_set(256, numbers.bytes(29 * 3))
        seeds.append([flow.message(version, options, plain), flow.message(version, body, data, sequence=3)])
    enterprise = flow.template_set(10, 260, [(8, 4), (12, 4), (133, 4, 5951), (1, 65535, 29305)])
    body = flow.one_set(260, (numbers.bytes(12) + b"\x05hello") * 3)
    seeds.append([flow.message(10, enterprise), flow.message(10, body)])
    body = b"".join(pack(">IIHIIIQB", 0x0A000001, 0xC6336401, 6, 4_000 + one, 443, 24, 3, 17) for one in range(4))
    wide = flow.one_set(261, body)
    seeds.append([flow.message(9, flow.template_set(9, 261, _WIDE)), flow.message(9, wide, sequence=2)])
    return seeds


def sflow_seeds() -> list[list[bytes]]:
    four, six = sflow.ethernet(sflow.ipv4(sflow.tcp())), sflow.ethernet(sflow.ipv6(sflow.udp()), 0x86DD)
    tagged = sflow.ethernet(sflow.ipv4(sflow.udp(), protocol=17), vlans=(5, 9))
    router = sflow.record(1002, sflow.address(bytes([10, 0, 0, 9])) + pack(">II", 24, 8))
    nat = sflow.record(1007, sflow.address(bytes([203, 0, 113, 1])) + sflow.address(bytes([198, 51, 100, 7])))
    switch, ports = sflow.record(1001, pack(">IIII", 5, 0, 6, 1)), sflow.record(1020, pack(">II", 1024, 443))
    return [
        [sflow.datagram(sflow.flow_sample(sflow.raw_packet(four)), sflow.flow_sample(sflow.raw_packet(six)))],
        [sflow.datagram(sflow.expanded_flow_sample(sflow.raw_packet(tagged), switch, router))] * 2,
        [sflow.datagram(sflow.flow_sample(sflow.raw_packet(four), nat, ports), agent=sflow.SOURCE6)],
        [sflow.datagram(sflow.flow_sample(sflow.sampled_ipv4()), sflow.flow_sample(sflow.sampled_ipv6()))],
        [sflow.datagram(sflow.counter_sample(sflow.interface_counters()), sflow.expanded_counter_sample())] * 2,
        [sflow.datagram(sflow.flow_sample(sflow.record(4_100, b"xyz"), sflow.record(2, bytes(24)))), b"\0\0\0\5"],
    ]


SYSLOG_LINES = [
    b'<134>1 2026-11-20T08:00:00.123+07:00 fw app 42 ID7 [a@1 k="v"] hello',
    b"<30>Nov 20 08:00:00 host sshd[123]: Accepted password for a from 10.0.0.1 port 5",
    b"<4>Nov 20 08:00:00 fw kernel: [1.0] IN=eth0 OUT=eth1 SRC=10.0.0.1 DST=1.1.1.1 LEN=60 PROTO=TCP SPT=1 DPT=2",
    b"<30>Nov 20 08:00:00 fw conntrack: [NEW] tcp 6 120 SYN_SENT src=10.0.0.1 dst=1.1.1.1 sport=1 dport=2 "
    b"src=1.1.1.1 dst=203.0.113.1 sport=2 dport=4000",
    "<14>1 2026-11-20T08:00:00Z เครื่อง app - - - ข้อความ".encode(),
    b"plain words",
]


def _places(data: bytearray) -> list[int]:
    """Offsets of counts, lengths, set ids, template ids and fields: the words worth a lie."""
    size = len(data)
    version = unpack_from(">H", data)[0] if size >= 2 else 0
    places = [0, 2]
    position = {9: 20, 10: 16}.get(version, size)
    while size - position >= 4:
        set_id, length = unpack_from(">HH", data, position)
        places += [position, position + 2]
        end = min(position + length, size)
        if set_id in (0, 1, 2, 3):
            places += range(position + 4, end - 1, 2)
        elif end - position > 6:
            places += [position + 4, end - 2]
        if length < 4:
            break
        position += length
    return [place for place in places if place + 2 <= size]


def _sets(data: bytearray) -> list[tuple[int, int]]:
    """First byte and end of each set that is whole."""
    found = []
    version = unpack_from(">H", data)[0] if len(data) >= 2 else 0
    position = {9: 20, 10: 16}.get(version, len(data))
    while len(data) - position >= 4:
        length = unpack_from(">H", data, position + 2)[0]
        if length < 4 or position + length > len(data):
            break
        found.append((position, position + length))
        position += length
    return found


def _mend_length(data: bytearray) -> None:
    """The header's length of an IPFIX message follows what was put in; a lie about it is a mutation of its own."""
    if len(data) >= 16 and data[:2] == b"\0\x0a":
        pack_into(">H", data, 2, min(len(data), 0xFFFF))


def _flip_bits(dice: Dice, data: bytearray) -> None:
    for _ in range(1 + dice.below(4)):
        data[dice.below(len(data))] ^= 1 << dice.below(8)


def _edge_byte(dice: Dice, data: bytearray) -> None:
    data[dice.below(len(data))] = dice.pick(EDGES8)


def _edge_word(dice: Dice, data: bytearray) -> None:
    places = _places(data)
    if places:
        pack_into(">H", data, dice.pick(places), dice.pick(EDGES16))


def _near_word(dice: Dice, data: bytearray) -> None:
    places = _places(data)
    if places:
        place = dice.pick(places)
        value = unpack_from(">H", data, place)[0] + dice.pick((-4, -1, 1, 4))
        pack_into(">H", data, place, value & 0xFFFF)


def _edge_long(dice: Dice, data: bytearray) -> None:
    if len(data) >= 4:
        pack_into(">I", data, dice.below(len(data) // 4) * 4, dice.pick(EDGES32))


def _truncate(dice: Dice, data: bytearray) -> None:
    del data[dice.below(len(data)) :]


def _remove_bytes(dice: Dice, data: bytearray) -> None:
    start = dice.below(len(data))
    del data[start : start + 1 + dice.below(16)]


def _trailing(dice: Dice, data: bytearray) -> None:
    data += dice.pick((b"\0", b"\0\0\0", b"\0\0\0\0\0", b"\xff" * 3, b"\0\x02\0\0", bytes(60), b"\x01\0\0\x04"))


def _repeat_set(dice: Dice, data: bytearray) -> None:
    sets = _sets(data)
    if sets:
        start, end = dice.pick(sets)
        data[end:end] = data[start:end] * (1 + dice.below(3))
        _mend_length(data)


def _swap_sets(dice: Dice, data: bytearray) -> None:
    sets = _sets(data)
    if len(sets) >= 2:
        (first, middle), (_, end) = sets[0], sets[1]
        data[first:end] = data[middle:end] + data[first:middle]


def _nest_set(dice: Dice, data: bytearray) -> None:
    """A set that holds a whole set, its own header in front."""
    sets = _sets(data)
    if sets:
        start, end = dice.pick(sets)
        outer = pack(">HH", dice.pick((256, 257, 0, 2, 5)), min(end - start + 4, 0xFFFF))
        data[start:start] = outer
        _mend_length(data)


def _odd_padding(dice: Dice, data: bytearray) -> None:
    """Padding inside a set, of any length."""
    sets = _sets(data)
    if sets:
        start, end = dice.pick(sets)
        padding = bytes([dice.pick((0, 0, 0xFF))]) * (1 + dice.below(7))
        data[end:end] = padding
        pack_into(">H", data, start + 2, min(end - start + len(padding), 0xFFFF))
        _mend_length(data)


def _insert_set(dice: Dice, data: bytearray) -> None:
    """A template of our own for an id in use: other lengths, none, variable ones, repeated fields, a withdrawal."""
    sets = _sets(data)
    if not sets or data[1] not in (9, 10):
        return
    version, template_id = data[1], dice.pick((256, 257, 258, 260, 300, 1024))
    fields = dice.pick(_INSERTED)
    inserted = flow.template_set(version, template_id, fields, count=dice.pick((None, None, None, 0, 1, 600, 65535)))
    if dice.below(6) == 0:
        inserted = flow.one_set(2 + dice.below(2), pack(">HH", dice.pick((2, 3, template_id)), 0) * (1 + dice.below(4)))
    start, _ = dice.pick(sets)
    data[start:start] = inserted
    _mend_length(data)


_INSERTED = [
    [(8, 0), (12, 0)],
    [(8, 4), (12, 0), (1, 0)] + [(2, 0)] * 40,
    [(1, 1)],
    [(1, 4)] * 3 + [(1, 1)],
    [(8, 4), (8, 4), (8, 4), (12, 16)],
    [(82, 65535)],
    [(82, 65535), (82, 65535), (8, 65535), (1, 65535)],
    [(8, 65534)],
    [(27, 4), (28, 4), (8, 16), (12, 16), (4, 8), (7, 8)],
    [(8, 4), (12, 4), (22, 8), (21, 8), (152, 4), (153, 2), (230, 2), (233, 4)],
    [(91, 1), (291, 65535), (292, 20), (293, 65535)],
    [(8, 4), (225, 4), (4, 1), (361, 2), (362, 2), (230, 1), (363, 2), (364, 2)],
    [(210, 4), (210, 1), (0, 3)],
]

_IN_PLACE: list[Callable[[Dice, bytearray], None]] = [
    _flip_bits, _edge_byte, _edge_word, _edge_word, _near_word, _edge_long, _truncate, _remove_bytes, _trailing,
]  # fmt: skip
_OF_SETS = [_repeat_set, _swap_sets, _nest_set, _odd_padding, _insert_set]


def mutate(dice: Dice, seed: list[bytes], others: list[list[bytes]], *, has_sets: bool = True) -> list[bytes]:
    """A case: the datagrams of a seed with one to three mutations. `others` lends parts to splice in."""
    case = [bytearray(datagram) for datagram in seed]
    kinds = _IN_PLACE + _OF_SETS if has_sets else _IN_PLACE
    for _ in range(dice.pick((1, 1, 1, 2, 3))):
        number = dice.below(len(case))
        how = dice.below(len(kinds) + 3)
        data = case[number]
        if how < len(kinds):
            if data:
                kinds[how](dice, data)
        elif how == len(kinds):
            case.reverse()
        elif how == len(kinds) + 1:
            case.insert(dice.below(len(case) + 1), bytearray(dice.pick(dice.pick(others))))
        else:
            tail = dice.pick(dice.pick(others))
            data[dice.below(len(data) + 1) :] = tail[dice.below(len(tail) + 1) :]
    return [bytes(data[:MAX_DATAGRAM_BYTES]) for data in case]
