"""Load made so that the sender is never the limit: ready buffers, few system calls, a core of its own.
Loopback only."""

import ctypes
import os
import selectors
import socket
import struct
import time

from tests.bench.contestants import SENDER_CORE

LINE_BYTES = 180
BLOCK_LINES = 4096


def make_lines(count: int = BLOCK_LINES) -> list[bytes]:
    """Firewall lines of 180 bytes, newline not counted, with addresses and ports that vary."""
    lines = []
    for n in range(count):
        head = (
            f"<4>Nov 20 08:{n // 60 % 60:02d}:{n % 60:02d} gw1 kernel: [FW-ACCEPT] IN=lan OUT=wan "
            f"SRC=10.{n % 7}.{n % 251}.{n * 7 % 253} DST=198.51.{n % 100}.{n * 3 % 250} LEN={40 + n % 1400} "
            "TTL=63 PROTO=TCP "
            f"SPT={1024 + n * 13 % 60000} DPT={(443, 80, 53, 8080)[n % 4]} ID={n * 77 % 65536} "
        ).encode()
        lines.append((head + b"WINDOW=64240 RES=0x00 SYN URGP=0 MARK=0x1" + b"x" * LINE_BYTES)[:LINE_BYTES])
    return lines


def send_tcp(port: int, total_lines: int, connections: int, *, octet_counted: bool) -> int:
    """Send at least `total_lines` over some connections as fast as they are taken; returns the lines sent."""
    os.sched_setaffinity(0, {SENDER_CORE})
    lines = make_lines()
    if octet_counted:
        block = b"".join(b"%d %s" % (len(line), line) for line in lines)
    else:
        block = b"".join(line + b"\n" for line in lines)
    blocks = -(-total_lines // (len(lines) * connections))
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        link = socket.create_connection(("127.0.0.1", port))
        link.setblocking(False)
        selector.register(link, selectors.EVENT_WRITE, [blocks, 0])
    view = memoryview(block)
    while selector.get_map():
        for key, _ in selector.select():
            state, link = key.data, key.fileobj
            try:
                state[1] += link.send(view[state[1] : state[1] + 262_144])  # type: ignore[union-attr]
            except BlockingIOError:
                continue
            if state[1] == len(block):
                state[0], state[1] = state[0] - 1, 0
                if state[0] == 0:
                    selector.unregister(link)
                    link.close()  # type: ignore[union-attr]
    return blocks * len(lines) * connections


def make_netflow_v5(number: int) -> bytes:
    """A v5 datagram of 30 flows."""
    uptime = 3_600_000 + number
    header = struct.pack(">HHIIIIBBH", 5, 30, uptime, 1_795_000_000 + number // 1000, 0, number * 30, 0, 0, 0)
    records = []
    for n in range(30):
        k = number * 30 + n
        records.append(
            struct.pack(
                ">IIIHHIIIIHHBBBBHHBBH",
                0x0A000000 + k * 7919 % 65_536, 0xC6330000 + k * 104_729 % 65_536, 0xC0000201, 1, 2,
                1 + k % 40, 60 + k * 31 % 90_000, uptime - 5000 - k % 900, uptime - k % 700,
                1024 + k * 13 % 60_000, (443, 80, 53, 8080)[k % 4], 0, 0x18, 6 if k % 5 else 17, 0, 0, 0, 24, 24, 0,
            )
        )  # fmt: skip
    return header + b"".join(records)


_TEMPLATE_FIELDS = [
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 2),
    (14, 2),
    (2, 4),
    (1, 4),
    (7, 2),
    (11, 2),
    (6, 1),
    (4, 1),
    (5, 1),
    (61, 1),
]


def make_template_message(version: int, number: int) -> tuple[bytes, bytes]:
    """A v9 or IPFIX data message of 30 flows, and the message that carries its template."""
    times = [(152, 8), (153, 8)] if version == 10 else [(22, 4), (21, 4)]
    fields = _TEMPLATE_FIELDS + times
    template = struct.pack(">HH", 256, len(fields)) + b"".join(struct.pack(">HH", *f) for f in fields)
    template_set = struct.pack(">HH", 2 if version == 10 else 0, 4 + len(template)) + template
    now = 1_795_000_000 + number // 1000
    records = []
    for n in range(30):
        k = number * 30 + n
        plain = struct.pack(
            ">IIIHHIIHHBBBB",
            0x0A000000 + k * 7919 % 65_536, 0xC6330000 + k * 104_729 % 65_536, 0xC0000201, 1, 2, 1 + k % 40,
            60 + k * 31 % 90_000, 1024 + k * 13 % 60_000, (443, 80, 53, 8080)[k % 4], 0x18, 6 if k % 5 else 17, 0, 0,
        )  # fmt: skip
        if version == 10:
            records.append(plain + struct.pack(">QQ", now * 1000 - 5000 - k % 900, now * 1000 - k % 700))
        else:
            records.append(plain + struct.pack(">II", 3_595_000 - k % 900, 3_599_000 - k % 700))
    body = b"".join(records)
    padding = -len(body) % 4
    data_set = struct.pack(">HH", 256, 4 + len(body) + padding) + body + bytes(padding)

    def message(content: bytes, count: int) -> bytes:
        if version == 10:
            return struct.pack(">HHIII", 10, 16 + len(content), now, number * 30, 1) + content
        return struct.pack(">HHIIII", 9, count, 3_600_000 + number, now, number, 1) + content

    return message(data_set, 30), message(template_set, 1)


class _Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("iov", ctypes.POINTER(_Iovec)),
        ("iov_length", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]  # fmt: skip


class _Mmsghdr(ctypes.Structure):
    _fields_ = [("header", _Msghdr), ("sent", ctypes.c_uint32)]


def send_udp(port: int, datagrams: list[bytes], total: int, per_second: int) -> int:
    """Send `total` datagrams, the given ones over and over, at a steady rate by sendmmsg; returns how many
    were sent."""
    os.sched_setaffinity(0, {SENDER_CORE})
    libc = ctypes.CDLL(None, use_errno=True)
    batch = 64
    buffers = [ctypes.create_string_buffer(d, len(d)) for d in datagrams]
    count = len(buffers)
    iovecs = (_Iovec * count)(*[_Iovec(ctypes.addressof(b), len(b)) for b in buffers])
    messages = (_Mmsghdr * count)()
    for n in range(count):
        messages[n].header.iov = ctypes.pointer(iovecs[n])
        messages[n].header.iov_length = 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        link.connect(("127.0.0.1", port))
        sent, position, started = 0, 0, time.perf_counter()
        while sent < total:
            size = min(batch, count - position, total - sent)
            offset = ctypes.byref(messages, position * ctypes.sizeof(_Mmsghdr))
            done = libc.sendmmsg(link.fileno(), offset, size, 0)
            if done < 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            sent += done
            position = (position + done) % count
            ahead = sent / per_second - (time.perf_counter() - started)
            if ahead > 0.001:
                time.sleep(ahead)
    return sent
