"""The spool: what is durable is found again, whole, once; what is torn is cut at a whole record."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.chunk import ChunkEncoder, batches_to_table, decode_chunk
from archive.errors import SpoolError
from archive.spool import CLOSE_AT_BYTES, SpoolWriter
from archive.spool_batch import Batch, ReadBatch
from archive.spool_format import decode_batch, encode_batch_frame, iterate_frames
from archive.spool_read import count_spool_records, read_spool_file
from tests.clocks import ManualClock

SOURCE = (bytes(10) + b"\xff\xff\x0a\x00\x00\x07", 514)


def make_batch(payloads: list[bytes], received: list[int] | None = None) -> Batch:
    count = len(payloads)
    return Batch(
        "syslog/udp-5514",
        "udp",
        np.array(received or [1_795_000_000_000_000_000] * count, np.int64),
        np.frombuffer(SOURCE[0] * count, np.uint8).reshape(count, 16),
        np.full(count, SOURCE[1], np.uint16),
        np.zeros(count, np.uint8),
        np.array([len(p) for p in payloads], np.uint32),
        b"".join(payloads),
    )


def read_payloads(directory: Path, stream: str) -> list[bytes]:
    found = []
    for path in sorted((directory / stream).glob("*.spool")):
        for batch in read_spool_file(path).batches:
            found += batch.payloads()
    return [p for p in found if b"writer_started" not in p]


@given(st.lists(st.binary(max_size=300), max_size=20))
@settings(max_examples=200, deadline=None)
def test_a_batch_survives_its_frame(payloads: list[bytes]) -> None:
    batch = make_batch(payloads)
    frames = list(iterate_frames(encode_batch_frame(batch)))
    assert len(frames) == 1
    again = decode_batch(frames[0])
    assert again.payload == batch.payload
    assert list(again.payload_lengths) == list(batch.payload_lengths)
    assert (again.listener, again.transport) == (batch.listener, batch.transport)


READS = st.lists(
    st.tuples(
        st.integers(1_795_000_000_000_000_000, 1_795_000_100_000_000_000),
        st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=300)), min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def make_reads(reads: list[tuple[int, list[tuple[bytes, bytes]]]]) -> ReadBatch:
    """Reads of (arrival, [(framing before the record, record)]), from a source port each."""
    pieces = [piece for _, pieces in reads for piece in pieces]
    return ReadBatch(
        "syslog/tcp-5514",
        "tcp",
        np.array([arrival for arrival, _ in reads], np.int64),
        np.frombuffer(SOURCE[0] * len(reads), np.uint8).reshape(len(reads), 16),
        np.arange(len(reads), dtype=np.uint16),
        np.array([len(pieces) for _, pieces in reads], np.uint32),
        np.zeros(len(pieces), np.uint8),
        np.array([len(gap) for gap, _ in pieces], np.uint8),
        np.array([len(record) for _, record in pieces], np.uint32),
        [memoryview(b"".join(gap + record for gap, record in pieces)) for _, pieces in reads],
    )


@given(READS)
@settings(max_examples=200, deadline=None)
def test_records_of_reads_come_back_one_by_one(reads: list[tuple[int, list[tuple[bytes, bytes]]]]) -> None:
    batch = make_reads(reads)
    frames = list(iterate_frames(encode_batch_frame(batch)))
    again = decode_batch(frames[0])
    records = [record for _, pieces in reads for _, record in pieces]
    assert again.payloads() == batch.payloads() == records
    assert frames[0].count == len(again) == len(records)
    assert list(again.received_unix_ns) == [arrival for arrival, pieces in reads for _ in pieces]
    assert list(again.source_port) == [number for number, (_, pieces) in enumerate(reads) for _ in pieces]
    assert {row.tobytes() for row in again.source_address} == {SOURCE[0]}
    data = b"".join(encode_batch_frame(make_reads(reads)) for _ in range(2))
    batches = [decode_batch(frame) for frame in iterate_frames(data)]
    table = decode_chunk(ChunkEncoder().encode(batches_to_table(data, batches)))
    assert table.column("payload").to_pylist() == records * 2
    assert table.column("source_port").to_pylist() == list(again.source_port) * 2


def test_reads_over_midnight_go_to_two_files(tmp_path: Path) -> None:
    midnight = 20_776 * 86_400_000_000_000
    reads = [(midnight - 1, [(b"", b"one"), (b"\n", b"two")]), (midnight, [(b"\n", b"three")])]
    writer = SpoolWriter(tmp_path, "collector")
    writer.append_batch(make_reads(reads))
    writer.close()
    files = [read_spool_file(path) for path in sorted((tmp_path / "collector").glob("*.spool"))]
    found = [[p for batch in file.batches if batch.transport == "tcp" for p in batch.payloads()] for file in files]
    assert [payloads for payloads in found if payloads] == [[b"one", b"two"], [b"three"]]


def test_the_ticket_of_a_batch_over_midnight_is_good_for_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = 20_776 * 86_400_000_000_000
    writer = SpoolWriter(tmp_path, "collector")
    writer.wait_durable(writer.append(b"before", listener="syslog", received_unix_ns=midnight - 2))
    real, failed = os.fdatasync, []

    def once(descriptor: int) -> None:
        if not failed:
            failed.append(descriptor)
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", once)
    with pytest.raises(SpoolError):
        writer.wait_durable(
            writer.append_batch(make_reads([(midnight - 1, [(b"", b"one")]), (midnight, [(b"", b"two")])]))
        )
    assert failed
    writer.close()


def test_every_cut_of_a_file_leaves_whole_frames_only() -> None:
    frames = [encode_batch_frame(make_batch([b"one", b"two"])), encode_batch_frame(make_batch([b"three"]))]
    data = b"".join(frames)
    for cut in range(len(data) + 1):
        ends = [frame.end_offset for frame in iterate_frames(data[:cut])]
        expected = [end for end in (len(frames[0]), len(data)) if end <= cut]
        assert ends == expected


def test_every_flipped_bit_of_a_frame_is_noticed() -> None:
    data = bytearray(encode_batch_frame(make_batch([b"line", b"other"])))
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << (bit % 8)
        assert list(iterate_frames(bytes(data))) == []
        data[bit // 8] ^= 1 << (bit % 8)


def test_records_are_found_once_in_order(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, "collector", clock=ManualClock())
    payloads = [b"record %d" % n for n in range(100)]
    for payload in payloads:
        ticket = writer.append(payload, listener="syslog", source=SOURCE)
    writer.wait_durable(ticket)
    assert sum(count_spool_records(tmp_path, "collector").values()) == 101
    writer.close()
    assert read_payloads(tmp_path, "collector") == payloads


def test_a_file_closes_at_four_mebibytes_and_numbers_never_repeat(tmp_path: Path) -> None:
    clock = ManualClock()
    writer = SpoolWriter(tmp_path, "collector", clock=clock)
    for _ in range(3):
        writer.append(bytes(CLOSE_AT_BYTES), listener="syslog")
    writer.close()
    for path in (tmp_path / "collector").glob("*.spool"):
        path.unlink()
    writer = SpoolWriter(tmp_path, "collector", clock=clock)
    writer.close()
    assert [p.name for p in (tmp_path / "collector").glob("*.spool")] == [f"{4:020d}.spool"]


def test_no_file_spans_a_utc_day(tmp_path: Path) -> None:
    midnight = 1_795_132_800 * 1_000_000_000
    writer = SpoolWriter(tmp_path, "collector", clock=ManualClock(unix_ns=midnight - 10**9))
    writer.append_batch(make_batch([b"before", b"after"], [midnight - 1, midnight]))
    writer.close()
    days = []
    for path in sorted((tmp_path / "collector").glob("*.spool")):
        received = [int(t) // 86_400_000_000_000 for b in read_spool_file(path).batches for t in b.received_unix_ns]
        assert len(set(received)) <= 1
        days += received
    assert len(set(days)) == 2
    assert read_payloads(tmp_path, "collector") == [b"before", b"after"]


def test_an_acknowledgement_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SpoolWriter(tmp_path, "radius", clock=ManualClock())
    allowed = threading.Event()
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (allowed.wait(10), real(fd))[1])
    ticket = writer.append(b"accounting", listener="radius-acct")
    with pytest.raises(SpoolError) as caught:
        writer.wait_durable(ticket, timeout_seconds=0.2)
    assert caught.value.code == "spool_not_durable"
    allowed.set()
    writer.wait_durable(ticket, timeout_seconds=5)
    writer.close()


def test_a_failed_sync_is_never_acknowledged_and_another_file_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SpoolWriter(tmp_path, "radius", clock=ManualClock())
    writer.wait_durable(writer.append(b"before", listener="radius-acct"))
    real = os.fdatasync

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    lost = writer.append(b"lost", listener="radius-acct")
    with pytest.raises(SpoolError):
        writer.wait_durable(lost, timeout_seconds=5)
    monkeypatch.setattr(os, "fdatasync", real)
    writer.wait_durable(writer.append(b"after", listener="radius-acct"), timeout_seconds=5)
    with pytest.raises(SpoolError):
        writer.wait_durable(lost, timeout_seconds=5)
    writer.close()
    names = sorted(p.name for p in (tmp_path / "radius").iterdir() if p.suffix in (".open", ".spool"))
    assert names == [f"{0:020d}.open", f"{1:020d}.spool"]
    assert read_payloads(tmp_path, "radius") == [b"after"]


def test_a_full_disk_stops_nothing_once_space_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SpoolWriter(tmp_path, "collector", clock=ManualClock())
    import archive.spool as spool

    real = spool.write_parts

    def full(descriptor: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "write_parts", full)
    for _ in range(3):
        with pytest.raises(SpoolError):
            writer.append(b"lost", listener="syslog")
    monkeypatch.setattr(spool, "write_parts", real)
    writer.wait_durable(writer.append(b"kept", listener="syslog"), timeout_seconds=5)
    writer.close()
    assert read_payloads(tmp_path, "collector") == [b"kept"]
