"""The index process's own stream: carries, and the settings of decoding when they change."""

import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from archive.clock import Clock
from archive.index.carry import CARRY_LISTENER, CARRY_STREAM, SETTINGS_LISTENER, Carry, encode_carry
from archive.index.carry_open import OpenAtDayStart
from archive.index.carry_reader import CarryReader
from archive.index.engine import Engine
from archive.index.open_records import OPEN_LISTENER, encode_end, encode_item
from archive.index.settings import DecodingSettings, encode_settings
from archive.spool import NO_SOURCE, SpoolWriter
from archive.spool_batch import Batch
from archive.spool_read import is_spool_file

BATCH_RECORDS = 1_000
"""Records handed to the spool at once; a few hundred bytes each, so that a file still closes at about 4 MiB."""
DURABLE_SECONDS = 60.0
"""Longest a leaf waits for its carry to be durable: 20 MB on a slow disk."""


class CarryWriter:
    """Writes to the journal what decoding needs of earlier days. One day's carry is written once."""

    def __init__(
        self, spool: Path, reader: CarryReader, clock: Clock, *, close_after_seconds: float, settings: DecodingSettings
    ) -> None:
        """Opens the stream and notes `settings` if the journal's last ones are others. Raises SpoolError."""
        has_unsealed = any(is_spool_file(path) for path in (spool / CARRY_STREAM).glob("*"))
        self._reader = reader
        self._clock = clock
        self._written: set[str] = set()
        self._open_written: set[str] = set()
        self._writer = SpoolWriter(spool, CARRY_STREAM, clock=clock, close_after_seconds=close_after_seconds)
        # What is not sealed yet may hold other settings; once more says the same.
        if has_unsealed or reader.newest_settings() != settings:
            self._writer.append(encode_settings(settings, clock.unix_ns()), listener=SETTINGS_LISTENER)

    def write(self, carry: Carry) -> None:
        """Append the carry of a day and return when it is durable; nothing, if the day has one. Raises SpoolError.

        All its records have one arrival time: no carry is cut in two by midnight and the purge of a day.
        """
        if carry.day in self._written or any(mark.day == carry.day for mark in self._reader.carries()):
            return
        now = self._clock.unix_ns()
        for payloads in _in_batches(encode_carry(carry, secrets.token_hex(8), now)):
            self._write_batch(_batch(payloads, now))
        self._written.add(carry.day)

    def write_open(self, day: str, before_leaf: int, engine: Engine) -> None:
        """Append what the index knows to be open at the start of a day, and return when it is durable; nothing, if the
        journal has it. Raises SpoolError, IndexUnavailableError. All records have one arrival time, as in `write`."""
        if day in self._open_written or day in self._reader.open_days():
            return
        now = self._clock.unix_ns()
        for payloads in _in_batches(_encode_open(OpenAtDayStart(engine, day), day, before_leaf, now)):
            self._write_batch(_batch(payloads, now, OPEN_LISTENER))
        self._open_written.add(day)

    def close(self) -> None:
        self._writer.close()

    def _write_batch(self, batch: Batch) -> None:
        """Durable one by one: batches lie in several files, and the end of a carry may not outlive its items."""
        self._writer.wait_durable(self._writer.append_batch(batch), DURABLE_SECONDS)


def _encode_open(open_records: OpenAtDayStart, day: str, before_leaf: int, now_unix_ns: int) -> Iterator[bytes]:
    run, count = secrets.token_hex(8), 0
    for table, row in open_records.items():
        yield encode_item(table, row, run, now_unix_ns)
        count += 1
    yield encode_end(day, before_leaf, count, open_records.not_carried, run=run, time_unix_ns=now_unix_ns)


def _in_batches(payloads: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for payload in payloads:
        batch.append(payload)
        if len(batch) == BATCH_RECORDS:
            yield batch
            batch = []
    if batch:
        yield batch


def _batch(payloads: list[bytes], now_unix_ns: int, listener: str = CARRY_LISTENER) -> Batch:
    count = len(payloads)
    address = np.frombuffer(NO_SOURCE[0], np.uint8).reshape(1, 16)
    return Batch(
        listener,
        "internal",
        np.full(count, now_unix_ns, np.int64),
        np.repeat(address, count, axis=0),
        np.zeros(count, np.uint16),
        np.zeros(count, np.uint8),
        np.array([len(payload) for payload in payloads], np.uint32),
        b"".join(payloads),
    )
