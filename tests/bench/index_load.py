"""Sealed logs of flows made without a network, and the two ways into the index that are compared.

Run as a process of its own, `python -m tests.bench.index_load WAY DATA`: an embedded engine opens one path in the life
of a process, and its threads and merges belong to the measurement.
"""

import json
import re
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archive.chunk import decode_chunk
from archive.clock import SystemClock
from archive.index.checkpoint import read_checkpoint
from archive.index.engine import Engine
from archive.index.indexer import Indexer
from archive.index.tables import create_table
from archive.index.worker import DecodeWorker, stored_chunk
from archive.keys import load_keys
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths, create_log, default_paths
from archive.sealer import Sealer
from archive.segment import read_stored_chunk
from archive.spool import SpoolWriter
from archive.spool_batch import Batch
from archive.tree import TreeReader
from deploy.decoders import make_chunk_decoder
from tests.bench.flow_traffic import FLOWS, datagrams, template

SOURCE = bytes(10) + b"\xff\xff\x0a\x00\x00\x01"
ZONE = "Asia/Bangkok"
TABLES = ("flows", "nat", "logs")


def seal_flows(directory: Path, version: int, flows: int) -> ArchivePaths:
    """A sealed log of `flows` flow records of one exporter."""
    messages: list[NDArray[np.uint8]] = [] if version == 5 else [np.frombuffer(template(version), np.uint8)[None, :]]
    return _seal(directory, "netflow/udp-2055", _chain(messages, datagrams(version, flows // FLOWS)))


def _chain(*parts: Iterable[NDArray[np.uint8]]) -> Iterator[list[bytes]]:
    for part in parts:
        for block in part:
            yield [row.tobytes() for row in block]


def _seal(directory: Path, listener: str, blocks: Iterable[list[bytes]]) -> ArchivePaths:
    paths = default_paths(directory)
    create_log(paths, "phayan.bench/index", SystemClock())
    sealer = Sealer(paths, load_keys(paths.keys), head_interval_seconds=0)
    writer = SpoolWriter(paths.spool, "collector")
    for payloads in blocks:
        count = len(payloads)
        writer.append_batch(
            Batch(
                listener,
                "udp",
                np.full(count, time.time_ns(), np.int64),
                np.tile(np.frombuffer(SOURCE, np.uint8), (count, 1)),
                np.full(count, 2055, np.uint16),
                np.zeros(count, np.uint8),
                np.array([len(payload) for payload in payloads], np.uint32),
                b"".join(payloads),
            )
        )
        sealer.run_once()
    writer.close()
    sealer.run_once()
    sealer.close()
    return paths


def _index(paths: ArchivePaths) -> dict[str, Any]:
    """Ours: read, decode in the worker process, insert with the shipped schema."""
    engine = Engine(f"chdb://{paths.directory}/index", paths.origin())
    indexer = Indexer(paths, engine, lambda: DecodeWorker(paths, make_chunk_decoder, ZONE, ()))
    size = read_checkpoint(paths).size
    indexer.run_once(at_most=2)
    started = time.monotonic()
    before = _rows(engine)
    while indexer.next_leaf < size:
        indexer.run_once()
    seconds = time.monotonic() - started
    rows = _rows(engine)
    indexer.close()
    return {
        "seconds": seconds,
        "rows": sum(rows.values()) - sum(before.values()),
        "tables": rows,
        "index_bytes": _index_bytes(engine),
        "cpu_seconds": _cpu_seconds(),
    }


def _insert(paths: ArchivePaths) -> dict[str, Any]:
    """The peer: `insert_arrow` of the same columns, decoded beforehand, into tables without order or codecs."""
    engine = Engine(f"chdb://{paths.directory}/plain", paths.origin())
    client = engine._client()
    database = f"{engine.database}_plain"
    engine.command(f"CREATE DATABASE {database}")
    for table in TABLES:
        statement = create_table(database, table, "")
        columns = re.sub(r" CODEC\([^()]*(\([^()]*\))?\)", "", statement[: statement.index(" ENGINE")])
        columns = columns.replace("`log` LowCardinality(String) DEFAULT '', ", "").replace(
            "LowCardinality(String)", "String"
        )
        engine.command(f"{columns} ENGINE = MergeTree ORDER BY tuple()")
    decoder = make_chunk_decoder(ZONE, ())
    reader = TreeReader(paths.log, read_checkpoint(paths).size)
    seconds, rows = 0.0, 0
    for index in range(read_checkpoint(paths).size):
        leaf = decode_leaf(reader.leaf(index))
        if "segment" not in leaf:
            continue
        decoded = decoder.decode(index, decode_chunk(read_stored_chunk(paths.segments, stored_chunk(leaf))))
        tables = [(name, part) for name, parts in decoded.tables.items() if name in TABLES for part in parts]
        started = time.monotonic()
        for name, part in tables:
            client.insert_arrow(name, part, database=database)
        seconds += time.monotonic() - started
        rows += sum(part.num_rows for _, part in tables)
    return {"seconds": seconds, "rows": rows}


def _rows(engine: Engine) -> dict[str, int]:
    return {table: engine.query(f"SELECT count() AS n FROM {{db}}.{table}")[0]["n"] for table in TABLES}


def _index_bytes(engine: Engine) -> int:
    """Bytes of the active parts, once the merges that are due have run."""
    for table in TABLES:
        engine.command(f"OPTIMIZE TABLE {engine.database}.{table}")
    sql = "SELECT sum(bytes_on_disk) AS n FROM system.parts WHERE active AND database = currentDatabase()"
    rows = engine.query(sql.replace("currentDatabase()", "'{db}'"))
    return int(rows[0]["n"])


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    way, data = sys.argv[1:]
    print(json.dumps({"index": _index, "insert": _insert}[way](default_paths(Path(data)))))
