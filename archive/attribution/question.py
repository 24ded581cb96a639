"""The attribution question and everything the index knows about it. Pure data."""

from dataclasses import dataclass, field

from archive.attribution.intervals import Interval, Row

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


@dataclass
class Known:
    """What the index holds around the window.

    `reports_outside` says whether any source reports translations of the asked outside address; `losses` are rows that
    touch the window; `indexed_until_ns` is the arrival time up to which everything received is indexed.
    """

    indexed_until_ns: int
    mappings: list[Interval] = field(default_factory=list)
    sessions: list[Interval] = field(default_factory=list)
    identities: list[Row] = field(default_factory=list)
    losses: list[Row] = field(default_factory=list)
    reports_outside: bool = False
    knows_inside: bool = False
    expired_before_ns: int = 0
    own_addresses: frozenset[bytes] | None = None
