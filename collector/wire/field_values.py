"""Bytes of one field over many records, as numbers and addresses. Works on whole columns."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from collector.wire.flow_templates import VARIABLE_LENGTH, Field

Column = np.ndarray | list[bytes]
"""Bytes of a field: uint8 [records, length], or a list of bytes where the length varies."""


class Values(NamedTuple):
    """A column with its validity: `valid` is bool [records], or None when every value is known."""

    values: np.ndarray
    valid: np.ndarray | None = None

    def mask(self) -> np.ndarray:
        return np.ones(len(self.values), bool) if self.valid is None else self.valid


def split_fixed(records: np.ndarray, fields: tuple[Field, ...]) -> list[Column]:
    """Columns of fixed-length records, uint8 [records, record_bytes]; views, nothing is copied."""
    columns: list[Column] = []
    offset = 0
    for one in fields:
        columns.append(records[:, offset : offset + one.length])
        offset += one.length
    return columns


def split_variable(bodies: list[bytes], fields: tuple[Field, ...]) -> tuple[list[Column], list[int], int, list[int]]:
    """Columns of records with variable-length fields, records per body, bodies that end inside a record, and for each
    body the places where its records begin and where the last one ends.

    RFC 7011 section 7: one length byte, or 255 and two length bytes. A rest of up to three bytes is padding.
    """
    values: list[list[bytes]] = [[] for _ in fields]
    counts: list[int] = []
    bounds: list[int] = []
    broken = 0
    shortest = sum(1 if one.length == VARIABLE_LENGTH else one.length for one in fields)
    for body in bodies:
        position = count = 0
        bounds.append(0)
        while len(body) - position >= shortest:
            record = _read_record(body, position, fields)
            if record is None:
                break
            position = record.pop()
            bounds.append(position)
            for column, (start, end) in zip(values, record, strict=True):
                column.append(body[start:end])
            count += 1
        broken += len(body) - position > 3
        counts.append(count)
    columns: list[Column] = []
    for one, column in zip(fields, values, strict=True):
        if one.length == VARIABLE_LENGTH:
            columns.append(column)
        else:
            columns.append(np.frombuffer(b"".join(column), "uint8").reshape(len(column), one.length))
    return columns, counts, broken, bounds


def _read_record(body: bytes, position: int, fields: tuple[Field, ...]) -> list | None:
    """(start, end) of every field and then the end of the record, or None if it runs over the body."""
    bounds: list = []
    size = len(body)
    for one in fields:
        length = one.length
        if length == VARIABLE_LENGTH:
            if position >= size:
                return None
            length = body[position]
            position += 1
            if length == 255:
                if position + 2 > size:
                    return None
                length = int.from_bytes(body[position : position + 2], "big")
                position += 2
        if position + length > size:
            return None
        bounds.append((position, position + length))
        position += length
    bounds.append(position)
    return bounds


def unsigned(column: Column, most: int = 2**64 - 1) -> Values | None:
    """Big-endian numbers of 1 to 8 bytes as uint64 (reduced or oversized lengths, RFC 7011 section 6.2).

    Values above `most` are not valid. None if the field has no length or is longer than 8 bytes.
    """
    if isinstance(column, list):
        return None
    records, length = column.shape
    if not 1 <= length <= 8:
        return None
    if length == 1:
        values = column[:, 0].astype("uint64")
    elif length in (2, 4, 8):
        values = np.ascontiguousarray(column).view(f">u{length}").reshape(records).astype("uint64")
    else:
        padded = np.zeros((records, 8), "uint8")
        padded[:, 8 - length :] = column
        values = padded.view(">u8").reshape(records).astype("uint64")
    if most < 2 ** (8 * length) - 1:
        valid = values <= most
        if not valid.all():
            return Values(np.where(valid, values, 0).astype("uint64"), valid)
    return Values(values)


def addresses(column: Column) -> np.ndarray | None:
    """Addresses as uint8 [records, 16], IPv4 mapped; None unless the field has 4 or 16 bytes."""
    if isinstance(column, list) or column.shape[1] not in (4, 16):
        return None
    if column.shape[1] == 16:
        return np.ascontiguousarray(column)
    mapped = np.zeros((len(column), 16), "uint8")
    mapped[:, 10:12] = 0xFF
    mapped[:, 12:] = column
    return mapped


def binary_array(column: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """uint8 [records, length] as fixed-size binary; null where not valid."""
    records, length = column.shape
    null_bits = None
    if valid is not None and not valid.all():
        null_bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(column))
    return pa.Array.from_buffers(pa.binary(length), records, [null_bits, data])


def number_array(column: Values, kind: pa.DataType) -> pa.Array:
    """Numbers as an Arrow array of `kind`; null where not valid."""
    mask = None if column.valid is None else ~column.valid
    return pa.array(column.values.astype(kind.to_pandas_dtype()), kind, mask=mask)
