"""A real chronyd that follows a time server of the test: what it says of a clock that is off, and of one without
source. It runs with -x and never touches this machine's clock."""

import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.clock_state import parse_chrony_tracking

NTP_EPOCH_SECONDS = 2_208_988_800
OFFSET_SECONDS = 0.020
WAIT_SECONDS = 40.0


class TimeServer:
    """Answers NTP (RFC 5905) on loopback with a time that is `offset_seconds` ahead of this machine's."""

    def __init__(self, offset_seconds: float) -> None:
        self._offset = offset_seconds
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _stamp(self) -> bytes:
        seconds = time.time() + self._offset + NTP_EPOCH_SECONDS
        return struct.pack(">II", int(seconds), int(seconds % 1 * 2**32))

    def _serve(self) -> None:
        while True:
            try:
                query, sender = self._socket.recvfrom(512)
            except OSError:
                return
            received = self._stamp()
            # Version 4, mode server, stratum 2, precision 2^-20, root delay and dispersion of about 15 us.
            head = struct.pack(">BBBbII4s", 0x24, 2, query[2], -20, 1, 1, b"\x7f\x00\x00\x01")
            self._socket.sendto(head + received + query[40:48] + received + self._stamp(), sender)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Short, because a socket's path is, and only its owner's, as chronyd demands."""
    if shutil.which("chronyd") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chrony is not installed")
        pytest.skip("chrony is not installed")
    made = Path("/tmp") / f"phayan-chrony-{os.getpid()}"
    made.mkdir(mode=0o700)
    yield made
    shutil.rmtree(made)


def start_chronyd(folder: Path, *lines: str) -> "subprocess.Popen[bytes]":
    conf = [*lines, "cmdport 0", f"bindcmdaddress {folder}/sock", f"pidfile {folder}/pid"]
    (folder / "conf").write_text("\n".join(conf) + "\n")
    return subprocess.Popen(
        ["chronyd", "-x", "-d", "-u", "root", "-U", "-f", str(folder / "conf")], stderr=subprocess.PIPE
    )


def tracking(folder: Path) -> tuple[bool, int | None, int | None, str] | None:
    done = subprocess.run(
        ["chronyc", "-h", str(folder / "sock"), "-c", "tracking"], capture_output=True, check=False, text=True
    )
    return parse_chrony_tracking(done.stdout)


def test_a_clock_that_is_20_ms_off_is_said_to_be(folder: Path) -> None:
    server = TimeServer(OFFSET_SECONDS)
    daemon = start_chronyd(folder, f"server 127.0.0.1 port {server.port} iburst minpoll -2 maxpoll -2")
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        found = None
        while found is None or not found[0]:
            assert time.monotonic() < deadline, (daemon.poll(), found)
            time.sleep(0.2)
            found = tracking(folder)
        synchronised, offset_ns, dispersion_ns, source = found
        assert synchronised
        assert offset_ns is not None
        # The server is ahead: this machine's clock is behind true time.
        assert offset_ns / 1e9 == pytest.approx(-OFFSET_SECONDS, abs=0.004)
        assert dispersion_ns is not None
        assert 0 < dispersion_ns < 10**9
        assert source == "chrony: 127.0.0.1 stratum 3"
    finally:
        daemon.terminate()
        daemon.wait(10)
        server.close()


def test_a_daemon_whose_server_is_silent_has_no_source(folder: Path) -> None:
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    daemon = start_chronyd(folder, f"server 127.0.0.1 port {silent.getsockname()[1]} iburst")
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        found = None
        while found is None:
            assert time.monotonic() < deadline, daemon.poll()
            time.sleep(0.2)
            found = tracking(folder)
        assert found == (False, None, None, "chrony: no source")
    finally:
        daemon.terminate()
        daemon.wait(10)
        silent.close()
