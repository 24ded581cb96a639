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
    """Records to realms: the longest of `networks` (network, realm) that holds the source; else the realm of the
    listener it was sent to, of `listeners` (listener name, realm); else `default`."""

    networks: tuple[tuple[str, str], ...] = ()
    default: str = DEFAULT_REALM
    listeners: tuple[tuple[str, str], ...] = ()

    def realm_of(self, address: bytes, listener: str = "") -> str:
        """Realm of a record from a 16-byte source address; our own records (`::`) are in the default realm."""
        return self.network_realm(address) or self.listener_realm(listener) or self.default

    def network_realm(self, address: bytes) -> str | None:
        """Realm of the longest network that holds the source, None where none does."""
        host = ipaddress.IPv6Address(address)
        plain = host.ipv4_mapped or host
        best, found = -1, None
        for text, realm in self.networks:
            network = ipaddress.ip_network(text)
            if network.version == plain.version and plain in network and network.prefixlen > best:
                best, found = network.prefixlen, realm
        return found

    def listener_realm(self, listener: str) -> str | None:
        """Realm of a listener; receivers that share a port (`syslog/udp-5514.2`) have the one of their listener."""
        return dict(self.listeners).get(listener.partition(".")[0])


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
        realm = self._realm_column(chunk)
        columns = {
            "row": pa.array(np.arange(count, dtype=np.uint32)),
            **{name: chunk.column(name) for name in chunk.column_names},
            "realm": realm,
        }
        columns["transport"] = chunk.column("transport").cast(pa.string())
        columns["listener"] = chunk.column("listener").cast(pa.string())
        return pa.table(columns)

    def _realm_column(self, chunk: pa.Table) -> pa.Array:
        realms = self._realms
        named = [pa.repeat(pa.scalar(realms.default), chunk.num_rows)]
        if realms.listeners:
            named.insert(0, _by_value(chunk.column("listener"), pa.string(), realms.listener_realm))
        if realms.networks:
            named.insert(0, _by_value(chunk.column("source_address"), pa.binary(), realms.network_realm))
        return pc.coalesce(*named)


def _by_value(column: pa.ChunkedArray, kind: pa.DataType, name_it: Callable[[Any], str | None]) -> pa.Array:
    """`name_it` of every value, called once for each different one."""
    encoded = column.cast(kind).combine_chunks().dictionary_encode()
    names = pa.array([name_it(value.as_py()) for value in encoded.dictionary], pa.string())
    return names.take(encoded.indices)


def _kinds(listeners: pa.ChunkedArray) -> dict[str, str]:
    return {name: listener_kind(name) for name in pc.unique(listeners).to_pylist()}


DecoderFactory = Callable[[], ChunkDecoder]
