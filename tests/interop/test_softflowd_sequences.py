"""softflowd numbers its exports; what is taken out of them is found, in every version, and nothing else."""

import json
import os
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from collector.wire.flows import FlowDecoder
from tests.collector.wire.wire_chunks import make_chunk

FLOWS = 400
CAPTURE_START_SECONDS = 1_795_000_000


def capture_of_many_flows(path: Path) -> None:
    """A pcap of one UDP packet for each flow, 10 ms apart."""
    packets = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)]
    for n in range(FLOWS):
        udp = struct.pack(">HHHH", 1_024 + n, 53, 8 + 20, 0) + bytes(20)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), n, 0, 64, 17, 0, b"\x0a\0\0\1", b"\xc0\0\2\1")
        frame = bytes(12) + b"\x08\x00" + ip + udp
        microseconds = n * 10_000
        when = CAPTURE_START_SECONDS + microseconds // 1_000_000, microseconds % 1_000_000
        packets.append(struct.pack("<IIII", *when, len(frame), len(frame)) + frame)
    path.write_bytes(b"".join(packets))


def exported(capture: Path, version: str) -> list[bytes]:
    """The datagrams softflowd makes of a capture."""
    program = shutil.which("softflowd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("softflowd is not installed")
        pytest.skip("softflowd is not installed")
    datagrams = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        target = f"127.0.0.1:{collector.getsockname()[1]}"
        arguments = [program, "-d", "-r", str(capture), "-v", version, "-n", target]
        subprocess.run(arguments, check=True, capture_output=True, timeout=20)
        collector.settimeout(1)
        try:
            while True:
                datagrams.append(collector.recv(65_536))
        except TimeoutError:
            return datagrams


def losses(datagrams: list[bytes]) -> list[tuple[int, str]]:
    """Units missing and what they are, of all rows."""
    decoder = FlowDecoder()
    table = decoder.decode(decoder.initial_state(), 1, make_chunk(datagrams)).tables.get("losses")
    rows = table.to_pylist() if table is not None else []
    assert {row["how"] for row in rows} <= {"sequence_gap"}
    return [(row["count"], json.loads(row["details"])["unit"]) for row in rows]


@pytest.mark.interop
@pytest.mark.parametrize(("version", "unit"), [("5", "flows"), ("9", "datagrams"), ("10", "data records")])
def test_what_is_taken_out_is_found(version: str, unit: str, tmp_path: Path) -> None:
    capture = tmp_path / "flows.pcap"
    capture_of_many_flows(capture)
    datagrams = exported(capture, version)
    assert len(datagrams) > 5
    assert losses(datagrams) == []
    decoder = FlowDecoder()
    tables = decoder.decode(decoder.initial_state(), 1, make_chunk(datagrams)).tables
    rows = tables["flows"].column("row").to_pylist()
    removed = 3
    [(count, found)] = losses(datagrams[:removed] + datagrams[removed + 1 :])
    assert found == unit
    assert count == (1 if unit == "datagrams" else rows.count(removed))
    swapped = [*datagrams[:2], datagrams[3], datagrams[2], *datagrams[4:]]
    assert losses(swapped) == []
