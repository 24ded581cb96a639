"""Reads back what receivers wrote, and runs a receiver for the length of a `with` block."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archive.event_record import decode_event
from archive.spool_read import read_spool_file
from collector.receivers import Receiver, RecordWriter

DEADLINE_SECONDS = 20.0


@dataclass(frozen=True)
class Record:
    listener: str
    transport: str
    received_unix_ns: int
    address: bytes
    port: int
    truncated: bool
    payload: bytes


def read_records(spool: Path, stream: str = "collector") -> list[Record]:
    """Every record of the stream in the order received, our own restart records left out."""
    records = []
    for path in sorted((spool / stream).glob("*.spool")) + sorted((spool / stream).glob("*.open")):
        file = read_spool_file(path)
        assert file.torn_bytes == 0
        for batch in file.batches:
            for row, payload in enumerate(batch.payloads()):
                record = Record(
                    batch.listener,
                    batch.transport,
                    int(batch.received_unix_ns[row]),
                    batch.source_address[row].tobytes(),
                    int(batch.source_port[row]),
                    bool(batch.truncated[row]),
                    payload,
                )
                records.append(record)
    return [record for record in records if record.listener != "restart"]


def losses(records: list[Record]) -> list[dict[str, object]]:
    return [decode_event(record.payload) for record in records if record.listener == "loss"]


@contextmanager
def running(receiver: Receiver, writer: RecordWriter) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=receiver.run, args=(writer, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        receiver.wake()
        thread.join(DEADLINE_SECONDS)
        receiver.close()
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, "nothing came in time"
        time.sleep(0.005)
