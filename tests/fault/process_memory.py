"""What a process holds, as the kernel counts it."""

import os
from pathlib import Path


def pss_bytes(pid: int) -> int:
    """Proportional set size: its own memory, and its share of what it has in common with others."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no Pss")


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
