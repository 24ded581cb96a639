"""The fields of a `purge` leaf (docs/FORMAT.md, "Retention and purge"). Pure."""

from dataclasses import asdict, dataclass
from typing import Any

from archive.errors import ArchiveFormatError


@dataclass(frozen=True)
class PurgedFolder:
    """Data leaves of one stream and day, first to last: how many, with how many records and stored bytes."""

    stream: str
    first_leaf: int
    last_leaf: int
    chunks: int
    records: int
    bytes: int


@dataclass(frozen=True)
class HeldFiles:
    """The files of what holds keep: paths below `log/`, SHA-256 in hexadecimal, units and rows in them."""

    file: str
    sha256: str
    units: int
    rows_file: str
    rows_sha256: str
    rows: int


@dataclass(frozen=True)
class PurgeLeaf:
    """`unix_ns` is the time that the clock sample in leaf `now_leaf` states; `age_unix_ns` when the day's age started,
    by the clock leaf `age_leaf`; `previous` the purge leaf of the same day before this one."""

    day: str
    unix_ns: int
    retention_days: int
    age_unix_ns: int
    age_leaf: int
    now_leaf: int
    streams: tuple[PurgedFolder, ...]
    holds: tuple[str, ...]
    held: HeldFiles | None
    previous: int | None

    def fields(self) -> dict[str, Any]:
        """As the leaf has them."""
        return {
            "day": self.day,
            "unix_ns": str(self.unix_ns),
            "retention_days": self.retention_days,
            "age_unix_ns": str(self.age_unix_ns),
            "clock": {"age_leaf": self.age_leaf, "now_leaf": self.now_leaf},
            "streams": [asdict(folder) for folder in self.streams],
            "holds": list(self.holds),
            "held": None if self.held is None else asdict(self.held),
            "previous": self.previous,
        }


def parse_purge_leaf(leaf: dict[str, Any]) -> PurgeLeaf:
    """Of a decoded leaf of kind purge. Raises ArchiveFormatError."""
    try:
        held = leaf["held"]
        return PurgeLeaf(
            leaf["day"],
            int(leaf["unix_ns"]),
            leaf["retention_days"],
            int(leaf["age_unix_ns"]),
            leaf["clock"]["age_leaf"],
            leaf["clock"]["now_leaf"],
            tuple(PurgedFolder(**folder) for folder in leaf["streams"]),
            tuple(leaf["holds"]),
            None if held is None else HeldFiles(**held),
            leaf["previous"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveFormatError(f"not the fields of a purge leaf: {error!r}") from error
