"""Lines as a Linux gateway sends them by syslog: connection tracking and packet log. Pure."""

from dataclasses import dataclass

from deploy.demo.office import OUTSIDE_ADDRESS

NS = 1_000_000_000
PROTOCOL_NAMES = {6: "tcp", 17: "udp"}
_LOCAL6_INFO = "<182>"
_KERNEL_INFO = "<6>"
_KERNEL_WARNING = "<4>"


@dataclass(frozen=True)
class Connection:
    """One translated connection. The two directions' sizes are what flows and the closing line report."""

    identifier: int
    protocol: int
    inside_address: str
    inside_port: int
    outside_port: int
    server_address: str
    server_port: int
    opened_unix_ns: int
    closed_unix_ns: int
    sent_bytes: int
    received_bytes: int

    @property
    def sent_packets(self) -> int:
        return 4 + self.sent_bytes // 1200

    @property
    def received_packets(self) -> int:
        return 4 + self.received_bytes // 1200


def conntrack_line(connection: Connection, *, closed: bool) -> bytes:
    """`conntrack -E -o timestamp,id` as logger(1) sends it."""
    c = connection
    moment = c.closed_unix_ns if closed else c.opened_unix_ns
    forward = f"src={c.inside_address} dst={c.server_address} sport={c.inside_port} dport={c.server_port}"
    back = f"src={c.server_address} dst={OUTSIDE_ADDRESS} sport={c.server_port} dport={c.outside_port}"
    if closed:
        forward += f" packets={c.sent_packets} bytes={c.sent_bytes}"
        back += f" packets={c.received_packets} bytes={c.received_bytes} [ASSURED]"
    else:
        forward += " [UNREPLIED]"
    name = PROTOCOL_NAMES[c.protocol]
    state = "" if closed else "120 SYN_SENT " if c.protocol == 6 else "30 "
    return (
        f"{_LOCAL6_INFO}1 - demo-gw conntrack - - - [{moment // NS}.{moment % NS // 1000:06d}]"
        f"\t{'[DESTROY]' if closed else '    [NEW]'} {name:8} {c.protocol} {state}{forward} {back} id={c.identifier}"
    ).encode()


def accepted_line(connection: Connection) -> bytes:
    """A packet that the firewall let out."""
    c = connection
    return _packet_line(
        _KERNEL_INFO, "FW-ACCEPT", "lan0", "wan0", c.inside_address, c.server_address, c.protocol, c.inside_port,
        c.server_port,
    )  # fmt: skip


def dropped_line(scanner: str, port: int) -> bytes:
    """A packet from outside that nobody asked for."""
    return _packet_line(_KERNEL_WARNING, "FW-DROP", "wan0", "", scanner, OUTSIDE_ADDRESS, 6, 54_321, port)


def _packet_line(
    priority: str,
    prefix: str,
    into: str,
    out: str,
    source: str,
    destination: str,
    protocol: int,
    sport: int,
    dport: int,
) -> bytes:
    return (
        f"{priority}1 - demo-gw kernel - - - {prefix} IN={into} OUT={out} "
        f"MAC=00:00:5e:00:53:fe:00:00:5e:00:53:fd:08:00 SRC={source} DST={destination} "
        f"LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID={sport % 65_000} "
        f"PROTO={PROTOCOL_NAMES[protocol].upper()} SPT={sport} DPT={dport} WINDOW=64240 RES=0x00 SYN URGP=0"
    ).encode()
