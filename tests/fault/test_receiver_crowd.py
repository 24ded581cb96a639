"""Ten thousand connections that say nothing, or never end their line, at one listener: memory stays bounded, those
beyond the limit are refused and told, and others are served as before."""

import json
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collector.framing_frames import MAX_FRAME_BYTES
from collector.tcp import MAX_CONNECTIONS
from tests.e2e.lab import wait_until
from tests.fault.collecting import Collecting
from tests.fault.process_memory import open_files, pss_bytes

IDLE_CONNECTIONS = 10_000
OTHER_FILES = 500
"""Open in the test itself, besides connections."""
IDLE_BYTES = 16 * 1024
"""Of the collector for a connection that says nothing: its objects and its place in the selector."""
UNFINISHED_BYTES = 2 * MAX_FRAME_BYTES
"""Of the collector for a connection that does not end its line: at most a frame, in a buffer that grew up to it."""
OTHER_PAGES_BYTES = 16 * 1024 * 1024
"""What serving the others meanwhile may cost."""
SPEAK_EVERY = 50
"""Others send one line after so many new connections."""
PAUSE_SECONDS = 0.01
"""After that line. The receiver sleeps some milliseconds after a small read, in which a queue of LISTEN_BACKLOG would
overflow, and each connection that finds it full waits a second for its second try."""


class Others:
    """A TCP connection that was open before, and a UDP source."""

    def __init__(self, tcp: int, udp: int) -> None:
        self.sent = 0
        self.tcp = socket.create_connection(("127.0.0.1", tcp), timeout=10)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.connect(("127.0.0.1", udp))

    def speak(self) -> None:
        self.sent += 1
        self.tcp.sendall(b"<13>other: tcp %d\n" % self.sent)
        self.udp.send(b"<13>other: udp %d" % self.sent)

    def close(self) -> None:
        self.tcp.close()
        self.udp.close()


@pytest.fixture
def room_for_connections() -> Iterator[int]:
    """As many descriptors as the system allows, for this test alone; how many connections that makes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_CONNECTIONS + OTHER_FILES
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(raised, soft), hard))
    yield min(IDLE_CONNECTIONS, max(raised, soft) - OTHER_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _ended(links: list[socket.socket]) -> list[socket.socket]:
    """Those the receiver has closed."""
    poll = select.poll()
    by_number = {link.fileno(): link for link in links}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(0)]


@pytest.mark.slow
def test_idle_connections_harm_nobody(tmp_path: Path, room_for_connections: int) -> None:
    wanted = room_for_connections
    links: list[socket.socket] = []
    with Collecting(tmp_path / "office") as collecting:
        port = collecting.ports["tcp"]
        pid = collecting.processes["collector"].pid
        with closing(Others(port, collecting.ports["udp"])) as others:
            others.speak()
            wait_until(lambda: collecting.counters("syslog/tcp")["received_records"] == 1, 10, "the first line")
            before = pss_bytes(pid)
            try:
                for number in range(wanted):
                    links.append(socket.create_connection(("127.0.0.1", port), timeout=30))
                    if number % SPEAK_EVERY == 0:
                        others.speak()
                        time.sleep(PAUSE_SECONDS)
                refused = wanted - (MAX_CONNECTIONS - 1)

                def all_refused() -> bool:
                    return collecting.counters("syslog/tcp")["refused_connections"] == refused

                wait_until(all_refused, 30, f"{refused} connections are refused")
                assert collecting.counters("syslog/tcp")["connections"] == MAX_CONNECTIONS
                ended = set(_ended(links))
                assert len(ended) == refused
                idle = pss_bytes(pid) - before
                kept = [link for link in links if link not in ended]
                for link in kept:
                    link.sendall(b"x" * (MAX_FRAME_BYTES - 1))
                for _ in range(20):
                    others.speak()

                def spoken() -> bool:
                    names = ("syslog/tcp", "syslog/udp")
                    return all(collecting.counters(name)["received_records"] == others.sent for name in names)

                wait_until(spoken, 30, "every line of the others is received")
                unfinished = pss_bytes(pid) - before
                files = open_files(pid)
            finally:
                for link in links:
                    link.close()
            wait_until(lambda: collecting.counters("syslog/tcp")["connections"] == 1, 30, "the crowd has gone")
            with socket.create_connection(("127.0.0.1", port), timeout=10) as again:
                again.sendall(b"<13>again: there is room\n")
            others.speak()
        collecting.stop()
        rows = collecting.rows()
        collecting.check_verified()
    print(
        f"{wanted} connections, {len(kept)} kept, {refused} refused; collector + {idle / 2**20:.1f} MiB for idle "
        f"ones, + {unfinished / 2**20:.1f} MiB with an unfinished line of {MAX_FRAME_BYTES - 1} bytes each"
    )
    assert idle <= MAX_CONNECTIONS * IDLE_BYTES + OTHER_PAGES_BYTES
    assert unfinished <= MAX_CONNECTIONS * UNFINISHED_BYTES + OTHER_PAGES_BYTES
    assert files <= MAX_CONNECTIONS + OTHER_FILES
    found = [row["message"] for row in rows["logs"]]
    for transport in ("tcp", "udp"):
        numbers = [int(text.split()[1]) for text in found if text.startswith(transport)]
        assert numbers == list(range(1, others.sent + 1)), f"lines of the others over {transport}"
    assert "there is room" in found
    told = [row for row in rows["losses"] if row["how"] == "connection_refused"]
    assert sum(row["count"] for row in told) == refused
    assert json.loads(told[0]["details"])["sources"] == ["127.0.0.1"]
    assert {row["how"] for row in rows["losses"]} == {"connection_refused"}
