"""Units of flow datagrams: message header, set header, template record, data record, and what is left over.

A set that waits for its template is one unit, its header included. When the template comes, the same bytes are given
again, cut, as late units under the leaf and row they came with; a set that waited in this call is cut at once. A set
that is not read (reserved id, see flow_batch for the limit) is one unit, a datagram that is no export message too.
"""

import numpy as np
import pyarrow as pa

from archive.decoder import Units
from collector.wire.chunk_rows import column_numbers
from collector.wire.flow_batch import DataSet
from collector.wire.flow_messages import (
    IPFIX,
    IPFIX_HEADER_BYTES,
    LAYOUTS,
    NETFLOW5_HEADER_BYTES,
    NETFLOW9_HEADER_BYTES,
    Message,
)
from collector.wire.payload_units import payload_units, split_ranges

SET_HEADER_BYTES = 4


class FlowUnits:
    """Gathers the cuts of one call. `read` is told of each message as it is walked, `records` of each batch."""

    def __init__(self, rows: pa.Table, leaf_index: int) -> None:
        self._rows = rows
        self._leaf_index = leaf_index
        self._place = {row: place for place, row in enumerate(column_numbers(rows, "row", "uint32").tolist())}
        self._holders: list[int] = []
        self._offsets: list[int] = []
        self._pieces: list[tuple[np.ndarray, np.ndarray]] = []
        self._late: list[DataSet] = []
        self._late_pieces: list[tuple[np.ndarray, np.ndarray]] = []

    def read(self, row: int, message: Message) -> None:
        """Cuts behind the header, before each set and behind the last."""
        if message.version in LAYOUTS:
            cuts = [NETFLOW5_HEADER_BYTES, message.sets[0][2]]
        else:
            cuts = [IPFIX_HEADER_BYTES if message.version == IPFIX else NETFLOW9_HEADER_BYTES]
            cuts += [end for _, _, end in message.sets]
        self.cut(row, cuts)

    def cut(self, row: int, offsets: list[int]) -> None:
        """Cuts of the datagram in `row` of this call, such as those of its template records."""
        self._holders += [self._place[row]] * len(offsets)
        self._offsets += offsets

    def records(
        self, data_sets: list[DataSet], sizes: np.ndarray, record_bytes: int, bounds: list[int] | None
    ) -> np.ndarray:
        """Cuts of the records of sets of one layout. `bounds`: for each set its records' first bytes in the body and
        the end of the last; None where all have `record_bytes`. Returns the offset of each record, uint32 [records].
        """
        counts = sizes + 1
        first = np.concatenate(([0], np.cumsum(counts)[:-1]))
        if bounds is None:
            within = (np.arange(int(counts.sum())) - np.repeat(first, counts)) * record_bytes
        else:
            within = np.array(bounds, "int64")
        places, late = self._holders_of(data_sets)
        body = np.array([one.offset for one in data_sets], "int64")
        holders, offsets = np.repeat(places, counts), np.repeat(body, counts) + within
        is_late = np.repeat(late, counts)
        self._pieces.append((holders[~is_late], offsets[~is_late]))
        if late.any():
            self._late_pieces.append((holders[is_late], offsets[is_late]))
        is_end = np.zeros(len(offsets), bool)
        is_end[first + sizes] = True
        return offsets[~is_end].astype("uint32")

    def units(self) -> Units:
        """Of all payloads of this call."""
        holders = np.concatenate([np.array(self._holders, "int64"), *(piece[0] for piece in self._pieces)])
        offsets = np.concatenate([np.array(self._offsets, "int64"), *(piece[1] for piece in self._pieces)])
        return payload_units(self._rows, holders, offsets)

    def late_units(self) -> Units | None:
        """Of the sets of earlier calls that became readable; `leaf_index` and `row` are those they came with."""
        if not self._late:
            return None
        begins = np.array([one.offset - SET_HEADER_BYTES for one in self._late], "int64")
        ends = np.array([one.offset + len(one.body) for one in self._late], "int64")
        holders, offsets = (np.concatenate(columns) for columns in zip(*self._late_pieces, strict=True))
        number, offset, length = split_ranges(begins, ends, holders, offsets)
        leaves = np.array([one.origin.leaf_index for one in self._late], "uint64")
        rows = np.array([one.origin.row for one in self._late], "uint32")
        return Units(rows[number], offset, length, leaves[number])

    def _holders_of(self, data_sets: list[DataSet]) -> tuple[np.ndarray, np.ndarray]:
        """Place of each set's datagram in this call, or the set's number among the late ones; and which are late."""
        holders, late = np.zeros(len(data_sets), "int64"), np.zeros(len(data_sets), bool)
        for number, one in enumerate(data_sets):
            place = self._place.get(one.origin.row) if one.origin.leaf_index == self._leaf_index else None
            if place is None:
                place, late[number] = len(self._late), True
                self._late.append(one)
            holders[number] = place
        return holders, late
