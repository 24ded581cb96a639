"""Template sets of NetFlow v9 (RFC 3954 sections 5.2, 6.1) and IPFIX (RFC 7011 section 3.4): bytes to layouts."""

from collections import Counter
from struct import unpack_from

from collector.wire.flow_templates import MAX_TEMPLATE_FIELDS, MIN_FLOW_RECORD_BYTES, Field, Layout


def read_templates(
    data: bytes, start: int, end: int, version: int, is_options: bool, counters: Counter[str]
) -> tuple[list[tuple[int, Layout | None]], list[int]]:
    """Template records of one set: id and layout, None for a withdrawal. Stops at padding or the first broken
    one.

    Also where each record begins, and the rest behind the last.
    """
    found: list[tuple[int, Layout | None]] = []
    begins = [start]
    position = start
    while end - position >= 4:
        begins.append(position)
        template_id, count = unpack_from(">HH", data, position)
        position += 4
        if template_id < 256 and not (version == 10 and count == 0 and template_id in (2, 3)):
            if template_id or count:  # not zero padding
                counters["templates_refused"] += 1
            break
        if version == 10 and count == 0:
            found.append((template_id, None))
            continue
        scope_count = 0
        if is_options:
            if end - position < 2:
                counters["templates_refused"] += 1
                break
            (second,) = unpack_from(">H", data, position)
            position += 2
            if version == 10:  # field count, then scope field count
                scope_count = second
            else:  # RFC 3954 section 6.1: two lengths in bytes
                scope_count, count = count // 4, (count + second) // 4
        fields, position = _read_fields(data, position, end, count, version)
        if fields is None:
            counters["templates_refused"] += 1
            break
        layout = Layout(fields, scope_count, is_options, version == 9)
        if layout.record_bytes < (1 if is_options else MIN_FLOW_RECORD_BYTES):
            counters["templates_refused"] += 1
            continue
        found.append((template_id, layout))
    else:
        begins.append(position)
    return found, begins


def _read_fields(
    data: bytes, position: int, end: int, count: int, version: int
) -> tuple[tuple[Field, ...] | None, int]:
    if count > MAX_TEMPLATE_FIELDS or end - position < 4 * count:
        return None, position
    fields: list[Field] = []
    for _ in range(count):
        if end - position < 4:
            return None, position
        number, length = unpack_from(">HH", data, position)
        position += 4
        enterprise = 0
        if version == 10 and number & 0x8000:
            if end - position < 4:
                return None, position
            (enterprise,) = unpack_from(">I", data, position)
            number &= 0x7FFF
            position += 4
        fields.append(Field(enterprise, number, length))
    return tuple(fields), position
