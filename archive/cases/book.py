"""The journal of cases and its working copy.

A change is a durable record of stream `cases` first, then a line of `DIR/cases/events.jsonl`. The copy is what is read;
lost, it is made again from the index, where every sealed record is. A line that differs from the index gives way to it,
and one that decides (register.DECIDING) counts once this process wrote it or the index has it.
`DIR/cases/numbers.json` holds the last numbers given, so that a record whose line was lost never shares its number with
another one.
"""

import json
import logging
import os
import threading
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
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
        self._proven: set[tuple[int, int]] = set()
        self.differing: list[int] = []
        self.register: Register = self._fold()

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
            self._proven.add(made.key)
            self._take([made])

    def complete(self, *logs: Iterable[CaseEvent], is_whole: bool = True) -> int:
        """Take what the index has of the journal, of each log its events: those that the copy lacks, and those that it
        has with other values. Lines between two records of one log that the index does not have are dropped, where it
        `is_whole`; what is before or after its records may be of a log that is not indexed yet. `differing` gets the
        numbers of records that were replaced or dropped. Returns how many records changed."""
        with self.lock:
            runs = [list(events) for events in logs]
            indexed = {event.key: event for events in runs for event in events}
            missing = [event for key, event in indexed.items() if key not in self._events]
            altered = [
                event
                for key, event in indexed.items()
                if key in self._events and encode_case_event(self._events[key]) != encode_case_event(event)
            ]
            absent = _absent(self._events.keys() - indexed.keys(), runs) if is_whole else []
            was_proven = len(self._proven)
            self._proven = (self._proven | indexed.keys()) - set(absent)
            for event in missing:
                self._numbers = _counted(self._numbers, event)
            if altered or absent:
                self._correct(altered, absent)
            if missing:
                self._take(missing)
            if altered or absent or len(self._proven) != was_proven:
                self.register = self._fold()
            return len(missing) + len(altered) + len(absent)

    def _fold(self) -> Register:
        return fold_events(self._events.values(), self._zone, self._proven)

    def _correct(self, altered: list[CaseEvent], absent: list[tuple[int, int]]) -> None:
        """Lines that say other than the journal give way to it."""
        numbers = sorted([event.number for event in altered] + [number for number, _ in absent])
        self.differing += numbers
        log.error("lines of %s differ from the journal and gave way to it: records %s", self._path, numbers)
        self._events |= {event.key: event for event in altered}
        for key in absent:
            del self._events[key]
        try:
            lines = [encode_case_event(event) + b"\n" for _, event in sorted(self._events.items())]
            replace_file(self._path, b"".join(lines), mode=0o600)
            self._unwritten = []
        except OSError as error:
            log.warning("the working copy of cases cannot be written: %s", error)

    def _take(self, events: list[CaseEvent]) -> None:
        is_next = len(events) == 1 and events[0].key > max(self._events, default=(0, 0))
        self._events |= {event.key: event for event in events}
        if is_next:
            self.register.apply(events[0])
        else:
            self.register = self._fold()
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


def _absent(keys: Iterable[tuple[int, int]], runs: Iterable[list[CaseEvent]]) -> list[tuple[int, int]]:
    """Of `keys`, which no log has, those that lie at or between two records of one log: it is indexed in order."""
    spans: list[tuple[int, int]] = []
    everything = sorted((event.number, place) for place, events in enumerate(runs) for event in events)
    for (low, place), (high, next_place) in pairwise(everything):
        if place == next_place:
            spans.append((low, high))
    spans += [(number, number) for number, _ in everything]
    return [key for key in sorted(keys) if any(low <= key[0] <= high for low, high in spans)]


def _counted(numbers: dict[str, int], event: CaseEvent) -> dict[str, int]:
    """The last numbers given, with those of a record."""
    found = numbers | {"record": max(numbers.get("record", 0), event.number)}
    for identifier in (event.case, event.hold):
        if identifier:
            series, _, number = identifier.rpartition("-")
            found[series] = max(found.get(series, 0), int(number))
    return found
