"""An export datagram cut down to some of its records, so that it can be read without the others: the units that are
kept one after another, with lengths and counts in headers set to what is left. Pure.

Which unit is a header follows from the datagram's version: NetFlow v5 and v7 have one of 24 bytes, v9 (RFC 3954) and
IPFIX (RFC 7011) one and a set header of 4 bytes before the records of each set, sFlow v5 one that ends with the number
of samples.
"""

import struct
from collections.abc import Sequence

from archive.errors import ArchiveFormatError

NETFLOW5_HEADER_BYTES = 24
SET_HEADER_BYTES = 4
_U16, _U32 = struct.Struct(">H"), struct.Struct(">I")
_COUNT_AT = 2
"""Of records in v5, v7 and v9; the length of the message in IPFIX."""
_SFLOW5 = b"\x00\x00\x00\x05"
_SET_START = {b"\x00\x09": 20, b"\x00\x0a": 16}

Unit = tuple[int, bytes]
"""Offset in the datagram, and bytes."""


def companions(payload: bytes, wanted: Sequence[int]) -> list[int]:
    """Offsets of the units that are needed to read those at the offsets `wanted` of a whole datagram: its header, and
    the header of the set that each lies in."""
    needed = {0}
    start = _SET_START.get(payload[:2])
    while start is not None and start + SET_HEADER_BYTES <= len(payload):
        (length,) = _U16.unpack_from(payload, start + 2)
        if length < SET_HEADER_BYTES:
            break
        if any(start < place < start + length for place in wanted):
            needed.add(start)
        start += length
    return sorted(needed)


def reduce_datagram(units: Sequence[Unit]) -> bytes:
    """The datagram made of `units`, in order of their offsets; the first is the message header. Raises
    ArchiveFormatError where that is not there."""
    if not units or units[0][0] != 0:
        raise ArchiveFormatError("a datagram cannot be read without its header")
    header, rest = units[0][1], units[1:]
    if header[:2] in (b"\x00\x05", b"\x00\x07") and len(header) == NETFLOW5_HEADER_BYTES:
        return _with_number(header, _COUNT_AT, len(rest)) + b"".join(data for _, data in rest)
    if header[:4] == _SFLOW5:
        samples = _U32.pack(len(rest))
        return header[:-4] + samples + b"".join(data for _, data in rest)
    if header[:2] in _SET_START:
        body, records = _sets(rest)
        number = len(header) + len(body) if header[1] == 10 else records
        return _with_number(header, _COUNT_AT, number) + body
    return b"".join(data for _, data in units)


def _sets(units: Sequence[Unit]) -> tuple[bytes, int]:
    """The sets that the units are of, and the number of records in them."""
    sets: list[list[bytes]] = []
    end = 0
    for offset, data in units:
        if offset < end:
            sets[-1].append(data)
        elif len(data) == SET_HEADER_BYTES:
            sets.append([data])
            end = offset + _U16.unpack_from(data, 2)[0]
        else:
            raise ArchiveFormatError(f"the record at {offset} has no set header before it")
    body = b"".join(_with_number(one[0], 2, sum(map(len, one))) + b"".join(one[1:]) for one in sets)
    return body, sum(len(one) - 1 for one in sets)


def _with_number(header: bytes, at: int, number: int) -> bytes:
    return header[:at] + _U16.pack(number) + header[at + 2 :]
