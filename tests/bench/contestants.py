"""The receivers that are measured: our collector and sealer, rsyslogd, nfcapd. Each writes all it receives to disk and
runs on core 0; the sender has core 1 for every contestant."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from archive.chunk import decode_chunk
from archive.clock import SystemClock
from archive.decoder import Units
from archive.errors import ArchiveStateError, AskError
from archive.index.checkpoint import read_checkpoint
from archive.index.worker import stored_chunk
from archive.leaf import decode_leaf
from archive.local_rpc import call_local
from archive.origin import ArchivePaths, create_log, default_paths
from archive.segment import read_stored_chunk
from archive.tree import TreeReader
from archive.unit_report import report_units
from collector.wire.flows import FlowDecoder
from tests.appliance import free_port

RECEIVER_CORE, SENDER_CORE = 0, 1
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its ended children, as the kernel counts them."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(value) for value in fields[11:15]) / TICKS_PER_SECOND


class Contestant:
    """Started processes whose CPU is counted from `begin` on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[bytes]] = []
        self._before = 0.0

    def start(self, *command: str, environment: dict[str, str] | None = None) -> None:
        log = (self.directory / "log").open("ab")
        self.processes.append(
            subprocess.Popen(
                ["taskset", "-c", str(RECEIVER_CORE), *command],
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )
        )

    def begin(self) -> None:
        self._before = self.cpu()

    def cpu(self) -> float:
        return sum(cpu_seconds(process.pid) for process in self.processes if process.poll() is None)

    def used(self) -> float:
        """CPU seconds since `begin`."""
        return self.cpu() - self._before

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> "Contestant":
        return self


class Phayan(Contestant):
    """Collector and sealer as shipped: received, durable and sealed. The index is a separate, patient process."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.syslog_port, self.netflow_port = free_port(), free_port()
        self.paths = default_paths(directory / "data")
        create_log(self.paths, "phayan.bench/log", SystemClock())
        config = directory / "phayan.toml"
        config.write_text(
            f"[syslog]\naddress='127.0.0.1'\nudp_ports=[{self.syslog_port}]\ntcp_ports=[{self.syslog_port}]\n"
            "tls_ports=[]\nrelp_ports=[]\n"
            f"[netflow]\naddress='127.0.0.1'\nports=[{self.netflow_port}]\n[sflow]\nports=[]\n"
        )
        for name in ("sealer", "collector"):
            self.start(
                sys.executable,
                "-m",
                "deploy.process",
                name,
                "--data",
                str(self.paths.directory),
                "--config",
                str(config),
            )
        self._wait(lambda: (self.paths.run / "collector.json").exists(), 30, "the collector is ready")
        time.sleep(1)

    def wait_sealed(self, records: int, seconds: float = 120) -> None:
        """Until a signed checkpoint covers `records` records of the collector."""
        self._wait(lambda: self.sealed_records() >= records, seconds, f"{records} records are sealed")

    def sealed_records(self) -> int:
        """Records of the collector in leaves a signed checkpoint covers, the writer's own restart record left out."""
        checkpoint = read_checkpoint(self.paths)
        reader = TreeReader(self.paths.log, checkpoint.size)
        total = 0
        try:
            for index in range(checkpoint.size):
                leaf = decode_leaf(reader.leaf(index))
                if leaf.get("stream") == "collector":
                    total += leaf.get("records", 0)
        except FileNotFoundError:
            return 0
        return max(0, total - 1)

    def seal_roots(self, decoder: FlowDecoder | None = None, seconds: float = 300) -> tuple[int, float]:
        """Tell the sealer where the units of all its chunks lie, as the decode worker does, and wait until every chunk
        has a sealed root. Returns the units, and the CPU seconds that telling them apart took beside decoding: none for
        lines, of which each is one."""
        size = read_checkpoint(self.paths).size
        reader = TreeReader(self.paths.log, size)
        leaves = [(index, decode_leaf(reader.leaf(index))) for index in range(size)]
        chosen = [(index, leaf) for index, leaf in leaves if leaf.get("stream") == "collector" and "segment" in leaf]
        units, cutting = 0, 0.0
        for index, leaf in chosen:
            found, count, spent = _units_of(self.paths, index, leaf, decoder)
            report_units(self.paths.inbox / "units", index, found)
            units += count
            cutting += spent
        self._wait(lambda: self._rooted() >= len(chosen), seconds, "every chunk has a records root")
        return units, cutting

    def _rooted(self) -> int:
        """Chunks with a root in a leaf that a signed checkpoint covers."""
        with suppress(AskError, ArchiveStateError):
            call_local(self.paths.run / "sealer.sock", "seal_records_roots")
        checkpoint = read_checkpoint(self.paths)
        reader = TreeReader(self.paths.log, checkpoint.size)
        try:
            leaves = [decode_leaf(reader.leaf(index)) for index in range(checkpoint.size)]
        except FileNotFoundError:
            return 0
        return len({root["leaf"] for leaf in leaves if leaf["kind"] == "records" for root in leaf["roots"]})

    def journal_bytes(self) -> int:
        return sum(p.stat().st_size for p in self.paths.segments.rglob("*.seg"))

    def _wait(self, check, seconds: float, what: str) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + seconds
        while not check():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {seconds} s: {what}; {(self.directory / 'log').read_text()[-2000:]}")
            time.sleep(0.25)


def _units_of(
    paths: ArchivePaths, index: int, leaf: dict[str, Any], decoder: FlowDecoder | None
) -> tuple[list[Units], int, float]:
    """What the decode worker reports of a leaf, how many units that makes, and the CPU seconds of telling them apart:
    the leaf is decoded with units and without."""
    chunk = decode_chunk(read_stored_chunk(paths.segments, stored_chunk(leaf)))
    if decoder is None:
        return [], chunk.num_rows, 0.0
    table = chunk.append_column("row", pa.array(range(chunk.num_rows), pa.uint32()))
    table = table.append_column("realm", pa.array(["main"] * chunk.num_rows))
    flows = table.filter(pc.starts_with(table.column("listener").cast(pa.string()), "netflow"))
    spent = []
    for one in (FlowDecoder(), decoder):
        before = time.process_time()
        decoded = one.decode(one.initial_state(), index, flows)
        spent.append(time.process_time() - before)
    found = [units for units in (decoded.units, decoded.late_units) if units is not None]
    whole = chunk.num_rows - flows.num_rows
    return found, sum(len(units.row) for units in found) + whole, spent[1] - spent[0]


class Rsyslogd(Contestant):
    """imtcp or imudp into omfile with a template of the raw message; nothing is filtered or dropped. Its UDP buffer is
    as large as ours."""

    def __init__(self, directory: Path, module: str = "imtcp") -> None:
        super().__init__(directory)
        self.syslog_port = free_port()
        self.output = directory / "out.log"
        config = directory / "rsyslog.conf"
        buffer = ' rcvbufSize="32m"' if module == "imudp" else ""
        config.write_text(
            f'global(workDirectory="{directory}")\n'
            f'module(load="{module}")\n'
            f'input(type="{module}" address="127.0.0.1" port="{self.syslog_port}"{buffer})\n'
            'template(name="raw" type="string" string="%rawmsg%\\n")\n'
            f'action(type="omfile" file="{self.output}" template="raw")\n'
        )
        self.start("rsyslogd", "-n", "-f", str(config), "-i", str(directory / "pid"))
        time.sleep(1.5)

    def wait_written(self, lines: int, line_bytes: int, seconds: float = 120) -> None:
        """Until the file holds every line."""
        deadline = time.monotonic() + seconds
        while self.written_bytes() < lines * line_bytes:
            if time.monotonic() > deadline:
                raise RuntimeError(f"rsyslogd wrote {self.written_bytes()} of {lines * line_bytes} bytes")
            time.sleep(0.1)

    def written_bytes(self) -> int:
        return self.output.stat().st_size if self.output.exists() else 0


class Nfcapd(Contestant):
    """nfcapd with LZ4 as its manual recommends (-y where known, -z=lz4 in newer versions)."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.netflow_port = free_port()
        self.output = directory / "flows"
        self.output.mkdir()
        self.start(
            "nfcapd", "-y", "-w", str(self.output), "-b", "127.0.0.1", "-p", str(self.netflow_port), "-t", "3600"
        )
        time.sleep(1.5)

    def finish(self) -> int:
        """End it as its manual says, so that the file is complete; flows written."""
        used = self.used()
        self.processes[0].send_signal(signal.SIGTERM)
        self.processes[0].wait(30)
        self.final_cpu = used
        text = subprocess.run(
            ["nfdump", "-R", str(self.output), "-I"], capture_output=True, text=True, check=False
        ).stdout
        for line in text.splitlines():
            if line.startswith("Flows:"):
                return int(line.split(":")[1])
        return 0
