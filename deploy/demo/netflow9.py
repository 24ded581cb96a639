"""NetFlow version 9 (RFC 3954) as the invented gateway exports it: one template, one record per direction. Pure."""

import ipaddress
import struct
from collections.abc import Sequence

from deploy.demo.lines import NS, Connection

TEMPLATE_ID = 256
SOURCE_ID = 1
_FIELDS = (
    (8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 1), (5, 1), (2, 4), (1, 4), (22, 4), (21, 4), (10, 2), (14, 2),
)  # fmt: skip
"""(type, bytes) of RFC 3954 section 8: addresses, ports, protocol, TCP flags, type of service, packets, bytes, first,
last, interfaces."""
_RECORD = struct.Struct(">4s4sHHBBBIIIIHH")
_LAN, _WAN = 2, 1
_TCP_FLAGS = 0x1B


class FlowExporter:
    """Counts what it sends, as the sequence number says (RFC 3954 section 5.1)."""

    def __init__(self, started_unix_ns: int) -> None:
        self._started_ns = started_unix_ns
        self._sequence = 0

    def datagram(self, connections: Sequence[Connection], now_unix_ns: int, *, template: bool) -> bytes:
        """Both directions of ended connections, behind the template if asked."""
        records = b"".join(self._both_directions(c) for c in connections)
        sets, count = b"", 0
        if template:
            fields = b"".join(struct.pack(">HH", *field) for field in _FIELDS)
            sets += struct.pack(">HHHH", 0, 8 + len(fields), TEMPLATE_ID, len(_FIELDS)) + fields
            count += 1
        if records:
            padding = -len(records) % 4
            sets += struct.pack(">HH", TEMPLATE_ID, 4 + len(records) + padding) + records + bytes(padding)
            count += 2 * len(connections)
        header = struct.pack(
            ">HHIIII", 9, count, self._uptime_ms(now_unix_ns), now_unix_ns // NS, self._sequence, SOURCE_ID
        )
        self._sequence = self._sequence + 1 & 0xFFFFFFFF
        return header + sets

    def _uptime_ms(self, unix_ns: int) -> int:
        return max(0, unix_ns - self._started_ns) // 1_000_000 & 0xFFFFFFFF

    def _both_directions(self, c: Connection) -> bytes:
        inside, server = ipaddress.IPv4Address(c.inside_address).packed, ipaddress.IPv4Address(c.server_address).packed
        flags = _TCP_FLAGS if c.protocol == 6 else 0
        times = self._uptime_ms(c.opened_unix_ns), self._uptime_ms(c.closed_unix_ns)
        return _RECORD.pack(
            inside, server, c.inside_port, c.server_port, c.protocol, flags, 0, c.sent_packets, c.sent_bytes, *times,
            _LAN, _WAN,
        ) + _RECORD.pack(
            server, inside, c.server_port, c.inside_port, c.protocol, flags, 0, c.received_packets, c.received_bytes,
            *times, _WAN, _LAN,
        )  # fmt: skip
