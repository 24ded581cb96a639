"""While the disk is full, some records are refused, and begin and end of that are records themselves."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from archive.chunk import batches_to_table
from archive.errors import SpoolError
from archive.spool import SpoolWriter
from archive.spool_batch import Batch
from archive.spool_read import read_spool_file
from archive.storage.gate import StorageGate
from archive.storage.levels import Level, Space
from tests.clocks import ManualClock

NS = 1_000_000_000


class Disk:
    """A StorageWatch that is told."""

    reserve_bytes = 512

    def __init__(self) -> None:
        self.now = Level.NORMAL

    def level(self) -> Level:
        return self.now

    def space(self) -> Space:
        return Space(1000, 100)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def writer(tmp_path: Path, clock: ManualClock) -> Iterator[SpoolWriter]:
    made = SpoolWriter(tmp_path, "collector", clock=clock, close_after_seconds=1e9)
    yield made
    made.close()


def gate(writer: SpoolWriter, disk: Disk, clock: ManualClock, **more: object) -> StorageGate:
    values = {"stops_at": Level.FULL, "kinds": ("syslog", "netflow"), **more}
    return StorageGate(writer, disk, clock, "collector", **values)  # type: ignore[arg-type]


def batch(listener: str, count: int) -> Batch:
    zeros = np.zeros(count, np.int64)
    return Batch(
        listener, "udp", zeros, np.zeros((count, 16), np.uint8), zeros.astype(np.uint16), zeros.astype(np.uint8),
        np.ones(count, np.uint32), b"x" * count,
    )  # fmt: skip


def records(writer: SpoolWriter, tmp_path: Path) -> list[tuple[str, bytes]]:
    writer.close()
    found = []
    for path in sorted((tmp_path / "collector").glob("*.spool")):
        spool = read_spool_file(path)
        rows = batches_to_table(spool.data, spool.batches).select(["listener", "payload"]).to_pylist()
        found += [(row["listener"], row["payload"]) for row in rows]
    return found


def stated(writer: SpoolWriter, tmp_path: Path) -> list[dict[str, object]]:
    return [json.loads(payload) for listener, payload in records(writer, tmp_path) if listener == "system"]


def test_traffic_stops_and_goes_on_and_the_interval_is_stated(
    tmp_path: Path, writer: SpoolWriter, disk: Disk, clock: ManualClock
) -> None:
    one = gate(writer, disk, clock)
    one.append_batch(batch("syslog/udp-1", 3))
    disk.now = Level.FULL
    clock.advance(5)
    began = clock.unix_ns()
    with pytest.raises(SpoolError) as raised:
        one.append_batch(batch("syslog/udp-1", 7))
    assert raised.value.code == "storage_full"
    with pytest.raises(SpoolError):
        one.append(b"line", listener="syslog/tcp-2")
    one.append(b"{}", listener="loss")
    one.tick()
    clock.advance(61)
    disk.now = Level.TIGHT
    ended = clock.unix_ns()
    one.append_batch(batch("syslog/udp-1", 2))
    one.tick()
    first, second = stated(writer, tmp_path)
    assert (first["event"], first["from_unix_ns"], first["to_unix_ns"]) == ("storage_stopped", str(began), None)
    assert (second["event"], second["from_unix_ns"], second["to_unix_ns"]) == (
        "storage_resumed",
        str(began),
        str(ended),
    )
    assert second["refused"] == {"syslog/udp-1": 7, "syslog/tcp-2": 1}
    assert second["process"] == "collector"


def test_what_is_only_counted_is_said_to_be_durable(
    tmp_path: Path, writer: SpoolWriter, disk: Disk, clock: ManualClock
) -> None:
    one = gate(writer, disk, clock, stops_at=Level.SPENT, kinds=("session", "radius-acct"), counted=("session",))
    disk.now = Level.SPENT
    one.wait_durable(one.append(b"{}", listener="session"))
    with pytest.raises(SpoolError):
        one.append(b"{}", listener="radius-acct")
    disk.now = Level.NORMAL
    one.tick()
    values = stated(writer, tmp_path)[-1]
    assert (values["not_recorded"], values["refused"]) == ({"session": 1}, {"radius-acct": 1})
    assert values["counted_kinds"] == ["session"]


def test_a_statement_that_cannot_be_written_waits(
    tmp_path: Path, writer: SpoolWriter, disk: Disk, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = gate(writer, disk, clock)
    append = writer.append

    def refuse(*_: object, **__: object) -> int:
        raise SpoolError("no space", code="spool_write")

    monkeypatch.setattr(writer, "append", refuse)
    disk.now = Level.FULL
    one.tick()
    disk.now = Level.NORMAL
    one.tick()
    monkeypatch.setattr(writer, "append", append)
    one.tick()
    assert [values["event"] for values in stated(writer, tmp_path)] == ["storage_stopped", "storage_resumed"]
