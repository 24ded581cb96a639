# pyright: reportAttributeAccessIssue=false
"""Decoding one sealed chunk with every decoder plugged in. Runs in the decode worker; pure but for the state
it keeps."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from archive.decoder import Decoder, listener_kind

DEFAULT_REALM = "main"
IPV4_MAPPED = bytes(10) + b"\xff\xff"


@dataclass(frozen=True)
class RealmTable:
    """Sources to realms by longest prefix; `default` for the rest."""

    networks: tuple[tuple[str, str], ...] = ()
    default: str = DEFAULT_REALM

    def realm_of(self, address: bytes) -> str:
        """Realm of a 16-byte source address; our own records (`::`) are in the default realm."""
        host = ipaddress.IPv6Address(address)
        plain = host.ipv4_mapped or host
        best, found = -1, self.default
        for text, realm in self.networks:
            network = ipaddress.ip_network(text)
            if network.version == plain.version and plain in network and network.prefixlen > best:
                best, found = network.prefixlen, realm
        return found


@dataclass
class DecodedLeaf:
    """Rows per table, of this leaf and late rows of earlier ones, and what was counted on the way."""

    tables: dict[str, list[pa.Table]] = field(default_factory=dict)
    waiting: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    listener_kinds: list[str] = field(default_factory=list)


class ChunkDecoder:
    """Holds each decoder's state over the leaves of a log, which must come in order."""

    def __init__(self, decoders: list[Decoder], realms: RealmTable) -> None:
        self._decoders = decoders
        self._realms = realms
        self._states: list[Any] = [decoder.initial_state() for decoder in decoders]

    def decode(self, leaf_index: int, chunk: pa.Table) -> DecodedLeaf:
        """Decode the records of one leaf."""
        table = self._with_row_and_realm(chunk)
        kinds = _kinds(table.column("listener"))
        result = DecodedLeaf(listener_kinds=sorted(set(kinds.values())))
        for position, decoder in enumerate(self._decoders):
            listeners = [name for name, kind in kinds.items() if kind in decoder.kinds]
            if not listeners:
                continue
            part = table
            if len(listeners) < len(kinds):
                part = table.filter(pc.is_in(table.column("listener"), pa.array(listeners, pa.string())))
            decoded = decoder.decode(self._states[position], leaf_index, part)
            self._states[position] = decoded.state
            result.waiting += decoded.waiting
            for name, rows in decoded.tables.items():
                if rows.num_rows:
                    result.tables.setdefault(name, []).append(rows)
            for name, count in decoded.counters.items():
                result.counters[name] = result.counters.get(name, 0) + count
        known = {kind for decoder in self._decoders for kind in decoder.kinds}
        unknown = [name for name, kind in kinds.items() if kind not in known]
        if unknown:
            mask = pc.is_in(table.column("listener"), pa.array(unknown, pa.string()))
            result.counters["records_without_decoder"] = pc.sum(mask).as_py() or 0
        return result

    def _with_row_and_realm(self, chunk: pa.Table) -> pa.Table:
        count = chunk.num_rows
        realm = self._realm_column(chunk.column("source_address"), count)
        columns = {
            "row": pa.array(np.arange(count, dtype=np.uint32)),
            **{name: chunk.column(name) for name in chunk.column_names},
            "realm": realm,
        }
        columns["transport"] = chunk.column("transport").cast(pa.string())
        columns["listener"] = chunk.column("listener").cast(pa.string())
        return pa.table(columns)

    def _realm_column(self, addresses: pa.ChunkedArray, count: int) -> pa.Array:
        if not self._realms.networks:
            return pa.repeat(pa.scalar(self._realms.default), count)
        encoded = addresses.combine_chunks().cast(pa.binary()).dictionary_encode()
        names = pa.array([self._realms.realm_of(value.as_py()) for value in encoded.dictionary])
        return names.take(encoded.indices)


def _kinds(listeners: pa.ChunkedArray) -> dict[str, str]:
    return {name: listener_kind(name) for name in pc.unique(listeners).to_pylist()}


DecoderFactory = Callable[[], ChunkDecoder]
