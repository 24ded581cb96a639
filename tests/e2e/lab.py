"""A small office in network namespaces that the test makes and removes itself: two clients behind a NAT gateway, two
servers outside, and a line from the gateway to the appliance.

    c1 10.20.0.2 --+                          +-- s1 198.51.100.10
                   +-- gw (nftables, conntrack)
    c2 10.20.0.3 --+   | 203.0.113.1 outside  +-- s2 198.51.100.20
                       | 198.18.7.2 <-> 198.18.7.1 this machine
"""

import fcntl
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

OUTSIDE = "203.0.113.1"
APPLIANCE = "198.18.7.1"
GATEWAY = "198.18.7.2"
"""The line between them lies in the range of benchmarks (RFC 2544), which no machine has as its own network."""
CLIENTS = {"c1": "10.20.0.2", "c2": "10.20.0.3"}
SERVERS = {"s1": "198.51.100.10", "s2": "198.51.100.20"}


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


@dataclass
class Lab:
    """Namespaces `<tag>-<name>`; every process started here is ended here."""

    tag: str = field(default_factory=lambda: "py" + secrets.token_hex(2))
    children: list[subprocess.Popen] = field(default_factory=list)
    lock: int = -1

    def name(self, host: str) -> str:
        return f"{self.tag}-{host}"

    def __enter__(self) -> "Lab":
        # Its addresses are fixed, so only one lab stands on a machine at a time.
        self.lock = os.open(f"{tempfile.gettempdir()}/phayan-lab.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self) -> None:
        for host in ("gw", *CLIENTS, *SERVERS):
            run("ip", "netns", "add", self.name(host))
            self.inside(host, "ip", "link", "set", "lo", "up")
        self._bridge("lan", CLIENTS, "10.20.0.1/24")
        self._bridge("wan", SERVERS, "198.51.100.1/24", outside=True)
        mine, theirs = f"{self.tag}m0", f"{self.tag}m1"
        run("ip", "link", "add", mine, "type", "veth", "peer", "name", theirs, "netns", self.name("gw"))
        run("ip", "addr", "add", f"{APPLIANCE}/30", "dev", mine)
        run("ip", "link", "set", mine, "up")
        self.inside("gw", "ip", "addr", "add", f"{GATEWAY}/30", "dev", theirs)
        self.inside("gw", "ip", "link", "set", theirs, "up")
        run("ip", "route", "add", "10.20.0.0/24", "via", GATEWAY, "dev", mine)
        self.inside("gw", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_timestamp=1")
        rules = (
            "table ip nat { chain post { type nat hook postrouting priority 100; "
            f'oifname "wan" ip saddr 10.20.0.0/24 snat to {OUTSIDE}; }}; }}'
        )
        self.inside("gw", "nft", rules)

    def _bridge(self, bridge: str, hosts: dict[str, str], gateway: str, *, outside: bool = False) -> None:
        """A bridge in the gateway with one veth per host."""
        self.inside("gw", "ip", "link", "add", bridge, "type", "bridge")
        self.inside("gw", "ip", "addr", "add", gateway, "dev", bridge)
        if outside:
            self.inside("gw", "ip", "addr", "add", f"{OUTSIDE}/32", "dev", bridge)
        self.inside("gw", "ip", "link", "set", bridge, "up")
        for host, address in hosts.items():
            port = f"v{host}"
            run(
                "ip", "link", "add", port, "netns", self.name("gw"), "type", "veth",
                "peer", "name", "eth0", "netns", self.name(host),
            )  # fmt: skip
            self.inside("gw", "ip", "link", "set", port, "master", bridge, "up")
            self.inside(host, "ip", "addr", "add", f"{address}/24", "dev", "eth0")
            self.inside(host, "ip", "link", "set", "eth0", "up")
            self.inside(host, "ip", "route", "add", "default", "via", gateway.split("/")[0])

    def inside(self, host: str, *command: str, check: bool = True) -> str:
        """Run a command in a namespace and return its output."""
        return run("ip", "netns", "exec", self.name(host), *command, check=check)

    def start(self, host: str, *command: str, **options: object) -> subprocess.Popen:
        """Start a process in a namespace; it is ended with the lab."""
        child = subprocess.Popen(["ip", "netns", "exec", self.name(host), *command], **options)  # type: ignore[call-overload]
        self.children.append(child)
        return child

    def start_here(self, command: Sequence[str], **options: object) -> subprocess.Popen:
        """Start a process in this machine's own namespace; it is ended with the lab."""
        child = subprocess.Popen(list(command), **options)  # type: ignore[call-overload]
        self.children.append(child)
        return child

    def __exit__(self, *_: object) -> None:
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for host in ("gw", *CLIENTS, *SERVERS):
            run("ip", "netns", "del", self.name(host), check=False)
        run("ip", "link", "del", f"{self.tag}m0", check=False)
        os.close(self.lock)


def can_make_namespaces() -> bool:
    """Whether this machine lets us."""
    if os.geteuid() != 0:
        return False
    name = "py" + secrets.token_hex(3)
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if done.returncode:
        return False
    run("ip", "netns", "del", name, check=False)
    return True


CONNECT_ONCE = """
import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", int(sys.argv[3]))); s.connect((sys.argv[1], int(sys.argv[2])))
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n"); time.sleep(float(sys.argv[4])); s.close()
"""

SERVE = """
import socketserver, sys
class H(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.request.recv(1000); self.request.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nhello"); self.request.recv(1)
        except OSError:
            pass
class S(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
S(("0.0.0.0", int(sys.argv[1])), H).serve_forever()
"""


def wait_until(check, seconds: float, what: str):  # type: ignore[no-untyped-def]
    """The first true value of `check()`, polled; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = check()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s: {what}")
