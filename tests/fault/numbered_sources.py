"""Senders of numbered datagrams, each from an address and port of its own: syslog with `sequenceId`, NetFlow v5, v9 and
IPFIX with one flow a datagram, and plain lines that nobody can count."""

import socket
from collections.abc import Callable
from struct import pack, pack_into

from tests.collector.wire.flow_builder import message, netflow5, one_set, template_set

_FIELDS = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (2, 4), (1, 4)]
_FLOW = bytes([10, 0, 0, 7, 198, 51, 100, 80]) + pack(">HHBII", 40_000, 443, 6, 3, 1_234)
TEMPLATE_ID = 300
DOMAIN = 7


class NumberedSource:
    """One sender. `make(number)` is its datagram of that number; numbers begin with `first`."""

    def __init__(self, address: str, port: int, make: Callable[[int], bytes], first: int, *, counted: bool) -> None:
        self.address = address
        self.counted = counted
        self.sent = 0
        self._make = make
        self._first = first
        self._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._link.bind((address, 0))
        self._link.connect(("127.0.0.1", port))
        self.port: int = self._link.getsockname()[1]

    def send(self) -> None:
        self._link.send(self._make(self._first + self.sent))
        self.sent += 1

    def send_uncounted(self, datagram: bytes) -> None:
        self._link.send(datagram)

    def close(self) -> None:
        self._link.close()


def syslog_source(address: str, port: int, *, counted: bool = True) -> NumberedSource:
    host = f"host-{address.rpartition('.')[2]}".encode()
    if counted:
        line = b'<13>1 2026-11-20T08:00:00+07:00 %b app - - [meta sequenceId="%d"] numbered'
        return NumberedSource(address, port, lambda number: line % (host, number), 1, counted=True)
    return NumberedSource(address, port, lambda number: b"<13>%b: plain %d" % (host, number), 1, counted=False)


def netflow5_source(address: str, port: int) -> NumberedSource:
    datagram = bytearray(netflow5(1))

    def make(number: int) -> bytes:
        pack_into(">I", datagram, 16, number)
        return bytes(datagram)

    return NumberedSource(address, port, make, 1_000, counted=True)


def template_source(address: str, port: int, version: int) -> NumberedSource:
    """NetFlow v9 or IPFIX. Every hundredth v9 datagram is the template again; IPFIX numbers data records, and its
    template goes out before the first one without a number of its own."""
    template = template_set(version, TEMPLATE_ID, _FIELDS)
    padding = bytes(-len(_FLOW) % 4) if version == 9 else b""
    flow = one_set(TEMPLATE_ID, _FLOW + padding)

    def make(number: int) -> bytes:
        sets = template if version == 9 and number % 100 == 0 else flow
        return message(version, sets, sequence=number, domain=DOMAIN)

    source = NumberedSource(address, port, make, 0 if version == 9 else 5_000, counted=True)
    if version == 10:
        source.send_uncounted(message(10, template, sequence=5_000, domain=DOMAIN))
    return source
