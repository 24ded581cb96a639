"""Memory and time of `phayan verify` on 90 days of files closed every ten seconds: 3 streams of 777,600 leaves."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.archive.verify.bulk_log import STREAMS, write_bulk_log

FULL_LEAVES = 777_600
SAMPLE_LEAVES = 60_000
"""Of each stream; the sample says how much memory each further leaf takes, from 30,000 to 60,000; with
both there are several processes."""
FEW_LEAVES = 30_000
MAX_BYTES = 500 * 1024 * 1024
QUICK_SECONDS = 10.0
MAX_BYTES_A_LEAF = 150
"""At 2.3 million leaves 330 MB beside what the processes take before the first leaf."""
SAMPLE_SECONDS = 0.02
PROGRAM = """
import sys
from pathlib import Path
from archive.verify.run import verify_archive
path = Path(sys.argv[1])
sys.exit(verify_archive(path, Path(f"{path}.head"), quick=len(sys.argv) > 2).exit_code)
"""


def peak_pss_bytes(command: list[str]) -> int:
    """The largest sum over all processes of `command`, sampled."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(pss_bytes, family(process.pid))))
        time.sleep(SAMPLE_SECONDS)
    assert process.returncode == 0
    return peak


def family(pid: int) -> list[int]:
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            found += [one for child in children for one in family(int(child))]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def test_memory_grows_little_with_leaves(tmp_path: Path, full_counts: bool) -> None:
    if full_counts:
        log = write_bulk_log(tmp_path / "data", FULL_LEAVES)
        command = [str(Path(sys.executable).parent / "phayan"), "verify", "--data", str(log.directory)]
        peak = peak_pss_bytes(command)
        started = time.monotonic()
        subprocess.run([*command, "--quick"], stdout=subprocess.DEVNULL, check=True)
        seconds = time.monotonic() - started
        print(f"{len(STREAMS) * FULL_LEAVES} leaves: peak {peak / 2**20:.0f} MiB PSS; quick {seconds:.1f} s")
        assert peak <= MAX_BYTES
        assert seconds <= QUICK_SECONDS
        return
    peaks = []
    for leaves in (FEW_LEAVES, SAMPLE_LEAVES):
        log = write_bulk_log(tmp_path / str(leaves) / "data", leaves)
        peaks.append(peak_pss_bytes([sys.executable, "-c", PROGRAM, str(log.directory)]))
    assert (peaks[1] - peaks[0]) / (len(STREAMS) * (SAMPLE_LEAVES - FEW_LEAVES)) <= MAX_BYTES_A_LEAF
