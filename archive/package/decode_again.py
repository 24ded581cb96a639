# pyright: reportAttributeAccessIssue=false
"""Decoding a few records apart from the index: in a worker process of its own, by the decoders that are plugged in."""

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from archive.index.decoding import ChunkDecoder
from archive.index.settings import DecodingSettings
from archive.index.worker import WorkerLostError
from archive.package.content import IndexRow
from archive.schema import SCHEMAS, TIME

CARRIED_KINDS = frozenset({"settings", "netflow"})
"""What is imported before the first chunk: the settings in force, and templates."""


@dataclass(frozen=True)
class DecodeRequest:
    """Chunks in log order, each with the number of its leaf; rows of `wanted` (leaf, row) come back. `items` are those
    of a carry to begin from."""

    chunks: list[tuple[int, pa.Table]]
    wanted: frozenset[tuple[int, int]]
    items: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class DecodeResult:
    """Rows of each record that was wanted, and the decoders' state after the last chunk as items of a carry."""

    rows: dict[tuple[int, int], list[IndexRow]]
    state: list[dict[str, Any]]


Decode = Callable[[DecodeRequest], DecodeResult]


def decode_with(decoder: ChunkDecoder, request: DecodeRequest) -> DecodeResult:
    """Decode with a decoder that has seen nothing yet."""
    if request.items:
        decoder.import_state(request.items, CARRIED_KINDS)
    rows: dict[tuple[int, int], list[IndexRow]] = {}
    for leaf_index, chunk in request.chunks:
        decoded = decoder.decode(leaf_index, chunk)
        for table, parts in decoded.tables.items():
            for part, places in zip(parts, decoded.places[table], strict=True):
                _collect(table, part, places, request.wanted, rows)
    return DecodeResult(rows, decoder.export_state())


def settings_item(settings: DecodingSettings) -> dict[str, Any]:
    """The item of a carry that puts settings in force."""
    return {"kind": "settings", "what": "settings", **settings.values()}


def plain_rows(table: str, rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as dictionaries, times as nanoseconds."""
    for position, column in enumerate(SCHEMAS[table]):
        if column.type == TIME:
            rows = rows.set_column(position, column.name, rows.column(column.name).cast(pa.int64()))
    return rows.to_pylist()


def _collect(
    table: str, part: pa.Table, places: Any, wanted: frozenset[tuple[int, int]], rows: dict[Any, list[IndexRow]]
) -> None:
    leaves = pa.array(sorted({leaf for leaf, _ in wanted}), pa.uint64())
    numbers = pa.array(sorted({row for _, row in wanted}), pa.uint32())
    mask = pc.and_(pc.is_in(part.column("leaf_index"), leaves), pc.is_in(part.column("row"), numbers))
    if not pc.any(mask).as_py():
        return
    offsets = pa.array(places).filter(pc.fill_null(mask.combine_chunks(), False)).to_pylist()
    for values, offset in zip(plain_rows(table, part.filter(mask)), offsets, strict=True):
        place = values["leaf_index"], values["row"]
        if place in wanted:
            rows.setdefault(place, []).append(IndexRow(table, offset, values))


_factory: tuple[Callable[..., ChunkDecoder], tuple[Any, ...]] | None = None


def _start(factory: Callable[..., ChunkDecoder], arguments: tuple[Any, ...]) -> None:
    global _factory
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _factory = factory, arguments


def _decode(request: DecodeRequest) -> DecodeResult:
    assert _factory is not None  # noqa: S101 - set by the initializer
    factory, arguments = _factory
    return decode_with(factory(*arguments), request)


class DecodeProcess:
    """One decode process, in which every request begins with a decoder that has seen nothing. `factory(*arguments)`
    must be importable there."""

    def __init__(self, factory: Callable[..., ChunkDecoder], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, initializer=_start, initargs=(factory, arguments))

    def __call__(self, request: DecodeRequest) -> DecodeResult:
        """Raises WorkerLostError when the process died."""
        try:
            return self._pool.submit(_decode, request).result()
        except BrokenProcessPool as error:
            raise WorkerLostError("the decode worker died") from error

    def __enter__(self) -> "DecodeProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
