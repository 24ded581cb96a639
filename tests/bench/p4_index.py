"""P4: decode and insert flows into the shipped schema, against `insert_arrow` of the same columns. P5: bytes kept a
flow, journal, tree and index together, against the file of nfcapd -y; both from the same logs."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.contestants import Nfcapd
from tests.bench.figure import Figure
from tests.bench.flow_traffic import FLOWS, datagrams, template
from tests.bench.index_load import seal_flows
from tests.bench.senders import send_udp

KINDS = {5: "NetFlow v5", 9: "NetFlow v9, 20 fields", 10: "IPFIX with NAT fields"}
FLOWS_SENT = {5: 20_000_010, 9: 20_000_010, 10: 7_000_020}
"""At least 20 M rows each; a translated flow gives one row of `flows` and two of `nat`."""
PEER_DATAGRAMS = 50_000
PEER_PER_SECOND = 20_000
TARGET_RATIO, TARGET_BYTES_RATIO = 0.5, 2.0


def _measure(way: str, data: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.index_load", way, str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def _nfcapd_bytes_per_flow(version: int) -> float:
    messages = [] if version == 5 else [template(version)]
    messages += [row.tobytes() for block in datagrams(version, PEER_DATAGRAMS) for row in block]
    with Nfcapd(Path(tempfile.mkdtemp(prefix="phayan-p5-"))) as contestant:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(send_udp, (contestant.netflow_port, messages, len(messages), PEER_PER_SECOND))
        time.sleep(2)
        written = contestant.finish()
        return sum(path.stat().st_size for path in contestant.output.iterdir()) / written


def _tree_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def figures(runs: int) -> Iterator[Figure]:
    """Rows a second, then bytes a flow, of each kind of export."""
    for version, name in KINDS.items():
        rate = Figure("P4", f"{name}, decode + insert", "rows/s", TARGET_RATIO, "higher")
        kept = Figure("P5", f"{name}, bytes kept a flow", "bytes per flow", TARGET_BYTES_RATIO)
        flows = FLOWS_SENT[version] // FLOWS * FLOWS
        for _ in range(runs):
            directory = Path(tempfile.mkdtemp(prefix="phayan-p4-", dir=os.environ.get("PHAYAN_BENCH_DIR")))
            try:
                paths = seal_flows(directory / "data", version, flows)
                journal = sum(path.stat().st_size for path in paths.segments.rglob("*.seg"))
                tree = _tree_bytes(paths.log)  # of which the segments are a part where they lie inside
                tree -= journal if paths.segments.is_relative_to(paths.log) else 0
                ours, peer = _measure("index", directory / "data"), _measure("insert", directory / "data")
            finally:
                shutil.rmtree(directory, ignore_errors=True)
            rate.add(ours["rows"] / ours["seconds"], peer["rows"] / peer["seconds"])
            rate.notes = (
                f"{ours['rows']} rows of {flows} flows, merges on, worker start included; "
                f"{ours['cpu_seconds'] / ours['rows'] * 1e6:.2f} CPU s per million rows"
            )
            kept.add((journal + tree + ours["index_bytes"]) / flows, _nfcapd_bytes_per_flow(version))
            kept.notes = (
                f"journal {journal / flows:.1f}, tree {tree / flows:.3f}, index {ours['index_bytes'] / flows:.1f}; "
                "nfcapd -y keeps what its file format knows, we keep the datagram too"
            )
            print(f"P4 {name}: {rate.ours[-1]:.0f} / {rate.peer[-1]:.0f} rows/s; {rate.notes}", file=sys.stderr)
            print(f"P5 {name}: {kept.ours[-1]:.1f} / {kept.peer[-1]:.1f} bytes; {kept.notes}", file=sys.stderr)
        yield rate
        yield kept
