"""A NetFlow v9 exporter (RFC 3954) that names its template once."""

from tests.collector.wire.flow_builder import message, one_set, template_set

_TEMPLATE_ID = 300
_FIELDS = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4)]


def template(unix_seconds: int, sequence: int) -> bytes:
    return message(9, template_set(9, _TEMPLATE_ID, _FIELDS), seconds=unix_seconds, sequence=sequence)


def data(unix_seconds: int, sequence: int, *, source_port: int) -> bytes:
    """One flow."""
    body = bytes([10, 0, 0, 7, 198, 51, 100, 80]) + source_port.to_bytes(2, "big") + (443).to_bytes(2, "big")
    return message(9, one_set(_TEMPLATE_ID, body + bytes([6, 0, 0, 4, 210])), seconds=unix_seconds, sequence=sequence)
