"""Other decoders of flow exports, run over the same bytes: tshark over a capture, nfcapd and sfcapd over loopback."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from struct import pack

import pytest

TSHARK_SECONDS = 60
NFCAPD_SECONDS = 15
EXPORTER = "192.0.2.1"


def require(program: str) -> str:
    """Path of a program; skips the test where it is absent, fails it in CI."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        unavailable(f"{program} is not installed")
    return str(path)


def unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def write_capture(path: Path, payloads: list[bytes], port: int) -> None:
    """A pcap of raw IPv4 packets from EXPORTER, UDP to `port`."""
    content = pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    for number, payload in enumerate(payloads):
        udp = pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload
        addresses = bytes([192, 0, 2, 1, 192, 0, 2, 9])
        packet = pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0) + addresses + udp
        content += pack("<IIII", 1_700_000_000 + number, 0, len(packet), len(packet)) + packet
    path.write_bytes(content)


def tshark_packets(path: Path, port: int, protocol: str) -> list[dict]:
    """tshark's layers of each packet, `port` read as `protocol`. Members of one name become a list."""
    command = [require("tshark"), "-r", str(path), "-d", f"udp.port=={port},{protocol}", "-T", "json"]
    command += ["--no-duplicate-keys", "-o", "tcp.relative_sequence_numbers:FALSE"]
    result = subprocess.run(command, capture_output=True, timeout=TSHARK_SECONDS, check=True)
    return [packet["_source"]["layers"] for packet in json.loads(result.stdout)]


def nfdump_records(collector: str, datagrams: list[bytes], folder: Path) -> list[dict]:
    """What nfdump shows of the datagrams that nfcapd or sfcapd was sent over loopback, in order.

    A stop makes the collector read what its socket holds and close its file.
    """
    program, nfdump = require(collector), require("nfdump")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir()
    command = [program, "-b", "127.0.0.1", "-p", str(port), "-w", str(folder), "-t", "3600", "-B", "4000000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            _wait_until_bound(port)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for datagram in datagrams:
                    sender.sendto(datagram, ("127.0.0.1", port))
            _wait_until_read(port)
        finally:
            running.terminate()
            running.wait(NFCAPD_SECONDS)
    (path,) = [one for one in folder.iterdir() if one.is_file() and not one.name.startswith(".")]
    command = [nfdump, "-r", str(path), "-o", "json"]
    utc = {**os.environ, "TZ": "UTC"}
    shown = subprocess.run(command, capture_output=True, timeout=30, check=True, env=utc).stdout.strip()
    return [] if shown in (b"", b"]", b"[\n]") or b"{" not in shown else json.loads(shown)


def _queued_bytes(port: int) -> int | None:
    """Bytes in the receive queue of the UDP socket bound to `port`; None if there is none."""
    wanted = f"0100007F:{port:04X}"
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[1] == wanted:
            return int(columns[4].partition(":")[2], 16)
    return None


def _wait_until_bound(port: int) -> None:
    _poll(lambda: _queued_bytes(port) is not None, "the collector did not open its port")


def _wait_until_read(port: int) -> None:
    _poll(lambda: _queued_bytes(port) == 0, "the collector did not read its port")


def _poll(reached, failure: str) -> None:
    deadline = time.monotonic() + NFCAPD_SECONDS
    while not reached():
        assert time.monotonic() < deadline, failure
        time.sleep(0.01)
