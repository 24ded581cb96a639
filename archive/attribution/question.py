"""The attribution question and everything the index knows about it. Pure data."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from archive.attribution.facts_at import Carrier, FactsAt
from archive.attribution.folding import Interval, Row

DEFAULT_TOLERANCE_SECONDS = 60
"""Clocks of devices and of whoever asks differ; the asked window is the moment plus and minus this."""
NS = 1_000_000_000


@dataclass(frozen=True)
class Question:
    """Who had `address` (16 bytes) and port at `at_unix_ns`? `to_address` narrows to one destination; one of the two
    is given. `realm` None means every realm."""

    at_unix_ns: int
    address: bytes | None = None
    port: int | None = None
    protocol: int | None = None
    to_address: bytes | None = None
    to_port: int | None = None
    tolerance_seconds: float = DEFAULT_TOLERANCE_SECONDS
    realm: str | None = None

    @property
    def window(self) -> tuple[int, int]:
        """Start and end of the asked window in nanoseconds."""
        width = int(self.tolerance_seconds * NS)
        return self.at_unix_ns - width, self.at_unix_ns + width

    def is_about(self, mapping: Interval) -> bool:
        """Whether a translation is of the asked address, port, protocol and realm and touches the window; its
        destination is another matter."""
        row = mapping.first
        return (
            mapping.overlaps(*self.window)
            and self.realm in (None, row["realm"])
            and self.address in (None, row["outside_address"])
            and (self.protocol in (None, row["protocol"]) or _is_of_any_protocol(row))
            and (self.port is None or row["outside_port_low"] <= self.port <= row["outside_port_high"])
        )

    def may_lead_to(self, mapping: Interval) -> bool:
        """Whether a translation leads to the asked destination, or does not say where it leads."""
        row = mapping.first
        return (self.to_address is None or row["destination_address"] in (None, self.to_address)) and (
            self.to_port is None or row["destination_port"] in (None, self.to_port)
        )

    def is_silent_on_destination(self, mapping: Interval) -> bool:
        """Whether a destination was asked for that the translation does not carry."""
        row = mapping.first
        return (self.to_address is not None and row["destination_address"] is None) or (
            self.to_port is not None and row["destination_port"] is None
        )


def _is_of_any_protocol(row: Row) -> bool:
    """A block of ports whose record names no protocol."""
    return row["kind"] == "block" and row["protocol"] == 0


@dataclass
class Known:
    """What the index holds around the window.

    `reports_outside` says whether any source reports translations of the asked outside address, `reports_at_end`
    whether one of them does so only when a connection ended; `losses` are rows that touch the window;
    `indexed_until_ns` is the arrival time up to which everything received is indexed. `own_addresses` is what the
    uplinks list at the asked moment, None where one lists nothing; `carrier` is set where the asked address is a
    carrier's; `facts` are all that the settings say as of that moment. `may_lack_open`: what was opened before the
    days looked at, and is still open, may not all be among `mappings` and `sessions`. `purged`: days of receipt
    (first and last nanosecond) of which at most what a hold keeps is left; `unindexed` those whose index was dropped.
    """

    indexed_until_ns: int
    mappings: list[Interval] = field(default_factory=list)
    sessions: list[Interval] = field(default_factory=list)
    identities: list[Row] = field(default_factory=list)
    losses: list[Row] = field(default_factory=list)
    reports_outside: bool = False
    reports_at_end: bool = False
    knows_inside: bool = False
    expired_before_ns: int = 0
    own_addresses: Container[bytes] | None = None
    carrier: Carrier | None = None
    facts: FactsAt = field(default_factory=FactsAt)
    may_lack_open: bool = False
    purged: Sequence[tuple[int, int]] = ()
    unindexed: Sequence[tuple[int, int]] = ()
