"""`run/collector.json`: the counters of every listener, rewritten each second for `status` and the alarms."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from collector.receivers import Receiver

UDP_MEMORY_PATH = Path("/proc/sys/net/ipv4/udp_mem")


def write_status(
    path: Path,
    receivers: Sequence[Receiver],
    warnings: Sequence[str],
    started_unix_ns: int,
    now_unix_ns: int,
) -> None:
    """Replace `path` so that a reader sees the old or the new object, never a part. Not durable, and a full
    disk leaves the old one: what was lost is in the journal.
    """
    status = {
        "v": 1,
        "pid": os.getpid(),
        "started_unix_ns": str(started_unix_ns),
        "unix_ns": str(now_unix_ns),
        "listeners": {receiver.name: {"port": receiver.port, **asdict(receiver.counters)} for receiver in receivers},
        "warnings": [*warnings, *(text for receiver in receivers for text in receiver.counters.warnings)],
    }
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(json.dumps(status, ensure_ascii=False, sort_keys=True), encoding="utf-8")
        os.replace(temporary, path)
    except OSError:
        return


def udp_memory_warning(receivers: Sequence[Receiver], limit_path: Path = UDP_MEMORY_PATH) -> list[str]:
    """A warning when all UDP buffers together may exceed what the kernel allows UDP (udp_mem, in pages); it
    then drops at every socket (MemErrors) although no buffer is full.
    """
    try:
        limit_bytes = int(limit_path.read_text(encoding="ascii").split()[2]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return []
    # Twice: the kernel charges its own structures too and doubles each buffer for them (socket(7)).
    wanted_bytes = 2 * sum(r.counters.receive_buffer_bytes for r in receivers if "/udp-" in r.name)
    if wanted_bytes <= limit_bytes:
        return []
    return [
        f"The UDP buffers together may take {wanted_bytes} bytes, but net.ipv4.udp_mem allows all UDP "
        f"sockets of this machine {limit_bytes} bytes. Raise its third value."
    ]
