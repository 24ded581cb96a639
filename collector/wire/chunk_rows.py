"""The rows of a sealed chunk that one decoder reads. A chunk of one stream mixes listeners of several kinds."""

import numpy as np
import pyarrow as pa

from archive.decoder import listener_kind


def rows_of_kinds(chunk: pa.Table, kinds: frozenset[str]) -> pa.Table:
    """Rows whose listener is of one of `kinds`, as one contiguous batch, in order."""
    listeners = chunk.column("listener").combine_chunks()
    names = listeners.unique().to_pylist()
    wanted = [name for name in names if name is not None and listener_kind(name) in kinds]
    if len(wanted) != len(names):
        chunk = chunk.filter(_is_one_of(listeners, wanted))
    return chunk.combine_chunks()


def _is_one_of(listeners: pa.Array, wanted: list[str]) -> pa.Array:
    encoded = listeners if isinstance(listeners, pa.DictionaryArray) else listeners.dictionary_encode()
    numbers = [number for number, name in enumerate(encoded.dictionary.to_pylist()) if name in wanted]
    return pa.array(np.isin(encoded.indices.to_numpy(zero_copy_only=False), numbers))


def column_array(rows: pa.Table, name: str, kind: pa.DataType | None = None) -> pa.Array:
    """One column as a single array, cast to `kind` where the chunk stores it differently (dictionary, large)."""
    column = rows.column(name)
    array = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks) if column.chunks else None
    if array is None:
        array = pa.array([], column.type)
    return array if kind is None or array.type == kind else array.cast(kind)


def column_numbers(rows: pa.Table, name: str, dtype: str) -> np.ndarray:
    """A numeric column as numpy array [rows] of `dtype`."""
    return column_array(rows, name).to_numpy(zero_copy_only=False).astype(dtype, copy=False)


def common_columns(rows: pa.Table, leaf_index: int) -> dict[str, pa.Array]:
    """`leaf_index`, `row`, `realm` and `received` of archive.schema for these rows."""
    received = column_array(rows, "received_unix_ns", pa.int64())
    return {
        "leaf_index": pa.array(np.full(rows.num_rows, leaf_index, "uint64")),
        "row": column_array(rows, "row", pa.uint32()),
        "realm": column_array(rows, "realm", pa.string()),
        "received": received.cast(pa.timestamp("ns", tz="UTC")),
    }
