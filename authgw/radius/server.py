"""Edge: UDP sockets that know to which of our addresses a request came, and the loop that reads them in
turns."""

import ipaddress
import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from authgw.errors import AuthgwError

IP_PKTINFO = 8
"""Linux value; Python 3.11 does not name it."""
SO_MEMINFO = 55
_SK_MEMINFO_VARS, _SK_MEMINFO_DROPS = 9, 8
MAX_DATAGRAM_BYTES = 4097
"""One more than a packet may have (RFC 2865 section 3), so that a longer one is seen to be longer."""
MAX_TURN_PACKETS = 256
"""Packets read before they are handled together: one group commit for all of them."""
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
"""Holds a burst of 10,000 accounting packets while the disk commits; the kernel may grant less."""
POLL_SECONDS = 0.2
_ANCILLARY_BYTES = 64


@dataclass(frozen=True, slots=True)
class Datagram:
    """What arrived. `peer` is the socket address; `local` the ancillary data that makes the answer leave from
    the address the request came to; `local_address` the same as text."""

    data: bytes
    peer: tuple
    local: tuple[int, int, bytes] | None
    local_address: str


class PacketSocket:
    """A bound UDP socket, IPv4, or IPv6 when the address has a colon. `send` may be called from any
    thread."""

    def __init__(self, address: str, port: int) -> None:
        self._v6 = ":" in address
        self._socket = socket.socket(socket.AF_INET6 if self._v6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            if self._v6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            self._socket.setblocking(False)
            self._socket.bind((address, port))
        except OSError as error:
            self._socket.close()
            raise AuthgwError(
                f"cannot listen on {address} UDP port {port}: {error.strerror}",
                code="port_in_use" if isinstance(error, OSError) and error.errno == 98 else "cannot_listen",
                message_th=f"เปิดรับที่ {address} พอร์ต UDP {port} ไม่ได้ อาจมีโปรแกรมอื่นใช้อยู่",
            ) from error
        self.port: int = self._socket.getsockname()[1]

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> Datagram | None:
        """The next datagram, or None when there is none now."""
        try:
            data, ancillary, _, peer = self._socket.recvmsg(MAX_DATAGRAM_BYTES, _ANCILLARY_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:  # an ICMP error of an earlier answer; the socket goes on
            return None
        for level, kind, value in ancillary:
            if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                # in_pktinfo: interface, ipi_spec_dst (source of the answer), ipi_addr. Interface 0 lets
                # routing choose.
                local = value[4:8]
                reply_from = (level, kind, bytes(4) + local + bytes(4))
                return Datagram(data, peer, reply_from, socket.inet_ntoa(local))
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                return Datagram(data, peer, (level, kind, value), str(ipaddress.IPv6Address(value[:16])))
        return Datagram(data, peer, None, "")

    def send(self, request: Datagram, reply: bytes) -> bool:
        """Answer `request` from the address it came to. False if the kernel did not take it; the NAS will
        retry."""
        try:
            self._socket.sendmsg([reply], [request.local] if request.local else [], 0, request.peer)
        except OSError:
            return False
        return True

    def dropped(self) -> int:
        """Datagrams the kernel has dropped at this socket since it was opened (SO_MEMINFO)."""
        size = 4 * _SK_MEMINFO_VARS
        value = self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, size)
        return struct.unpack_from("I", value, 4 * _SK_MEMINFO_DROPS)[0] if len(value) == size else 0

    def close(self) -> None:
        self._socket.close()


def source_16(address: str) -> bytes:
    """A numeric address as 16 bytes, IPv4 as ::ffff:a.b.c.d."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed


class Counters:
    """Counts by name, from several threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str, count: int = 1) -> None:
        with self._lock:
            self._counts[name] += count

    def snapshot(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted(self._counts.items()))


def run_packet_loop(
    packet_socket: PacketSocket,
    handle: Callable[[list[Datagram]], None],
    stop: threading.Event,
) -> None:
    """Read what is there, up to MAX_TURN_PACKETS, and hand it over together, until `stop`. `handle` must not
    block on anything but its own bounded queue, and must not raise."""
    poller = select.poll()
    poller.register(packet_socket.fileno(), select.POLLIN)
    while not stop.is_set():
        if not poller.poll(POLL_SECONDS * 1000):
            continue
        turn: list[Datagram] = []
        while len(turn) < MAX_TURN_PACKETS and (datagram := packet_socket.receive()) is not None:
            turn.append(datagram)
        if turn:
            handle(turn)
