"""Data sets of one call, grouped by layout: what decodes together, and how many layouts one exporter may use."""

from collections import Counter
from typing import NamedTuple

from collector.wire.flow_sequences import SequencedMessages
from collector.wire.flow_templates import Layout, Origin

MAX_EXPORTER_LAYOUTS = 1_024
"""Layouts one exporter address may bring into one call. A layout costs about 0.4 ms however few records it has, so that
a template redefined before each record would cost 20 s for a MiB; the largest exporters have 80 templates."""
MAX_EXPORTER_LAYOUT_FIELDS = 32_768
"""Fields of these layouts; each costs about 20 us."""
MAX_LAYOUTS = 16_384
"""Layouts of one call, as many as templates can be in force; bounds it to about 6 s however many addresses send."""
MAX_LAYOUT_FIELDS = 262_144
"""Fields of these layouts, about 5 s."""


class DataSet(NamedTuple):
    """`message` numbers its datagram in this call; None for a set that waited and came with an earlier one. `offset` is
    the first byte of `body` in its datagram.
    """

    origin: Origin
    template_id: int
    ordinal: int
    body: bytes | memoryview
    message: int | None
    offset: int


class FlowBatch:
    """Data sets of one call, grouped by the layout in force when each became readable."""

    def __init__(self, counters: Counter[str]) -> None:
        self.by_layout: dict[int, tuple[Layout, list[DataSet]]] = {}
        self.sequenced = SequencedMessages()
        self._counters = counters
        self._ordinal = 0
        self._fields = 0
        self._brought: dict[bytes, tuple[int, int]] = {}

    def add(
        self,
        layout: Layout,
        origin: Origin,
        template_id: int,
        body: bytes | memoryview,
        message: int | None,
        offset: int,
    ) -> None:
        """A set of a layout over the limits is left out and counted as `sets_over_layout_limit`."""
        self._ordinal += 1
        data_set = DataSet(origin, template_id, self._ordinal, body, message, offset)
        group = self.by_layout.get(id(layout))
        if group is not None:
            group[1].append(data_set)
        elif self._has_room(layout, origin.exporter_address):
            self.by_layout[id(layout)] = (layout, [data_set])
        else:
            self._counters["sets_over_layout_limit"] += 1
            if message is not None:
                self.sequenced.cannot_count(message)

    def _has_room(self, layout: Layout, exporter_address: bytes) -> bool:
        layouts, fields = self._brought.get(exporter_address, (0, 0))
        count = len(layout.fields)
        if layouts >= MAX_EXPORTER_LAYOUTS or fields + count > MAX_EXPORTER_LAYOUT_FIELDS:
            return False
        if len(self.by_layout) >= MAX_LAYOUTS or self._fields + count > MAX_LAYOUT_FIELDS:
            return False
        self._brought[exporter_address] = (layouts + 1, fields + count)
        self._fields += count
        return True
