"""Collector and sealer for a long time at half of what they take without loss: memory and file handles stay flat, and
every record sent is sealed."""

import multiprocessing
import multiprocessing.pool
import shutil
import socket
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.bench.senders import make_lines, make_netflow_v5, send_udp
from tests.e2e.lab import wait_until
from tests.fault.collecting import Collecting
from tests.fault.process_memory import open_files, pss_bytes

SAMPLE_SECONDS, FULL_SECONDS = 6, 600
UDP_LINES_PER_SECOND = 90_000
TCP_LINES_PER_SECOND = 90_000
NETFLOW_DATAGRAMS_PER_SECOND = 4_500
"""Half of what was taken together without loss on the reference machine of two cores, senders included: twice as much
lost nothing, and two and a half times as much lost UDP lines. A NetFlow datagram holds 30 flows."""
SAMPLE_SHARE = 1 / 3
"""Of these rates in the short run, which other tests run beside."""
NETFLOW_DIFFERENT = 1_000
TCP_BLOCK_LINES = 512
GROWTH_SHARE, GROWTH_BYTES = 1.10, 8 * 1024 * 1024
"""The last third may hold so much more than the middle one; the first third is start and caches."""
MORE_FILES = 4
"""A file of the spool or a segment that is just being opened."""
SAMPLES = 60


@dataclass
class Curve:
    """Memory and open files of one process over time."""

    pss: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def sample(self, pid: int) -> None:
        self.pss.append(pss_bytes(pid))
        self.files.append(open_files(pid))


def _third(values: list[int], number: int) -> list[int]:
    size = len(values) // 3
    return values[number * size : (number + 1) * size] if number < 2 else values[2 * size :]


def _send_lines(port: int, seconds: float, per_second: int) -> int:
    return send_udp(port, make_lines(), int(seconds * per_second), per_second)


def _send_flows(port: int, seconds: float, per_second: int) -> int:
    datagrams = [make_netflow_v5(number) for number in range(NETFLOW_DIFFERENT)]
    return send_udp(port, datagrams, int(seconds * per_second), per_second)


def _send_stream(port: int, seconds: float, per_second: int) -> int:
    block = b"".join(line + b"\n" for line in make_lines(TCP_BLOCK_LINES))
    with socket.create_connection(("127.0.0.1", port)) as link:
        started = time.perf_counter()
        sent = 0
        while sent < seconds * per_second:
            link.sendall(block)
            sent += TCP_BLOCK_LINES
            ahead = sent / per_second - (time.perf_counter() - started)
            if ahead > 0.001:
                time.sleep(ahead)
    return sent


def _known(collecting: Collecting) -> int:
    """Records received, and datagrams the kernel is known to have dropped."""
    listeners = collecting.status()["listeners"].values()
    return sum(one["received_records"] + one["kernel_drops"] for one in listeners)


def soak(collecting: Collecting, seconds: float, share: float) -> tuple[int, dict[str, Curve]]:
    """Load for that long at a share of the rates; the records sent, and a curve for each process."""
    loads = (
        (_send_lines, "udp", UDP_LINES_PER_SECOND),
        (_send_stream, "tcp", TCP_LINES_PER_SECOND),
        (_send_flows, "netflow", NETFLOW_DATAGRAMS_PER_SECOND),
    )
    curves = {name: Curve() for name in collecting.processes}
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        jobs: list[multiprocessing.pool.AsyncResult[int]] = [
            pool.apply_async(send, (collecting.ports[port], seconds, int(per_second * share)))
            for send, port, per_second in loads
        ]
        while not all(job.ready() for job in jobs):
            for name, curve in curves.items():
                curve.sample(collecting.processes[name].pid)
            time.sleep(seconds / SAMPLES)
        sent = sum(job.get() for job in jobs)
    wait_until(lambda: _known(collecting) >= sent, 30, f"{sent} records are received")
    return sent, curves


@pytest.mark.slow
def test_a_long_load_leaves_nothing_behind(tmp_path: Path, full_counts: bool) -> None:
    seconds, share = (FULL_SECONDS, 1.0) if full_counts else (SAMPLE_SECONDS, SAMPLE_SHARE)
    with Collecting(tmp_path / "office", close_seconds=10.0) as collecting:
        sent, curves = soak(collecting, seconds, share)
        collecting.stop()
        leaves = [leaf for _, leaf in collecting.leaves() if leaf.get("stream") == "collector"]
        collecting.check_verified()
    # The writer's own record of its start is the one more; a loss would be another.
    stored = sum(leaf.get("records", 0) for leaf in leaves) - 1
    print(f"{seconds} s, sent {sent}, sealed {stored}")
    for name, curve in curves.items():
        middle, last = (statistics.median(_third(curve.pss, number)) for number in (1, 2))
        files = [max(_third(curve.files, number)) for number in (1, 2)]
        print(f"{name}: PSS {middle / 2**20:.1f} MiB in the middle, {last / 2**20:.1f} MiB at the end; files {files}")
        assert last <= middle * GROWTH_SHARE + GROWTH_BYTES
        assert files[1] <= files[0] + MORE_FILES
    dropped = [leaf["dropped"] for leaf in leaves if leaf["dropped"]]
    assert dropped == []
    assert stored == sent
    # Gigabytes after the full time, which pytest would keep.
    shutil.rmtree(collecting.directory)
