"""Export messages made by hand for tests, with every header field and length open to lies."""

from struct import pack


def template_set(version: int, template_id: int, fields, *, count: int | None = None) -> bytes:
    """`fields`: (id, length) or (id, length, enterprise)."""
    body = b"".join(
        pack(">HH", field[0] | 0x8000, field[1]) + pack(">I", field[2]) if len(field) == 3 else pack(">HH", *field)
        for field in fields
    )
    record = pack(">HH", template_id, len(fields) if count is None else count) + body
    return one_set(0 if version == 9 else 2, record)


def options_template_set(version: int, template_id: int, scopes, fields) -> bytes:
    body = b"".join(pack(">HH", *field) for field in [*scopes, *fields])
    if version == 9:
        return one_set(1, pack(">HHH", template_id, 4 * len(scopes), 4 * len(fields)) + body)
    return one_set(3, pack(">HHH", template_id, len(scopes) + len(fields), len(scopes)) + body)


def one_set(set_id: int, body: bytes, *, length: int | None = None) -> bytes:
    return pack(">HH", set_id, len(body) + 4 if length is None else length) + body


def message(version: int, *sets: bytes, seconds=1_700_000_000, uptime=600_000, sequence=1, domain=0, length=None):
    body = b"".join(sets)
    if version == 9:
        return pack(">HHIIII", 9, len(sets), uptime, seconds, sequence, domain) + body
    return pack(">HHIII", 10, len(body) + 16 if length is None else length, seconds, sequence, domain) + body


def netflow5(records: int, *, count: int | None = None, uptime=600_000, seconds=1_700_000_000) -> bytes:
    header = pack(">HHIIIIBBH", 5, records if count is None else count, uptime, seconds, 0, 77, 1, 2, 0x4064)
    body = b"".join(
        bytes([10, 0, 0, index, 198, 51, 100, 1, 10, 0, 0, 254])
        + pack(">HHIIIIHH", 3, 4, 5, 1000 + index, 590_000, 599_000, 4000, 443)
        + pack(">BBBBHHBBH", 0, 24, 6, 8, 65001, 65002, 24, 16, 0)
        for index in range(records)
    )  # fmt: skip
    return header + body


def netflow7(
    records: int, *, count: int | None = None, uptime=600_000, seconds=1_700_000_000, sequence=77, reserved=0
) -> bytes:
    """Of a Catalyst switch."""
    count = records if count is None else count
    header = pack(">HHIIIII", 7, count, uptime, seconds, 250_000_000, sequence, reserved)
    body = b"".join(
        bytes([10, 0, 0, index, 198, 51, 100, 1, 10, 0, 0, 254])
        + pack(">HHIIIIHH", 3, 4, 5, 1000 + index, 590_000, 599_000, 4000, 443)
        + pack(">BBBBHHBBH", 0, 24, 6, 8, 65001, 65002, 24, 16, 0)
        + bytes([192, 0, 2, 77])
        for index in range(records)
    )  # fmt: skip
    return header + body
