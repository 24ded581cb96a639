"""Collector and sealer alone, as `phayan up` starts them: what they stored is read from the sealed journal and decoded
as the index would."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from archive.chunk import decode_chunk
from archive.clock import SystemClock
from archive.index.checkpoint import read_checkpoint
from archive.index.worker import stored_chunk
from archive.leaf import decode_leaf
from archive.origin import create_log, default_paths
from archive.segment import read_stored_chunk
from archive.tree import TreeReader
from archive.verify.run import verify_archive
from deploy.decoders import make_chunk_decoder
from tests.appliance import REPOSITORY
from tests.e2e.lab import wait_until

LASTING_PORTS = range(20_000, 32_000)
"""Below those Linux gives to whoever asks for any port, so that nobody takes one while its collector is dead."""


def lasting_port(kind: int) -> int:
    """A port nobody has now."""
    for port in random.sample(LASTING_PORTS, 50):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


class Collecting:
    """A data directory of its own on free ports of loopback. `syslog` and `netflow` add lines to those sections."""

    def __init__(
        self,
        directory: Path,
        *,
        syslog: str = "",
        netflow: str = "",
        close_seconds: float = 1.0,
        inside: Path | None = None,
        prefix: tuple[str, ...] = (),
    ) -> None:
        """Started through the command `prefix` the processes know the directory as `inside`."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._inside = inside or directory
        self._prefix = prefix
        kinds = {"udp": socket.SOCK_DGRAM, "netflow": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
        self.ports = {name: lasting_port(kind) for name, kind in (kinds | {"relp": socket.SOCK_STREAM}).items()}
        self.paths = default_paths(directory / "data")
        self.config = directory / "phayan.toml"
        self.log = directory / "log"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        p = self.ports
        self.config.write_text(
            f"[storage]\nreserve_mib = 0\n[archive]\nspool_close_seconds = {close_seconds}\n"
            f"head_interval_seconds = {close_seconds}\n"
            f"[syslog]\naddress = '127.0.0.1'\nudp_ports = [{p['udp']}]\ntcp_ports = [{p['tcp']}]\n"
            f"relp_ports = [{p['relp']}]\ntls_ports = []\n{syslog}\n"
            f"[netflow]\naddress = '127.0.0.1'\nports = [{p['netflow']}]\n{netflow}\n"
        )

    def __enter__(self) -> "Collecting":
        create_log(self.paths, "phayan.test/collecting", SystemClock())
        self.start("sealer")
        self.start("collector")
        self.wait_ready()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self, name: str) -> int:
        """Start one process; its pid."""
        with self.log.open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", "deploy.process", name, "--data", str(self._inside / "data"),
                 "--config", str(self._inside / "phayan.toml")],
                stdout=log, stderr=log, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )  # fmt: skip
        return self.processes[name].pid

    def wait_ready(self) -> None:
        """Until the collector that was started last has bound every port and says so."""
        pid = self.processes["collector"].pid

        def ready() -> bool:
            assert self.processes["collector"].poll() is None, self.log.read_text()[-2000:]
            return self.status().get("pid") == pid

        wait_until(ready, 30, "the collector is ready")

    def status(self) -> dict[str, Any]:
        """run/collector.json, empty before it is written."""
        try:
            return json.loads((self.paths.run / "collector.json").read_text())
        except FileNotFoundError:
            return {}

    def counters(self, listener: str) -> dict[str, Any]:
        """Counters of the listener whose name begins so."""
        return next(value for name, value in self.status()["listeners"].items() if name.startswith(listener))

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait(30)

    def signal_collector(self, number: signal.Signals) -> None:
        os.kill(self.processes["collector"].pid, number)

    def stop(self) -> None:
        """The collector first, then the sealer, which seals what it left."""
        for name in ("collector", "sealer"):
            process = self.processes.pop(name, None)
            if process is None or process.poll() is not None:
                continue
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise

    def leaves(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every leaf a signed checkpoint covers; the sealer is stopped or does not publish meanwhile."""
        size = read_checkpoint(self.paths).size
        reader = TreeReader(self.paths.log, size)
        for index in range(size):
            yield index, decode_leaf(reader.leaf(index))

    def chunks(self) -> Iterator[tuple[int, pa.Table]]:
        """Sealed records of the collector with the number of their leaf."""
        for index, leaf in self.leaves():
            if leaf.get("stream") == "collector" and "segment" in leaf:
                yield index, decode_chunk(read_stored_chunk(self.paths.segments, stored_chunk(leaf)))

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of each table, times as nanoseconds since 1970, in the order the index gets them."""
        decoder = make_chunk_decoder("Asia/Bangkok", ())
        found: dict[str, list[dict[str, Any]]] = {"logs": [], "losses": [], "flows": [], "events": []}
        for index, chunk in self.chunks():
            for name, tables in decoder.decode(index, chunk).tables.items():
                for table in tables:
                    plain = pa.schema([_number_for_time(field) for field in table.schema])
                    found.setdefault(name, []).extend(table.cast(plain).to_pylist())
        return found

    def check_verified(self) -> None:
        report = verify_archive(self.paths.directory, self.paths.head)
        assert report.exit_code == 0, report.to_text()


def _number_for_time(field: pa.Field) -> pa.Field:
    return field.with_type(pa.int64()) if pa.types.is_timestamp(field.type) else field
