"""Flow exports of a small office, made in columns: no flow twice, addresses and ports as skewed as people are."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

FLOWS = 30
START_SECONDS = 1_795_000_000
FLOWS_PER_SECOND = 2_000
_INSIDE, _SERVERS = 2_000, 60_000
_UPTIME_MS = 3_600_000

_FIELD_TYPES = {1: ">u1", 2: ">u2", 4: ">u4", 8: ">u8"}

NETFLOW5_RECORD = (
    (8, 4), (12, 4), (15, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2), (11, 2),
    (0, 1), (6, 1), (4, 1), (5, 1), (16, 2), (17, 2), (9, 1), (13, 1), (0, 2),
)  # fmt: skip
NETFLOW9_RECORD = (
    (8, 4), (12, 4), (15, 4), (10, 4), (14, 4), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2), (11, 2),
    (6, 1), (4, 1), (5, 1), (61, 1), (16, 4), (17, 4), (9, 1), (13, 1), (60, 1),
)  # fmt: skip
IPFIX_NAT_RECORD = (
    (8, 4), (12, 4), (225, 4), (226, 4), (7, 2), (11, 2), (227, 2), (228, 2), (4, 1), (6, 1), (5, 1),
    (61, 1), (10, 4), (14, 4), (1, 8), (2, 8), (152, 8), (153, 8),
)  # fmt: skip
RECORDS = {5: NETFLOW5_RECORD, 9: NETFLOW9_RECORD, 10: IPFIX_NAT_RECORD}
"""(element, bytes) of a record, by version; element 0 is padding."""


def datagrams(version: int, count: int, *, seed: int = 1, first: int = 0) -> Iterator[NDArray[np.uint8]]:
    """`count` export messages of 30 flows each as arrays uint8[n, size], numbered from `first`; without template."""
    random = np.random.default_rng(seed)
    position = 0
    while position < count:
        size = min(2_000, count - position)
        yield _messages(version, first + position, size, random)
        position += size


def template(version: int) -> bytes:
    """The message that carries the template of version 9 or 10."""
    fields = RECORDS[version]
    words = [2 if version == 10 else 0, 8 + 4 * len(fields), 256, len(fields)]
    body = np.array(words + [value for one in fields for value in one], ">u2").tobytes()
    if version == 10:
        return np.array([10, 16 + len(body)], ">u2").tobytes() + np.array([START_SECONDS, 0, 1], ">u4").tobytes() + body
    return np.array([9, 1], ">u2").tobytes() + np.array([_UPTIME_MS, START_SECONDS, 0, 1], ">u4").tobytes() + body


def _messages(version: int, first: int, count: int, random: np.random.Generator) -> NDArray[np.uint8]:
    record = np.dtype([(f"{place}", _FIELD_TYPES[size]) for place, (_, size) in enumerate(RECORDS[version])])
    numbers = (first + np.arange(count))[:, None] * FLOWS + np.arange(FLOWS)[None, :]
    values = _flow_values(numbers, random)
    if version == 10:
        now_ms = values["now_ms"]
        values[152], values[153] = now_ms - values["age"] - values["length"], now_ms - values["age"]
    records = np.zeros((count, FLOWS), record)
    for place, (element, _) in enumerate(RECORDS[version]):
        if element:
            records[f"{place}"] = values[element]
    header = _header(version, first, count, records.dtype.itemsize * FLOWS)
    body = records.view(np.uint8).reshape(count, -1)
    padding = np.zeros((count, -body.shape[1] % 4 if version != 5 else 0), np.uint8)
    return np.concatenate([header, body, padding], axis=1)


def _flow_values(numbers: NDArray[np.int64], random: np.random.Generator) -> dict[int | str, NDArray[np.int64]]:
    shape = numbers.shape
    inside = 0x0A000000 + np.minimum(random.zipf(1.3, shape), _INSIDE)
    outside = 0x33000000 + np.minimum(random.zipf(1.2, shape), _SERVERS) * 2_654_435_761 % 0x0FFFFFFF
    outbound = random.random(shape) < 0.5
    client_port, server_port = random.integers(1024, 65_536, shape), random.choice([443, 443, 443, 80, 53, 8080], shape)
    packets = np.minimum(random.zipf(1.6, shape), 100_000)
    elapsed_ms = numbers * 1000 // FLOWS_PER_SECOND
    length = np.minimum(packets * random.integers(1, 400, shape), 60_000)
    age = random.integers(0, 1_500, shape)
    protocol = np.where(server_port == 53, 17, 6)
    one, zero = np.ones(shape, np.int64), np.zeros(shape, np.int64)
    return {
        8: np.where(outbound, inside, outside), 12: np.where(outbound, outside, inside),
        7: np.where(outbound, client_port, server_port), 11: np.where(outbound, server_port, client_port),
        15: zero + 0xC0000201, 10: np.where(outbound, 1, 2), 14: np.where(outbound, 2, 1), 2: packets,
        1: packets * random.integers(52, 1_400, shape),
        22: _UPTIME_MS + elapsed_ms - age - length, 21: _UPTIME_MS + elapsed_ms - age,
        6: np.where(protocol == 6, 0x1B, 0), 4: protocol, 5: zero, 16: zero, 17: zero, 9: zero + 24, 13: zero + 16,
        61: np.where(outbound, 0, 1), 60: one * 4,
        225: zero + 0xCB007105, 226: outside, 227: client_port ^ 0x1111, 228: server_port,
        "now_ms": START_SECONDS * 1000 + elapsed_ms, "age": age, "length": length,
    }  # fmt: skip


def _header(version: int, first: int, count: int, body_bytes: int) -> NDArray[np.uint8]:
    number = first + np.arange(count)
    elapsed_ms = number * FLOWS * 1000 // FLOWS_PER_SECOND
    seconds = START_SECONDS + elapsed_ms // 1000
    layouts: dict[int, list[tuple[str, object]]] = {
        5: [(">u2", 5), (">u2", FLOWS), (">u4", _UPTIME_MS + elapsed_ms), (">u4", seconds), (">u4", 0),
            (">u4", number * FLOWS), (">u4", 0)],
        9: [(">u2", 9), (">u2", 1), (">u4", _UPTIME_MS + elapsed_ms), (">u4", seconds), (">u4", number + 1),
            (">u4", 1), (">u2", 256), (">u2", 4 + body_bytes + -body_bytes % 4)],
        10: [(">u2", 10), (">u2", 20 + body_bytes + -body_bytes % 4), (">u4", seconds), (">u4", number * FLOWS),
             (">u4", 1), (">u2", 256), (">u2", 4 + body_bytes + -body_bytes % 4)],
    }  # fmt: skip
    header = np.zeros(count, np.dtype([(f"{place}", kind) for place, (kind, _) in enumerate(layouts[version])]))
    for place, (_, value) in enumerate(layouts[version]):
        header[f"{place}"] = value
    return header.view(np.uint8).reshape(count, -1)
