"""A disk that is really full: nothing is acknowledged that is not durable, what could not be stored is told to the
record, and the receivers go on by themselves when there is room again."""

import collections
import errno
import os
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from archive import spool as spool_module
from archive.errors import SpoolError
from archive.spool import SpoolWriter
from tests.collector.net.spool_reading import read_records
from tests.e2e.lab import wait_until
from tests.fault.collecting import Collecting
from tests.fault.relp_client import RelpClient
from tests.fault.small_disk import need_mounting, small_disk

DISK_BYTES = 24 * 1024 * 1024
ROOM_BYTES = 6 * 1024 * 1024
"""Left free by a file of somebody else's, which is removed later."""
FILLER_BYTES = 1_000
"""Of each line, random so that sealing makes it no smaller."""
LINES_PER_SECOND = 1_500
"""Of each transport."""
FULL_BELOW_BYTES = 64 * 1024
FULL_SECONDS = 3.0
AFTER_SECONDS = 2.0
NUMBERED = re.compile(r"(relp|udp|tcp) number (\d{8})")


class FillingLines(threading.Thread):
    """Numbered lines with random filler over UDP and TCP, one connection."""

    def __init__(self, udp: int, tcp: int) -> None:
        super().__init__(daemon=True)
        self._ports = udp, tcp
        self._ending = threading.Event()
        self.sent = 0

    def run(self) -> None:
        with (
            socket.create_connection(("127.0.0.1", self._ports[1]), timeout=30) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            udp.connect(("127.0.0.1", self._ports[0]))
            while not self._ending.wait(10 / LINES_PER_SECOND):
                for _ in range(10):
                    self.sent += 1
                    filler = os.urandom(FILLER_BYTES // 2).hex().encode()
                    udp.send(b"<13>fill: udp number %08d %b" % (self.sent, filler))
                    tcp.sendall(b"<13>fill: tcp number %08d %b\n" % (self.sent, filler))

    def __enter__(self) -> "FillingLines":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join(30)

    def finish(self) -> None:
        self.__exit__()
        assert not self.is_alive()


@pytest.mark.slow
def test_a_full_disk_loses_nothing_silently(tmp_path: Path) -> None:
    need_mounting()
    with (
        small_disk(tmp_path / "disk", DISK_BYTES) as disk,
        Collecting(disk.path, inside=disk.inside, prefix=disk.prefix) as collecting,
    ):
        pid = collecting.processes["collector"].pid
        other = disk.path / "somebody-elses"
        with other.open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, disk.free_bytes() - ROOM_BYTES)
        with (
            RelpClient(collecting.ports["relp"], per_second=500) as client,
            FillingLines(collecting.ports["udp"], collecting.ports["tcp"]) as lines,
        ):
            wait_until(lambda: disk.free_bytes() < FULL_BELOW_BYTES, 60, "the disk is full")
            time.sleep(FULL_SECONDS)
            answered_full, sent_full = len(client.answered), lines.sent
            time.sleep(1)
            stalled = len(client.answered) - answered_full
            other.unlink()
            wait_until(lambda: len(client.answered) > answered_full + 200, 30, "RELP is answered again")
            sent_recovered = lines.sent
            time.sleep(AFTER_SECONDS)
            lines.finish()
            client.finish()
        assert collecting.processes["collector"].poll() is None
        assert collecting.processes["collector"].pid == pid
        time.sleep(1.5)  # losses are said once a second
        collecting.stop()
        rows = collecting.rows()
        text = _check_relp(client, rows["logs"])
        text += _check_lines(lines, rows, sent_recovered)
        collecting.check_verified()
    print(f"{text}; {stalled} RELP answers in a second of the full disk; {sent_full} lines of each were sent by then")


def _numbers(logs: list[dict[str, Any]], transport: str) -> collections.Counter[int]:
    matches = (NUMBERED.search(row["message"]) for row in logs)
    return collections.Counter(int(match[2]) for match in matches if match and match[1] == transport)


def _check_relp(client: RelpClient, logs: list[dict[str, Any]]) -> str:
    found = _numbers(logs, "relp")
    lost = sorted(number for number in client.answered if number not in found)
    assert lost == [], f"{len(lost)} of {len(client.answered)} answered messages are lost, first {lost[:3]}"
    assert client.connections > 1, "no RELP connection was closed, so the disk was never full"
    copies = found.total() - len(found)
    marked = sum(row["repeated"] for row in logs)
    assert marked == copies
    return f"RELP answered {len(client.answered)}, {copies} copies marked, {client.connections} connections"


def _check_lines(lines: FillingLines, rows: dict[str, list[dict[str, Any]]], sent_recovered: int) -> str:
    text = ""
    for transport in ("udp", "tcp"):
        found = _numbers(rows["logs"], transport)
        assert set(found.values()) == {1}, f"{transport} lines are sealed twice"
        missing = set(range(1, lines.sent + 1)) - set(found)
        told = collections.Counter()
        for row in rows["losses"]:
            if row["listener"].startswith(f"syslog/{transport}"):
                told[row["how"]] += row["count"]
        text += f"; {transport}: sent {lines.sent}, stored {len(found)}, told {dict(told)}"
        assert told["spool_write_failed"] > 0
        assert told.total() == len(missing), text
        late = [number for number in missing if number > sent_recovered + LINES_PER_SECOND]
        assert late == [], f"{len(late)} {transport} lines sent after there was room again are lost"
    return text


def test_what_append_refused_is_not_stored_and_what_it_took_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full at the closing note, just after the record that made the file long enough. A receiver tells of
    what was refused as lost, so the two must agree."""
    real = spool_module.write_all

    def full_at_the_note(descriptor: int, data: bytes) -> None:
        if bytes(data[:4]) == b"PYSN":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor, data)

    monkeypatch.setattr(spool_module, "CLOSE_AT_BYTES", 2_000)
    writer = SpoolWriter(tmp_path, "collector")
    monkeypatch.setattr(spool_module, "write_all", full_at_the_note)
    taken = True
    try:
        writer.append(bytes(3_000), listener="syslog/udp-1")
    except SpoolError:
        taken = False
    monkeypatch.setattr(spool_module, "write_all", real)
    writer.close()
    assert [record.payload for record in read_records(tmp_path)] == [bytes(3_000)] * taken
