"""What the kernel counts about UDP as a whole (/proc/net/snmp and snmp6): pressure on net.ipv4.udp_mem."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

COUNTER_PATHS = (Path("/proc/net/snmp"), Path("/proc/net/snmp6"))


class UdpCounters(NamedTuple):
    """Since boot, IPv4 and IPv6 together, all sockets of this network namespace."""

    in_errors: int
    receive_buffer_errors: int
    memory_errors: int

    def since(self, before: "UdpCounters") -> "UdpCounters":
        """How much each grew; a counter that went back (another namespace, a wrap) counts as not grown."""
        return UdpCounters(*(max(now - then, 0) for now, then in zip(self, before, strict=True)))


def parse_counters(snmp: str, snmp6: str) -> UdpCounters:
    """Counters from the text of both files. A name the kernel does not know yet (MemErrors before 5.11) is 0."""
    rows = [line.split() for line in snmp.splitlines() if line.startswith("Udp: ")]
    values = dict(zip(rows[0], rows[1], strict=False)) if len(rows) >= 2 else {}
    for line in snmp6.splitlines():
        name, _, value = line.partition(" ")
        values[name] = value
    numbers = {name: int(value) for name, value in values.items() if value.strip().isdigit()}
    found = [numbers.get(name, 0) + numbers.get(f"Udp6{name}", 0) for name in ("InErrors", "RcvbufErrors", "MemErrors")]
    return UdpCounters(*found)


def read_counters(paths: Sequence[Path] = COUNTER_PATHS) -> UdpCounters:
    """Counters now; zeros where the files cannot be read."""
    texts = []
    for path in paths:
        try:
            texts.append(path.read_text(encoding="ascii"))
        except (OSError, UnicodeDecodeError):
            texts.append("")
    return parse_counters(texts[0], texts[1])
