"""Byte ranges that together are a payload: what a records root commits to one by one. Works on whole columns.

Units are found from cuts: every place where one may begin. So they never overlap and leave no gap, whatever the cuts.
"""

import numpy as np
import pyarrow as pa

from archive.decoder import Units
from collector.wire.chunk_rows import column_array, column_numbers

_OFFSET_BITS = 32
_OFFSET_MASK = np.uint64(2**32 - 1)


def split_ranges(
    begins: np.ndarray, ends: np.ndarray, holders: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranges `begins[n]` to `ends[n]` cut at `offsets`, each in the range numbered in `holders`.

    Returns number of the range, offset and length of each unit, in this order; an empty range is one unit of length 0.
    Cuts outside of their range are ignored.
    """
    begins, ends = begins.astype("uint64"), ends.astype("uint64")
    holders, offsets = holders.astype("uint64"), offsets.astype("uint64")
    inside = (offsets > begins[holders]) & (offsets < ends[holders])
    numbers = np.arange(len(begins), dtype="uint64")
    keys = np.concatenate(
        [(numbers << np.uint64(_OFFSET_BITS)) | begins, (holders << np.uint64(_OFFSET_BITS) | offsets)[inside]]
    )
    keys.sort(kind="stable")  # the pieces are in order already, which this sort uses
    keys = keys[np.concatenate([np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1]])]
    number, offset = (keys >> np.uint64(_OFFSET_BITS)).astype("int64"), keys & _OFFSET_MASK
    stops = np.concatenate([offset[1:], offset[:0], np.zeros(min(len(offset), 1), "uint64")])
    last = np.concatenate([number[1:] != number[:-1], np.ones(min(len(number), 1), bool)])
    stops = np.where(last, ends[number], stops)
    return number, offset.astype("uint32"), (stops - offset).astype("uint32")


def payload_units(rows: pa.Table, holders: np.ndarray, offsets: np.ndarray) -> Units:
    """Units of all payloads of `rows`, cut at byte `offsets` of the payloads whose places are in `holders`."""
    sizes = payload_sizes(rows)
    row = column_numbers(rows, "row", "uint32")
    number, offset, length = split_ranges(np.zeros_like(sizes), sizes, holders, offsets)
    return Units(row[number], offset, length)


def whole_payloads(rows: pa.Table) -> Units:
    """One unit for each row: a syslog line."""
    none = np.zeros(0, "int64")
    return payload_units(rows, none, none)


def payload_sizes(rows: pa.Table) -> np.ndarray:
    """Bytes of each payload, int64 [rows]."""
    payloads = column_array(rows, "payload", pa.binary())
    bounds = np.frombuffer(payloads.buffers()[1], "int32", len(payloads) + 1, payloads.offset * 4)
    return np.diff(bounds).astype("int64")
