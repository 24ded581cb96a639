"""What the index needs of a decoder. The archive defines the shape and never imports one; `deploy` plugs them in."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Units:
    """Byte ranges of payloads, in order of row and offset: `row`, `offset` and `length`, each uint32 [units].

    `leaf_index` (uint64 [units]) is set where they belong to other leaves than the one decoded.
    """

    row: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    leaf_index: np.ndarray | None = None


@dataclass
class Decoded:
    """Result of one chunk. `tables` maps a table name to rows in `archive.schema.SCHEMAS`; late rows carry the
    leaf and row of the datagram they were in, not of the template that made them readable.

    `units`, of a decoder that was asked for them, cut every payload of its kinds in the chunk into a line, an event, a
    record, a header, without gap or overlap; an empty payload is one of length 0. `late_units` do the same for ranges
    of earlier leaves that were one unit until the template came. What nobody cuts is one unit a record.

    `places`, of such a decoder: for rows of a table, in their order, uint32 offset in the payload of the unit that each
    was read from. A table that is not in it has rows of whole records only, as of lines and events."""

    tables: dict[str, pa.Table]
    state: Any
    waiting: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    units: Units | None = None
    late_units: Units | None = None
    places: dict[str, np.ndarray] = field(default_factory=dict)


class Decoder(Protocol):
    """A pure function over sealed chunks in log order. It never raises on any payload."""

    kinds: frozenset[str]

    def initial_state(self) -> Any: ...

    def decode(self, state: Any, leaf_index: int, chunk: pa.Table) -> Decoded: ...


class Imported(NamedTuple):
    """A state made from items, and how many of them could not be read."""

    state: Any
    refused: int = 0


@runtime_checkable
class CarryingDecoder(Protocol):
    """A decoder whose state can outlive the records it was learned from (docs/FORMAT.md, "Carry").

    `export_state` gives JSON objects, each with `what`; `import_state` the state they describe, with what waits in
    `state` still waiting. Items that cannot be read are left out and counted; it never raises.
    """

    kinds: frozenset[str]

    def export_state(self, state: Any) -> list[dict[str, Any]]: ...

    def import_state(self, state: Any, items: list[dict[str, Any]]) -> Imported: ...


@runtime_checkable
class ZonedDecoder(Protocol):
    """A decoder of records with local times."""

    def use_zone(self, zone: str) -> None: ...


def listener_kind(listener: str) -> str:
    """The part of a listener's name before the slash: what its bytes are."""
    return listener.partition("/")[0]
