"""Data sets of one layout cut into columns; names of what an options record says."""

from collections import Counter

import numpy as np

from collector.wire.extra_json import Member
from collector.wire.field_values import Column, split_fixed, split_variable
from collector.wire.flow_templates import Layout
from collector.wire.ipfix_elements import ElementType, find_element

_NETFLOW9_SCOPES = {
    1: "scopeSystem",
    2: "scopeInterface",
    3: "scopeLineCard",
    4: "scopeCache",
    5: "scopeTemplate",
}


def split_records(
    layout: Layout, bodies: list[bytes | memoryview], counters: Counter[str]
) -> tuple[list[Column], np.ndarray, list[int] | None]:
    """Columns of all records of the sets, the number of records of each set, and where the records of a set begin and
    the last one ends (split_variable); None where all have the layout's `record_bytes`.
    """
    if layout.is_variable:
        columns, counts, broken, bounds = split_variable([bytes(body) for body in bodies], layout.fields)
        counters["malformed_records"] += broken
        return columns, np.array(counts, "int64"), bounds
    length = layout.record_bytes
    sizes = np.array([len(body) // length for body in bodies], "int64")
    joined = b"".join(body[: size * length] for body, size in zip(bodies, sizes.tolist(), strict=True) if size)
    records = np.frombuffer(joined, "uint8").reshape(-1, length)
    return split_fixed(records, layout.fields), sizes, None


def option_members(layout: Layout, columns: list[Column]) -> list[Member]:
    """Elements of an options record. Scope fields of v9 have numbers of their own (RFC 3954 section 6.1)."""
    members: list[Member] = []
    for position, (one, column) in enumerate(zip(layout.fields, columns, strict=True)):
        if not one.length:  # says nothing, and a template could name hundreds for free
            continue
        if layout.netflow9 and position < layout.scope_count:
            name = _NETFLOW9_SCOPES.get(one.number, f"scope{one.number}")
            members.append(Member(name, ElementType.UNSIGNED, column))
            continue
        if one.enterprise == 0 and one.number == 210:
            continue
        name, kind = find_element(one.enterprise, one.number, netflow9=layout.netflow9)
        members.append(Member(name, kind, column))
    return members
