"""Which kind of listener a captured datagram was meant for."""

from collector.wire.datagram_split import starts_message
from collector.wire.packets import Datagram
from collector.wire.sflow_split import SFLOW_PORT, starts_sflow

SYSLOG_PORTS = frozenset({514, 1514, 5514, 6514})


def kind_of_datagram(datagram: Datagram) -> str | None:
    """`sflow`, `netflow`, `syslog`, or None: by the version words of the payload, then by the port."""
    if starts_sflow(datagram.payload) or datagram.destination_port == SFLOW_PORT:
        return "sflow"
    if starts_message(datagram.payload):
        return "netflow"
    if datagram.destination_port in SYSLOG_PORTS or datagram.payload[:1] == b"<":
        return "syslog"
    return None
