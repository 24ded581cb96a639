"""The journal of cases and its working copy.

A change is a durable record of stream `cases` first, then a line of `DIR/cases/events.jsonl`. The copy is what is read;
lost, it is made again from the index, where every sealed record is. `DIR/cases/numbers.json` holds the last numbers
given, so that a record whose line was lost never shares its number with another one.
"""

import json
import logging
import os
import threading
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from archive.cases.events import LISTENER, CaseEvent, decode_case_event, encode_case_event
from archive.cases.register import Register, fold_events
from archive.clock import Clock
from archive.durable import make_directory, open_descriptor, replace_file, sync_directory, write_all
from archive.errors import ArchiveFormatError, AskError, SpoolError
from archive.spool import SpoolWriter

COPY_NAME, NUMBERS_NAME = "events.jsonl", "numbers.json"
NS = 1_000_000_000

log = logging.getLogger(__name__)


class CaseBook:
    """Owned by the index process. `lock` is held by whoever reads, decides and then writes."""

    def __init__(self, directory: Path, writer: SpoolWriter, clock: Clock, zone: str) -> None:
        """Reads the copy; a torn last line is cut off. Raises OSError."""
        make_directory(directory, mode=0o700)
        self.lock = threading.RLock()
        self._path, self._numbers_path = directory / COPY_NAME, directory / NUMBERS_NAME
        self._writer, self._clock, self._zone = writer, clock, zone
        self.unreadable_lines = 0
        self._events = {event.key: event for event in self._read_copy()}
        self._unwritten: list[CaseEvent] = []
        self._numbers = self._read_numbers()
        self.register: Register = fold_events(self._events.values(), zone)

    @property
    def count(self) -> int:
        """Records known."""
        return len(self._events)

    def next_identifier(self, kind: str) -> str:
        """The next number of a `case` or a `hold` of this year in site time; taken with the record that names it."""
        year = datetime.fromtimestamp(self._clock.unix_ns() // NS, ZoneInfo(self._zone)).year
        series = f"{kind}-{year:04d}"
        return f"{series}-{self._numbers.get(series, 0) + 1:04d}"

    def write(
        self, event: str, actor: str, role: str, values: dict[str, Any], *, case: str = "", hold: str = ""
    ) -> None:
        """Durable in the journal on return, and in the copy. Raises AskError `case_not_recorded`: nothing has changed,
        and ArchiveFormatError for a record that is too long."""
        with self.lock:
            number = self._numbers.get("record", 0) + 1
            made = CaseEvent(number, event, self._clock.unix_ns(), case, hold, actor, role, values)
            payload = encode_case_event(made)
            self._numbers = _counted(self._numbers, made)
            try:
                replace_file(self._numbers_path, json.dumps(self._numbers, sort_keys=True).encode(), mode=0o600)
                self._writer.wait_durable(self._writer.append(payload, listener=LISTENER))
            except (SpoolError, OSError) as error:
                raise AskError(
                    f"the change could not be recorded ({error}), so nothing has changed", code="case_not_recorded"
                ) from error
            self._take([made])

    def complete(self, events: Iterable[CaseEvent]) -> int:
        """Take records of the journal that the copy lacks; returns how many."""
        with self.lock:
            missing = [event for event in events if event.key not in self._events]
            if missing:
                for event in missing:
                    self._numbers = _counted(self._numbers, event)
                self._take(missing)
            return len(missing)

    def _take(self, events: list[CaseEvent]) -> None:
        is_next = len(events) == 1 and events[0].key > max(self._events, default=(0, 0))
        self._events |= {event.key: event for event in events}
        if is_next:
            self.register.apply(events[0])
        else:
            self.register = fold_events(self._events.values(), self._zone)
        # Records are in the journal: a copy that cannot be written is completed at the next write, or from the index.
        self._unwritten += events
        try:
            self._append([encode_case_event(event) for event in self._unwritten])
            self._unwritten = []
        except OSError as error:
            log.warning("the working copy of cases cannot be written: %s", error)

    def _append(self, lines: list[bytes]) -> None:
        is_new = not self._path.exists()
        with open_descriptor(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) as descriptor:
            size = os.fstat(descriptor).st_size
            try:
                write_all(descriptor, b"".join(line + b"\n" for line in lines))
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        if is_new:
            sync_directory(self._path.parent)

    def _read_copy(self) -> list[CaseEvent]:
        if not self._path.exists():
            return []
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            with open_descriptor(self._path, os.O_WRONLY) as descriptor:
                os.ftruncate(descriptor, len(whole))
                os.fsync(descriptor)
        events = []
        for line in whole.splitlines():
            try:
                events.append(decode_case_event(line))
            except ArchiveFormatError:
                self.unreadable_lines += 1
        if self.unreadable_lines:
            log.warning("%d lines of %s cannot be read; the index completes them", self.unreadable_lines, self._path)
        return events

    def _read_numbers(self) -> dict[str, int]:
        numbers: dict[str, int] = {}
        try:
            given = json.loads(self._numbers_path.read_bytes())
            numbers = {str(name): int(value) for name, value in given.items()}
        except FileNotFoundError:
            pass
        except (ValueError, AttributeError, TypeError):
            log.warning("%s cannot be read; numbers go on from the copy", self._numbers_path)
        for event in self._events.values():
            numbers = _counted(numbers, event)
        return numbers


def _counted(numbers: dict[str, int], event: CaseEvent) -> dict[str, int]:
    """The last numbers given, with those of a record."""
    found = numbers | {"record": max(numbers.get("record", 0), event.number)}
    for identifier in (event.case, event.hold):
        if identifier:
            series, _, number = identifier.rpartition("-")
            found[series] = max(found.get(series, 0), int(number))
    return found
