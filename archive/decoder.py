"""What the index needs of a decoder. The archive defines the shape and never imports one; `deploy` plugs them in."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa


@dataclass
class Decoded:
    """Result of one chunk. `tables` maps a table name to rows in `archive.schema.SCHEMAS`; late rows carry the
    leaf and row of the datagram they were in, not of the template that made them readable."""

    tables: dict[str, pa.Table]
    state: Any
    waiting: int = 0
    counters: dict[str, int] = field(default_factory=dict)


class Decoder(Protocol):
    """A pure function over sealed chunks in log order. It never raises on any payload."""

    kinds: frozenset[str]

    def initial_state(self) -> Any: ...

    def decode(self, state: Any, leaf_index: int, chunk: pa.Table) -> Decoded: ...


def listener_kind(listener: str) -> str:
    """The part of a listener's name before the slash: what its bytes are."""
    return listener.partition("/")[0]
