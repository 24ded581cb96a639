"""JSON objects of elements that have no column of their own, built column by column for all records of a
layout.
"""

import json
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.wire.addresses import IPV4_MAPPED_PREFIX, format_address
from collector.wire.field_values import Column, binary_array, unsigned
from collector.wire.ipfix_elements import ElementType
from collector.wire.text_encoding import decode_text


class Member(NamedTuple):
    """`present` is bool [records], None for all: what one record holds never shows in another's object."""

    name: str
    kind: ElementType
    column: Column
    present: np.ndarray | None = None


def json_objects(records: int, members: list[Member]) -> pa.Array:
    """One JSON object per record with `members` in order; a name that repeats gets #2, #3 and so on.

    Numbers as numbers, addresses and strings as text, everything else as hex. Fixed fields have a length above 0.
    """
    if not members:
        return pa.array(["{}"]).take(pa.array(np.zeros(records, "int32")))
    if any(one.present is not None for one in members):
        return _objects_of_some(records, members)
    pieces: list[pa.Array | str] = []
    seen: dict[str, int] = {}
    for name, kind, column, _ in members:
        seen[name] = seen.get(name, 0) + 1
        label = name if seen[name] == 1 else f"{name}#{seen[name]}"
        pieces += [
            ("{" if len(seen) == 1 and not pieces else ",") + json.dumps(label) + ":",
            _texts(kind, column),
        ]
    return pc.binary_join_element_wise(*pieces, "}", "")  # pyright: ignore[reportAttributeAccessIssue]


def _objects_of_some(records: int, members: list[Member]) -> pa.Array:
    """Objects whose members are not the same in every record; so neither are the numbers of repeated names."""
    pieces: list[pa.Array] = []
    seen: dict[str, np.ndarray] = {}
    for name, kind, column, present in members:
        before = seen.setdefault(name, np.zeros(records, "int64"))
        least, most = int(before.min()), int(before.max())
        names = [name if number == 0 else f"{name}#{number + 1}" for number in range(least, most + 1)]
        labels = pa.array([f",{json.dumps(one)}:" for one in names])
        piece = pc.binary_join_element_wise(labels.take(pa.array(before - least)), _texts(kind, column), "")  # pyright: ignore[reportAttributeAccessIssue]
        if present is None:
            seen[name] = before + 1
        else:
            seen[name] = before + present
            piece = pc.if_else(pa.array(present), piece, "")  # pyright: ignore[reportAttributeAccessIssue]
        pieces.append(piece)
    joined = pc.binary_join_element_wise(*pieces, "}", "")  # pyright: ignore[reportAttributeAccessIssue]
    # each begins with the comma of its first member, or is only the closing brace
    opened = pc.utf8_replace_slice(joined, 0, 1, "{")  # pyright: ignore[reportAttributeAccessIssue]
    return pc.if_else(pc.equal(joined, "}"), "{}", opened)  # pyright: ignore[reportAttributeAccessIssue]


def _texts(kind: ElementType, column: Column) -> pa.Array:
    """JSON text of every value. Numbers are converted in one step, others once per distinct value."""
    if kind is ElementType.UNSIGNED:
        numbers = unsigned(column)
        if numbers is not None:
            return pa.array(numbers.values).cast(pa.string())
    if isinstance(column, list):
        encoded = pa.array(column, pa.binary()).dictionary_encode()
    else:
        encoded = binary_array(column).dictionary_encode()
    show = _SHOW.get(kind, _hex)
    texts = pa.array([json.dumps(show(value), ensure_ascii=False) for value in encoded.dictionary.to_pylist()])
    return texts.cast(pa.string()).take(encoded.indices)


def _hex(value: bytes) -> str:
    return value.hex()


def _number(value: bytes) -> int | str:
    return int.from_bytes(value, "big") if len(value) <= 8 else value.hex()


def _signed(value: bytes) -> int | str:
    return int.from_bytes(value, "big", signed=True) if len(value) <= 8 else value.hex()


def _float(value: bytes) -> float | str:
    if len(value) not in (4, 8):
        return value.hex()
    number = struct.unpack(">f" if len(value) == 4 else ">d", value)[0]
    return number if np.isfinite(number) else str(number)


def _ipv4(value: bytes) -> str:
    return format_address(IPV4_MAPPED_PREFIX + value) if len(value) == 4 else value.hex()


def _ipv6(value: bytes) -> str:
    return format_address(value) if len(value) == 16 else value.hex()


def _mac(value: bytes) -> str:
    return value.hex(":") if len(value) == 6 else value.hex()


def _string(value: bytes) -> str:
    """RFC 7011 section 6.1.6; fixed-length strings are padded with NUL."""
    return decode_text(value.rstrip(b"\x00"))[0]


_SHOW: dict[ElementType, Callable[[bytes], str | int | float]] = {
    ElementType.UNSIGNED: _number,
    ElementType.SIGNED: _signed,
    ElementType.FLOAT: _float,
    ElementType.IPV4_ADDRESS: _ipv4,
    ElementType.IPV6_ADDRESS: _ipv6,
    ElementType.MAC_ADDRESS: _mac,
    ElementType.STRING: _string,
}
