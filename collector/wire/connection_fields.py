"""What a body parser finds in a syslog message: the connection it speaks of, and the translation it shows."""

from typing import NamedTuple


class Connection(NamedTuple):
    """Typed columns of a `logs` row. Ports are None where the protocol has none."""

    format: str
    source_address: bytes | None
    source_port: int | None
    destination_address: bytes | None
    destination_port: int | None
    protocol: int | None
    action: str = ""


class Translation(NamedTuple):
    """One event of a source translation, for a `nat` row. `time_unix_ns` None means: take the arrival."""

    event: str
    time_unix_ns: int | None
    outside_address: bytes
    outside_port: int | None
    protocol: int
    destination_address: bytes | None
    destination_port: int | None
    inside_address: bytes
    inside_port: int | None
    mapping_id: str


def port_number(text: str | None) -> int | None:
    """Port of decimal text, or None when absent or above 65535."""
    if text is None:
        return None
    port = int(text)
    return port if port <= 65535 else None
