"""Leaves of the log: canonical JSON (RFC 8785) that describes a chunk or states a fact. Pure (docs/FORMAT.md)."""

import json
from dataclasses import dataclass
from typing import Any

import rfc8785

from archive.errors import ArchiveFormatError
from archive.spool_format import SpoolFile

LEAF_VERSION = 1


@dataclass(frozen=True)
class StoredChunk:
    """Where a chunk lies: `segment` below `log/segments`, byte range, SHA-256 of the stored frame."""

    segment: str
    offset: int
    length: int
    sha256: str


def encode_leaf(kind: str, origin: str, fields: dict[str, Any]) -> bytes:
    """Canonical bytes of a leaf."""
    return rfc8785.dumps({"v": LEAF_VERSION, "kind": kind, "log": origin, **fields})


def decode_leaf(leaf: bytes) -> dict[str, Any]:
    """The fields of a leaf. Raises ArchiveFormatError if it is not canonical."""
    try:
        value = json.loads(leaf)
        if not isinstance(value, dict) or rfc8785.dumps(value) != leaf:
            raise ArchiveFormatError("leaf is not canonical JSON")
    except (ValueError, rfc8785.CanonicalizationError) as error:
        raise ArchiveFormatError("leaf is not canonical JSON") from error
    return value


def spool_leaf_fields(
    spool: SpoolFile,
    chunk: StoredChunk | None,
    first_last_unix_ns: tuple[int, int],
    previous: dict[str, Any] | None,
) -> dict[str, Any]:
    """Fields of a `data` leaf (or `empty`, when there is no chunk) for one spool file."""
    header = spool.header
    boot_id = header.get("boot_id", "")

    def moment(values: dict[str, Any]) -> dict[str, str] | None:
        if "unix_ns" not in values:
            return None
        return {"unix_ns": values["unix_ns"], "monotonic_ns": values["monotonic_ns"], "boot_id": boot_id}

    fields: dict[str, Any] = {
        "stream": spool.stream,
        "spool_sequence": spool.sequence,
        "writer": header.get("writer", ""),
        "opened": moment(header),
        "closed": moment(spool.closing),
        "dropped": spool.closing.get("dropped", {}),
        "torn_bytes": spool.torn_bytes,
        "previous": previous,
    }
    if chunk is not None:
        fields |= {
            "segment": chunk.segment,
            "offset": chunk.offset,
            "length": chunk.length,
            "sha256": chunk.sha256,
            "records": spool.records,
            "first_unix_ns": str(first_last_unix_ns[0]),
            "last_unix_ns": str(first_last_unix_ns[1]),
        }
    return fields
