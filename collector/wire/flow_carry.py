"""The flow decoder's state as items of a carry (docs/FORMAT.md, "Carry"), and back. Pure.

Templates come in the order in which they were refreshed, so that the same ones go first when there are too many. Data
sets that wait are not carried: they are records of the journal, and the leaves they are in are decoded again.
"""

from collections import Counter
from typing import Any

from archive.decoder import Imported
from collector.wire.flow_templates import MAX_TEMPLATE_FIELDS, Field, FlowState, Layout, TaughtBy, TemplateKey
from collector.wire.sequence_carry import (
    UNREADABLE,
    export_streams,
    exporter_values,
    import_streams,
    read_exporter,
    read_number,
)

TEMPLATE, SYSTEM_INIT = "template", "system_init"
_NETFLOW9 = 9


def export_flow_state(state: FlowState) -> list[dict[str, Any]]:
    """Templates in force, system start times said in options, and the sequences."""
    items: list[dict[str, Any]] = []
    for key, layout in state.templates.items():
        leaf_index, row = state.taught[key]
        items.append(
            {
                "what": TEMPLATE,
                **exporter_values(key[:4]),
                "template_id": key[4],
                "fields": [list(one) for one in layout.fields],
                "scope_count": layout.scope_count,
                "is_options": layout.is_options,
                "leaf_index": leaf_index,
                "row": row,
            }
        )
    for exporter, unix_ms in state.system_init_ms.items():
        items.append({"what": SYSTEM_INIT, **exporter_values(exporter), "unix_ms": str(unix_ms)})
    return items + export_streams(state.streams, exporter_values)


def import_flow_state(before: FlowState, items: list[dict[str, Any]]) -> Imported:
    """The state of these items, in which the data sets that wait in `before` still wait."""
    streams, refused = import_streams(items, read_exporter)
    state = FlowState(
        waiting={key: list(sets) for key, sets in before.waiting.items()},
        waiting_bytes=before.waiting_bytes,
        waiting_sets=before.waiting_sets,
        streams=streams,
    )
    for item in items:
        try:
            if item.get("what") == TEMPLATE:
                # What does not fit is counted there; a state that was within its limits fits.
                state.learn(*_template(item), Counter())
            elif item.get("what") == SYSTEM_INIT:
                state.system_init_ms[read_exporter(item)] = read_number(int(item["unix_ms"]), 64)
        except UNREADABLE:
            refused += 1
    return Imported(state, refused)


def _template(item: dict[str, Any]) -> tuple[TemplateKey, Layout, TaughtBy]:
    exporter = read_exporter(item)
    fields = tuple(
        Field(read_number(enterprise, 32), read_number(number, 16), read_number(length, 16))
        for enterprise, number, length in item["fields"]
    )
    if len(fields) > MAX_TEMPLATE_FIELDS or type(item["is_options"]) is not bool:
        raise ValueError("not a template")
    layout = Layout(fields, read_number(item["scope_count"], 16), item["is_options"], exporter[2] == _NETFLOW9)
    taught_by = read_number(item["leaf_index"], 64), read_number(item["row"], 32)
    return (*exporter, read_number(item["template_id"], 16)), layout, taught_by
