"""One sealed record: its raw bytes, its leaf, and the proof that leads from the leaf to the signed head."""

import base64
from typing import Any

from archive.addresses import format_address
from archive.ask.network import read_network_facts
from archive.ask.search import ROUTED_TABLES, moments, shape_row
from archive.chunk import decode_chunk
from archive.errors import AskError
from archive.index.checkpoint import read_checkpoint_note
from archive.index.engine import Engine
from archive.index.logs import LogIndex
from archive.index.worker import stored_chunk
from archive.leaf import decode_leaf
from archive.merkle import inclusion_proof, leaf_hash, verify_inclusion
from archive.note import Checkpoint
from archive.origin import ArchivePaths
from archive.schema import SCHEMAS
from archive.segment import read_stored_chunk
from archive.time_text import format_iso
from archive.tree import TreeReader

RECORD_FORMAT = 1
READ_ATTEMPTS = 5
"""A newer head may remove the partial tiles being read; then the newer head is used."""


def prove_leaf(paths: ArchivePaths, index: int) -> dict[str, Any]:
    """The leaf, its inclusion proof and the checkpoint, checked before they are returned.

    Raises AskError `no_such_record` for a leaf beyond the head, ArchiveIntegrityError if the proof does not hold.
    """
    return prove_leaves(paths, [index])[index]


def prove_leaves(paths: ArchivePaths, indexes: list[int]) -> dict[int, dict[str, Any]]:
    """`prove_leaf` for several leaves under one checkpoint."""
    for _ in range(READ_ATTEMPTS):
        note, checkpoint = read_checkpoint_note(paths)
        try:
            return {index: _prove(paths, checkpoint, note, index) for index in indexes}
        except FileNotFoundError:
            continue
    raise AskError("the log changes too fast to be read", code="busy")


def _prove(paths: ArchivePaths, checkpoint: Checkpoint, note: bytes, index: int) -> dict[str, Any]:
    if not 0 <= index < checkpoint.size:
        raise AskError(f"there is no sealed leaf {index}; the log has {checkpoint.size}", code="no_such_record")
    reader = TreeReader(paths.log, checkpoint.size)
    leaf = reader.leaf(index)
    proof = inclusion_proof(index, checkpoint.size, reader.node)
    verify_inclusion(leaf_hash(leaf), index, checkpoint.size, proof, checkpoint.root)
    return {
        "leaf": leaf.decode(),
        "leaf_index": index,
        "tree_size": checkpoint.size,
        "proof": [base64.b64encode(value).decode() for value in proof],
        "checkpoint": note.decode(),
    }


def format_tlog_proof(proof: dict[str, Any]) -> str:
    """C2SP tlog-proof text of `prove_leaf`'s result."""
    lines = ["c2sp.org/tlog-proof@v1", f"index {proof['leaf_index']}", *proof["proof"], ""]
    return "\n".join(lines) + "\n" + proof["checkpoint"]


def read_record(log: LogIndex, reader: Engine, index: int, row: int, zone: str) -> dict[str, Any]:
    """A record of a log whole: raw bytes (base64), arrival, source, every indexed row made from it, and the proof of
    its leaf under that log's checkpoint. Names of exporters and uplinks are asked of `reader`."""
    paths = log.paths
    proof = prove_leaf(paths, index)
    leaf = decode_leaf(proof["leaf"].encode())
    if "segment" not in leaf or not 0 <= row < leaf["records"]:
        raise AskError(f"leaf {index} has no record {row}", code="no_such_record")
    table = decode_chunk(read_stored_chunk(paths.segments, stored_chunk(leaf)))
    record = table.slice(row, 1).to_pylist()[0]
    return {
        "format": RECORD_FORMAT,
        "log": leaf["log"],
        "leaf_index": index,
        "row": row,
        "received": format_iso(record["received_unix_ns"], zone),
        "source_address": format_address(record["source_address"]),
        "source_port": record["source_port"],
        "transport": record["transport"],
        "listener": record["listener"],
        "truncated": record["truncated"],
        "payload_base64": base64.b64encode(record["payload"]).decode(),
        "rows": _indexed_rows(log.engine, reader, index, row, zone),
        "chunk_sha256_matches_leaf": True,
        "proof": proof,
        "tlog_proof": format_tlog_proof(proof),
    }


def _indexed_rows(engine: Engine, reader: Engine, index: int, row: int, zone: str) -> list[dict[str, Any]]:
    found = []
    facts = None
    for table in SCHEMAS:
        rows = engine.query(
            f"SELECT *, {moments(table)} FROM {{db}}.{table} "
            "WHERE leaf_index = {leaf:UInt64} AND row = {row:UInt32} LIMIT 100",
            {"leaf": index, "row": row},
        )
        if facts is None and rows and table in ROUTED_TABLES:
            facts = read_network_facts(reader)
        found += [shape_row(table, values, zone, facts) for values in rows]
    return found
