"""What each exporter holds of the state of a flow decoder, so that none can push the others out of it.

Follows from the state: made from it when first needed in a call, then kept in step with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.wire.flow_templates import Layout, TemplateKey, WaitingSet

MAX_EXPORTER_TEMPLATES = 4_096
"""Templates of one exporter address, a quarter of all; its own oldest goes first. The largest have some hundreds."""
MAX_EXPORTER_FIELDS = 125_000
"""Fields of these templates, a quarter of all."""
MAX_EXPORTER_WAITING_SETS = 25_000
"""Sets of one exporter address that wait, half of all."""
MAX_EXPORTER_WAITING_BYTES = 16 * 1024 * 1024
"""Bytes of these sets, half of all: a minute of 5,000 records a second."""


class ExporterShares:
    def __init__(
        self, templates: Mapping[TemplateKey, Layout], waiting: Mapping[TemplateKey, list[WaitingSet]]
    ) -> None:
        self._templates: dict[bytes, dict[TemplateKey, int]] = {}
        self._fields: dict[bytes, int] = {}
        self._ids_of_kind: dict[tuple, set[int]] = {}
        self._waiting: dict[bytes, tuple[int, int]] = {}
        for key, layout in templates.items():
            self.add_template(key, layout)
        for key, sets in waiting.items():
            self.add_waiting(key, len(sets), sum(len(one.body) for one in sets))

    def add_template(self, key: TemplateKey, layout: Layout) -> None:
        """The one refreshed last of its exporter."""
        self._templates.setdefault(key[0], {})[key] = len(layout.fields)
        self._fields[key[0]] = self._fields.get(key[0], 0) + len(layout.fields)
        self._ids_of_kind.setdefault((key[:4], layout.is_options), set()).add(key[4])

    def remove_template(self, key: TemplateKey, layout: Layout) -> None:
        mine = self._templates[key[0]]
        self._fields[key[0]] -= mine.pop(key)
        if not mine:
            del self._templates[key[0]], self._fields[key[0]]
        kind = (key[:4], layout.is_options)
        self._ids_of_kind[kind].discard(key[4])
        if not self._ids_of_kind[kind]:
            del self._ids_of_kind[kind]

    def oldest_over_share(self, exporter_address: bytes) -> TemplateKey | None:
        """The template this exporter must give up, if any."""
        mine = self._templates.get(exporter_address, {})
        if len(mine) > MAX_EXPORTER_TEMPLATES or self._fields.get(exporter_address, 0) > MAX_EXPORTER_FIELDS:
            return next(iter(mine))
        return None

    def ids(self, prefix: tuple[bytes, int, int, int], *, are_options: bool) -> list[int]:
        """Template ids of one kind of a domain (a TemplateKey without its id), without looking through all others."""
        return sorted(self._ids_of_kind.get((prefix, are_options), ()))

    def add_waiting(self, key: TemplateKey, sets: int, octets: int) -> None:
        """Negative numbers for what waits no more."""
        before = self._waiting.get(key[0], (0, 0))
        self._waiting[key[0]] = (before[0] + sets, before[1] + octets)

    def may_wait(self, key: TemplateKey, octets: int) -> bool:
        sets, waiting = self._waiting.get(key[0], (0, 0))
        return sets < MAX_EXPORTER_WAITING_SETS and waiting + octets <= MAX_EXPORTER_WAITING_BYTES
