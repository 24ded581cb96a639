"""What a flow record means: layouts of NetFlow v9 and IPFIX templates, and the state they live in between chunks."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from collector.wire.exporter_shares import ExporterShares
from collector.wire.sequence_gaps import Stream

VARIABLE_LENGTH = 65535
"""Field length that says the length stands before each value (RFC 7011 section 7). H3C sends it in v9 too."""
MIN_FLOW_RECORD_BYTES = 4
"""A smaller record cannot name a flow; it would turn each byte of a datagram into a row."""
MAX_TEMPLATE_FIELDS = 512
"""Longest template accepted; the largest in the field have about 100 fields."""
MAX_STATE_FIELDS = 500_000
"""Fields of all templates of one state, about 50 MiB; bounds what a hostile exporter can make us keep."""
SYSTEM_INIT_TIME = 160
# Layouts no template uses any more are let go when they are this many more than those in use; so the work of looking
# for them stays in proportion to the templates learned.
_UNUSED_LAYOUTS = 1_024
MAX_TEMPLATES = 16_384
"""Templates kept in one state; the one refreshed longest ago goes first. About 200 exporters with 80 each."""
MAX_WAITING_BYTES = 32 * 1024 * 1024
"""Data sets kept for templates not seen yet; exporters resend templates within minutes."""
MAX_WAITING_SETS = 50_000
"""Bounds the per-set overhead of many tiny waiting sets (about 300 bytes each)."""

TemplateKey = tuple[bytes, int, int, int, int]
"""Exporter address, source port, version, observation domain, template id."""
TaughtBy = tuple[int, int]
"""Leaf and row of the datagram that a template was last in."""


class Field(NamedTuple):
    enterprise: int
    number: int
    length: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Meaning of a record's bytes. Exporters with equal templates share one, so their records decode
    together.
    """

    fields: tuple[Field, ...]
    scope_count: int
    is_options: bool
    netflow9: bool

    @property
    def is_variable(self) -> bool:
        return any(one.length == VARIABLE_LENGTH for one in self.fields)

    @property
    def record_bytes(self) -> int:
        """Length of a record; of its shortest form when fields are variable."""
        return sum(1 if one.length == VARIABLE_LENGTH else one.length for one in self.fields)


class Origin(NamedTuple):
    """The datagram a record came in, as its rows show it. `uptime_ms` is None for IPFIX.

    `system_init_ms` is what an options record of the same exporter and domain said (element 160), or None.
    """

    leaf_index: int
    row: int
    realm: str
    received_unix_ns: int
    exporter_address: bytes
    exporter_port: int
    version: int
    observation_domain: int
    sequence: int
    export_unix_ns: int
    uptime_ms: int | None
    sampling: int
    system_init_ms: int | None


class WaitingSet(NamedTuple):
    """A data set whose template has not been seen. `offset` is the first byte of `body` in its datagram."""

    origin: Origin
    body: bytes
    offset: int


@dataclass
class FlowState:
    """Templates in force, data waiting for one, and sequences. Picklable; `decode` works on a copy."""

    templates: dict[TemplateKey, Layout] = field(default_factory=dict)
    taught: dict[TemplateKey, TaughtBy] = field(default_factory=dict)
    layouts: dict[Layout, Layout] = field(default_factory=dict)
    waiting: dict[TemplateKey, list[WaitingSet]] = field(default_factory=dict)
    field_count: int = 0
    system_init_ms: dict[tuple[bytes, int, int, int], int] = field(default_factory=dict)
    waiting_bytes: int = 0
    waiting_sets: int = 0
    streams: dict[Hashable, Stream] = field(default_factory=dict)
    _made_shares: ExporterShares | None = field(default=None, init=False, repr=False, compare=False)

    def copy(self) -> "FlowState":
        return replace(
            self,
            templates=dict(self.templates),
            taught=dict(self.taught),
            layouts=dict(self.layouts),
            streams=dict(self.streams),
            system_init_ms=dict(self.system_init_ms),
            waiting={key: list(sets) for key, sets in self.waiting.items()},
        )

    def learn(self, key: TemplateKey, layout: Layout, taught_by: TaughtBy, counters: Counter[str]) -> Layout:
        """Put a template in force, replacing an earlier one of the same key."""
        if len(self.layouts) > 2 * len(self.templates) + _UNUSED_LAYOUTS:
            self.layouts = {used: used for used in self.templates.values()}
        layout = self.layouts.setdefault(layout, layout)
        shares = self._shares()
        self._forget(key)
        self.templates[key] = layout
        self.taught[key] = taught_by
        shares.add_template(key, layout)
        self.field_count += len(layout.fields)
        while (own := shares.oldest_over_share(key[0])) is not None:
            self._forget(own)
            counters["templates_evicted"] += 1
        while len(self.templates) > MAX_TEMPLATES or self.field_count > MAX_STATE_FIELDS:
            self._forget(next(iter(self.templates)))
            counters["templates_evicted"] += 1
        counters["templates_learned"] += 1
        return layout

    def note_system_init(self, prefix: tuple[bytes, int, int, int], layout: Layout, body: bytes) -> None:
        """Remember systemInitTimeMilliseconds of an options record: the base of uptimes in IPFIX flow
        records.
        """
        offset = 0
        for one in layout.fields:
            if one.length == VARIABLE_LENGTH:
                return
            if one.enterprise == 0 and one.number == SYSTEM_INIT_TIME and one.length == 8:
                if len(body) >= offset + 8:
                    if prefix not in self.system_init_ms and len(self.system_init_ms) >= MAX_TEMPLATES:
                        del self.system_init_ms[next(iter(self.system_init_ms))]
                    self.system_init_ms[prefix] = int.from_bytes(body[offset : offset + 8], "big")
                return
            offset += one.length

    def withdraw(self, prefix: tuple[bytes, int, int, int], template_id: int, counters: Counter[str]) -> None:
        """Template withdrawal (RFC 7011 section 8.1); id 2 or 3 withdraws all of that kind of the domain."""
        if template_id in (2, 3):
            gone = [(*prefix, one) for one in self._shares().ids(prefix, are_options=template_id == 3)]
        else:
            gone = [key for key in ((*prefix, template_id),) if key in self.templates]
        for key in gone:
            self._forget(key)
        counters["templates_withdrawn"] += len(gone)

    def _shares(self) -> ExporterShares:
        if self._made_shares is None:
            self._made_shares = ExporterShares(self.templates, self.waiting)
        return self._made_shares

    def _forget(self, key: TemplateKey) -> None:
        shares = self._shares()
        layout = self.templates.pop(key, None)
        if layout is None:
            return
        del self.taught[key]
        self.field_count -= len(layout.fields)
        shares.remove_template(key, layout)

    def wait(self, key: TemplateKey, waiting: WaitingSet, counters: Counter[str]) -> None:
        """Keep a data set until its template comes, or count it as dropped when the state is full."""
        size = len(waiting.body)
        full = self.waiting_bytes + size > MAX_WAITING_BYTES or self.waiting_sets >= MAX_WAITING_SETS
        if full or not self._shares().may_wait(key, size):
            counters["waiting_sets_dropped"] += 1
            return
        self.waiting.setdefault(key, []).append(waiting)
        self.waiting_bytes += size
        self.waiting_sets += 1
        self._shares().add_waiting(key, 1, size)

    def release(self, key: TemplateKey) -> list[WaitingSet]:
        """Data sets that waited for this template, in order of arrival."""
        if key not in self.waiting:
            return []
        shares = self._shares()
        released = self.waiting.pop(key)
        octets = sum(len(one.body) for one in released)
        shares.add_waiting(key, -len(released), -octets)
        self.waiting_bytes -= octets
        self.waiting_sets -= len(released)
        return released
