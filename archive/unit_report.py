"""What a decode worker tells the sealer: where the units of a chunk's records lie. A file of the inbox for each data
leaf, and one for units of earlier leaves that were told apart later."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from archive.decoder import Units
from archive.durable import make_directory
from archive.errors import ArchiveFormatError

SUFFIX = ".arrow"
_SCHEMA = pa.schema([("row", pa.uint32()), ("length", pa.uint32())])


@dataclass(frozen=True)
class UnitReport:
    """`row` and `length`, uint32 [units], in order. Of every record of the leaf, or of those that are cut anew."""

    leaf_index: int
    row: np.ndarray
    length: np.ndarray


def report_units(folder: Path, leaf_index: int, units: list[Units]) -> None:
    """Hand over the units of leaf `leaf_index`, and what its decoding told of earlier leaves. Records nobody speaks of
    are one unit each. Not durable: what a crash takes is told again by a reindex. Raises OSError."""
    make_directory(folder)
    own = [one for one in units if one.leaf_index is None]
    _write(folder / f"{leaf_index:020d}{SUFFIX}", _joined(one.row for one in own), _joined(one.length for one in own))
    for late in units:
        if late.leaf_index is None:
            continue
        for leaf in np.unique(late.leaf_index):
            chosen = late.leaf_index == leaf
            _write(folder / f"{leaf:020d}_{leaf_index:020d}{SUFFIX}", late.row[chosen], late.length[chosen])


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.uint32), *parts])


def _write(path: Path, row: np.ndarray, length: np.ndarray) -> None:
    temporary = path.with_suffix(".new")
    order = np.argsort(row, kind="stable")
    table = pa.table([pa.array(column[order].astype(np.uint32)) for column in (row, length)], schema=_SCHEMA)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, _SCHEMA, options=options) as stream:
        stream.write_table(table)
    os.replace(temporary, path)


def parse_unit_report(stem: str, data: bytes) -> UnitReport:
    """What `report_units` wrote into the file of this name. Raises ArchiveFormatError."""
    try:
        leaf_index = int(stem.partition("_")[0])
        table = pa.ipc.open_stream(data).read_all()
    except (ValueError, OSError, pa.ArrowException) as error:
        # A file that a power cut left half written makes Arrow raise OSError.
        raise ArchiveFormatError("not a report of units") from error
    if table.schema != _SCHEMA:
        raise ArchiveFormatError("a report of units has other columns than row and length")
    row, length = (column.to_numpy() for column in table.columns)
    if (row[1:] < row[:-1]).any():
        raise ArchiveFormatError("a report of units is not in order of rows")
    return UnitReport(leaf_index, row, length)
