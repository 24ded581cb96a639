"""What an evidence package is made of, as plain data: the texts of the package are made from it and from nothing else.
Pure."""

from dataclasses import dataclass, field
from typing import Any

from archive.unit_proof import UnitProof

CITED, SUPPORT, TEMPLATE, CARRIED_TEMPLATE, LOSS = "cited", "support", "template", "carried_template", "loss"


@dataclass(frozen=True, order=True)
class Place:
    """A record: number of its log among those of the archive (the oldest is 1), leaf, row."""

    log: int
    leaf: int
    row: int

    def name(self) -> str:
        return f"{self.log}-{self.leaf}-{self.row}"


@dataclass(frozen=True)
class IndexRow:
    """A row of table `table` of the index (archive.schema) made from the unit at `offset` of its record. `values`:
    times as integers of nanoseconds, addresses as 16 bytes, without `log`."""

    table: str
    offset: int
    values: dict[str, Any]


@dataclass
class CitedRecord:
    """A record as far as the package shows it. `role`: cited by a step of the answer, by a loss, in support of a step,
    or the datagram (or carry item) that taught the template of another one, `template_for`. `units` are in order and
    empty where the record's bytes are withheld; `length` is that of the whole payload. `purge_leaf` is set where it
    comes from a held file. Times of receipt and senders are what the receiver stated; the leaf proves the interval."""

    place: Place
    origin: str
    role: str
    received_unix_ns: int
    source_address: bytes
    source_port: int
    transport: str
    listener: str
    truncated: bool
    length: int
    units: list[UnitProof] = field(default_factory=list)
    rows: list[IndexRow] = field(default_factory=list)
    purge_leaf: int | None = None
    template_id: int | None = None
    template_offset: int = 0
    template_is_options: bool = False
    template_for: Place | None = None

    @property
    def is_datagram(self) -> bool:
        """Of flows: shown as a capture of what is left of the datagram (archive.reduced_datagram)."""
        return self.listener.partition("/")[0] in ("netflow", "sflow")


@dataclass(frozen=True)
class OutsideTime:
    """A time that somebody outside states: by a witness or an authority, over the log's first `size` leaves, or (then
    `leaf` is set) sealed in an anchor leaf."""

    log: int
    by: str
    name: str
    unix_ns: int
    size: int
    leaf: int | None = None


@dataclass(frozen=True)
class LogFacts:
    """A log of the package: its checkpoint's size, how many witnesses cosigned it, and why it ended (empty: it goes
    on)."""

    number: int
    origin: str
    size: int
    cosigned_by: tuple[str, ...]
    ended_why: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What the appliance states about the time around an answer, as data/completeness.json has it. `leaf_intervals`:
    first and last time of receipt of the leaf `<log>-<leaf>`, nanoseconds since 1970."""

    leaf_intervals: dict[str, tuple[int, int]] = field(default_factory=dict)
    outages: list[dict[str, Any]] = field(default_factory=list)
    silent_sources: list[dict[str, Any]] = field(default_factory=list)
    purged_days: list[dict[str, Any]] = field(default_factory=list)
    days_without_index: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PackageFacts:
    """Who made a package, why and when; printed on it. `case` is what the case desk says of the case."""

    identifier: str
    title: str
    reason: str
    maker: str
    made_at: str
    site_name: str
    software: str
    made_unix_ns: int = 0
    zone: str = "Asia/Bangkok"
    case: dict[str, Any] = field(default_factory=dict)


@dataclass
class PackageContent:
    """Everything the texts of a package are made from. `answer` is the `who` object of docs/CONTRACT.md whose steps
    cite `records`. `losses` are declared, `clock` are the statements of the clock around the cited leaves, `withheld`
    counts what of the same datagrams and chunks is not in the package, `notes` are sentences about the making,
    (English, Thai)."""

    facts: PackageFacts
    answer: dict[str, Any]
    records: list[CitedRecord]
    logs: list[LogFacts]
    zones: dict[str, str]
    losses: list[dict[str, Any]] = field(default_factory=list)
    clock: list[dict[str, Any]] = field(default_factory=list)
    outside_before: list[OutsideTime] = field(default_factory=list)
    outside_after: list[OutsideTime] = field(default_factory=list)
    certificate_sha256: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    withheld: dict[str, int] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)
    surroundings: Surroundings = field(default_factory=Surroundings)

    def held(self) -> dict[str, int]:
        """Of the records that a hold kept of a purged day, the purge leaf that seals their file, by place."""
        return {one.place.name(): one.purge_leaf for one in self.records if one.purge_leaf is not None}

    def counts(self) -> dict[str, int]:
        """For the audit record and the case."""
        return {
            "records": len({record.place for record in self.records}),
            "rows": sum(len(record.rows) for record in self.records),
            "units": sum(len(record.units) for record in self.records),
            **{f"withheld_{name}": count for name, count in sorted(self.withheld.items())},
        }
